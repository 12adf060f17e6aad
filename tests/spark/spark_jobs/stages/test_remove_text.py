"""Stage `remove_text` on drawn images, against a plain loop: decode, `cv2.inpaint` over the whole image, embed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from schemas import caption_overlap, images, samples, spotted_text, text_removal_scores
from schemas.text_removal_scores import VARIANTS
from spark_jobs.clip_models import clip_of, clips_of
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError
from spark_jobs.stages.remove_text import run
from spark_jobs.warehouse.tables import Tables
from tests.builders import image_bytes
from tests.removal_samples import PAIRS, counted, used_words
from tests.table_rows import filled, put_rows
from udfs.image_codec import DecodeLimits, decode
from udfs.placement import kept_off

TABLE = text_removal_scores.TABLE
MODELS = ("parrot-tiny/random-0", "parrot-tiny/random-1")
DILATION, RADIUS = 2, 3
SIZES = {name: (60 + 7 * number, 80 - 5 * number) for number, name in enumerate(PAIRS)}


def put(spark, config, spec, rows):
    """Write a table's rows, each a mapping of some columns, under the run key of its name."""
    values = [filled(spec, **{**row, "run_key": spec.name}) for row in rows]
    put_rows(Tables(spark, config.warehouse), spec, values, stage=spec.name)


def polygon_of(name, place):
    """A word's place: the first ones side by side at the top, so that their margins overlap."""
    _, height = SIZES[name]
    left, top = 1.5 + 20 * (place % 2), 0.0 if place < 2 else height - 12.0
    return [(left, top), (left + 17, top), (left + 17, top + 9.5), (left, top + 9.5)]


@pytest.fixture
def config(tmp_path, tmp_path_factory):
    return configured(tmp_path)


def configured(folder, *overrides):
    return load_config(
        options={"warehouse": str(folder / "warehouse"), "dataset": "test"},
        overrides=(
            "tracking.enabled=false",
            f"embed.cache_dir={folder / 'weights'}",
            f"remove_text.models=[{', '.join(MODELS)}]",
            f"remove_text.dilation={DILATION}",
            "runner.min_failed_rows=100",
            *overrides,
        ),
    )


