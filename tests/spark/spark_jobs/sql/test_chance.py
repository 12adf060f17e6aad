"""The chance level of parroting: an exchange that is a derangement, planted corpora, and numpy on the same pairs."""

from __future__ import annotations

import random

import numpy as np
import pytest

from schemas import caption_overlap
from spark_jobs.sql import chance
from spark_jobs.sql.steps import run_steps
from spark_jobs.stages.statistics import stop_words_of
from tests.chance_oracle import chance_row
from tests.table_rows import filled, frame_of

STOPS = ("the", "of", "a")


def sample(number, caption, shown, **values):
    """One row of `caption_overlap`: distinct words of the caption, and those that can be read."""
    common = [word for word in caption if word in shown]
    row = {"shard_id": str(number % 3), "sample_id": f"{number:06d}", "status": "ok"}
    row |= {"caption_words": caption, "spotted_words": shown}
    row |= {"co_emb_words": common, "spotted_word_count": len(shown), "used_words": []}
    row["cotr"] = len(common) / len(caption) if caption else None
    row["fuzzy_cotr"] = fuzzy(caption, shown) if caption else None
    row["image_type"] = "concurrent" if common else "text_not_concurrent" if shown else "no_text"
    return row | values


def overlap_of(spark, rows):
    return frame_of(spark, caption_overlap.TABLE, [filled(caption_overlap.TABLE, **row) for row in rows])


def measured(spark, rows, stop_words=STOPS):
    found = run_steps(spark, chance.chance_steps(stop_words), {"overlap": overlap_of(spark, rows)})
    return {(row["words"], row["measure"]): row.asDict() for row in found.collect()}


def exchanged(spark, frame):
    """Sample, its ring, its caption and the one that it got."""
    steps = chance.chance_steps(STOPS)
    last = [step.name for step in steps].index("exchanged_captions")
    rows = run_steps(spark, steps[: last + 1], {"overlap": frame})
    columns = ("sample_id", "ring", "caption_words", "other_words")
    return sorted(tuple(row[name] for name in columns) for row in rows.collect())


def drawn(count, seed):
    draw = random.Random(seed)
    vocabulary = [*STOPS, "x", *(f"word{n}" for n in range(30))]
    rows = []
    for number in range(count):
        fate = draw.random()
        caption = draw.sample(vocabulary, draw.choice([1, 1, 2, 4, 8]))
        shown = draw.sample(vocabulary, draw.randint(1, 9)) if fate < 0.6 else []
        if fate < 0.2:
            shown = [*shown, *(word for word in caption if word not in shown)]
        rows.append(sample(number, caption, shown))
        if fate > 0.95:
            rows[-1] |= {
                "status": "skipped",
                "caption_words": None,
                "spotted_words": None,
                "image_type": None,
            }
        elif fate > 0.9:
            rows[-1] |= {"caption_words": [], "cotr": None}
    return rows


def test_nobody_keeps_its_caption_each_is_used_once_whatever_the_partitions(spark):
    rows = [sample(number, [f"caption{number}"], []) for number in range(2500)]
    frame = overlap_of(spark, rows)
    pairs = exchanged(spark, frame)
    assert len({ring for _, ring, _, _ in pairs}) == 2500 // chance.RING == 2
    assert all(own != other for _, _, own, other in pairs)
    assert sorted(other for *_, other in pairs) == sorted(own for _, _, own, _ in pairs)
    assert exchanged(spark, frame.repartition(7, "caption_words").orderBy("caption_words")) == pairs
    assert exchanged(spark, frame.coalesce(1)) == pairs


def test_an_image_alone_has_no_chance_level(spark):
    found = measured(spark, [sample(0, ["sale"], ["sale"])])
    assert {row["images"] for row in found.values()} == {0}
    assert {row["by_chance"] for row in found.values()} == {None}


def test_rows_of_an_older_overlap_without_spotted_words_are_not_measured(spark):
    rows = [sample(number, ["sale"], ["sale"], spotted_words=None) for number in range(10)]
    assert measured(spark, rows) == {}


@pytest.fixture(scope="module")
def stops(_spark_session):
    return stop_words_of(("english", "german"))


def test_stop_words_are_cut_as_captions_are(stops):
    assert {"the", "of", "and", "don", "und", "für"} <= set(stops)
    assert {"new", "sale", "don't"}.isdisjoint(stops)


def test_planted_chance_is_found_and_nothing_beyond_it(spark):
    """Words of captions are drawn whatever the image shows: three of ten words are shown, so 0.3 by chance."""
    draw = random.Random(3)
    words = [f"word{n}" for n in range(10)]
    rows = [sample(n, [draw.choice(words)], draw.sample(words, 3)) for n in range(3000)]
    found = measured(spark, rows)
    for measure in ("share_co_emb", "cotr_in_total", "cotr_with_text", "share_co_emb_of_text"):
        row = found["all", measure]
        assert row["images"] == 3000
        assert row["by_chance_low"] < 0.3 < row["by_chance_high"]
        assert row["by_chance_high"] - row["by_chance_low"] < 0.05
        assert row["difference_low"] < 0 < row["difference_high"]
        assert row["difference"] == pytest.approx(row["observed"] - row["by_chance"], abs=1e-12)


