"""How the weights of a checkpoint were trained: activation and image preprocessing, which no weights say themselves.

With another activation or other pixel statistics a model loads without an error, and its scores are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from udfs.weights import WeightsError

REQUIRED = ("mean", "std", "resize_mode", "quick_gelu")
"""What must be known of weights beside their architecture; `interpolation` is bicubic where it is not said."""
_BESIDE = "open_clip_config.json"  # what open_clip itself writes when it pushes a model to a hub
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
_RESIZE_MODES = ("shortest", "longest", "squash")


def settings_of(
    checkpoint: Path, architecture: Mapping[str, Any], *, stated: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Settings of a checkpoint that belongs to no tag of open_clip.

    Args:
        checkpoint: The file.
        architecture: open_clip's configuration of the architecture.
        stated: Settings that the user states; None: they are taken from the file beside the checkpoint,
            `CHECKPOINT.json` or `open_clip_config.json`, in open_clip's own form (`model_cfg`, `preprocess_cfg`).

    Returns:
        `mean` and `std` (three numbers of the 0 to 1 scale), `resize_mode`, `quick_gelu`, and `interpolation` where
        it is said: in the form of open_clip's entries of tags.

    Raises:
        WeightsError: If there are none, or not all of them; names those that lack.
    """
    found = dict(stated) if stated is not None else _beside(checkpoint)
    if architecture.get("quick_gelu"):
        found["quick_gelu"] = True
    lacking = [name for name in REQUIRED if found.get(name) is None]
    if lacking:
        raise WeightsError(
            f"{checkpoint} is no file that open_clip knows, and nothing says how it was trained (missing: "
            f"{', '.join(lacking)}). Name the tag it belongs to (TAG@FILE), put open_clip's configuration beside it "
            f"({checkpoint.name}.json or {_BESIDE} with preprocess_cfg, and quick_gelu in model_cfg), or state it: "
            "--set 'embed.trained={quick_gelu: false, mean: [0.48145466, 0.4578275, 0.40821073], "
            "std: [0.26862954, 0.26130258, 0.27577711], resize_mode: shortest}' (these are open_clip's defaults)"
        )
    if found["resize_mode"] not in _RESIZE_MODES:
        raise WeightsError(
            f"{checkpoint}: resize_mode is {found['resize_mode']!r}, expected one of {', '.join(_RESIZE_MODES)}"
        )
    return {name: value for name, value in found.items() if value is not None}


def write_beside(checkpoint: Path, settings: Mapping[str, Any]) -> Path:
    """Say in a file beside a checkpoint how it was trained, where `settings_of` looks for it.

    Args:
        checkpoint: The file.
        settings: As `settings_of` gives them.
    """
    preprocess = {name: settings[name] for name in _PREPROCESS if name in settings}
    content = {"model_cfg": {"quick_gelu": settings["quick_gelu"]}, "preprocess_cfg": preprocess}
    file = _own_file(checkpoint)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return file


def _own_file(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.json")


def _beside(checkpoint: Path) -> dict[str, Any]:
    for file in (_own_file(checkpoint), checkpoint.with_name(_BESIDE)):
        if file.is_file():
            return _read(file)
    return {}


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        model, preprocess = content.get("model_cfg", {}), content["preprocess_cfg"]
        found: dict[str, Any] = {name: preprocess.get(name) for name in _PREPROCESS}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(
            f"{file} is no configuration of open_clip (a JSON object with preprocess_cfg): {error!r}"
        ) from error
    # open_clip writes what differs from its defaults: an architecture without the word has GELU.
    return {**found, "quick_gelu": bool(model.get("quick_gelu", False))}
