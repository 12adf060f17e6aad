"""Checkpoints: the state that a training resumes from, and the model's file that open_clip loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_jobs.errors import ModelError
from spark_jobs.training.job import put_whole

_PREFIX = "state-"
_KEPT = 2


@dataclass(frozen=True)
class Owner:
    """What a state belongs to.

    Attributes:
        run_key: Of the training.
        feed: Its feed.
        processes: Its processes: another number gives other batches, except with the feed parquet.
    """

    run_key: str
    feed: str
    processes: int


def save_state(folder: Path, step: int, *, owner: Owner, parts: dict[str, Any]) -> None:
    """Keep what a training needs to go on after a step; the last two are kept.

    Args:
        folder: Of the run.
        step: Steps done.
        owner: What it belongs to.
        parts: `state_dict` objects by name.
    """
    import torch

    values = {
        "step": step,
        "owner": vars(owner),
        "parts": {name: part.state_dict() for name, part in parts.items()},
    }
    put_whole(folder / f"{_PREFIX}{step:09d}.pt", lambda path: torch.save(values, path))
    for old in states(folder)[:-_KEPT]:
        old.unlink()


def states(folder: Path) -> list[Path]:
    """Files of states, the last one last."""
    return sorted(folder.glob(f"{_PREFIX}*.pt"))


def last_step(folder: Path) -> int:
    """Steps behind which a training would go on; 0 where no state was kept."""
    found = states(folder)
    return int(found[-1].stem.removeprefix(_PREFIX)) if found else 0


def load_state(folder: Path, owner: Owner, parts: dict[str, Any]) -> int:
    """Put the last state back into model, optimiser and the rest.

    Returns:
        Steps done; 0 where there is no state.

    Raises:
        ModelError: If the state is of another training or model, or was made by another number of processes.
    """
    import torch

    found = states(folder)
    if not found:
        return 0
    file = found[-1]
    try:
        values = torch.load(file, map_location="cpu", weights_only=True)
        _check_owner(file, values["owner"], owner)
        for name, part in parts.items():
            part.load_state_dict(values["parts"][name])
    except ModelError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(
            f"{file} is no checkpoint of this training ({type(error).__name__}: {reason}): remove {folder} to "
            "train anew"
        ) from error
    return int(values["step"])


def save_model(path: Path, model: Any) -> Path:
    """Write the weights as safetensors: equal weights, equal bytes (torch.save writes the file's name into it)."""
    from safetensors.torch import save_file

    weights = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    put_whole(path, lambda partial: save_file(weights, partial))
    return path


def _check_owner(file: Path, found: dict[str, Any], owner: Owner) -> None:
    if found["run_key"] != owner.run_key:
        raise ModelError(
            f"{file} belongs to another training (run key {found['run_key']}, this one has {owner.run_key}): give "
            "another folder to train_clip.output"
        )
    if owner.feed != "parquet" and found["processes"] != owner.processes:
        raise ModelError(
            f"{file} was made by {found['processes']} processes; with {owner.processes} the feed {owner.feed} would "
            f"repeat samples and leave out others: --set train_clip.processes={found['processes']}, or the feed parquet"
        )
