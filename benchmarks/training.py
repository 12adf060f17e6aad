"""Training on real pairs: it overfits a batch, finds its own pairs again, and goes on where it was killed.

Pairs of `../shared/data/laion_like`, a ModifiedResNet of width 16 (and a small transformer for processes: torch cannot
synchronise batch norm on CPUs) at 64 px, started as `parrot train` starts them.

    python -m benchmarks.training --folder build/training
    .venv-train/bin/python -m benchmarks.training --folder build/training --parts loading    # with petastorm
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.results import Ratio, record
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.training.config import TrainClipConfig
from spark_jobs.training.feeds.base import FeedSpec
from spark_jobs.training.feeds.choose import open_feed
from spark_jobs.training.job import STEPS
from spark_jobs.training.launch import Prepared, prepare, run, start_processes
from spark_jobs.training.progress import Step, pace_of, read_steps
from tests.training_export import write_export
from udfs.clip_embedding import resolve
from udfs.clip_model import ensure_architecture

SHARDS = Path(__file__).resolve().parents[2] / "shared" / "data" / "laion_like" / "webdataset"
TEXT = {"context_length": 32, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 2}
ARCHITECTURES = {
    "bench-resnet": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": 64,
            "layers": [1, 1, 1, 1],
            "width": 16,
            "head_width": 16,
            "patch_size": None,
        },
        "text_cfg": TEXT,
    },
    "bench-vit": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 96, "head_width": 32, "patch_size": 16},
        "text_cfg": TEXT,
    },
}
Pair = tuple[bytes, str]


@dataclass(frozen=True)
class Bench:
    """Where the benchmark works, and on what."""

    folder: Path
    pairs: Sequence[Pair]
    epochs: int

    def export(self, name: str, count: int, form: str = "parquet") -> str:
        """An export of the first pairs."""
        place = self.folder / f"export-{name}-{form}"
        if not (place / "_manifest.json").is_file():
            write_export(place, self.pairs[:count], form=form, rows_per_file=100)
        return str(place)

    def prepared(self, name: str, section: TrainClipConfig) -> Prepared:
        """A training in a folder of its own."""
        return prepare(section, output=self.folder / name, cache=self.folder / "cache")


def pairs_of(shards: Path) -> Iterator[Pair]:
    """Images with their captions."""
    for path in sorted(shards.glob("*.tar")):
        held: dict[str, dict[str, bytes]] = {}
        with tarfile.open(path) as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                stream = archive.extractfile(member)
                held.setdefault(key, {})[extension] = stream.read() if stream else b""
        for parts in held.values():
            if "jpg" in parts and parts["txt"].strip():
                yield parts["jpg"], parts["txt"].decode()


def section_of(export: str, **values: object) -> TrainClipConfig:
    """A recipe for a minute of one core."""
    defaults = {"export": export, "model": "bench-resnet", "batch_size": 64, "warmup_steps": 10, "threads": 1}
    return TrainClipConfig.model_validate({**defaults, **values})


def losses(prepared: Prepared) -> list[float]:
    """The curve."""
    return [step.loss for step in read_steps(prepared.folder / STEPS)]


def overfit(bench: Bench) -> None:
    """One batch of 64 pairs until its loss is near nothing (chance: ln 64 = 4.16)."""
    section = section_of(bench.export("batch", 64), samples_seen=64 * 80, smallest_crop=1.0)
    prepared = bench.prepared("overfit", section)
    run(prepared, start_processes(), lambda steps: None)
    curve = losses(prepared)
    shown = {step: round(curve[step - 1], 4) for step in (1, 10, 20, 40, 60, 80)}
    print(f"overfit: loss by step {shown}; chance {np.log(64):.2f}")


def retrieval(bench: Bench) -> None:
    """Loss on all real pairs, and how often a pair is found among all of them."""
    count = len(bench.pairs)
    section = section_of(bench.export("all", count), samples_seen=count * bench.epochs)
    prepared = bench.prepared("retrieval", section)
    result = run(prepared, start_processes(), lambda steps: None)
    curve = losses(prepared)
    model = resolve(
        "bench-resnet", str(prepared.folder / prepared.job.checkpoint), cache_dir=bench.folder / "cache"
    ).load()
    from spark_jobs.evaluation.tasks import pixels_of

    images = np.concatenate([model.embed_images([model.prepare(pixels_of(data))]) for data, _ in bench.pairs])
    texts = np.concatenate([model.embed_texts([caption]) for _, caption in bench.pairs])
    cosines = images @ texts.T
    own = np.diag(cosines)
    rank = (cosines > own[:, None]).sum(axis=1)
    print(
        f"retrieval: {count} pairs, loss {np.mean(curve[:5]):.3f} -> {result.loss:.3f}; image to text at rank 1 "
        f"{(rank < 1).mean():.3f}, at rank 5 {(rank < 5).mean():.3f}; chance {1 / count:.4f}"
    )


def processes(bench: Bench) -> None:
    """The same training by one process and by two."""
    export = bench.export("some", 256)
    for model in ARCHITECTURES:
        curves = []
        for number in (1, 2):
            section = section_of(export, model=model, samples_seen=64 * 16, processes=number)
            prepared = bench.prepared(f"processes-{number}", section)
            run(prepared, start_processes(), lambda steps: None)
            curves.append(losses(prepared))
        apart = np.abs(np.subtract(*curves))
        print(
            f"processes, {model}: losses of one and two are at most {apart.max():.2e} apart over {len(apart)} steps"
        )


def kill(bench: Bench) -> None:
    """A training that is killed with SIGKILL in its middle, and the same without."""
    export = bench.export("some", 256)
    section = section_of(export, samples_seen=64 * 24, checkpoint_steps=5)
    whole = bench.prepared("not-killed", section)
    run(whole, start_processes(), lambda steps: None)
    killed = bench.prepared("killed", section)
    done: list[int] = []

    def follow(steps: list[Step]) -> None:
        if steps and steps[-1].step >= 8 and not done:
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and _runs(entry, killed.folder):
                    done.append(steps[-1].step)
                    os.kill(int(entry.name), signal.SIGKILL)

    try:
        run(killed, start_processes(), follow)
    except StageError as error:
        print(f"kill: {str(error).splitlines()[0]} (at step {done[0]})")
    run(killed, start_processes(), lambda steps: None)
    same = losses(whole) == losses(killed)
    files = [(one.folder / one.job.checkpoint).read_bytes() for one in (whole, killed)]
    print(f"kill: same curve {same}, same bytes of the model {files[0] == files[1]}, killed {bool(done)}")


def _runs(process: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def loading(bench: Bench) -> None:
    """Pairs per CPU second and per second of each feed alone, in one run, each three times."""
    count = len(bench.pairs)
    found: dict[str, list[tuple[float, float]]] = {}
    for name in ("parquet", "webdataset", "petastorm") * 3:
        form = "webdataset" if name == "webdataset" else "parquet"
        prepared = bench.prepared("loading", section_of(bench.export("all", count, form)))
        spec = FeedSpec(
            export=prepared.export,
            inventory=prepared.inventory,
            rank=0,
            world=1,
            batch=64,
            size=64,
            smallest_crop=0.9,
            seed=0,
            shuffle_buffer=500,
            threads=2,
        )
        try:
            rate = _rate(name, spec)
        except ConfigError as error:  # webdataset and petastorm are not to be had in one environment
            print(f"loading, {name}: {str(error).splitlines()[0]}")
        else:
            found.setdefault(name, []).append(rate)
    base = min(cpu for cpu, _ in found["parquet"])
    ratios = []
    for name, rates in found.items():
        cpu, wall = (min(one) for one in zip(*rates, strict=True))
        print(
            f"loading, {name}: {1e3 * cpu:.2f} ms of CPU a pair ({cpu / base:.2f} x parquet), {1 / wall:,.0f} pairs/s"
        )
        if name != "parquet":
            ratios.append(Ratio(f"loading, {name} / parquet, CPU", cpu / base))
    record("training", ratios, run="real pairs, 64 px")


def _rate(name: str, spec: FeedSpec) -> tuple[float, float]:
    import torch

    def no_tokens(captions: list[str]) -> object:
        return torch.zeros(len(captions), 1, dtype=torch.int64)

    batches = open_feed(name, spec, no_tokens).batches()
    next(batches)
    cpu, wall, taken = time.process_time(), time.perf_counter(), 0
    while taken < spec.inventory.usable:
        taken += len(next(batches).sample_ids)
    rates = (time.process_time() - cpu) / taken, (time.perf_counter() - wall) / taken
    batches.close()
    return rates


def waiting(bench: Bench) -> None:
    """Share of a step that is spent waiting for pairs, for a small model and for ViT-B-32."""
    for model, steps in (("bench-resnet", 10), ("ViT-B-32", 3)):
        section = section_of(bench.export("some", 256), model=model, samples_seen=64 * steps)
        prepared = bench.prepared("waiting", section)
        run(prepared, start_processes(), lambda one: None)
        pace = pace_of(read_steps(prepared.folder / STEPS)[1:])  # the first one starts the feed
        print(
            f"waiting, {model}: {pace.data_wait_share:.1%} of a step, {pace.samples_per_second:.1f} pairs/s"
        )


PARTS: dict[str, Callable[[Bench], None]] = {
    "overfit": overfit,
    "kill": kill,
    "processes": processes,
    "loading": loading,
    "retrieval": retrieval,
    "waiting": waiting,
}


def main() -> None:
    """Run the parts that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/training"))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--epochs", type=int, default=20, help="of the part retrieval")
    arguments = parser.parse_args()
    if not SHARDS.is_dir():
        sys.exit(f"no real pairs at {SHARDS}")
    for name, architecture in ARCHITECTURES.items():
        ensure_architecture(name, json.loads(json.dumps(architecture)))
    bench = Bench(arguments.folder.absolute(), list(pairs_of(SHARDS)), arguments.epochs)
    print(f"{len(bench.pairs)} real pairs", flush=True)
    for part in arguments.parts:
        started = time.monotonic()
        PARTS[part](bench)
        print(f"  ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
