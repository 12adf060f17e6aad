"""`parrot world`: pool, parrot scenes and evaluation sets in one folder.

FOLDER/pool/                 shards: a source of `parrot run`, and an export that `parrot train` takes
FOLDER/pool-truth.jsonl      what was planted, a line per pair
FOLDER/parrots/              parrot scenes that no pool holds, for text removal (RSA)
FOLDER/tasks/                evaluation sets, a folder each
FOLDER/world.json            the arguments
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spark_jobs.errors import ConfigError, SourceError
from spark_jobs.export.manifest import MANIFEST
from spark_jobs.world.pictures import KINDS, PARROT
from spark_jobs.world.pool import VERSION, PoolPlan, write_pool
from spark_jobs.world.tasks import write_tasks

DEFAULT_MIX: Mapping[str, float] = {
    "scene": 0.5,
    "parrot": 0.2,
    "words": 0.1,
    "mixed": 0.1,
    "labelled": 0.1,
}
MIN_SIZE = 64
_WORLD = "world.json"


@dataclass(frozen=True)
class World:
    """What is asked for.

    Attributes:
        samples: Pairs of the pool.
        size: Side of the pictures, px.
        seed: Chooses everything.
        mix: Share of each kind of picture.
        parrots: Parrot scenes for text removal.
        per_class: Pictures per class of a classification.
        scenes: Pictures of the retrieval.
    """

    samples: int
    size: int = 96
    seed: int = 0
    mix: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_MIX))
    parrots: int = 300
    per_class: int = 20
    scenes: int = 500

    def check(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            ConfigError: Names all faults.
        """
        faults = []
        if self.samples < 1:
            faults.append(f"samples: expected at least 1, found {self.samples}")
        if self.size < MIN_SIZE:
            faults.append(f"size: expected at least {MIN_SIZE} px, found {self.size}")
        unknown = sorted(set(self.mix) - set(KINDS))
        if unknown:
            faults.append(f"mix: unknown kinds {', '.join(unknown)}; known: {', '.join(KINDS)}")
        if abs(sum(self.mix.values()) - 1) > 1e-6 or min(self.mix.values(), default=-1) < 0:
            faults.append(f"mix: expected shares that add up to 1, found {dict(self.mix)}")
        if faults:
            raise ConfigError("parrot world: " + "; ".join(faults))


def write_world(folder: Path, world: World, *, processes: int = 1) -> bool:
    """Draw a world; the same arguments give the same bytes.

    Args:
        folder: New, empty, or a world of the same arguments: a finished one is left as it is, another drawn anew.
        world: What to draw.
        processes: Processes that draw.

    Returns:
        False if it was there already.

    Raises:
        ConfigError: If an argument is out of range.
        SourceError: If the folder holds anything else.
    """
    world.check()
    described = {"version": VERSION, "arguments": {**vars(world), "mix": dict(world.mix)}}
    note = folder / _WORLD
    if note.is_file():
        if json.loads(note.read_text(encoding="utf-8")) != described:
            raise SourceError(f"{folder} holds a world of other arguments ({note}): choose another folder")
        if (folder / "pool" / MANIFEST).is_file():
            return False
    elif folder.is_dir() and any(folder.iterdir()):
        raise SourceError(f"expected a new folder or a world, found other files in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    tasks = folder / "tasks"
    write_tasks(tasks, per_class=world.per_class, scenes=world.scenes, size=world.size, seed=world.seed)
    parrots = PoolPlan("parrots", world.parrots, world.size, world.seed, {PARROT: 1.0})
    write_pool(folder / "parrots", parrots, processes=processes)
    pool = PoolPlan("pool", world.samples, world.size, world.seed, dict(world.mix))
    write_pool(folder / "pool", pool, processes=processes)
    return True


def parse_mix(text: str) -> dict[str, float]:
    """Shares from `kind=share,kind=share`.

    Raises:
        ConfigError: If it is not of that form.
    """
    try:
        return {kind: float(share) for kind, share in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise ConfigError(f"--mix: expected kind=share,kind=share, found {text!r}") from error
