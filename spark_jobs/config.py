"""Configuration: one validated tree of sections, one YAML file, every value overridable by `--set`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, get_args

import yaml
from pydantic import Field, ValidationError, field_validator

from spark_jobs.clustering.config import ClusterConfig
from spark_jobs.errors import ConfigError
from spark_jobs.evaluation.config import EvaluateClipConfig
from spark_jobs.sections import (
    AestheticConfig,
    DatasetConfig,
    DeduplicateConfig,
    DownloadConfig,
    EmbedConfig,
    ImageConfig,
    IngestConfig,
    NgramsConfig,
    OverlapConfig,
    RemoveTextConfig,
    RenderTextConfig,
    ReportConfig,
    RunnerConfig,
    Section,
    SessionConfig,
    SpotTextConfig,
    StatisticsConfig,
    TrackingConfig,
    dataset_name,
)
from spark_jobs.subsets.definition import CurateConfig
from spark_jobs.training.config import TrainClipConfig
from spark_jobs.warehouse.addresses import is_catalog
from udfs.names import did_you_mean


class RunConfig(Section):
    """Everything a run depends on."""

    warehouse: str = Field(
        "warehouse",
        min_length=1,
        description="Folder or URI of the tables, or catalog.schema; PARROT_WAREHOUSE names another default",
    )
    dataset: str | None = Field(
        None,
        description="Name of the dataset in the tables; null: the only one of the warehouse (reports: all of them)",
    )
    source: str | None = Field(None, description="Folder or URI of the image-text pairs")
    datasets: tuple[DatasetConfig, ...] = Field(
        (),
        description="Datasets of `parrot run`, one after the other, each {name, source}; --dataset takes one of them",
    )
    limit: int | None = Field(None, ge=1, description="Work on this many shards only, a fixed sample by hash")
    refresh: bool = Field(False, description="Ingest shards again that changed at the source")
    retry_failed: bool = Field(False, description="Do failed rows again, keep the others")
    ingest: IngestConfig = Field(default_factory=IngestConfig)
    download: DownloadConfig = Field(default_factory=DownloadConfig)
    images: ImageConfig = Field(default_factory=ImageConfig)
    embed: EmbedConfig = Field(default_factory=EmbedConfig)
    cluster: ClusterConfig = Field(default_factory=ClusterConfig)
    deduplicate: DeduplicateConfig = Field(default_factory=DeduplicateConfig)
    aesthetic: AestheticConfig = Field(default_factory=AestheticConfig)
    spot_text: SpotTextConfig = Field(default_factory=SpotTextConfig)
    overlap: OverlapConfig = Field(default_factory=OverlapConfig)
    ngrams: NgramsConfig = Field(default_factory=NgramsConfig)
    render_text: RenderTextConfig = Field(default_factory=RenderTextConfig)
    remove_text: RemoveTextConfig = Field(default_factory=RemoveTextConfig)
    statistics: StatisticsConfig = Field(default_factory=StatisticsConfig)
    curate: CurateConfig = Field(default_factory=CurateConfig)
    train_clip: TrainClipConfig = Field(default_factory=TrainClipConfig)
    evaluate_clip: EvaluateClipConfig = Field(default_factory=EvaluateClipConfig)
    report: ReportConfig = Field(default_factory=ReportConfig)
    runner: RunnerConfig = Field(default_factory=RunnerConfig)
    session: SessionConfig = Field(default_factory=SessionConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)

    @field_validator("dataset")
    @classmethod
    def _dataset_is_a_folder_name(cls, name: str | None) -> str | None:
        return name if name is None else dataset_name(name)

    @field_validator("datasets")
    @classmethod
    def _each_dataset_is_named_once(cls, datasets: tuple[DatasetConfig, ...]) -> tuple[DatasetConfig, ...]:
        names = [one.name for one in datasets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is named more than once")
        return datasets

    @property
    def dataset_name(self) -> str:
        """The dataset, where a stage needs one.

        Raises:
            ConfigError: If none is configured.
        """
        if self.dataset is None:
            raise ConfigError("this needs the name of a dataset: --dataset NAME")
        return self.dataset

    @property
    def is_catalog(self) -> bool:
        """Whether the warehouse is `catalog.schema` rather than a folder or URI."""
        return is_catalog(self.warehouse)


def load_config(
    path: str | None = None, *, overrides: tuple[str, ...] = (), options: dict[str, Any] | None = None
) -> RunConfig:
    """Build the configuration: defaults, PARROT_WAREHOUSE, the YAML file, options, then `--set` overrides.

    Args:
        path: YAML file or its URI, or None.
        overrides: `section.key=value` strings; values are read as YAML.
        options: Values given as command-line options, a mapping for a section; None means not given.

    Raises:
        ConfigError: With every fault at once; unknown keys come with the valid ones.
    """
    faults: list[str] = []
    values = {**_environment(), **(_read_yaml(path) if path else {})}
    values = _with_options(values, options or {})
    for override in overrides:
        _apply_override(values, override, faults)
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        faults.extend(_describe(detail) for detail in error.errors())
    if faults:
        where = f" in {path}" if path else ""
        raise ConfigError(
            f"the configuration has {len(faults)} fault(s){where}:\n  - " + "\n  - ".join(faults)
        )
    return config


def _environment() -> dict[str, Any]:
    """What the environment says: as a default, so that a file or an option that says otherwise goes before it."""
    warehouse = os.environ.get("PARROT_WAREHOUSE")
    return {"warehouse": warehouse} if warehouse else {}


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(_bytes_of(path).decode("utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of sections, found {type(values).__name__}")
    return values


def _with_options(values: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The values with those options that are given in their places; other settings of a section stay."""
    merged = dict(values)
    for key, value in options.items():
        if isinstance(value, Mapping):
            section = merged.get(key) or {}
            # What is no section stays as it is, and is then named as a fault.
            merged[key] = _with_options(section, value) if isinstance(section, dict) else section
        elif value is not None:
            merged[key] = value
    return merged


