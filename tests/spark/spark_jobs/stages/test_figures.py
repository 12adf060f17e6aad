"""The statistics stage over a warehouse of two datasets, against pandas on the same rows."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pandas as pd
import pytest

from schemas import TABLES, caption_overlap, clip_embeddings, cluster_assignments
from spark_jobs.config import load_config
from spark_jobs.runner.table_content import content_key
from spark_jobs.sql.figures import AREA_LIMITS, COTR_MEASURES, MOST_WORDS
from spark_jobs.stages import statistics
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.interval_oracles import has_interval, student
from tests.table_rows import filled, put_rows

READ = (caption_overlap.TABLE, clip_embeddings.TABLE, cluster_assignments.TABLE)
FIGURES = (
    "stat_cotr_histogram", "stat_clip_score_histogram", "stat_caption_words", "stat_text_area",
    "stat_text_area_score", "stat_word_area",
)  # fmt: skip
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def drawn_sample(draw, *, has_text):
    """One row of `caption_overlap` without its keys; rates and areas also fall on the ends of bins."""
    empty = dict.fromkeys(("caption_words", "co_emb_words", "spotted_words", "spotted_word_count", "used_words",
                           "cotr",
                           "cotr_verbatim", "fuzzy_cotr", "image_type", "error"))  # fmt: skip
    if draw.random() < 0.06:
        return {**empty, "status": "skipped", "error": "spot_text: damaged"}
    words = [f"w{n}" for n in range(draw.choice([0, 1, 2, 5, 10, 20, 20, 60]))]
    spotted = draw.randrange(1, 9) if has_text and draw.random() < 0.7 else 0
    common = words[: draw.choice([0, 1, len(words) // 2, len(words)])] if spotted else []
    areas = [*AREA_LIMITS, None, draw.random() / 20, 1.2]
    used = [
        {"index": n, "co_emb": bool(common) and n % 2 == 0, "area_ratio": draw.choice(areas)}
        for n in range(spotted)
    ]
    rate = len(common) / len(words) if words else None
    return {
        **empty,
        "status": "ok",
        "caption_words": words,
        "co_emb_words": common,
        "spotted_words": [*common, *(f"w{n}" for n in range(100, 100 + spotted))],
        "spotted_word_count": spotted,
        "used_words": used,
        "cotr": rate,
        "cotr_verbatim": None if rate is None else rate / 2,
        "fuzzy_cotr": None if rate is None else min(1.0, rate + draw.random() / 3 * bool(spotted)),
        "image_type": "no_text" if not spotted else "concurrent" if rate else "text_not_concurrent",
    }


def drawn(dataset, count, *, seed, has_text=True, has_scores=True):
    """Rows of the three tables that statistics read."""
    draw = random.Random(seed)
    keys = [
        {"dataset": dataset, "shard_id": str(n % 3), "sample_id": f"{n:032x}", "run_key": "r", "input_key": f"i{n % 3}"}
        for n in range(count)
    ]  # fmt: skip
    overlap = [{**key, **drawn_sample(draw, has_text=has_text)} for key in keys]
    embeddings, assignments = [], []
    for key in keys:
        ok = draw.random() < 0.9
        score = draw.choice([draw.uniform(-0.1, 0.4), 0.2]) if ok and has_scores else None
        state = {"status": "ok" if ok else "failed", "error": None}
        embeddings.append({**key, **state, "model": "m", "clip_score": score})
        cluster = draw.randrange(6) if ok else None
        assignments.append(
            {**key, **state, "cluster": cluster, "cluster_group": None if cluster is None else cluster // 4}
        )
    return dict(zip((spec.name for spec in READ), (overlap, embeddings, assignments), strict=True))


ROWS = {
    "full": drawn("full", 400, seed=3),
    "bare": drawn("bare", 40, seed=4, has_text=False, has_scores=False),
}


@dataclasses.dataclass
class Warehouse:
    tables: Tables
    spark: object
    path: str

    def run(self, dataset):
        config = load_config(
            options={"warehouse": self.path, "dataset": dataset}, overrides=("tracking.enabled=false",)
        )
        return statistics.run(self.spark, config)

    def rows(self, table, dataset):
        key = current_run_keys(Tables(self.spark, self.path))[dataset, table]
        frame = self.tables.read(TABLES[table], dataset=dataset, run_key=key)
        return pd.DataFrame([row.asDict() for row in frame.collect()], columns=frame.columns)


@pytest.fixture(scope="module")
def warehouse(_spark_session, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("figures"))
    tables = Tables(_spark_session, path)
    for content in ROWS.values():
        for spec in READ:
            put_rows(tables, spec, [filled(spec, **row) for row in content[spec.name]])
    made = Warehouse(tables, _spark_session, path)
    made.reports = {dataset: made.run(dataset) for dataset in ROWS}
    return made


def profiled(dataset):
    """The images that rates refer to, as pandas."""
    frame = pd.DataFrame(ROWS[dataset]["caption_overlap"])
    return frame[(frame.status == "ok") & frame.caption_words.map(bool)]


def scored(dataset, overlap):
    scores = pd.DataFrame(ROWS[dataset]["clip_embeddings"])[["sample_id", "clip_score"]].dropna()
    scores["clip_score"] = scores.clip_score.astype("float32").astype("float64")
    return overlap.merge(scores, on="sample_id")


def area_bin(ratio):
    return int(np.digitize(ratio, AREA_LIMITS)) - 1


def by_key(frame, *names):
    return {tuple(row[name] for name in names): row for row in frame.to_dict("records")}


@pytest.mark.parametrize("dataset", ROWS)
@pytest.mark.oracle("stat_cotr_histogram")
def test_cotr_histograms_equal_pandas_and_hold_every_image(warehouse, dataset):
    images = profiled(dataset)
    found = by_key(warehouse.rows("stat_cotr_histogram", dataset), "measure", "bin")
    assert len(found) == len(COTR_MEASURES) * 21
    for measure in COTR_MEASURES:
        for bin_, (low, high) in enumerate([(-1.0, 0.0), *((n / 20, (n + 1) / 20) for n in range(20))]):
            # An end belongs to the bin below it, whatever the last digit of k / n says.
            inside = images[(images[measure] > low + 1e-10) & (images[measure] <= high + 1e-10)]
            row = found[measure, bin_]
            assert row["images"] == len(inside), (measure, bin_)
            assert row["images_with_text"] == (inside.image_type != "no_text").sum()
            assert (row["low"], row["high"]) == (max(low, 0.0), high)
            words = inside[inside.image_type != "no_text"].caption_words.map(len)
            if len(words):
                assert row["mean_caption_words"] == pytest.approx(words.mean())
            else:
                assert pd.isna(row["mean_caption_words"])
            has_interval({**row, "images": len(words)}, "mean_caption_words", student(words))
        assert sum(found[measure, bin_]["images"] for bin_ in range(21)) == len(images)


@pytest.mark.oracle("stat_clip_score_histogram")
def test_score_histograms_equal_pandas(warehouse):
    images = scored("full", profiled("full"))
    edges = np.floor((images.clip_score * 100).round(5)).astype(int)
    expected = images.groupby([images.image_type, edges]).size().to_dict()
    found = warehouse.rows("stat_clip_score_histogram", "full")
    assert {key: row["images"] for key, row in by_key(found, "image_type", "bin").items()} == expected
    assert (found.low == found.bin / 100).all()
    totals = warehouse.rows("stat_clip_score", "full").set_index("image_type").images
    assert found.groupby("image_type").images.sum().to_dict() == totals.to_dict()


@pytest.mark.parametrize("dataset", ROWS)
@pytest.mark.oracle("stat_caption_words")
def test_caption_words_against_co_emb_words_equal_pandas(warehouse, dataset):
    images = profiled(dataset)
    counts = pd.DataFrame(
        {
            "caption": images.caption_words.map(len).clip(upper=MOST_WORDS),
            "co_emb": images.co_emb_words.map(len).clip(upper=MOST_WORDS),
            "text": images.image_type != "no_text",
            "full": images.cotr == 1,
        }
    )
    found = by_key(warehouse.rows("stat_caption_words", dataset), "caption_words", "co_emb_words")
    assert set(found) == set(counts.groupby(["caption", "co_emb"]).groups)
    for key, group in counts.groupby(["caption", "co_emb"]):
        row = found[key]
        assert (row["images"], row["images_with_text"]) == (len(group), group.text.sum())
        assert row["images_fully_parroted"] == group.full.sum()


def parroted_areas(dataset):
    """Score and summed area of co-emb words of each parroted image that has both, as pandas."""
    images = profiled(dataset)
    images = scored(dataset, images[images.image_type == "concurrent"])

    def total(words):
        areas = [word["area_ratio"] for word in words if word["co_emb"]]
        return None if None in areas else sum(areas)

    images["area"] = images.used_words.map(total)
    return images.dropna(subset=["area"])


@pytest.mark.oracle("stat_text_area")
def test_scores_by_area_of_co_emb_text_equal_pandas(warehouse):
    images = parroted_areas("full")
    found = by_key(warehouse.rows("stat_text_area", "full"), "bin")
    groups = dict(list(images.groupby(images.area.map(area_bin))))
    assert {key for (key,) in found} == set(groups)
    assert len(groups) > 4
    for bin_, group in groups.items():
        row = found[(bin_,)]
        assert (row["model"], row["images"], row["low"]) == ("m", len(group), AREA_LIMITS[bin_])
        assert row["mean"] == pytest.approx(group.clip_score.mean(), abs=1e-12)
        has_interval(row, "mean", student(group.clip_score))
        for name, share in QUANTILES.items():
            assert row[name] == pytest.approx(group.clip_score.round(4).quantile(share), abs=1e-9)
    assert np.isnan(found[(len(AREA_LIMITS) - 1,)]["high"])


@pytest.mark.oracle("stat_text_area_score")
def test_the_density_of_areas_and_scores_equals_numpy_and_adds_up(warehouse):
    images = parroted_areas("full")
    scores = np.arange(-20, 60)
    # Ends of bins belong to the bin above; scores lie 1e-7 beside them at worst (single precision).
    expected, _, _ = np.histogram2d(
        images.area, images.clip_score + 1e-6, bins=[[*AREA_LIMITS, np.inf], scores / 100]
    )
    found = warehouse.rows("stat_text_area_score", "full")
    counts = np.zeros_like(expected)
    for row in found.to_dict("records"):
        counts[row["area_bin"], row["score_bin"] - scores[0]] += row["images"]
        assert row["area_low"] == AREA_LIMITS[row["area_bin"]]
        assert (row["score_low"], row["score_high"]) == (row["score_bin"] / 100, (row["score_bin"] + 1) / 100)
    assert (counts == expected).all()
    assert (found.images > 0).all()
    assert (found.area_bin == len(AREA_LIMITS) - 1).equals(found.area_high.isna())
    # Both tables of Fig. 4b are of the same images.
    by_area = warehouse.rows("stat_text_area", "full").set_index("bin").images
    assert found.groupby("area_bin").images.sum().to_dict() == by_area.to_dict()


@pytest.mark.parametrize("dataset", ROWS)
@pytest.mark.oracle("stat_word_area")
def test_areas_of_single_words_equal_pandas(warehouse, dataset):
    words = pd.DataFrame(
        [word for used in profiled(dataset).used_words for word in used],
        columns=["index", "co_emb", "area_ratio"],
    ).dropna()
    found = by_key(warehouse.rows("stat_word_area", dataset), "co_emb", "bin")
    assert len(found) == 2 * len(AREA_LIMITS)
    for (co_emb, bin_), row in found.items():
        kind = words[words.co_emb == co_emb]
        inside = kind[kind.area_ratio.map(area_bin) == bin_]
        assert row["words"] == len(inside)
        if len(kind):
            assert row["share"] == pytest.approx(len(inside) / len(kind))
        else:
            assert pd.isna(row["share"])
        if len(inside):
            assert row["mean_area_ratio"] == pytest.approx(inside.area_ratio.mean(), abs=1e-12)
            has_interval({**row, "images": len(inside)}, "mean_area_ratio", student(inside.area_ratio))


@pytest.mark.parametrize("dataset", ROWS)
def test_each_dataset_keeps_the_table_1_identity_and_the_sums_over_clusters(warehouse, dataset):
    (overall,) = warehouse.rows("stat_overall", dataset).to_dict("records")
    assert overall["images"] == len(profiled(dataset))
    for name in COTR_MEASURES:
        with_text = overall[f"{name}_with_text"]
        total = 0.0 if with_text is None else overall["share_with_text"] * with_text
        assert overall[f"{name}_in_total"] == pytest.approx(total, abs=1e-12)
    clusters = warehouse.rows("stat_cluster", dataset)
    scores = scored(dataset, profiled(dataset))
    for _, level in clusters.groupby("level"):
        assert level.samples.sum() == overall["samples"] == len(ROWS[dataset]["caption_overlap"])
        assert level.images.sum() == overall["images"]
        assert level.images_concurrent.sum() == overall["images_with_co_emb_text"]
        assert level.images_no_text.sum() == overall["images"] - overall["images_with_text"]
        assert (level.images * level.cotr.fillna(0)).sum() == pytest.approx(
            overall["images"] * overall["cotr_in_total"]
        )
        assert level.scored.sum() == len(scores)


@pytest.mark.parametrize("dataset", ROWS)
def test_what_is_observed_beside_chance_is_what_table_1_says(warehouse, dataset):
    (overall,) = warehouse.rows("stat_overall", dataset).to_dict("records")
    rows = by_key(warehouse.rows("stat_chance", dataset), "words", "measure")
    assert len(rows) == 10
    for (words, measure), row in rows.items():
        if words == "all" and not measure.startswith("fuzzy"):
            # pandas reads null as NaN where the column has numbers, as None where it has none.
            expected = float("nan") if overall[measure] is None else overall[measure]
            assert row["observed"] == pytest.approx(expected, abs=1e-12, nan_ok=True), measure


def test_nothing_changed_writes_nothing_and_empty_tables_stay_empty(warehouse):
    for dataset, report in warehouse.reports.items():
        before = {name: warehouse.tables.version(TABLES[name]) for name in report.versions_written}
        again = warehouse.run(dataset)
        assert again.versions_written == {}
        assert again.run_keys == report.run_keys
        assert {name: warehouse.tables.version(TABLES[name]) for name in before} == before
    assert len(warehouse.rows("stat_clip_score_histogram", "bare")) == 0
    assert len(warehouse.rows("stat_text_area", "bare")) == 0
    assert len(warehouse.rows("stat_text_area_score", "bare")) == 0
    assert set(FIGURES) < set(warehouse.reports["bare"].versions_written)
    # Only a table with one row per dataset gives results: a histogram is none.
    assert set(warehouse.reports["full"].results) > {"cotr_in_total", "share_with_text"}
    assert "words" not in warehouse.reports["full"].results


def test_a_changed_input_reaches_only_what_reads_it(warehouse):
    """Runs last: it changes the small dataset, whose scores appear."""
    rows = [{**row, "clip_score": 0.25, "input_key": "other"} for row in ROWS["bare"]["clip_embeddings"]]
    key = content_key(warehouse.tables, "bare", {"clip_embeddings": "r"})
    spec = clip_embeddings.TABLE
    put_rows(warehouse.tables, spec, [filled(spec, **row) for row in rows])
    assert content_key(warehouse.tables, "bare", {"clip_embeddings": "r"}) != key
    report = warehouse.run("bare")
    assert set(report.versions_written) == {
        "stat_clip_score", "stat_cluster", "stat_cluster_top", "stat_clip_score_histogram", "stat_curation_score",
        "stat_score_filter", "stat_text_area", "stat_text_area_score",
    }  # fmt: skip
    assert len(warehouse.rows("stat_clip_score_histogram", "bare")) == 1
    assert warehouse.run("bare").versions_written == {}
