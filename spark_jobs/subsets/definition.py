"""Definitions of subsets: what they are made of, the built-in ones, and what a command asks to build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from spark_jobs.errors import ConfigError
from spark_jobs.sections import Section
from spark_jobs.subsets.predicate import PredicateError, find_measure, parse_predicate
from udfs.names import did_you_mean

# A dash separates size, seed and the word control from the definition's id.
_ID = r"^[A-Za-z0-9][A-Za-z0-9_.]{0,79}$"
_FILES = ("paper.yaml", "rivals.yaml")


class TopRule(Section):
    """Keep the highest scores only."""

    by: str = Field(min_length=1, description="Measure to rank by: column or table.column")
    share: float = Field(gt=0, le=1, description="Share of the samples with a score that is kept")

    @field_validator("by")
    @classmethod
    def _is_a_number(cls, by: str) -> str:
        table, _, name = by.rpartition(".")
        try:
            measure = find_measure(name, table)
        except PredicateError as error:
            raise ValueError(str(error)) from error
        if measure.kind != "number":
            raise ValueError(f"{by} is a {measure.kind}, expected a number")
        return measure.full_name


class SubsetDefinition(Section):
    """One named subset."""

    id: str = Field(pattern=_ID, description="Its name: letters, digits, dots, underscores")
    sentence: str = Field("", description="What it is, in one sentence")
    predicate: str = Field("true", description="SQL condition over the measures")
    top: TopRule | None = Field(
        None, description="Keep the highest scores among samples that pass the predicate"
    )
    trainable: bool = Field(
        True,
        description="Only samples whose image was read and whose caption has a word; false: also what was never "
        "downloaded, read or captioned",
    )
    size: int | None = Field(None, ge=1, description="Samples to draw; null: all that qualify")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the draw")
    stratum: Literal["equal", "capped"] | None = Field(
        None, description="equal: as many from each cluster; capped: at most `cap` from each"
    )
    cap: int | None = Field(None, ge=1, description="Most samples of one cluster, with stratum: capped")
    source: str = Field("", description="Where the definition comes from")
    assumptions: tuple[str, ...] = Field((), description="What the source leaves open, and how it is read")

    @field_validator("predicate")
    @classmethod
    def _predicate_is_sound(cls, predicate: str) -> str:
        try:
            parse_predicate(predicate)
        except PredicateError as error:
            raise ValueError(str(error)) from error
        return predicate

    @model_validator(mode="after")
    def _cap_goes_with_capped(self) -> SubsetDefinition:
        if (self.stratum == "capped") != (self.cap is not None):
            raise ValueError("cap and stratum: capped go together")
        return self


class CurateConfig(Section):
    """Stage `curate`: which subsets are built. `parrot curate` sets these from its options.

    Definitions have an id, a predicate over the measures, and where wanted size, seed, stratum and the like.
    """

    build: tuple[str, ...] = Field((), description="Subsets to build, built-in ones or your own")
    subsets: tuple[SubsetDefinition, ...] = Field((), description="Your own definitions")
    size: int | None = Field(None, ge=1, description="Size in place of the definitions' own")
    seed: int | None = Field(None, ge=0, lt=2**31, description="Seed in place of the definitions' own")
    control: bool = Field(False, description="Also draw a random subset of each one's size")
    clip_model: str | None = Field(
        None,
        description="CLIP model of measures that name none, NAME/TAG as the tables show it (a predicate may name "
        "another: clip_score[ViT-B-32/openai]); null: the one that scored last",
    )

    @model_validator(mode="after")
    def _ids_are_unique(self) -> CurateConfig:
        ids = [definition.id for definition in self.subsets]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        taken = sorted(set(ids) & set(built_in())) if ids else []
        if twice or taken:
            raise ValueError(
                "; ".join(
                    [f"subset {name} is defined twice" for name in twice]
                    + [f"subset {name} is built in: choose another id" for name in taken]
                )
            )
        return self


@lru_cache(maxsize=1)
def built_in() -> dict[str, SubsetDefinition]:
    """The built-in definitions by id, in the order of their files."""
    found: dict[str, SubsetDefinition] = {}
    for name in _FILES:
        text = (resources.files("spark_jobs.subsets") / name).read_text(encoding="utf-8")
        for values in yaml.safe_load(text):
            definition = SubsetDefinition.model_validate(values)
            found[definition.id] = definition
    return found


def known_definitions(config: CurateConfig) -> dict[str, SubsetDefinition]:
    """Built-in definitions, then the user's, by id."""
    return {**built_in(), **{definition.id: definition for definition in config.subsets}}


@dataclass(frozen=True)
class SubsetBuild:
    """One subset to build.

    Attributes:
        subset_id: Its id in the tables.
        definition: With the size and seed that hold.
        control_of: The subset whose size a random control takes; None for other subsets.
        clip_model: CLIP model of measures that name none; None: the one that scored last.
    """

    subset_id: str
    definition: SubsetDefinition
    control_of: str | None = None
    clip_model: str | None = None


def subset_builds(config: CurateConfig) -> list[SubsetBuild]:
    """What to build, in order; a control stands behind its subset.

    Raises:
        ConfigError: If nothing is named, or a name is unknown; names the closest.
    """
    known = known_definitions(config)
    unknown = [name for name in config.build if name not in known]
    if unknown or not config.build:
        hints = [_unknown(name, known) for name in unknown] or ["name at least one subset to build"]
        raise ConfigError(f"{'; '.join(hints)}\nSubsets: {', '.join(known)}")
    found: list[SubsetBuild] = []
    for name in dict.fromkeys(config.build):
        build = _build_of(known[name], config)
        found.append(build)
        if config.control:
            found.append(control_of(build))
    return found


def _build_of(definition: SubsetDefinition, config: CurateConfig) -> SubsetBuild:
    subset_id, changes = definition.id, {}
    if config.size is not None and config.size != definition.size:
        subset_id += f"-{config.size}"
        changes["size"] = config.size
    if config.seed is not None and config.seed != definition.seed:
        subset_id += f"-s{config.seed}"
        changes["seed"] = config.seed
    return SubsetBuild(subset_id, definition.model_copy(update=changes), clip_model=config.clip_model)


def control_of(subset: SubsetBuild) -> SubsetBuild:
    """The random control of a subset: as many samples, of those that have all its measures.

    Its seed is the next one: with the subset's own, both would prefer the same samples.
    """
    definition = subset.definition
    used = [measure for part in parse_predicate(definition.predicate) for measure in part.measures]
    used += [find_measure(*reversed(definition.top.by.split(".", 1)))] if definition.top else []
    models = {measure.table: f"[{measure.model}]" for measure in used if measure.model}
    tables = sorted({measure.table for measure in used} - {"samples"})
    measured = [f"{table}.status{models.get(table, '')} = 'ok'" for table in tables]
    control = SubsetDefinition(
        id=definition.id,
        sentence=f"Random samples, as many as {subset.subset_id} has, of those that its conditions can judge",
        predicate=" AND ".join(measured) or "true",
        trainable=definition.trainable,
        seed=definition.seed + 1,
        source="Size-matched random control",
    )
    return SubsetBuild(
        f"{subset.subset_id}-control", control, control_of=subset.subset_id, clip_model=subset.clip_model
    )


def _unknown(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    return f"unknown subset {name}.{did_you_mean(name, known)}"
