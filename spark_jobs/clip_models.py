"""CLIP models as the configuration names them, and what a reader of their scores must know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.errors import ConfigError, ModelError
from spark_jobs.warehouse.query_cache import Question
from spark_jobs.warehouse.views import current_run_keys
from udfs.weights import WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas._table import TableSpec
    from spark_jobs.config import RunConfig
    from spark_jobs.sections import EmbedConfig
    from spark_jobs.warehouse.tables import Tables
    from udfs.clip_embedding import ClipFactory

_RANDOM_SEED = re.compile(r"random-(\d+)")
_RANDOM_WEIGHTS = re.compile(r"/random-\d+$")
_RANDOM_WEIGHTS_NOTE = (
    "CLIP scores mean nothing: {model} has random weights. Name a real model with "
    "`--set embed.model=ViT-B-32 --set embed.pretrained=openai` (the paper's) or a checkpoint file"
)
_A_MODEL = Question("model of a row", version=1)


def keep_real_scores(tables: Tables, config: RunConfig, spec: TableSpec) -> None:
    """Refuse to replace a real model's scores by noise only because no model was named this time.

    Args:
        tables: The warehouse.
        config: The run's configuration.
        spec: The table with the scores; has a column `model`.

    Raises:
        ConfigError: If the dataset's current scores are a real model's and the configuration is the default.
    """
    if config.embed.pretrained is not None or "model" in config.embed.model_fields_set:
        return
    run_key = current_run_keys(tables).get((config.dataset_name, spec.name))
    if run_key is None:
        return
    rows_read = {"dataset": config.dataset_name, "run_key": run_key}
    found = tables.answer(
        spec,
        _A_MODEL.of(**rows_read),
        lambda: [row["model"] for row in tables.read(spec, **rows_read).select("model").limit(1).collect()],
    )
    real = [model for model in found if not model_notes(model)]
    if real:
        architecture, _, weights = real[0].partition("/")
        raise ConfigError(
            f"dataset {config.dataset_name} has scores of {real[0]}; name that model again (--set "
            f"embed.model={architecture} --set embed.pretrained={weights}, or a --config file), or say "
            f"--set embed.model={config.embed.model} if random weights are meant"
        )


def model_notes(model: str) -> list[str]:
    """What a reader of a model's scores must know, by the model's id."""
    return [_RANDOM_WEIGHTS_NOTE.format(model=model)] if _RANDOM_WEIGHTS.search(model) else []


def clip_of(config: EmbedConfig) -> ClipFactory:
    """Find the configured CLIP model; fetch its weights once, here, where that is needed.

    Raises:
        ModelError: If the model or its weights do not exist.
    """
    from udfs.clip_embedding import resolve

    try:
        return resolve(
            config.model,
            config.pretrained,
            seed=config.seed,
            precision=config.precision,
            cache_dir=config.cache_dir or Path.home() / ".cache" / "parrot",
        )
    except WeightsError as error:
        raise ModelError(f"embed: {error}") from error


def clips_of(embed: EmbedConfig, names: Sequence[str] | None) -> tuple[ClipFactory, ...]:
    """The CLIP models that a stage names, each once; that of `embed` where it names none.

    Args:
        embed: Where precision, seed and cache come from.
        names: Models as the column `model` shows them: NAME/TAG, NAME/FILE or NAME/random-SEED.

    Raises:
        ModelError: If a model or its weights do not exist.
    """
    sections = [embed] if names is None else [_named(name, embed) for name in names]
    return tuple({clip.model_id: clip for clip in map(clip_of, sections)}.values())


def _named(name: str, embed: EmbedConfig) -> EmbedConfig:
    model, _, pretrained = name.partition("/")
    seeded = _RANDOM_SEED.fullmatch(pretrained)
    if seeded:
        return embed.model_copy(update={"model": model, "pretrained": None, "seed": int(seeded[1])})
    return embed.model_copy(update={"model": model, "pretrained": pretrained or None})
