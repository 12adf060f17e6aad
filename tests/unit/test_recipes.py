"""The recipes of docs/bring_your_own.md and docs/subsets.md, followed to the letter."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import spark_jobs.sources
import udfs
from spark_jobs.commands.subset import curate_options
from spark_jobs.config import load_config
from spark_jobs.sources import SOURCES, recognise
from spark_jobs.sources.base import SourceOptions
from spark_jobs.subsets.definition import known_definitions
from tests.builders import image_bytes
from udfs import inpainting, text_spotting
from udfs.inpainting import InpaintParams, inpaint

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str, language: str) -> dict[str, str]:
    """A page's blocks of a language by the file that their first line names."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return dict(re.findall(rf"^```{language}\n# ([\w./]+)[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


@pytest.fixture
def placed(tmp_path, monkeypatch):
    """Puts a recipe's module into its package, until the test ends; gives the module."""

    def place(path: str, package):
        folder = tmp_path / "recipes"
        folder.mkdir(exist_ok=True)
        (folder / Path(path).name).write_text(blocks("bring_your_own.md", "python")[path], encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        name = path.removesuffix(".py").replace("/", ".")
        module = importlib.import_module(name)
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(package, name.rpartition(".")[2])
        return module

    return place


def test_the_recipes_are_found():
    assert list(blocks("bring_your_own.md", "python")) == [
        "spark_jobs/sources/captions_beside.py",
        "udfs/qr_spotter.py",
        "udfs/inpainting.py",
    ]


def test_a_source_by_the_recipe_is_recognised_and_read(placed, monkeypatch, tmp_path):
    module = placed("spark_jobs/sources/captions_beside.py", spark_jobs.sources)
    monkeypatch.setitem(SOURCES, "captions-beside", module.CaptionsBeside())
    root = tmp_path / "pairs"
    root.mkdir()
    for name, caption in {"a": b"a dog", "b": b"\xff", "c": None}.items():
        (root / f"{name}.jpg").write_bytes(image_bytes())
        if caption is not None:
            (root / f"{name}.caption").write_bytes(caption)
    (root / "d.png").write_bytes(b"")

    source = recognise(str(root), None)
    options = SourceOptions(shard_size=3)
    shards = source.shards(str(root), options)
    assert [(shard.shard_id, shard.samples) for shard in shards] == [("00000", 3), ("00001", 1)]
    records = [record for shard in shards for record in source.read(shard, options)]
    assert [(record.file, record.caption) for record in records] == [
        ("a.jpg", "a dog"),
        ("b.jpg", None),
        ("c.jpg", None),
        ("d.png", None),
    ]
    assert "not UTF-8" in records[1].sample_error
    assert records[0].image.format == "JPEG"
    assert records[3].image_error == "d.png is empty (0 bytes)"
    assert len({record.sample_id() for record in records}) == 4
    (root / "a.caption").write_text("a cat, now")
    again = source.shards(str(root), options)
    assert [one.fingerprint == other.fingerprint for one, other in zip(shards, again, strict=True)] == [
        False,
        True,
    ]


def test_a_spotter_by_the_recipe_reads(placed, monkeypatch):
    module = placed("udfs/qr_spotter.py", udfs)
    monkeypatch.setitem(text_spotting.SPOTTERS, "qr", "udfs.qr_spotter")
    monkeypatch.setitem(sys.modules, "udfs.qr_spotter", module)
    factory = text_spotting.resolve("qr", languages=("en",), canvas_size=2560)
    assert factory.spotter == "qr"
    assert factory.params["spotter"] == "qr"
    code = cv2.QRCodeEncoder.create().encode("two words")
    page = np.full((400, 400, 3), 255, np.uint8)
    side = code.shape[0] * 6
    page[60 : 60 + side, 60 : 60 + side] = cv2.resize(code, (side, side), interpolation=cv2.INTER_NEAREST)[
        :, :, None
    ]
    model = factory.load()
    read, empty = model.predict([model.prepare(page), model.prepare(np.full_like(page, 255))], [])
    assert [word["text"] for word in read["words"]] == ["two", "words"]
    assert 0 < read["text_area_ratio"] < 1
    assert empty["words"] == []


def test_a_fill_by_the_recipe_fills(monkeypatch):
    names = dict(vars(inpainting))
    exec(
        "from __future__ import annotations\n" + blocks("bring_your_own.md", "python")["udfs/inpainting.py"],
        names,
    )
    monkeypatch.setitem(inpainting.FILLS, "white", names["_white"])
    image = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)
    box = [(10, 10), (20, 10), (20, 20), (10, 20)]
    filled = inpaint(image, [box], InpaintParams(fill="white"))
    assert (filled[11:19, 11:19] == 255).all()
    assert (filled[:9] == image[:9]).all()


def test_the_settings_of_a_checkpoint_are_valid(tmp_path):
    (example,) = blocks("bring_your_own.md", "yaml").keys() - {"subsets.yaml"}
    path = tmp_path / example
    path.write_text(blocks("bring_your_own.md", "yaml")[example], encoding="utf-8")
    assert load_config(str(path)).embed.trained.resize_mode == "shortest"


@pytest.mark.parametrize(
    ("page", "subset"), [("bring_your_own.md", "sharp_and_silent"), ("subsets.md", "calm")]
)
def test_the_definitions_of_subsets_are_valid(page, subset, tmp_path):
    path = tmp_path / "subsets.yaml"
    path.write_text(blocks(page, "yaml")["subsets.yaml"], encoding="utf-8")
    config = load_config(options={"curate": curate_options({"build": [subset]}, path)})
    assert known_definitions(config.curate)[subset].predicate
