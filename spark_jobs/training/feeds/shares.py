"""Deal an export out to processes: each gets a run of samples, equal to one sample, cut inside files if need be."""

from __future__ import annotations

from dataclasses import dataclass

from spark_jobs.training.export_folder import Chunk, Inventory


@dataclass(frozen=True)
class Piece:
    """A chunk, or a part of one, that a process reads.

    Attributes:
        chunk: The chunk.
        rows: Rows of it that are the process's own and can be trained on, in order.
    """

    chunk: Chunk
    rows: tuple[int, ...]


def share_of(inventory: Inventory, rank: int, world: int) -> list[Piece]:
    """The pieces of one process: together those of all processes hold each usable sample once."""
    total = inventory.usable
    first, last = rank * total // world, (rank + 1) * total // world
    pieces: list[Piece] = []
    begin = 0
    for chunk in inventory.chunks:
        end = begin + chunk.usable
        if begin < last and end > first:
            rows = chunk.usable_rows()[max(first - begin, 0) : last - begin]
            pieces.append(Piece(chunk, tuple(rows)))
        begin = end
    return pieces
