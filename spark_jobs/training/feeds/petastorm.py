"""Feed `petastorm`: `make_batch_reader` over the Parquet export, decoding in a TransformSpec.

A process reads the files of its share. Where a file belongs to two processes, and where samples cannot be trained
on, the transform drops rows before it decodes them. With a seed petastorm takes its workers' results in turn, so
the order is the same in every run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spark_jobs.errors import ConfigError
from spark_jobs.training.export_folder import read_group
from spark_jobs.training.feeds.base import FeedSpec, Item, endless, shuffled
from spark_jobs.training.feeds.shares import Piece, share_of

_COLUMNS = ("sample_id", "caption", "image")


class PetastormSource:
    """Items of one process, read and decoded by petastorm.

    Raises:
        ConfigError: If petastorm cannot be imported here.
    """

    def __init__(self, spec: FeedSpec) -> None:
        try:
            import petastorm  # noqa: F401
        except (ImportError, AttributeError) as error:  # with a pyarrow after 14 it misses what was removed
            raise ConfigError(
                "the feed petastorm needs petastorm, which lives with old versions of pyarrow and numpy: `make "
                "train-env` makes .venv-train, --set train_clip.python=.venv-train/bin/python trains there. The feed "
                f"parquet reads the same export without it ({error})"
            ) from error
        self._spec = spec
        self._pieces = share_of(spec.inventory, spec.rank, spec.world)
        self.samples_per_epoch = sum(len(piece.rows) for piece in self._pieces)
        self._foreign = frozenset(self._rows_of_others())

    def items(self, first_step: int) -> Iterator[Item]:
        """This process's items, from a step on."""
        return endless(self._epoch, length=self.samples_per_epoch, start=first_step * self._spec.batch)

    def _epoch(self, number: int) -> Iterator[Item]:
        rng = np.random.default_rng((self._spec.seed, number, self._spec.rank))
        return shuffled(self._read(number, int(rng.integers(1, 2**31))), self._spec.shuffle_buffer, rng)

    def _read(self, epoch: int, seed: int) -> Iterator[Item]:
        from petastorm import TransformSpec, make_batch_reader

        shape = (3, self._spec.size, self._spec.size)
        transform = TransformSpec(
            lambda rows: self._decoded(rows, epoch),
            edit_fields=[("pixels", np.uint8, shape, False)],
            removed_fields=["image"],
        )
        files = dict.fromkeys(piece.chunk.file for piece in self._pieces)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it calls what pyarrow 14 deprecates
            reader = make_batch_reader(
                [Path(os.path.join(self._spec.export.root, name)).as_uri() for name in files],
                schema_fields=list(_COLUMNS),
                transform_spec=transform,
                workers_count=self._spec.threads,
                results_queue_size=2,
                num_epochs=1,
                seed=seed,
            )
        with reader:
            for group in reader:
                for sample_id, caption, pixels in zip(
                    group.sample_id, group.caption, group.pixels, strict=True
                ):
                    yield Item(str(sample_id), epoch, str(caption), pixels)

    def _decoded(self, rows: Any, epoch: int) -> Any:
        """Rows of a row group (pandas) with their images decoded; those of other processes are dropped before."""
        own = rows[~rows["sample_id"].isin(self._foreign)].copy()
        items = (Item(row.sample_id, epoch, row.caption, row.image) for row in own.itertuples())
        own["pixels"] = [self._spec.pixels(item) for item in items]
        return own.drop(columns="image")

    def _rows_of_others(self) -> Iterator[str]:
        """Ids in the files of this share that are not this process's, or cannot be trained on."""
        own = {(piece.chunk.file, piece.chunk.group): piece for piece in self._pieces}
        files = {piece.chunk.file for piece in self._pieces}
        for chunk in self._spec.inventory.chunks:
            if chunk.file in files:
                yield from (sample_id for sample_id, _ in chunk.skipped.values())
                piece = own.get((chunk.file, chunk.group), Piece(chunk, ()))
                if len(piece.rows) < chunk.usable:
                    path = os.path.join(self._spec.export.root, chunk.file)
                    ids = read_group(path, chunk.group, ("sample_id",)).column("sample_id").to_pylist()
                    yield from (ids[row] for row in set(range(chunk.rows)) - set(piece.rows))