def _bytes_of(path: str) -> bytes:
    """Content of a file, or of an object behind a URI: the steps of a cluster read one file on S3."""
    import fsspec

    try:
        with fsspec.open(path, "rb") as file:
            content: bytes = file.read()
            return content
    except FileNotFoundError as error:
        raise ConfigError(f"no configuration file at {path}") from error
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error}") from error


def _apply_override(values: dict[str, Any], override: str, faults: list[str]) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        faults.append(f"--set {override}: expected section.key=value")
        return
    *sections, name = key.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            faults.append(f"--set {override}: {section} is not a section")
            return
        values = inner
    try:
        values[name] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        faults.append(f"--set {override}: the value is not valid YAML: {error}")


def _describe(detail: Any) -> str:
    location = [str(part) for part in detail["loc"]]
    name = ".".join(location)
    if detail["type"] != "extra_forbidden":
        found = detail.get("input")
        shown = "" if isinstance(found, dict) else f", found {found!r}"
        return f"{name}: {detail['msg'].removeprefix('Value error, ')}{shown}"
    valid = _valid_keys(location[:-1])
    return f"{name}: unknown key.{did_you_mean(location[-1], valid)} Valid keys: {', '.join(valid)}"


def _valid_keys(sections: list[str]) -> list[str]:
    model: Any = RunConfig
    for section in sections:
        if not section.isdigit():  # else a place in a list, whose items have the model found already
            model = _model_in(model.model_fields[section].annotation)
    return list(model.model_fields)


def _model_in(annotation: Any) -> Any:
    """The model of a field: itself, or what a list or an optional field holds."""
    choices = (annotation, *get_args(annotation))
    return next(kind for kind in choices if isinstance(kind, type) and issubclass(kind, Section))
