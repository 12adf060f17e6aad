"""The stored model that a configuration pins: new samples are assigned to it, and nothing is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import cluster_models
from spark_jobs.clustering.plan import embeddings_keys
from spark_jobs.errors import StageError
from spark_jobs.runner.outdated import read_made_from
from spark_jobs.warehouse.query_cache import Question

if TYPE_CHECKING:
    from spark_jobs.config import RunConfig
    from spark_jobs.runner.pending import RunKeys
    from spark_jobs.warehouse.tables import Tables

FIT, KEEP = "fit", "keep"
_VERSIONS = Question("versions of cluster models", version=1)


def pinned_run_key(
    tables: Tables, config: RunConfig, *, current: RunKeys, checked: bool = True
) -> str | None:
    """Run key of the model that `cluster.model` names; None where one is to be fitted.

    Args:
        tables: The warehouse.
        config: The run's configuration.
        current: Run keys to read, by dataset and table.
        checked: Whether the dataset's vectors are final: they must then be of the CLIP model that was fitted on.

    Raises:
        StageError: If no stored model has this version, or it was fitted on vectors of another CLIP model.
    """
    wanted, spec = config.cluster.model, cluster_models.TABLE
    if wanted == FIT:
        return None
    in_use = current.get((config.dataset_name, spec.name))
    run_key = in_use if wanted == KEEP else _run_key_of(tables, wanted)
    if run_key is not None and checked:
        _check_vectors(tables, config, run_key=run_key, current=current)
    return run_key


def _run_key_of(tables: Tables, version: str) -> str:
    """The run key under which a version is stored."""
    spec = cluster_models.TABLE

    def ask() -> dict[str, str]:
        rows = tables.read(spec).select("model_version", "run_key").distinct().collect()
        return {row["model_version"]: row["run_key"] for row in rows}

    stored = tables.answer(spec, _VERSIONS, ask) if tables.exists(spec) else {}
    if version not in stored:
        raise StageError(
            f"cluster.model={version}: expected {FIT}, {KEEP} or the version of a model in {tables.warehouse}; it "
            f"holds {', '.join(sorted(stored)) or 'none'}"
        )
    return str(stored[version])


def _check_vectors(tables: Tables, config: RunConfig, *, run_key: str, current: RunKeys) -> None:
    """The log knows the run keys of the vectors that were fitted on; where it was deleted, nothing is known."""
    own = embeddings_keys(current, config)[config.dataset_name]
    for (_, table, made), reads in read_made_from(tables).items():
        if table == cluster_models.TABLE.name and made == run_key and own not in reads.values():
            raise StageError(
                f"cluster.model={config.cluster.model}: the model was fitted on vectors of another CLIP model, or of "
                f"other settings, than those of dataset {config.dataset_name} are now. Run `parrot run cluster` with "
                f"cluster.model={FIT}, or `parrot run embed` with the settings of then"
            )
