"""Measure the ranges that EasyOCR's detector needs in int8, over drawn pictures only.

    python -m spark_jobs.demo.craft_ranges [--model-directory FOLDER]

writes them to `udfs/craft_ranges.json`, under the SHA-256 of the detector. It takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import random
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from spark_jobs.demo.captions import RELATIONS
from spark_jobs.demo.examples import make_example

PICTURES = 24
SIDE = 480


def main() -> None:
    """Parse the command line, measure, and write the file."""
    parser = argparse.ArgumentParser(description="Ranges of EasyOCR's detector for int8.")
    parser.add_argument("--model-directory", help="folder with other weights (default: the packaged ones)")
    arguments = parser.parse_args()
    from udfs import easyocr_spotter
    from udfs.easyocr_fast import RANGES_FILE

    factory = easyocr_spotter.resolve(model_directory=arguments.model_directory)
    reader = easyocr_spotter.load_reader(factory.files, factory.languages, device="cpu")
    sha256 = next(file.sha256 for file in factory.files if file.name == easyocr_spotter.DETECTOR_FILE)
    path = Path(str(resources.files("udfs"))) / RANGES_FILE
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[sha256] = ranges_over_drawings(reader.detector)
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def ranges_over_drawings(net: Any, *, pictures: int = PICTURES) -> dict[str, tuple[float, float]]:
    """The ranges of a detector's maps over drawn scenes, with text and without.

    Args:
        net: `easyocr.craft.CRAFT`.
        pictures: How many scenes are drawn.
    """
    import torch
    from easyocr.imgproc import normalizeMeanVariance

    from udfs.craft_layers import folded, measure_ranges

    layers = folded(net.eval())

    def run() -> None:
        for number in range(pictures):
            relation = list(RELATIONS)[number % len(RELATIONS)]
            drawn = make_example(relation, rng=random.Random(number), size=SIDE).image
            picture = normalizeMeanVariance(np.asarray(drawn, dtype=np.float32)).transpose(2, 0, 1)
            layers(torch.from_numpy(picture[None]))

    with torch.inference_mode():
        return measure_ranges(layers, run)


if __name__ == "__main__":
    main()
