"""Stage `embed`'s batch function beside the same network over tensors that lie in memory.

    python -m benchmarks.embedding --images 96 --batch 32

`batch function` is what a worker of the stage does: read files, decode, resize, tokenise, embed images and captions,
make Arrow rows; decoding runs in threads beside the network. `tensors` is the network alone over the prepared images
and token tensors, with the same number of torch threads. They take turns, batch groups of equal size. Weights are
random: they cost what real ones cost. `--clip-retrieval FOLDER`, with what `pip install --no-deps --target FOLDER
clip-retrieval` put there, adds clip-retrieval's own reader and mapper over the same pairs in a webdataset tar, around
the same network (its loader of weights needs packages and a network that are not wanted here).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.batch_function import drawn_from, embed_task, rows_of, run_all
from benchmarks.results import Ratio, record
from benchmarks.timing import Seconds, timed
from tests.builders import Pair, write_shard


def prepared_batches(model: Any, batches: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Image and token tensors of each batch."""
    import torch

    from udfs.clip_model import cleaned_caption
    from udfs.guarded_decode import decode
    from udfs.image_codec import DecodeLimits

    found = []
    for batch in batches:
        rows = batch.to_pylist()
        pixels = [decode(Path(row["image_uri"]).read_bytes(), DecodeLimits())[0] for row in rows]
        images = torch.from_numpy(np.stack([model.prepare(image) for image in pixels]))
        captions = [caption for row in rows if (caption := cleaned_caption(row["caption"])) is not None]
        found.append((images, model.tokenizer(captions)))
    return found


def embed_tensors(network: Any, batches: Sequence[tuple[Any, Any]]) -> list[np.ndarray]:
    """Normalised image vectors, and caption vectors that are made and dropped."""
    import torch

    vectors = []
    with torch.inference_mode():
        for images, tokens in batches:
            found = torch.nn.functional.normalize(network.encode_image(images).float(), dim=-1)
            torch.nn.functional.normalize(network.encode_text(tokens).float(), dim=-1)
            vectors.append(found.numpy())
    return vectors


def retrieval(folder: Path, model: Any, tars: Path, *, batch: int) -> Callable[[], list[np.ndarray]]:
    """clip-retrieval's inference: its reader with two processes, its mapper; image vectors in its half precision.

    Args:
        folder: Where the package lies.
        model: Ours; its network, transform and tokeniser are used.
        tars: Folder of the pairs, in two tars: one for each of the reader's processes.
        batch: Pairs per batch.
    """
    loader: Any = types.ModuleType("all_clip")
    loader.load_clip = lambda **_: (model.network, model.transform, model.tokenizer)
    sentences: Any = types.ModuleType("sentence_transformers")
    sentences.SentenceTransformer = None
    sys.modules |= {"all_clip": loader, "sentence_transformers": sentences}
    parts = {
        name: _loaded(folder / f"clip_retrieval/clip_inference/{name}.py") for name in ("reader", "mapper")
    }
    mapper = parts["mapper"].ClipMapper(
        enable_image=True,
        enable_text=True,
        enable_metadata=False,
        use_mclip=False,
        clip_model="",
        use_jit=False,
        mclip_model="",
    )

    def run() -> list[np.ndarray]:
        reader = parts["reader"].WebdatasetReader(
            lambda urls: urls,
            model.transform,
            model.tokenizer,
            [str(tar) for tar in sorted(tars.glob("*.tar"))],
            batch,
            2,
            enable_text=True,
            enable_image=True,
            enable_metadata=False,
        )
        found = [mapper(item) for item in reader]
        names = np.concatenate([item["image_filename"] for item in found])
        return [np.concatenate([item["image_embs"] for item in found])[names.argsort()]]

    return run


def _loaded(file: Path) -> Any:
    specification = importlib.util.spec_from_file_location(f"clip_retrieval_{file.stem}", file)
    assert specification is not None and specification.loader is not None, file
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def main() -> None:
    """Measure in turn, compare vectors, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="torch threads, as a Spark worker has")
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--clip-retrieval", type=Path, help="folder with the package clip-retrieval")
    arguments = parser.parse_args()
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        from udfs.adapter import load_once

        task = embed_task(arguments.model, None, Path(folder) / "weights")
        images = drawn_from(arguments.images)
        batches = rows_of(images, Path(folder) / "images", batch=arguments.batch)
        model = load_once(task.factory)
        tensors = prepared_batches(model, batches)
        ways = {
            "batch function": lambda: run_all(task, batches),
            "tensors": lambda: embed_tensors(model.network, tensors),
        }
        if arguments.clip_retrieval is not None:
            captions = [row["caption"] for part in batches for row in part.to_pylist()]
            pairs = [
                Pair(f"{image.sample_id:09d}", image.data, caption)
                for image, caption in zip(images, captions, strict=True)
            ]
            tars, half = Path(folder) / "tars", len(pairs) // 2
            for name, part in (("00000", pairs[:half]), ("00001", pairs[half:])):
                write_shard(tars, part, name=name)
            ways["clip-retrieval"] = retrieval(arguments.clip_retrieval, model, tars, batch=arguments.batch)
        run_all(task, batches[:1])
        embed_tensors(model.network, tensors[:1])
        taken = dict.fromkeys(ways, Seconds())
        results: dict[str, Any] = {}
        for turn in range(arguments.rounds):
            names = list(ways)[turn % 2 :] + list(ways)[: turn % 2]
            for name in names:
                results[name], seconds = timed(ways[name])
                taken[name] += seconds
    ours = np.array([row["image_vector"] for row in results["batch function"]])
    for name in ways.keys() - {"batch function"}:
        theirs = np.concatenate(results[name])
        sys.stdout.write(f"largest difference of image vectors, {name}: {np.abs(ours - theirs).max():.1e}\n")
    made = arguments.images * arguments.rounds
    for name, seconds in taken.items():
        sys.stdout.write(
            f"{name}: CPU {1e3 * seconds.cpu / made:.1f} ms a pair, wall {1e3 * seconds.wall / made:.1f} ms\n"
        )
    base = taken.pop("batch function")
    ratios = [
        Ratio(
            f"{name} / batch function, {kind}",
            getattr(seconds, kind) / getattr(base, kind),
            "0.95" if name == "tensors" else "",
        )
        for name, seconds in taken.items()
        for kind in ("wall", "cpu")
    ]
    run = f"{arguments.model}, {arguments.images} pairs, batches of {arguments.batch}, {arguments.threads} threads"
    record("embedding", ratios, run=run)


if __name__ == "__main__":
    main()
