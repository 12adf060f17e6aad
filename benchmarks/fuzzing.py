"""Mutated images through the decode path: crashes, hangs, memory, messages that differ from run to run.

Each file is a sound JPEG, PNG, GIF, WebP, TIFF or BMP of which bytes were flipped, parts cut off, repeated or
exchanged, or the header replaced by another file's. Every one is decoded twice: as workers decode it (suspicious
ones in a child process), and here, without a guard. The seed gives the same files again; `--only N` decodes one.

    python -m benchmarks.fuzzing --files 1000 --seed 0
"""

from __future__ import annotations

import argparse
import random
import resource
import time
import zlib
from collections import Counter
from collections.abc import Callable

from tests.builders import draw_image
from tests.hostile import encoded
from udfs import guarded_decode, image_codec
from udfs.image_codec import DecodeLimits, ImageFault

# Below the limits of `parrot run`, so that what comes near them is seen.
LIMITS = DecodeLimits(max_pixels=16_000_000, max_bytes=10_000_000, seconds=5, memory_mb=1024)
_SLOW = 1.0  # seconds


def seeds() -> list[bytes]:
    """Sound files to start from."""
    base, small = draw_image((160, 120), text="fuzzed"), draw_image((40, 30))
    return [
        encoded(base, "JPEG"),
        encoded(base, "JPEG", progressive=True),
        encoded(base, "JPEG", exif=_exif(), icc_profile=bytes(500)),
        encoded(base, "PNG"),
        encoded(base.convert("P"), "PNG", transparency=0),
        encoded(base.convert("I;16"), "PNG"),
        encoded(base, "GIF", save_all=True, append_images=[small, base]),
        encoded(base, "WEBP"),
        encoded(base.convert("RGBA"), "WEBP", lossless=True, exif=_exif()),
        encoded(base, "TIFF"),
        encoded(base, "TIFF", compression="tiff_lzw"),
        encoded(base, "BMP"),
        encoded(base.convert("P"), "BMP"),
    ]


def _exif() -> bytes:
    exif = draw_image().getexif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    return exif.tobytes()


def mutated(chance: random.Random, files: list[bytes]) -> bytes:
    """A file that one to three mutations have damaged."""
    data = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 2, 3))):
        if data:
            chance.choice(_MUTATIONS)(data, chance, files)
    if chance.random() < 0.5:  # else checksums keep most damage from what lies behind them
        _mend_png(data)
    return bytes(data)


def _mend_png(data: bytearray) -> None:
    """Put the checksums of a PNG's chunks right."""
    position = 8
    while data.startswith(b"\x89PNG") and position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 <= len(data):
            data[end : end + 4] = zlib.crc32(data[position + 4 : end]).to_bytes(4, "big")
        position = end + 4


def _flip(data: bytearray, chance: random.Random, files: list[bytes]) -> None:
    end = min(len(data), chance.choice((32, 256, len(data))))
    for _ in range(chance.randint(1, 16)):
        data[chance.randrange(end)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _cut(data: bytearray, chance: random.Random, files: list[bytes]) -> None:
    del data[chance.randrange(len(data)) :]


def _leave_out(data: bytearray, chance: random.Random, files: list[bytes]) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, 64)]


def _repeat(data: bytearray, chance: random.Random, files: list[bytes]) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randint(1, 512)] * chance.choice((1, 10, 200))


def _exchange(data: bytearray, chance: random.Random, files: list[bytes]) -> None:
    size = chance.randint(1, max(1, len(data) // 3))
    one, other = chance.randrange(len(data)), chance.randrange(len(data))
    held = data[one : one + size]
    data[one : one + size] = data[other : other + size]
    data[other : other + size] = held


def _graft(data: bytearray, chance: random.Random, files: list[bytes]) -> None:
    size = chance.choice((4, 12, 32, 128))
    data[:size] = chance.choice(files)[:size]


_MUTATIONS: tuple[Callable[[bytearray, random.Random, list[bytes]], None], ...] = (
    _flip,
    _flip,
    _cut,
    _leave_out,
    _repeat,
    _exchange,
    _graft,
)


def main() -> None:
    """Mutate, decode, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one file to decode")
    arguments = parser.parse_args()
    files, before = seeds(), _peak_mb()
    outcomes: Counter[str] = Counter()
    for number in range(arguments.files) if arguments.only is None else [arguments.only]:
        data = mutated(random.Random(f"{arguments.seed}-{number}"), files)
        guarded, guarded_seconds = _timed(lambda data=data: guarded_decode.decode(data, LIMITS).pixels)
        plain, plain_seconds = _timed(lambda data=data: image_codec.decode(data, LIMITS))
        outcomes["pixels" if guarded == "pixels" else "faults"] += 1
        if guarded != plain or max(guarded_seconds, plain_seconds) > _SLOW or " at 0x" in guarded:
            outcomes["to look at"] += 1
            print(
                f"file {number} ({len(data):,} bytes): guarded {guarded} in {guarded_seconds:.1f} s; "
                f"plain {plain} in {plain_seconds:.1f} s"
            )
    print(", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))
    print(f"peak memory of this process: {before:,.0f} MB before, {_peak_mb():,.0f} MB afterwards")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(work: Callable[[], object]) -> tuple[str, float]:
    """What became of a file, and the seconds that it took."""
    started = time.perf_counter()
    try:
        work()
        outcome = "pixels"
    except ImageFault as fault:
        outcome = str(fault)
    return outcome, time.perf_counter() - started


if __name__ == "__main__":
    main()