@pytest.fixture
def files(spark, config, tmp_path):
    """Image files by sample, and the four tables that the stage reads."""
    paths = {}
    for number, name in enumerate(PAIRS):
        data = image_bytes("PNG", size=SIZES[name], color=(number * 23, 90, 150), text="NO 1 SALE")
        path = tmp_path / f"{name}.png"
        path.write_bytes(data[: len(data) // 2] if name == "a-damaged" else data)
        paths[name] = path
    keys = {name: {"shard_id": name[0], "sample_id": name} for name in PAIRS}
    put(spark, config, samples.TABLE, [
        {**keys[name], "source_key": name, "caption": caption} for name, (caption, _) in PAIRS.items()
    ])  # fmt: skip
    put(spark, config, images.TABLE, [{**keys[name], "image_uri": str(paths[name])} for name in PAIRS])
    put(spark, config, spotted_text.TABLE, [spotted_row(name, keys[name]) for name in PAIRS])
    put(spark, config, caption_overlap.TABLE, [overlap_row(name, keys[name]) for name in PAIRS])
    return paths


def readings(name):
    """Places of the words of each reading: those beside each other that are as sure as each other."""
    found = []
    for place, (_, sure) in enumerate(PAIRS[name][1] or []):
        if found and PAIRS[name][1][found[-1][-1]][1] == sure and place < 2:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def reading_polygon(name, places):
    """From the first word's left to the last one's right: what lies between the words is covered too."""
    first, last = polygon_of(name, places[0]), polygon_of(name, places[-1])
    return [first[0], last[1], last[2], first[3]]


def spotted_row(name, key):
    words = PAIRS[name][1]
    if words is None:
        return {**key, "spotter": "s", "status": "failed", "error": "damaged"}
    line_of = {place: line for line, places in enumerate(readings(name)) for place in places}
    found = [
        (text, sure, polygon_of(name, place), line_of[place]) for place, (text, sure) in enumerate(words)
    ]
    lines = [
        (" ".join(words[place][0] for place in places), words[places[0]][1], reading_polygon(name, places))
        for places in readings(name)
    ]
    width, height = SIZES[name]
    size = {"image_width": width, "image_height": height}
    return {**key, "spotter": "s", "words": found, "lines": lines, **size}


def overlap_row(name, key):
    if PAIRS[name][1] is None:
        return {**key, "status": "skipped", "error": "spot_text: damaged"}
    return {**key, "used_words": used_words(name), "text_detected": bool(PAIRS[name][1])}


def rows_of(spark, config):
    rows = Tables(spark, config.warehouse).read(TABLE).drop("run_key", "input_key").collect()
    return {(row["sample_id"], row["model"]): row.asDict() for row in rows}


def polygons_by_variant(name, donor, co_donor):
    def all_emb(of):
        places = {place for _, place in counted(of)}
        return [np.array(reading_polygon(of, line)) for line in readings(of) if places & set(line)]

    def co_emb(of):
        return [np.array(polygon_of(of, place)) for place, is_co_emb, _ in used_words(of) if is_co_emb]

    found = {"all_removed": all_emb(name), "co_removed": co_emb(name)}
    for variant, of, text in (
        ("random_all_removed", donor, all_emb),
        ("random_co_removed", co_donor, co_emb),
    ):
        if of is not None:
            scale = np.array(SIZES[name]) / np.array(SIZES[of])
            width, height = SIZES[name]
            scaled = [polygon * scale for polygon in text(of)]
            found[variant] = kept_off(scaled, all_emb(name), width=width, height=height, dilation=DILATION)
    return found


def whole_image_fill(pixels, polygons):
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for polygon in polygons:
        height, width = mask.shape
        clipped = np.clip(polygon, 0, (width, height))  # axis-parallel here
        cv2.fillPoly(mask, [np.rint((clipped - 0.5) * 16).astype(np.int32)], 255, shift=4)
    side = 2 * DILATION + 1
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return cv2.inpaint(pixels, mask, RADIUS, cv2.INPAINT_TELEA), (mask > 0).mean()


def expected_scores(clip, path, name, *donors):
    """Scores and mask shares of the plain loop; a variant that does not exist is absent."""
    pixels = decode(path.read_bytes(), DecodeLimits())
    shown = {"raw": (pixels, None)}
    for variant, polygons in polygons_by_variant(name, *donors).items() if counted(name) else ():
        if polygons:
            shown[variant] = whole_image_fill(pixels, polygons)
    scores, shares = {}, {}
    for variant, (image, share) in shown.items():
        (row,) = clip.predict([clip.prepare(image)], [{"caption": PAIRS[name][0]}])
        scores[variant], shares[variant] = row["clip_score"], share
    return scores, shares


def test_scores_equal_a_plain_loop_whatever_the_batches(spark, config, files, tmp_path):
    report = run(spark, config)
    found = rows_of(spark, config)
    assert set(found) == {(name, model) for name in PAIRS for model in MODELS}
    assert (report.failed, report.skipped, len(report.notes)) == (2, 2, 2)
    assert {found["a-damaged", model]["status"] for model in MODELS} == {"failed"}
    assert found["a-unspotted", MODELS[0]]["error"] == "overlap: spot_text: damaged"
    assert found["b-alone", MODELS[0]]["donor_id"] is None
    compared = 0
    for clip, model in zip(
        [factory.load() for factory in clips_of(config.embed, config.remove_text.models)], MODELS, strict=True
    ):
        for name in PAIRS:
            row = found[name, model]
            if row["status"] != "ok":
                continue
            assert row["has_text"] == bool(PAIRS[name][1])
            donors = row["donor_id"], row["co_donor_id"]
            scores, shares = expected_scores(clip, files[name], name, *donors)
            for variant in ("raw", *VARIANTS):
                expected = scores.get(variant)
                close = None if expected is None else pytest.approx(expected, abs=1e-4)
                assert row[f"score_{variant}"] == close, (name, variant)
                compared += expected is not None
            for variant in VARIANTS:
                share = shares.get(variant)
                assert row[f"mask_share_{variant}"] == (None if share is None else pytest.approx(share))
            assert_differences(row)
    assert compared == 2 * 19
    assert found["a-no-caption", MODELS[0]]["co_donor_id"] is None
    assert counted(found["a-part", MODELS[0]]["co_donor_id"])
    assert not np.isclose(found["a-part", MODELS[0]]["score_raw"], found["a-part", MODELS[1]]["score_raw"])

    assert run(spark, config).did_nothing
    tables, run_key = Tables(spark, config.warehouse), report.run_keys[TABLE.name]
    tables.replace(TABLE, tables.read(TABLE).limit(0), dataset="test", run_key=run_key)
    other = configured(tmp_path, "remove_text.batch_size=2", "embed.batch_size=3", "runner.slice_batches=1")
    assert run(spark, other).run_keys[TABLE.name] == run_key
    for key, again in rows_of(spark, config).items():
        for column, value in again.items():
            close = (
                pytest.approx(found[key][column], abs=1e-4)
                if isinstance(value, float)
                else found[key][column]
            )
            assert value == close, (key, column)


def assert_differences(row):
    for name, first, second in (
        ("rsa", "score_raw", "score_all_removed"),
        ("rsc", "score_raw", "score_co_removed"),
        ("co_minus_all", "score_co_removed", "score_all_removed"),
        ("raw_minus_random_all", "score_raw", "score_random_all_removed"),
        ("raw_minus_random_co", "score_raw", "score_random_co_removed"),
        ("random_minus_all", "score_random_all_removed", "score_all_removed"),
        ("random_minus_co", "score_random_co_removed", "score_co_removed"),
    ):
        if row[first] is None or row[second] is None:
            assert row[name] is None
        else:
            assert row[name] == pytest.approx(row[first] - row[second], abs=1e-6)


def test_retried_rows_get_the_donors_of_the_whole_shard_and_nothing_else_changes(spark, config, files):
    single = config.model_copy(
        update={"remove_text": config.remove_text.model_copy(update={"models": MODELS[:1]})}
    )
    run(spark, single)
    before, version = rows_of(spark, config), Tables(spark, config.warehouse).version(TABLE)
    assert run(spark, single).did_nothing
    assert Tables(spark, config.warehouse).version(TABLE) == version
    files["a-damaged"].write_bytes(image_bytes("PNG", size=SIZES["a-damaged"], text="mended"))
    run(spark, single.model_copy(update={"retry_failed": True}))
    after = rows_of(spark, config)
    mended = after.pop(("a-damaged", MODELS[0]))
    assert mended["status"] == "ok"
    assert counted(mended["donor_id"])
    assert mended["score_random_all_removed"] is not None
    del before["a-damaged", MODELS[0]]
    assert after == before


def test_noise_does_not_take_the_place_of_a_real_models_scores(spark, config):
    put(spark, config, TABLE, [
        {"shard_id": "a", "sample_id": "1", "model": "ViT-B-32/laion2b_s34b_b79k", "fill": "telea"}
    ])  # fmt: skip
    default = load_config(options={"warehouse": config.warehouse, "dataset": "test"})
    with pytest.raises(ConfigError, match="has scores of ViT-B-32/laion2b_s34b_b79k"):
        run(spark, default)


def test_models_are_named_as_the_table_names_them(config):
    assert [clip.model_id for clip in clips_of(config.embed, config.remove_text.models)] == list(MODELS)
    without = config.model_copy(update={"remove_text": type(config.remove_text)()})
    assert clips_of(without.embed, without.remove_text.models) == (clip_of(config.embed),)
