"""Stage `curate` against plain pandas: the same ids, from any files, for every built-in subset."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from pyspark.sql import functions as F

from schemas import clip_embeddings, subset_members, subsets, text_removal_scores
from spark_jobs.commands.subset import compare
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.runner.run_log import RunLog
from spark_jobs.stages.curate import run
from spark_jobs.subsets import draw
from spark_jobs.subsets.definition import built_in
from spark_jobs.subsets.draw import hash_cuts, lowest
from spark_jobs.warehouse.tables import Tables
from tests.measured import MAKERS, put_measures, synthetic
from tests.subset_oracles import NAMES, first_by_hash, hashed, qualifying, trainable
from udfs.language import languages

FRAME = synthetic()
SOME = 10


def configured(warehouse, *build, **curate):
    values = {"build": list(build), **curate}
    return load_config(
        options={"warehouse": str(warehouse), "dataset": "test"},
        overrides=("tracking.enabled=false", f"curate={json.dumps(values)}"),
    )


def oracle(name):
    return qualifying(FRAME, name)


def all_members(spark, warehouse):
    """Sorted sample ids by subset."""
    frame = (
        Tables(spark, str(warehouse)).read(subset_members.TABLE).select("subset_id", "sample_id").toPandas()
    )
    return {name: sorted(rows.sample_id) for name, rows in frame.groupby("subset_id")}


def members(spark, warehouse, subset_id):
    return all_members(spark, warehouse).get(subset_id, [])


def stored(spark, warehouse):
    rows = Tables(spark, str(warehouse)).read(subsets.TABLE).collect()
    return {row["subset_id"]: row.asDict(recursive=True) for row in rows}


@pytest.fixture(scope="module")
def built(_spark_session, tmp_path_factory):
    """A warehouse with every built-in subset."""
    warehouse = tmp_path_factory.mktemp("curation") / "warehouse"
    put_measures(_spark_session, warehouse, FRAME)
    return warehouse, run(_spark_session, configured(warehouse, *built_in()))


def test_every_built_in_subset_has_the_ids_that_pandas_finds(spark, built):
    assert set(built_in()) == NAMES, "write an oracle for each built-in subset"
    found = all_members(spark, built[0])
    expected = {name: sorted(oracle(name).sample_id) for name in built_in()}
    assert {name: len(ids) for name, ids in found.items()} == {
        name: len(ids) for name, ids in expected.items()
    }
    assert found == expected
    # Each keeps some and drops some; `random` drops only what cannot be trained on.
    assert len(expected["random"]) == len(trainable(FRAME)) < FRAME.is_sound.sum()
    assert all(0 < len(ids) < len(trainable(FRAME)) for name, ids in expected.items() if name != "random")


def test_definitions_tell_what_was_read_and_what_each_condition_removed(spark, built):
    row = stored(spark, built[0])["laion_clip_0.28"]
    assert (row["samples"], row["members"]) == (len(FRAME), len(oracle("laion_clip_0.28")))
    assert {read["table_name"] for read in row["tables_read"]} == {
        "samples", "clip_embeddings", "caption_overlap",
    }  # fmt: skip
    assert all(read["run_key"] == f"{read['table_name']}-key" for read in row["tables_read"])
    sound, usable = FRAME[FRAME.is_sound], trainable(FRAME)
    scored = usable[usable.clip_score.astype(float) >= 0.28]
    first, can_train, second, third = row["attrition"]
    assert [step["condition"] for step in row["attrition"]] == [
        "samples.status = 'ok'",
        "caption_overlap.trainable",
        "clip_embeddings.clip_score >= 0.28",
        "samples.language = 'en'",
    ]
    assert (first["before"], first["left"], first["unmeasured"]) == (len(FRAME), len(sound), 0)
    assert (can_train["before"], can_train["left"]) == (len(sound), len(usable))
    assert (second["before"], second["left"]) == (len(usable), len(scored))
    assert second["unmeasured"] == usable.clip_score.isna().sum()
    assert second["removed_alone"] == (~(FRAME.clip_score.astype(float) >= 0.28)).sum()
    english = pd.Series(languages(FRAME.caption)) == "en"
    assert (third["left"], third["removed_alone"]) == (row["members"], (~english).sum())


def test_equal_inputs_write_nothing(spark, built):
    warehouse, first = built
    again = run(spark, configured(warehouse, "with_text", "clip_top_30"))
    assert again.did_nothing
    assert again.rows == 0
    assert again.run_keys["subsets with_text"] == first.run_keys["subsets with_text"]


def test_other_files_and_partitions_and_a_rewrite_give_the_same_subset(spark, built, tmp_path):
    names = ("clip_top_30", "random", "cotr_ge_0.3", "rsa_ge_0.1", "debiased", "tmars")
    before = stored(spark, built[0])
    put_measures(spark, tmp_path / "other", FRAME, partitions=5, shuffled=1)
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        run(spark, configured(tmp_path / "other", *names, size=SOME))
        put_measures(spark, built[0], FRAME, partitions=3, shuffled=2)
        report = run(spark, configured(built[0], *names, size=SOME))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
    other, same = stored(spark, tmp_path / "other"), stored(spark, built[0])
    ids, expected = all_members(spark, tmp_path / "other"), all_members(spark, built[0])
    for name in names:
        drawn = f"{name}-{SOME}"
        assert other[drawn]["content_hash"] == same[drawn]["content_hash"]
        assert ids[drawn] == expected[drawn] == sorted(first_by_hash(oracle(name), SOME, 0).sample_id)
    # The rewrite has changed Delta's versions but no row: what was there is kept.
    assert run(spark, configured(built[0], *names)).did_nothing
    assert {name: stored(spark, built[0])[name] for name in before} == before
    assert report.rows == len(names) * SOME


def test_strata_controls_and_sizes(spark, built):
    mine = [
        {"id": "even", "predicate": "clip_score > 0.2", "stratum": "equal", "size": 120},
        {"id": "level", "predicate": "clip_score > 0.2", "stratum": "equal"},
        {"id": "capped", "predicate": "clip_score > 0.2", "stratum": "capped", "cap": 30, "seed": 3},
    ]
    run(spark, configured(built[0], "even", "level", "capped", "without_text", subsets=mine, control=True))
    rows = stored(spark, built[0])
    usable = trainable(FRAME)
    passing = usable[(usable.clip_score.astype(float) > 0.2) & usable.cluster.notna()]
    groups = {cluster: group for cluster, group in passing.groupby(passing.cluster.astype(int))}
    smallest = min(map(len, groups.values()))

    def each(size, seed):
        return sorted(
            name for group in groups.values() for name in first_by_hash(group, size, seed).sample_id
        )

    assert members(spark, built[0], "level") == each(smallest, 0)
    assert members(spark, built[0], "capped") == each(30, 3)
    even = members(spark, built[0], "even")
    counts = passing[passing.sample_id.isin(even)].cluster.value_counts()
    assert len(even) == rows["even"]["members"] == 120
    assert set(even) <= set(passing.sample_id)
    full = [cluster for cluster, group in groups.items() if counts[cluster] == len(group)]
    others = [counts[cluster] for cluster in groups if cluster not in full]
    assert max(others) - min(others) <= 1
    assert all(len(groups[cluster]) <= max(others) for cluster in full)
    control = members(spark, built[0], "without_text-control")
    assert control == sorted(first_by_hash(usable, len(oracle("without_text")), 1).sample_id)
    assert [step["before"] - step["left"] for step in rows["capped"]["attrition"]][-1] == len(
        passing
    ) - 30 * sum(len(group) >= 30 for group in groups.values()) - sum(
        len(group) for group in groups.values() if len(group) < 30
    )


def test_two_subsets_are_compared_by_what_was_measured(spark, built):
    found = compare(Tables(spark, str(built[0])), "test", first="with_text", second="cotr_ge_0.5")
    first, second = oracle("with_text"), oracle("cotr_ge_0.5")
    assert (found.both, found.only_first, found.only_second) == (len(second), len(first) - len(second), 0)
    assert found.overlap == len(second) / len(first)
    rows = {label: values for label, *values in found.rows}
    assert rows["image type concurrent"] == [f"{(first.image_type == 'concurrent').mean():.1%}", "100.0%"]
    # To three decimals; a mean that lies between two may be rounded either way.
    means = [frame.cotr.astype(float).mean() for frame in (first, second)]
    assert [float(shown) for shown in rows["mean CoTR"]] == pytest.approx(means, abs=0.0005 + 1e-9)
    assert rows["mean CLIP score"] == [
        f"{frame.clip_score.astype(float).mean():.3f}" for frame in (first, second)
    ]
    assert sum(label.startswith("cluster ") for label in rows) == 5


@pytest.mark.parametrize("digits", [0, 1, 3])
def test_a_draw_does_not_depend_on_the_buckets_it_is_found_by(spark, digits):
    frame = pd.DataFrame({"stratum": ["a"] * 40 + ["b"] * 8, "hash": hashed(map(str, range(48)), 0)})
    cuts = hash_cuts(spark.createDataFrame(frame), {"a": 40, "b": 8}, {"a": 7, "b": 8}, digits=digits)
    assert cuts["a"] == sorted(frame[frame.stratum == "a"]["hash"])[6]
    assert all(name <= cuts["b"] for name in frame["hash"])


@pytest.mark.parametrize("spread", [8, 0], ids=["in the expected range", "looked for in all rows"])
@pytest.mark.parametrize("wanted", [1, 37, 398, 399])
def test_the_lowest_hashes_are_drawn_wherever_the_cut_is_expected(spark, monkeypatch, spread, wanted):
    monkeypatch.setattr(draw, "_SPREAD", spread)
    hashes = hashed(map(str, range(400)), 0)
    frame = spark.createDataFrame([(name,) for name in hashes], "hash string")
    drawn = lowest(frame, rows=400, wanted=wanted, keep=lambda candidates: candidates)
    assert sorted(row["hash"] for row in drawn.collect()) == sorted(hashes)[:wanted]


@pytest.mark.parametrize("place", [1, 2, 150, 299, 300])
def test_the_nth_highest_score_is_found_by_buckets_alone(spark, monkeypatch, place):
    monkeypatch.setattr(draw, "_COLLECTED", 5)
    monkeypatch.setattr(draw, "_BUCKETS", 4)
    scores = [0.5] * 100 + [0.5 + n * 1e-9 for n in range(100)] + [float(n) for n in range(100)]
    frame = spark.createDataFrame([(score,) for score in scores], "score double")
    expected = sorted(scores, reverse=True)[place - 1]
    assert draw.nth_highest(frame, place) == (expected, sum(score > expected for score in scores))


def test_a_measure_that_is_missing_names_the_stage_to_run(spark, tmp_path):
    put_measures(spark, tmp_path, FRAME.head(5), tables=["samples"])
    for name, table in {
        "with_text": "caption_overlap",
        "laion_clip_0.28": "clip_embeddings",
        "rsc_ge_0": "text_removal_scores",
        "tmars": "text_removal_scores",
        "debiased": "aesthetic_scores",
        "debiased_shipped_scores": "near_duplicates",
        "diht_text": "caption_overlap",
        "random": "caption_overlap",
    }.items():
        told = rf"\(table {table}\): run `parrot run {MAKERS[table]}` first"
        with pytest.raises(StageError, match=rf"(?s)subset {name} needs .*{told}"):
            run(spark, configured(tmp_path, name))


def test_what_nobody_has_read_is_curated_where_the_definition_says_so(spark, tmp_path):
    put_measures(spark, tmp_path, FRAME.head(40), tables=["samples"])
    urls = {"id": "urls", "predicate": "samples.width >= 200"}
    with pytest.raises(StageError, match=r"trainable \(table caption_overlap\)(?s:.*)trainable: false"):
        run(spark, configured(tmp_path, "urls", subsets=[urls]))
    run(spark, configured(tmp_path, "urls", subsets=[{**urls, "trainable": False}], control=True))
    some = FRAME.head(40)
    wide = some[some.is_sound & (some.width.astype(float) >= 200)]
    assert members(spark, tmp_path, "urls") == sorted(wide.sample_id)
    assert len(members(spark, tmp_path, "urls-control")) == len(wide) > 0


def test_a_size_above_what_qualifies_names_both_numbers(spark, built):
    count = len(oracle("cotr_eq_1"))
    with pytest.raises(
        StageError, match=rf"asks for 9,999 samples, but only {count} of {len(FRAME)} qualify"
    ):
        run(spark, configured(built[0], "cotr_eq_1", size=9999))
    assert "cotr_eq_1-9999" not in stored(spark, built[0])
    assert members(spark, built[0], "cotr_eq_1-9999") == []


def test_new_rows_of_a_measure_build_the_subset_again(spark, tmp_path):
    frame = FRAME.head(60).copy()
    put_measures(spark, tmp_path, frame, tables=["samples", "caption_overlap"])
    first = run(spark, configured(tmp_path, "with_text"))
    put_measures(spark, tmp_path, FRAME.head(120), tables=["samples", "caption_overlap"])
    spark.sql(f"UPDATE delta.`{tmp_path}/caption_overlap` SET input_key = 'repaired'")
    second = run(spark, configured(tmp_path, "with_text"))
    assert second.rows > first.rows > 0
    assert "it replaces" in second.notes[0]
    assert len(members(spark, tmp_path, "with_text")) == second.rows


def test_an_unknown_subset_names_the_closest(spark, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown subset debiasd\. Did you mean debiased\?"):
        run(spark, configured(tmp_path, "debiasd"))


def test_measures_name_their_model(spark, tmp_path):
    """The scores of one model and the aesthetics of another: both are there under a run key of their own."""
    put_measures(spark, tmp_path / "w", FRAME)
    tables = Tables(spark, str(tmp_path / "w"))
    spec = clip_embeddings.TABLE
    other = tables.read(spec).withColumns(
        {
            "model": F.lit("other/m"),
            "run_key": F.lit("other-key"),
            "clip_score": (F.col("clip_score") - F.lit(0.1)).cast("float"),
        }
    )
    tables.replace(spec, other, dataset="test", run_key="other-key")
    log = RunLog(tables, spec, stage="embed", dataset="test", run_key="other-key", params={})
    log.add("finished", seconds=0.0, shards=0, counts={})

    def ids(predicate, **curate):
        subset = {"id": "mine", "predicate": predicate, "trainable": False}
        run(spark, configured(tmp_path / "w", "mine", subsets=[subset], **curate))
        return members(spark, tmp_path / "w", "mine"), stored(spark, tmp_path / "w")["mine"]

    sound = FRAME[FRAME.is_sound & FRAME.clip_score.notna()]
    expected = sorted(sound[sound.clip_score.astype(float) > 0.28].sample_id)
    found, row = ids("clip_score[m] > 0.28")
    assert found == expected
    assert "clip_embeddings.clip_score[m] > 0.28" in row["predicate"]
    assert {read["run_key"] for read in row["tables_read"]} == {"samples-key", "clip_embeddings-key"}
    lower = sorted(sound[sound.clip_score.astype(float) - 0.1 > 0.181].sample_id)
    assert ids("clip_score > 0.181")[0] == lower, "whichever scored last"
    assert ids("clip_score > 0.28", clip_model="m")[0] == expected
    assert ids("clip_score[other/m] > 0.181", clip_model="m")[0] == lower
    with pytest.raises(StageError, match=r"no scores of x/y; it has those of m, other/m"):
        ids("clip_score[x/y] > 0.2")


def test_measures_that_do_not_fit_together_are_refused(spark, tmp_path):
    put_measures(spark, tmp_path / "w", FRAME)
    tables = Tables(spark, str(tmp_path / "w"))
    reads = {"caption_overlap": "an older key"}
    log = RunLog(
        tables, text_removal_scores.TABLE, stage="remove_text", dataset="test",
        run_key="text_removal_scores-key", params={"reads": reads},
    )  # fmt: skip
    log.add("finished", seconds=0.0, shards=0, counts={})
    with pytest.raises(
        StageError, match=r"subset rsa_lt_0: .*older caption_overlap.*`parrot run remove_text curate"
    ):
        run(spark, configured(tmp_path / "w", "rsa_lt_0"))
    run(spark, configured(tmp_path / "w", "cotr_eq_0"))
