"""CLIP models as the configuration names them, and what a reader of their scores must know."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from schemas import clip_embeddings, synthetic_text_scores, text_removal_scores
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

# Stages that score with CLIP, in the order they run in, and where their scores lie.
_SCORED_BY = {
    "embed": clip_embeddings.TABLE,
    "remove_text": text_removal_scores.TABLE,
    "render_text": synthetic_text_scores.TABLE,
}
SCORING_STAGES = tuple(_SCORED_BY)
_RANDOM_SEED = re.compile(r"random-(\d+)")
_RANDOM_WEIGHTS = re.compile(r"/random-\d+$")
_RANDOM_WEIGHTS_NOTE = (
    "CLIP scores mean nothing: {model} has random weights. Name a real model with "
    "`--set embed.model=ViT-B-32 --set embed.pretrained=openai` (the paper's) or a checkpoint file"
)
_OWN_MODEL = "parrot-small/world"
_OWN_MODEL_NOTE = f"{_OWN_MODEL} knows drawn scenes and printed words: its scores of photographs mean nothing"
_A_MODEL = Question("model of a row", version=1)
_MODELS = Question("models of rows", version=1)


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
    scored_by = model_of(tables, config.dataset_name, spec=spec, run_key=run_key)
    if scored_by is not None and not is_random(scored_by):
        architecture, _, weights = scored_by.partition("/")
        raise ConfigError(
            f"dataset {config.dataset_name} has scores of {scored_by}; name that model again (--set "
            f"embed.model={architecture} --set embed.pretrained={weights}, or a --config file), or say "
            f"--set embed.model={config.embed.model} if random weights are meant"
        )


def model_of(tables: Tables, dataset: str, *, spec: TableSpec, run_key: str) -> str | None:
    """The CLIP model of rows of a table; of several any one; None where there is no row.

    Args:
        tables: The warehouse.
        dataset: The dataset.
        spec: A table with a column `model`.
        run_key: The rows' run key.
    """

    def ask() -> list[str]:
        rows = tables.read(spec, dataset=dataset, run_key=run_key).select("model").limit(1).collect()
        return [row["model"] for row in rows]

    found: list[str] = tables.answer(spec, _A_MODEL.of(dataset=dataset, run_key=run_key), ask)
    return next(iter(found), None)


def refuse_mixed_models(config: RunConfig, stages: Collection[str], *, tables: Tables | None = None) -> None:
    """Refuse a run that would score with random weights beside a trained model.

    Every stage takes the model of section `embed` where it names none, so a job whose tasks have not the same
    configuration would fill half of its tables with noise. Random weights that are spelled out (NAME/random-SEED)
    are meant.

    Args:
        config: The run's configuration.
        stages: Names of the stages that run.
        tables: The warehouse, to compare with what other stages have scored; None: only the run itself is looked at.

    Raises:
        ConfigError: If there are trained models and random weights that nobody spelled out.
    """
    random = {stage: _random_by_omission(config, stage) for stage in _SCORED_BY if stage in stages}
    random = {stage: names for stage, names in random.items() if names}
    if not random:
        return
    trained = {
        stage: [name for name in models_named(config, stage) if not is_random(name)]
        if stage in stages
        else _trained_in(tables, config.dataset_name, stage)
        for stage in _SCORED_BY
    }
    beside = [(stage, name) for stage, names in trained.items() for name in names]
    if not beside:
        return
    stage, names = next(iter(random.items()))
    with_model, model = beside[0]
    architecture, _, weights = model.partition("/")
    raise ConfigError(
        f"stage {stage} would score with random weights ({', '.join(names)}) beside {model} of stage {with_model}: "
        "its scores would be noise. Give every stage the same model, best by one configuration file for all of "
        f"them (--config FILE), or here by --set embed.model={architecture} --set embed.pretrained={weights}"
    )


def models_named(config: RunConfig, stage: str) -> list[str]:
    """The models that a stage resolves to, by name: no weights are looked for.

    Args:
        config: The run's configuration.
        stage: `embed`, `remove_text` or `render_text`.
    """
    chosen = getattr(getattr(config, stage), "models", None)
    sections = [config.embed] if chosen is None else [_named(name, config.embed) for name in chosen]
    return [f"{each.model}/{_weights_named(each)}" for each in sections]


def _weights_named(section: EmbedConfig) -> str:
    return f"random-{section.seed}" if section.pretrained in (None, "", "random") else str(section.pretrained)


def is_random(model: str) -> bool:
    """Whether a model has random weights, by its id."""
    return _RANDOM_WEIGHTS.search(model) is not None


def _random_by_omission(config: RunConfig, stage: str) -> list[str]:
    """A stage's models with random weights, without those that a list spells out."""
    spelled_out = getattr(getattr(config, stage), "models", None) or ()
    return [name for name in models_named(config, stage) if is_random(name) and name not in spelled_out]


def _trained_in(tables: Tables | None, dataset: str, stage: str) -> list[str]:
    """Trained models in the current scores of a stage; none where no tables are looked at."""
    if tables is None:
        return []
    spec = _SCORED_BY[stage]
    run_key = current_run_keys(tables).get((dataset, spec.name))
    if run_key is None:
        return []

    def ask() -> list[str]:
        models = tables.read(spec, dataset=dataset, run_key=run_key).select("model").distinct()
        return sorted(row["model"] for row in models.collect() if row["model"])

    question = _MODELS.of(dataset=dataset, run_key=run_key)
    return [model for model in tables.answer(spec, question, ask) if not is_random(model)]


def model_notes(model: str) -> list[str]:
    """What a reader of a model's scores must know, by the model's id."""
    if model == _OWN_MODEL:
        return [_OWN_MODEL_NOTE]
    return [_RANDOM_WEIGHTS_NOTE.format(model=model)] if is_random(model) else []


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
            cache_dir=config.weights_folder,
            trained=None if config.trained is None else config.trained.model_dump(mode="json"),
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
    embed = embed.model_copy(update={"trained": None})  # it says how the file of `embed` was trained
    seeded = _RANDOM_SEED.fullmatch(pretrained)
    if seeded:
        return embed.model_copy(update={"model": model, "pretrained": None, "seed": int(seeded[1])})
    return embed.model_copy(update={"model": model, "pretrained": pretrained or None})
