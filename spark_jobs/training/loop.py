"""The training loop of one process: open_clip's model and loss, torch's DistributedDataParallel."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_jobs.errors import ModelError, StageError
from spark_jobs.training.checkpoints import Owner, load_state, save_model, save_state
from spark_jobs.training.export_folder import Inventory, open_manifest
from spark_jobs.training.feeds.base import Batch, FeedSpec
from spark_jobs.training.feeds.choose import open_feed
from spark_jobs.training.job import STEPS, Job, Result
from spark_jobs.training.optimiser import adamw, learning_rate
from spark_jobs.training.progress import Step, cut_steps, pace_of, read_steps, write_steps
from udfs.checkpoint_settings import write_beside
from udfs.clip_embedding import resolve
from udfs.clip_model import ClipFactory, cleaned_caption, ensure_architecture
from udfs.weights import sha256_of

_LARGEST_SCALE = math.log(100)
_STEPS_PER_LINE_SECONDS = 1.0


@dataclass(frozen=True)
class Place:
    """Which process this is.

    Attributes:
        rank: From 0.
        world: Processes in all.
        device: `cpu` or `cuda:N`.
    """

    rank: int
    world: int
    device: str


class Trainer:
    """One process of a training.

    Args:
        job: What to train.
        folder: The run's folder.
        place: Which process this is.
    """

    def __init__(self, job: Job, folder: Path, place: Place) -> None:
        import torch
        from open_clip.loss import ClipLoss

        self._job, self._folder, self._place = job, folder, place
        self._recipe = job.recipe
        _be_deterministic(self._recipe.seed, place)
        ensure_architecture(self._recipe.model, dict(job.architecture))
        self._factory = resolve(
            self._recipe.model, job.weights, cache_dir=folder, seed=self._recipe.seed, trained=job.trained
        )
        if self._factory.weights.sha256 != job.weights_sha256:
            raise ModelError(f"{job.weights} has changed since the training was prepared: start it again")
        self._model = self._factory.network(place.device).train()
        if self._recipe.checkpoint_activations:
            self._model.set_grad_checkpointing(True)
        self._optimiser = adamw(self._model, self._recipe)
        self._dtype = autocast_type(self._recipe.precision, place.device)
        self._scaler = torch.amp.GradScaler(enabled=self._dtype is torch.float16)
        self._wrapped = _wrapped(self._model, place)
        several = place.world > 1
        # Local loss with gradients through the gather: each process computes its rows of the similarity matrix, and
        # the mean of the gradients is exactly that of one process with the whole batch.
        self._loss = ClipLoss(
            local_loss=several, gather_with_grad=several, rank=place.rank, world_size=place.world
        )
        self._pixels = _normaliser(self._factory, place.device)

    @property
    def owner(self) -> Owner:
        """What this training's states belong to."""
        return Owner(self._job.run_key, self._recipe.feed, self._job.processes)

    def run(self) -> None:
        """Train from the last state to the end; the first process writes what there is to write."""
        inventory = Inventory.parse(Path(self._job.inventory).read_text(encoding="utf-8"))
        done = load_state(self._folder, self.owner, self._parts())
        if self._place.rank == 0:
            cut_steps(self._folder / STEPS, done)
        batches = self._batches(inventory, done)
        lines: list[Step] = []
        written = time.monotonic()
        with contextlib.closing(batches):
            for number in range(done, self._recipe.steps):
                lines.append(self._step(number, batches))
                is_kept = (number + 1) % self._job.checkpoint_steps == 0
                if is_kept or time.monotonic() - written > _STEPS_PER_LINE_SECONDS:
                    self._write(lines)
                    written = time.monotonic()
                if is_kept:
                    self._keep(number + 1)
        self._write(lines)
        self._finish(inventory)

    def _parts(self) -> dict[str, Any]:
        return {"model": self._model, "optimiser": self._optimiser, "scaler": self._scaler}

    def _batches(self, inventory: Inventory, first_step: int) -> Generator[Batch, None, None]:
        spec = FeedSpec(
            export=open_manifest(self._job.export),
            inventory=inventory,
            rank=self._place.rank,
            world=self._place.world,
            batch=self._recipe.batch_size // self._place.world,
            size=_side(self._model.visual.image_size),
            smallest_crop=self._recipe.smallest_crop,
            seed=self._recipe.seed,
            shuffle_buffer=self._recipe.shuffle_buffer,
            threads=self._job.decode_threads,
        )
        tokens = self._factory.tokenizer_of()
        feed = open_feed(
            self._recipe.feed, spec, lambda captions: tokens([cleaned_caption(one) or "" for one in captions])
        )
        return feed.batches(first_step)

    def _step(self, number: int, batches: Iterator[Batch]) -> Step:
        import torch

        started = time.perf_counter()
        batch = next(batches)
        rate = learning_rate(self._recipe, number)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        self._scaler.unscale_(self._optimiser)
        if self._recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe.clip_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        with torch.no_grad():
            self._model.logit_scale.clamp_(0, _LARGEST_SCALE)
        mean_loss, waited = self._over_processes(loss, batch.waited)
        if not math.isfinite(mean_loss):
            raise StageError(
                f"train_clip: the loss of step {number + 1:,} is {mean_loss}: lower train_clip.lr "
                f"({self._recipe.lr}), or set train_clip.clip_norm=1"
            )
        return Step(
            step=number + 1,
            loss=mean_loss,
            lr=rate,
            logit_scale=self._model.logit_scale.exp().item(),
            seconds=time.perf_counter() - started,
            waited=waited,
            samples=self._recipe.batch_size,
        )

    def _backward(self, batch: Batch) -> float:
        """Gradients of a batch; the loss of this process's rows."""
        images = self._pixels(batch.images)
        tokens = batch.tokens.to(self._place.device)
        if self._recipe.accumulate == 1:
            with self._autocast():
                loss = self._loss(*self._wrapped(images, tokens)[:3])
            self._scaler.scale(loss).backward()
            return float(loss.item())
        return self._backward_in_parts(images, tokens)

    def _backward_in_parts(self, images: Any, tokens: Any) -> float:
        """The same gradients with less memory: vectors of all parts first, then each part's once more."""
        import torch

        parts = list(
            zip(images.chunk(self._recipe.accumulate), tokens.chunk(self._recipe.accumulate), strict=True)
        )
        with torch.no_grad(), self._autocast():
            vectors = [self._model(*part)[:2] for part in parts]
        loss = torch.zeros(())
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            synchronised = (
                contextlib.nullcontext() if is_last or self._place.world == 1 else self._wrapped.no_sync()
            )
            with synchronised:
                with self._autocast():
                    image, text, scale = self._wrapped(*part)[:3]
                    own = [*vectors[:number], (image, text), *vectors[number + 1 :]]
                    # The temperature's gradient would otherwise be counted once per part.
                    loss = self._loss(
                        torch.cat([one for one, _ in own]),
                        torch.cat([one for _, one in own]),
                        scale if is_last else scale.detach(),
                    )
                self._scaler.scale(loss).backward()
        return float(loss.item())

    def _autocast(self) -> Any:
        import torch

        kind = self._place.device.partition(":")[0]
        return torch.autocast(kind, dtype=self._dtype, enabled=self._dtype is not torch.float32)

    def _over_processes(self, loss: float, waited: float) -> tuple[float, float]:
        import torch

        if self._place.world == 1:
            return loss, waited
        values = torch.tensor([loss, waited], device=self._place.device, dtype=torch.float64)
        torch.distributed.all_reduce(values)
        mean = values / self._place.world
        return float(mean[0]), float(mean[1])

    def _write(self, lines: list[Step]) -> None:
        if self._place.rank == 0:
            write_steps(self._folder / STEPS, lines)
        lines.clear()

    def _keep(self, steps: int) -> None:
        if self._place.rank == 0:
            save_state(self._folder, steps, owner=self.owner, parts=self._parts())

    def _finish(self, inventory: Inventory) -> None:
        if self._place.rank != 0:
            return
        steps = read_steps(self._folder / STEPS)
        pace = pace_of(steps)
        checkpoint = save_model(self._folder / self._job.checkpoint, self._model)
        write_beside(checkpoint, self._factory.trained)
        Result(
            sha256=sha256_of(checkpoint),
            steps=self._recipe.steps,
            samples_seen=self._recipe.steps * self._recipe.batch_size,
            loss=pace_of(steps[-max(1, len(steps) // 20) :]).loss,
            seconds=sum(step.seconds for step in steps),
            samples_per_second=pace.samples_per_second,
            data_wait_share=pace.data_wait_share,
            skipped=inventory.skipped,
            samples_per_epoch=inventory.usable,
        ).write(self._folder)


def autocast_type(precision: str, device: str) -> Any:
    """The type of arithmetic: on a CPU always fp32, since training in bf16 is 10 to 20 times slower there."""
    import torch

    if not device.startswith("cuda"):
        return torch.float32
    if precision == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def threads_of(job: Job) -> int:
    """Threads of one process."""
    return job.threads or max(1, (os.cpu_count() or 1) // job.processes)


def _side(size: int | tuple[int, int]) -> int:
    """Side of the images that a model takes, px: open_clip's residual networks hold one number, transformers two."""
    return size if isinstance(size, int) else size[0]


def _be_deterministic(seed: int, place: Place) -> None:
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(place.device == "cpu")


def _wrapped(model: Any, place: Place) -> Any:
    import torch

    if place.world == 1:
        return model
    if place.device == "cpu":
        return torch.nn.parallel.DistributedDataParallel(model)
    # Batch norm over all processes, as one process with the whole batch has it; torch has it on GPUs only.
    model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return torch.nn.parallel.DistributedDataParallel(model, device_ids=[place.device])


def _normaliser(factory: ClipFactory, device: str) -> Any:
    """From (pairs, 3, size, size) uint8 to normalised floats on the device."""
    import torch

    mean = torch.tensor(factory.preprocess["mean"], device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor(factory.preprocess["std"], device=device).view(1, 3, 1, 1) * 255
    return lambda images: (images.to(device, non_blocking=True).float() - mean) / std