def test_parrots_beyond_chance_are_found_and_a_common_word_is_chance(spark):
    parrots = measured(spark, [sample(n, [f"word{n}"], [f"word{n}"]) for n in range(50)])
    row = parrots["all", "share_co_emb"]
    assert (row["observed"], row["by_chance"], row["difference"]) == (1.0, 0.0, 1.0)
    assert row["difference_low"] > 0.85  # not 1: fifty images leave room
    common = measured(spark, [sample(n, ["sale"], ["sale"] if n % 5 < 2 else []) for n in range(50)])
    row = common["all", "share_co_emb"]
    assert (row["observed"], row["by_chance"], row["difference"]) == (0.4, 0.4, 0.0)
    assert row["difference_low"] < 0 < row["difference_high"]
    assert common["all", "share_co_emb_of_text"]["by_chance"] == 1.0
    assert common["all", "share_co_emb_of_text"]["images"] == 20


def test_stop_words_and_single_characters_parrot_all_words_but_no_content(spark, stops):
    rows = [sample(n, ["the", "a", "5", f"word{n}"], ["the", "5"]) for n in range(40)]
    found = measured(spark, rows, stops)
    assert found["all", "share_co_emb"]["observed"] == 1.0
    assert found["all", "share_co_emb"]["by_chance"] == 1.0
    assert found["content", "share_co_emb"]["observed"] == 0.0
    assert found["content", "share_co_emb"]["images"] == 40


def oracle_places(spark, rows):
    """Rings and places by Spark's own hash, as (row, place of the neighbour) of the profiled samples."""
    counted = [row for row in rows if row["status"] == "ok" and row["caption_words"]]
    ids = spark.createDataFrame([(row["sample_id"],) for row in counted], "id string")
    hashes = {
        row["id"]: (row["ring"] % max(1, len(counted) // chance.RING), row["place"], row["id"])
        for row in ids.selectExpr(
            "id", f"xxhash64(id, {chance.SEED}L) AS ring", f"xxhash64(id, {chance.SEED + 1}L) AS place"
        ).collect()
    }
    ordered = sorted(counted, key=lambda row: hashes[row["sample_id"]])
    rings = [hashes[row["sample_id"]][0] for row in ordered]
    first = {ring: rings.index(ring) for ring in set(rings)}
    following = [
        n + 1 if n + 1 < len(rings) and rings[n + 1] == ring else first[ring] for n, ring in enumerate(rings)
    ]
    return ordered, np.array(following)


def rate(caption, shown):
    return len(set(caption) & set(shown)) / len(caption) if caption else np.nan


def fuzzy(caption, shown):
    from rapidfuzz.distance import Levenshtein

    best = [max((Levenshtein.normalized_similarity(w, s) for s in shown), default=0.0) for w in caption]
    return sum(best) / len(best)


@pytest.mark.parametrize(("count", "seed"), [(60, 1), (2300, 2)])
@pytest.mark.oracle("stat_chance")
def test_every_number_equals_numpy_on_the_same_pairs(spark, count, seed):
    rows = drawn(count, seed)
    found = measured(spark, rows)
    ordered, following = oracle_places(spark, rows)
    has_text = np.array([row["image_type"] != "no_text" for row in ordered])
    assert len(found) == len(chance.MEASURES) == 10

    def content(words):
        return [word for word in words if len(word) > 1 and word not in STOPS]

    kinds = {"cotr": (rate, list), "content": (rate, content), "fuzzy": (fuzzy, list)}
    for measure in chance.MEASURES:
        how, kept = kinds[measure.value]
        own = np.array([how(kept(row["caption_words"]), row["spotted_words"]) for row in ordered])
        other = np.array(
            [
                how(kept(ordered[place]["caption_words"]), row["spotted_words"])
                for row, place in zip(ordered, following, strict=True)
            ]
        )
        counted = ~np.isnan(own) & ~np.isnan(other) & (has_text | (not measure.of_text))
        own, other = np.nan_to_num(own), np.nan_to_num(other)
        if measure.is_share:
            own, other = (own > 0).astype(float), (other > 0).astype(float)
        expected = chance_row(own, other, counted, following, is_share=measure.is_share)
        row = found[measure.words, measure.measure]
        assert row["images"] == counted.sum() > 10
        for name, (value, low, high) in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-9), (measure, name)
            assert row[f"{name}_low"] == pytest.approx(low, abs=1e-4), (measure, name)
            assert row[f"{name}_high"] == pytest.approx(high, abs=1e-4), (measure, name)
