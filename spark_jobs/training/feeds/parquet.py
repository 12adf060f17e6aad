"""Feed `parquet`: plain pyarrow. The order of the samples does not depend on the number of processes.

Row groups are shuffled, those that come together are shuffled sample by sample, and a process takes its part of
every batch: it reads all row groups, but decodes its own images only. One process and two give the same batches.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from spark_jobs.training.export_folder import Chunk, read_group
from spark_jobs.training.feeds.base import FeedSpec, Item


class ParquetSource:
    """Items of one process, read by pyarrow."""

    def __init__(self, spec: FeedSpec) -> None:
        self._spec = spec
        total = spec.inventory.usable
        self.samples_per_epoch = (spec.rank + 1) * total // spec.world - spec.rank * total // spec.world
        self._opened: tuple[list[Chunk], list[Any]] = ([], [])

    def items(self, first_step: int) -> Iterator[Item]:
        """This process's items: of every batch its share, from a step on."""
        total, own, whole = self._spec.inventory.usable, self._spec.batch, self._spec.batch * self._spec.world
        place = first_step * whole
        skip = self._spec.rank * own
        stream = self._pool_items(place // total)
        at = place // total * total  # the stream's place: it begins with an epoch
        for step in itertools.count(first_step):
            first = step * whole + skip
            for _ in itertools.islice(stream, first - at):
                pass
            for row, epoch, table in itertools.islice(stream, own):
                yield _item(table, row, epoch)
            at = first + own

    def _pool_items(self, first_epoch: int) -> Iterator[tuple[int, int, Any]]:
        for epoch in itertools.count(first_epoch):
            rng = np.random.default_rng((self._spec.seed, epoch))
            chunks = [chunk for chunk in self._spec.inventory.chunks if chunk.usable]
            order = [chunks[place] for place in rng.permutation(len(chunks))]
            for pool in _pools(order, self._spec.shuffle_buffer):
                yield from self._shuffled(pool, epoch, rng)

    def _shuffled(
        self, pool: list[Chunk], epoch: int, rng: np.random.Generator
    ) -> Iterator[tuple[int, int, Any]]:
        tables = self._tables(pool)
        places = [(number, row) for number, chunk in enumerate(pool) for row in chunk.usable_rows()]
        for place in rng.permutation(len(places)):
            number, row = places[place]
            yield row, epoch, tables[number]

    def _tables(self, pool: list[Chunk]) -> list[Any]:
        """The pool's row groups; those of the last pool are kept, a small export is read once."""
        known = {(chunk.file, chunk.group): table for chunk, table in zip(*self._opened, strict=True)}
        tables = []
        for chunk in pool:
            table = known.get((chunk.file, chunk.group))
            if table is None:
                path = os.path.join(self._spec.export.root, chunk.file)
                table = read_group(path, chunk.group, ("sample_id", "image", "caption"))
            tables.append(table)
        self._opened = (pool, tables)
        return tables


def _pools(chunks: list[Chunk], size: int) -> Iterator[list[Chunk]]:
    """Chunks that are shuffled together: as many as come nearest to the size from above, never none."""
    pool: list[Chunk] = []
    for chunk in chunks:
        pool.append(chunk)
        if sum(one.usable for one in pool) >= size:
            yield pool
            pool = []
    if pool:
        yield pool


def _item(table: Any, row: int, epoch: int) -> Item:
    sample_id, image, caption = (
        table.column(name)[row].as_py() for name in ("sample_id", "image", "caption")
    )
    return Item(sample_id, epoch, caption, image)
