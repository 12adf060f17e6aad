"""Rendered texts through the Arrow function, without Spark: a counting model, and the tiny CLIP as its own oracle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pytest

from udfs import adapter
from udfs.clip_embedding import resolve
from udfs.synthetic_text import PHASES, SyntheticTextFactory, map_texts
from udfs.text_rendering import STYLES, TextRenderer, available_layout, default_font
from udfs.weights import described

OUTPUT = pa.schema(
    [
        *[(name, pa.string()) for name in ("shard_id", "sample_id", "vocabulary", "gram", "style", "model")],
        ("score", pa.float32()),
        ("text_width_px", pa.int32()),
        ("overflows", pa.bool_()),
        ("status", pa.string()),
        ("error", pa.string()),
        *[(f"{phase}_seconds", pa.float64()) for phase in PHASES],
    ]
)


class Brightness:
    """Scores the brightness of the corner; knows texts by their caption, which comes once per text."""

    def __init__(self, largest_batch):
        self.largest_batch = largest_batch
        self.captions = []

    def prepare(self, image, data=None):
        return image[0, 0, 0] / 255

    def predict(self, prepared, rows):
        captions = [row["caption"] for row in rows if row["caption"] is not None]
        if "poison" in captions:
            raise ValueError("this text breaks the model")
        if len(rows) > self.largest_batch:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        self.captions += captions
        return [{"image_vector": [value], "caption_vector": [1.0]} for value in prepared]


@dataclass(frozen=True)
class Factory:
    model_id: str = "m/0"
    largest_batch: int = 10**6
    files: tuple = ()
    params: dict = field(default_factory=dict, hash=False)
    loaded: list = field(default_factory=list, hash=False, compare=False)

    def load(self):
        self.loaded.append(Brightness(self.largest_batch))
        return self.loaded[-1]


@pytest.fixture(autouse=True)
def no_loaded_model():
    adapter._loaded.clear()
    yield
    adapter._loaded.clear()


def factory_of(*models):
    return SyntheticTextFactory(models, described(default_font()), available_layout())


def scored(factory, texts, *, batch_size=3):
    columns = {
        "shard_id": ["s"] * len(texts),
        "sample_id": [str(index) for index in range(len(texts))],
        "vocabulary": ["caption_1gram"] * len(texts),
        "gram": texts,
        "batch": [index // batch_size for index in range(len(texts))],
    }
    batches = pa.table(columns).to_batches(max_chunksize=2)
    return [row for batch in map_texts(factory, OUTPUT)(batches) for row in batch.to_pylist()]


def test_a_row_per_text_model_and_style_in_order():
    factory = factory_of(Factory("m/0"), Factory("m/1"))
    rows = scored(factory, ["sale", "new york", "a", "b"])
    assert [(row["gram"], row["model"], row["style"]) for row in rows] == [
        (gram, model, style.name)
        for gram in ("sale", "new york", "a", "b")
        for model in ("m/0", "m/1")
        for style in STYLES
    ]
    assert {row["status"] for row in rows} == {"ok"}
    by_style = {row["style"]: row["score"] for row in rows}
    assert by_style["black-white"] == 1.0
    assert by_style["white-black"] == 0.0
    assert by_style["white-grey"] == by_style["black-grey"] == pytest.approx(128 / 255)
    assert [row["sample_id"] for row in rows] == [str(n) for n in range(4) for _ in range(8)]


def test_a_text_is_embedded_once_for_its_four_pictures():
    model = Factory()
    scored(factory_of(model), ["sale", "a", "b", "c"])
    assert model.loaded[0].captions == ["sale", "a", "b", "c"]


def test_what_the_font_cannot_show_is_skipped_with_the_reason():
    rows = scored(factory_of(Factory()), ["東京", "sale"])
    assert [row["status"] for row in rows] == ["skipped"] * 4 + ["ok"] * 4
    for row in rows[:4]:
        assert "no glyph for U+6771" in row["error"]
        assert (row["score"], row["text_width_px"], row["overflows"]) == (None, None, None)


def test_texts_of_which_none_can_be_shown_need_no_model():
    rows = scored(factory_of(Factory()), ["東京", "大阪"])
    assert {row["status"] for row in rows} == {"skipped"}


def test_overflow_is_told():
    rows = scored(factory_of(Factory()), ["sale", "internationalization of everything"])
    assert [row["overflows"] for row in rows] == [False] * 4 + [True] * 4
    assert rows[0]["text_width_px"] < 224 < rows[4]["text_width_px"]


def test_a_text_that_breaks_the_model_fails_alone():
    rows = scored(factory_of(Factory()), ["sale", "poison", "a"])
    assert {(row["gram"], row["status"]) for row in rows} == {
        ("sale", "ok"),
        ("poison", "failed"),
        ("a", "ok"),
    }
    assert "ValueError: this text breaks the model" in rows[4]["error"]


def test_out_of_memory_halves_the_batch():
    texts = ["sale", "new york", "a", "b", "c"]
    whole = scored(factory_of(Factory()), texts, batch_size=5)
    halved = scored(factory_of(Factory(largest_batch=3)), texts, batch_size=5)
    assert [row["score"] for row in halved] == [row["score"] for row in whole]
    with pytest.raises(RuntimeError, match="out of memory on a single image"):
        scored(factory_of(Factory(largest_batch=0)), texts)


def test_time_is_told_once_per_batch():
    rows = scored(factory_of(Factory()), ["sale", "a", "b", "c"], batch_size=2)
    for phase in PHASES:
        spent = [index for index, row in enumerate(rows) if row[f"{phase}_seconds"]]
        assert spent == [0, 8]


def test_scores_are_clips_own_and_do_not_depend_on_the_batch(tmp_path):
    clip = resolve("parrot-tiny", None, seed=0, cache_dir=tmp_path)
    texts = ["sale", "new york", "photography", "a", "internationalization of everything"]
    single = scored(factory_of(clip), texts, batch_size=1)
    together = scored(factory_of(clip), texts, batch_size=5)
    assert np.allclose([row["score"] for row in single], [row["score"] for row in together], atol=1e-4)
    renderer, model = TextRenderer(default_font(), available_layout()), clip.load()
    expected = [
        model.predict([model.prepare(renderer.render(text, style))], [{"caption": text}])[0]["clip_score"]
        for text in texts
        for style in STYLES
    ]
    assert [row["score"] for row in together] == pytest.approx(expected, abs=1e-4)
    assert {row["model"] for row in together} == {"parrot-tiny/random-0"}


def test_the_run_key_knows_fonts_layout_and_models(tmp_path):
    clip = resolve("parrot-tiny", None, seed=0, cache_dir=tmp_path)
    other = resolve("parrot-tiny", None, seed=1, cache_dir=tmp_path)
    base = factory_of(clip)
    changed = [
        replace(base, models=(other,)),
        replace(base, models=(clip, other)),
        replace(base, font=replace(base.font, sha256="0" * 64)),
        replace(base, layout="none"),
    ]
    params = [str(factory.params) for factory in (base, *changed)]
    assert len(set(params)) == len(params)
    assert {file.name for file in base.files} >= {"DejaVuSans.ttf"}
