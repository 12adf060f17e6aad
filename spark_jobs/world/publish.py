"""`python -m spark_jobs.world.publish CHECKPOINT`: put a trained parrot-small among the weights that come along.

In half precision, which open_clip reads into full precision; scores differ by less than 0.001.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import udfs.clip_weights
from spark_jobs.training.job import put_whole
from udfs.weights import sha256_of

MODEL, TAG = "parrot-small", "world"


def publish(checkpoint: Path, folder: Path) -> Path:
    """Write a checkpoint in half precision, with its settings beside it.

    Args:
        checkpoint: Safetensors file that `parrot train` wrote, with its .json.
        folder: Gets `parrot-small-world.safetensors`.

    Returns:
        The file.
    """
    from safetensors.torch import load_file, save_file

    half = {
        name: value.half() if value.is_floating_point() else value
        for name, value in load_file(checkpoint).items()
    }
    target = folder / f"{MODEL}-{TAG}.safetensors"
    put_whole(target, lambda partial: save_file(half, partial))
    shutil.copyfile(f"{checkpoint}.json", f"{target}.json")
    return target


if __name__ == "__main__":
    written = publish(Path(sys.argv[1]), Path(udfs.clip_weights.__file__).parent)
    sys.stdout.write(f"{written} {sha256_of(written)}\n")
