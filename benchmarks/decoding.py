"""What guarding a decode costs: ordinary files with and without it, suspicious ones here and in the child.

    python -m benchmarks.decoding [--rounds 7]

Prints a Markdown table of milliseconds per image and of ratios. The two ways of one file alternate, and the
smallest time of each counts, so that other load on the machine falls out.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.results import Ratio, record
from udfs import guarded_decode, image_codec
from udfs.image_codec import DecodeLimits
from udfs.image_structure import format_of, oddity

LIMITS = DecodeLimits()
# Format, longer side in px, options of the encoder.
CASES: tuple[tuple[str, int, dict[str, object]], ...] = (
    ("JPEG", 256, {}),
    ("JPEG", 512, {}),
    ("JPEG", 512, {"progressive": True}),
    ("JPEG", 2048, {}),
    ("PNG", 512, {}),
    ("WEBP", 512, {}),
    ("TIFF", 512, {}),
    ("TIFF", 2048, {}),
)


def photo_like(side: int) -> Image.Image:
    """An image with forms of every size, as photos have: noise whose coarse parts are strongest."""
    random = np.random.default_rng(side)
    height = side * 3 // 4
    total = np.zeros((height, side, 3), np.float32)
    cells = 4
    while cells <= side:
        noise = random.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8)
        scaled = Image.fromarray(noise).resize((side, height), Image.Resampling.BICUBIC)
        total += (np.asarray(scaled, np.float32) - 128) * (2 / cells**0.7)
        cells *= 2
    return Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))


def fastest(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Smallest seconds per call of two ways, measured in turn."""
    best = [float("inf"), float("inf")]
    calls = max(1, int(0.05 / max(1e-6, _seconds(first, 2))))
    for _ in range(rounds):
        for index, function in enumerate((first, second)):
            best[index] = min(best[index], _seconds(function, calls))
    return best[0], best[1]


def _seconds(function: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print("| file | kB | plain, ms | guarded, ms | ratio | check alone, µs | check / plain | where |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    ratios = []
    for image_format, side, options in CASES:
        buffer = io.BytesIO()
        photo_like(side).save(buffer, image_format, **options)
        data = buffer.getvalue()
        plain, guarded = fastest(
            lambda data=data: image_codec.decode(data, LIMITS),  # type: ignore[misc]
            lambda data=data: guarded_decode.decode(data, LIMITS),  # type: ignore[misc]
            rounds,
        )
        check = min(
            _seconds(lambda data=data: (format_of(data), oddity(data)), 300)  # type: ignore[misc]
            for _ in range(rounds)
        )
        where = "child" if guarded_decode.decode(data, LIMITS).is_guarded else "here"
        name = f"{image_format} {side} px{' progressive' if options else ''}"
        print(
            f"| {name} | {len(data) / 1000:.0f} | {plain * 1000:.2f} | {guarded * 1000:.2f} "
            f"| {guarded / plain:.3f} | {check * 1e6:.1f} | {check / plain:.1%} | {where} |"
        )
        ratios.append(Ratio(f"guarded / plain, {name}, wall", guarded / plain))
    record("decoding", ratios, run=f"{rounds} rounds")


if __name__ == "__main__":
    main()
