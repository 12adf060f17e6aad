"""The stages, one file each: it offers `STAGE`, as `spark_jobs.runner.stage` says."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spark_jobs.runner.stage import StageContract


def load_stage(name: str) -> StageContract:
    """What the stage with this name offers.

    Raises:
        TypeError: If its file does not keep the contract.
    """
    from spark_jobs.runner.stage import StageContract

    module = importlib.import_module(f"{__name__}.{name}")
    stage = getattr(module, "STAGE", None)
    if not isinstance(stage, StageContract):
        raise TypeError(f"{module.__name__} must offer STAGE, a StageContract; found {stage!r}")
    return stage
