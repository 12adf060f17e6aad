"""Which datasets a warehouse holds, and the one that is meant where it holds no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_jobs.errors import ConfigError
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spark_jobs.warehouse.tables import Tables


def only_dataset(tables: Tables) -> str:
    """The dataset of a warehouse that holds no other.

    Raises:
        ConfigError: If it holds none, or several; names them.
    """
    return choose_only(current_run_keys(tables), warehouse=tables.warehouse)


def choose_only(found: Iterable[tuple[str, str]], *, warehouse: str) -> str:
    """The only dataset among datasets and their tables.

    A dataset of which there are samples goes before one that is only named, by a training on an export from elsewhere.

    Args:
        found: Dataset and table.
        warehouse: Of the message.

    Raises:
        ConfigError: If there is none, or several; names them.
    """
    pairs = set(found)
    with_samples = {dataset for dataset, table in pairs if table == "samples"}
    datasets = sorted(with_samples or {dataset for dataset, _ in pairs})
    if len(datasets) == 1:
        return datasets[0]
    if not datasets:
        raise ConfigError(
            f"{warehouse} holds no dataset yet: `parrot run --source PATH --dataset NAME` makes one"
        )
    raise ConfigError(
        f"{warehouse} holds several datasets: name one with --dataset, of {', '.join(datasets)}"
    )
