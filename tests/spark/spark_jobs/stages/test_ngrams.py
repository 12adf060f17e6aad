"""Stage `ngrams` against Python's Counter, on real captions and on drawn ones with many ties."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from pyspark.sql.types import StringType, StructField, StructType

from schemas import caption_overlap, ngram_vocabulary, samples
from spark_jobs.config import load_config
from spark_jobs.errors import StageError
from spark_jobs.stages import ngrams
from spark_jobs.warehouse.tables import Tables
from tests.table_rows import filled, put_rows
from udfs.tokens import normalised_words


def put_samples(spark, warehouse, captions, *, input_key="i"):
    rows = [
        filled(
            samples.TABLE,
            sample_id=f"{n:06d}",
            source_key=str(n),
            caption=caption,
            run_key="s",
            input_key=input_key,
        )
        for n, caption in enumerate(captions)
    ]
    put_rows(Tables(spark, warehouse), samples.TABLE, rows, partitions=3)


def put_overlap(spark, warehouse, co_emb_words):
    rows = [
        filled(
            caption_overlap.TABLE,
            sample_id=f"{n:06d}",
            caption_words=words,
            co_emb_words=words,
            status="skipped" if words is None else "ok",
            run_key="o",
        )
        for n, words in enumerate(co_emb_words)
    ]
    put_rows(Tables(spark, warehouse), caption_overlap.TABLE, rows)


def configured(config, top):
    options = {"warehouse": config.warehouse, "dataset": "test"}
    return load_config(options=options, overrides=(f"ngrams.top={top}",))


def counters(captions):
    """The counting rule in plain Python."""
    words, pairs = Counter(), Counter()
    for caption in captions:
        sequence = normalised_words(caption)
        words.update(sequence)
        pairs.update(" ".join(pair) for pair in itertools.pairwise(sequence))
    return {"caption_1gram": words, "caption_2gram": pairs}


def ranked(counter, top):
    """(gram, count, rank) of the most frequent grams; equal counts in the order of code points."""
    ordered = sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:top]
    return [(gram, count, rank) for rank, (gram, count) in enumerate(ordered, 1)]


def stored(spark, config, run_key):
    rows = Tables(spark, config.warehouse).read(ngram_vocabulary.TABLE, run_key=run_key).collect()
    found = {}
    for row in sorted(rows, key=lambda row: (row["vocabulary"], row["rank"])):
        found.setdefault(row["vocabulary"], []).append((row["gram"], row["count"], row["rank"]))
    return found


def test_real_captions_equal_a_counter(spark, config, shared_data):
    from pyarrow import parquet

    table = parquet.read_table(shared_data / "laion_metadata" / "laion2b-en-10K.parquet")
    name = next(name for name in table.column_names if name.lower() in ("text", "caption"))
    captions = table.column(name).to_pylist()
    assert len(captions) == 10_001
    put_samples(spark, config.warehouse, captions)
    expected = counters(captions)
    whole = ngrams.run(spark, configured(config, 400_000))
    found = stored(spark, config, whole.run_keys["ngram_vocabulary"])
    assert found == {name: ranked(counter, 400_000) for name, counter in expected.items()}
    cut = ngrams.run(spark, configured(config, 5000))
    found = stored(spark, config, cut.run_keys["ngram_vocabulary"])
    assert found == {name: ranked(counter, 5000) for name, counter in expected.items()}


@pytest.mark.parametrize("top", [1, 17, 60, 10_000])
def test_ties_are_cut_by_gram_wherever_the_cut_falls(spark, top, any_seed):
    draw = random.Random(f"{any_seed} {top}")
    letters = ["a", "b", "é", "ß", "中", "\U0001f600", "z"]
    grams = {"".join(draw.choices(letters, k=draw.randint(1, 5))): draw.randint(1, 3) for _ in range(300)}
    rows = [("v", gram, 1) for gram, count in grams.items() for _ in range(count)]
    draw.shuffle(rows)
    frame = spark.createDataFrame(rows, "vocabulary string, gram string, occurrences long")
    result = ngrams.counted(frame, top)
    found = sorted((row["rank"], row["gram"], row["count"]) for row in result.collect())
    result.unpersist()
    assert [(gram, count, rank) for rank, gram, count in found] == ranked(Counter(grams), top)


def test_co_emb_words_are_counted_by_sample(spark, config):
    put_samples(spark, config.warehouse, ["Big sale", "SALE, sale!", None, "no words"])
    put_overlap(spark, config.warehouse, [["sale"], ["sale"], [], None])
    report = ngrams.run(spark, configured(config, 10))
    found = stored(spark, config, report.run_keys["ngram_vocabulary"])
    assert found["co_emb_1gram"] == [("sale", 2, 1)]
    assert found["caption_1gram"] == [("sale", 3, 1), ("big", 1, 2), ("no", 1, 3), ("words", 1, 4)]
    assert found["caption_2gram"] == [("big sale", 1, 1), ("no words", 1, 2), ("sale sale", 1, 3)]
    assert report.notes == []


def test_nothing_pending_writes_nothing_and_a_change_is_counted(spark, config):
    put_samples(spark, config.warehouse, ["Big sale"])
    first = ngrams.run(spark, configured(config, 10))
    assert first.notes == ["co_emb_1gram was left out: dataset test has no caption_overlap"]
    tables = Tables(spark, config.warehouse)
    version = tables.version(ngram_vocabulary.TABLE)
    again = ngrams.run(spark, configured(config, 10))
    assert (again.did_nothing, tables.version(ngram_vocabulary.TABLE)) == (True, version)
    put_samples(spark, config.warehouse, ["Big sale", "sale"], input_key="j")
    changed = ngrams.run(spark, configured(config, 10))
    assert changed.run_keys == first.run_keys
    assert stored(spark, config, changed.run_keys["ngram_vocabulary"])["caption_1gram"][0] == ("sale", 2, 1)


def test_a_dataset_that_was_never_ingested_is_refused(spark, config):
    with pytest.raises(StageError, match="run `parrot run ingest` first"):
        ngrams.run(spark, config)


def test_blocks_are_a_thousand_grams_in_order_of_rank(spark):
    schema = StructType([StructField(name, StringType()) for name in ("vocabulary", "gram")])
    frame = spark.createDataFrame([("v", f"{n:05d}") for n in range(2500)], schema)
    result = ngrams.counted(frame.selectExpr("*", "1L AS occurrences"), 2400)
    rows = sorted(result.collect(), key=lambda row: row["rank"])
    result.unpersist()
    assert [row["shard_id"] for row in rows] == [f"v-{n // 1000:05d}" for n in range(2400)]
    assert len({row["sample_id"] for row in rows}) == 2400
