"""One process of a training: `python -m spark_jobs.training.worker FOLDER`, alone or under torchrun."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from spark_jobs.errors import ParrotError, sentence
from spark_jobs.training.job import Job

FAULT = "fault-{rank}.txt"
_WATCH_SECONDS = 2.0
# Allocators give every large tensor back otherwise: 15 to 25 % of a step.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}


def train(folder: str) -> None:
    """Train what a run's folder says, as the process that torchrun's variables say.

    Raises:
        Exception: Whatever stops it; what it says is left in the folder, since torchrun tells but a number.
    """
    rank = int(os.environ.get("RANK", "0"))
    try:
        _train(Path(folder), rank)
    except BaseException as error:
        (Path(folder) / FAULT.format(rank=rank)).write_text(_said(error), encoding="utf-8")
        raise


def _train(folder: Path, rank: int) -> None:
    import torch

    from spark_jobs.training.loop import Place, Trainer, threads_of

    job = Job.read(folder)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads_of(job))
    has_gpu = torch.cuda.is_available()
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    place = Place(rank, job.processes, f"cuda:{local_rank}" if has_gpu else "cpu")
    if job.processes == 1:
        Trainer(job, folder, place).run()
        return
    if has_gpu:
        torch.cuda.set_device(local_rank)
    torch.distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        Trainer(job, folder, place).run()
    finally:
        torch.distributed.destroy_process_group()


def _said(error: BaseException) -> str:
    if isinstance(error, ParrotError):
        return str(error)
    return sentence(error) if isinstance(error, Exception) else type(error).__name__


def _end_with_parent(parent: int) -> None:
    """End when whoever started this process has died: nobody would wait for the result."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    train(sys.argv[1])
