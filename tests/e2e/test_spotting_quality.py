"""Our spotter beside a plain `readtext` loop over the same real memes, in the same run."""

from __future__ import annotations

import json
import re
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest

from udfs import text_spotting
from udfs.image_codec import DecodeLimits, decode

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "laion_like"
MEMES = 6

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the real test data in {DATA}")


def memes() -> Iterator[tuple[bytes, set[str]]]:
    """Stored bytes and true words of transcribed memes, in shard order."""
    with (DATA / "truth.jsonl").open(encoding="utf-8") as file:
        truth = {row["sample_id"]: row for row in map(json.loads, file)}
    for shard in sorted((DATA / "webdataset").glob("*.tar")):
        with tarfile.open(shard) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
        for name, content in members.items():
            if name.endswith(".json"):
                row = truth[json.loads(content)["SAMPLE_ID"]]
                if row["kind"] in ("parrot", "swapped") and row["transcription"]:
                    yield members[name.replace(".json", ".jpg")], words(" ".join(row["transcription"]))


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.lower()))


def recall_precision(found: set[str], true: set[str]) -> tuple[float, float]:
    return len(found & true) / len(true), len(found & true) / max(len(found), 1)


def test_recall_and_precision_are_not_below_a_readtext_loop(tmp_path: Path) -> None:
    easyocr = pytest.importorskip("easyocr")
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    factory = text_spotting.resolve("easyocr")
    model = factory.load()
    ours, plain = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = easyocr.Reader(
            ["en"],
            gpu=False,
            model_storage_directory=str(factory.files[0].path.parent),
            download_enabled=False,
            verbose=False,
        )
        for (data, true), _ in zip(memes(), range(MEMES), strict=False):
            path = tmp_path / "meme.jpg"
            path.write_bytes(data)
            expected = words(" ".join(text for _, text, _ in reader.readtext(str(path))))
            plain.append(recall_precision(expected, true))
            (row,) = model.predict([model.prepare(decode(data, DecodeLimits()), data)], [{}])
            ours.append(recall_precision(words(" ".join(word["text"] for word in row["words"])), true))
    assert len(ours) == MEMES
    recall, precision = (mean(scores) for scores in zip(*ours, strict=True))
    plain_recall, plain_precision = (mean(scores) for scores in zip(*plain, strict=True))
    assert plain_recall > 0.5, "the memes were not read at all"
    assert recall >= plain_recall
    assert precision >= plain_precision
