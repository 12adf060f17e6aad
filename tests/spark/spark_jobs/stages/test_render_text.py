"""Stage `render_text` with the tiny CLIP, and the statistics of its scores against pandas."""

from __future__ import annotations

import json
import random

import pandas as pd
import pytest
from scipy import stats

from schemas import ngram_vocabulary, synthetic_text_scores
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError
from spark_jobs.runner import shards
from spark_jobs.sql.steps import run_steps
from spark_jobs.sql.synthetic_text import synthetic_text_steps
from spark_jobs.stages import render_text
from spark_jobs.warehouse.tables import Tables
from tests.table_rows import filled, frame_of, put_rows
from udfs.clip_embedding import resolve
from udfs.text_rendering import STYLES

SCORES = synthetic_text_scores.TABLE
WORDS = ["sale", "new", "photo", "東京", "vintage", "of", "internationalization of everything"]


def vocabulary_rows(grams_by_vocabulary):
    return [
        filled(
            ngram_vocabulary.TABLE,
            shard_id=f"{name}-{(rank - 1) // 2:05d}",
            sample_id=f"{name}:{gram}",
            vocabulary=name,
            gram=gram,
            count=100 // rank,
            rank=rank,
            bpe_tokens=1,
            run_key="v",
        )
        for name, grams in grams_by_vocabulary.items()
        for rank, gram in enumerate(grams, 1)
    ]


@pytest.fixture
def vocabulary(spark, config):
    """Blocks of two grams, so that seven words are four of them."""
    rows = vocabulary_rows({"caption_1gram": WORDS, "co_emb_1gram": ["sale"]})
    put_rows(Tables(spark, config.warehouse), ngram_vocabulary.TABLE, rows, stage="ngrams")
    return rows


def configured(config, tmp_path, *overrides):
    return load_config(
        options={"warehouse": config.warehouse, "dataset": "test"},
        overrides=(f"embed.cache_dir={tmp_path / 'weights'}", *overrides),
    )


def scores(spark, config, run_key=None):
    rows = Tables(spark, config.warehouse).read(SCORES, run_key=run_key).collect()
    return {
        (row["sample_id"], row["model"], row["style"]): (
            row["status"],
            row["score"] if row["score"] is None else round(row["score"], 4),
        )
        for row in rows
    }


def close(first, second):
    assert first.keys() == second.keys()
    for key, (status, score) in first.items():
        assert second[key][0] == status
        assert second[key][1] == (score if score is None else pytest.approx(score, abs=2e-4))


def test_every_gram_in_every_style_then_nothing_pending(spark, config, tmp_path, vocabulary):
    report = render_text.run(spark, configured(config, tmp_path))
    found = scores(spark, config)
    assert len(found) == report.rows == len(vocabulary) * len(STYLES)
    skipped = {key[0] for key, (status, _) in found.items() if status == "skipped"}
    assert skipped == {"caption_1gram:東京"}
    assert report.skipped == 4
    assert any("1 gram(s) were skipped" in note for note in report.notes)
    assert any("random weights" in note for note in report.notes)
    assert set(report.phase_seconds) == {"render", "infer"}
    again = render_text.run(spark, configured(config, tmp_path))
    assert (again.did_nothing, again.shards_kept) == (True, 5)


def test_killed_in_the_middle_it_resumes_with_the_same_rows(spark, config, tmp_path, vocabulary, monkeypatch):
    small = configured(config, tmp_path, "runner.first_chunk=2", "render_text.batch_size=1")
    commit = shards._Chunks._commit
    commits = []

    def dying(self, *arguments, **keywords):
        if len(commits) == 2:
            raise KeyboardInterrupt
        commits.append(1)
        return commit(self, *arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(shards._Chunks, "_commit", dying)
        with pytest.raises(KeyboardInterrupt):
            render_text.run(spark, small)
    partial = scores(spark, config)
    assert 0 < len(partial) < len(vocabulary) * len(STYLES)
    # Another batch size and other chunks: the rows are the same to 1e-4.
    resumed = render_text.run(spark, configured(config, tmp_path))
    assert (resumed.shards_kept, resumed.shards_done) == (2, 3)
    whole = scores(spark, config)
    close(partial, {key: whole[key] for key in partial})
    Tables(spark, config.warehouse).replace(
        SCORES,
        Tables(spark, config.warehouse).read(SCORES).limit(0),
        dataset="test",
        run_key=resumed.run_keys[SCORES.name],
    )
    render_text.run(spark, configured(config, tmp_path, "render_text.batch_size=3"))
    close(whole, scores(spark, config))


def test_a_limit_takes_the_most_frequent_and_the_rest_follows(spark, config, tmp_path, vocabulary):
    limited = configured(config, tmp_path, "render_text.limit_per_vocabulary=2")
    assert render_text.run(spark, limited).rows == 3 * len(STYLES)
    grams = {key[0] for key in scores(spark, config)}
    assert grams == {"caption_1gram:sale", "caption_1gram:new", "co_emb_1gram:sale"}
    rest = render_text.run(spark, configured(config, tmp_path))
    assert (rest.shards_kept, rest.shards_done) == (2, 3)
    assert len(scores(spark, config)) == len(vocabulary) * len(STYLES)


def test_failed_samples_are_done_again_without_doubling_rows(spark, config, tmp_path, vocabulary):
    one_model = configured(config, tmp_path, "render_text.limit_per_vocabulary=2")
    run_key = render_text.run(spark, one_model).run_keys[SCORES.name]
    before = scores(spark, config)
    tables = Tables(spark, config.warehouse)
    broken = tables.read(SCORES).selectExpr(
        *[name for name in SCORES.columns if name not in ("score", "status", "error")],
        "IF(gram = 'new' AND style = 'white-grey', NULL, score) AS score",
        "IF(gram = 'new' AND style = 'white-grey', 'failed', status) AS status",
        "IF(gram = 'new' AND style = 'white-grey', 'model: broken', error) AS error",
    )
    tables.replace(SCORES, broken.localCheckpoint(), dataset="test", run_key=run_key)
    retrying = one_model.model_copy(update={"retry_failed": True})
    render_text.run(spark, retrying)
    close(before, scores(spark, config))
    assert tables.read(SCORES).count() == len(before)


def test_several_models_stand_side_by_side(spark, config, tmp_path, vocabulary):
    named = "render_text.models=[parrot-tiny, parrot-tiny/random]"
    one = render_text.work(configured(config, tmp_path))
    twice = render_text.work(configured(config, tmp_path, named))
    assert (twice.params, twice.rows_per_sample) == (one.params, one.rows_per_sample)
    single = render_text.work(configured(config, tmp_path, "render_text.models=[parrot-tiny]"))
    assert single.params == one.params
    assert single.rows_per_sample == len(STYLES)
    checkpoint = resolve("parrot-tiny", None, seed=1, cache_dir=tmp_path).weights.path
    preprocessing = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
    beside = checkpoint.with_name(f"{checkpoint.name}.json")
    beside.write_text(json.dumps({"model_cfg": {}, "preprocess_cfg": preprocessing}), encoding="utf-8")
    both = render_text.work(
        configured(config, tmp_path, f"render_text.models=[parrot-tiny, parrot-tiny/{checkpoint}]")
    )
    assert both.model == f"parrot-tiny/random-0, parrot-tiny/{checkpoint.name}"
    assert both.rows_per_sample == 2 * len(STYLES)


@pytest.mark.parametrize(
    ("font", "message"), [("no/such.ttf", "there is no file"), (__file__, "is no TrueType or OpenType font")]
)
def test_a_font_that_cannot_be_used_stops_before_any_work(config, tmp_path, font, message):
    with pytest.raises(ConfigError, match=f"render_text.font: .*{message}"):
        render_text.work(configured(config, tmp_path, f"render_text.font={font}"))


def drawn_scores(count):
    """Rows of both tables, each as a mapping of what is not null."""
    draw = random.Random(3)
    grams, rows = [], []
    for n in range(count):
        vocabulary = draw.choice(["caption_1gram", "caption_2gram"])
        gram = "x" * draw.randint(1, 60)
        key = {"sample_id": f"{n:04d}", "vocabulary": vocabulary, "gram": gram}
        occurrences = draw.choice([1, 7, 9, 10, 99, 100, 12345])
        tokens = draw.choice([None, 1, 2, 3, 12, 40])
        grams.append({**key, "count": occurrences, "rank": n, "bpe_tokens": tokens})
        for model in ("m", "n"):
            for style in STYLES:
                score = None if draw.random() < 0.1 else draw.uniform(-0.2, 0.6)
                measured = {"score": score, "text_width_px": 50, "overflows": len(gram) > 30}
                status = "failed" if score is None else "ok"
                rows.append({**key, "style": style.name, "model": model, **measured, "status": status})
    return grams, rows


@pytest.mark.oracle("stat_synthetic_text")
def test_statistics_equal_pandas(spark):
    grams, rows = drawn_scores(150)
    frames = {
        "scores": frame_of(spark, SCORES, [filled(SCORES, **row) for row in rows]),
        "grams": frame_of(
            spark, ngram_vocabulary.TABLE, [filled(ngram_vocabulary.TABLE, **row) for row in grams]
        ),
    }
    found = {
        (row["model"], row["vocabulary"], row["style"], row["grouping"], row["band_from"]): row
        for row in run_steps(spark, synthetic_text_steps(), frames).collect()
    }
    frame = pd.DataFrame(rows)[lambda rows: rows.status == "ok"]
    frame["score"] = frame.score.astype("float32").astype("float64")
    counts = {gram["sample_id"]: gram["count"] for gram in grams}
    frame["all"] = 0
    frame["frequency"] = [10 ** (len(str(counts[sample])) - 1) for sample in frame.sample_id]
    frame["length"] = [min((len(gram) - 1) // 2 * 2 + 1, 41) for gram in frame.gram]
    tokens = {gram["sample_id"]: gram["bpe_tokens"] for gram in grams}
    frame["tokens"] = [None if tokens[key] is None else min(tokens[key], 12) for key in frame.sample_id]
    frame = pd.concat([frame, frame.assign(style="all")])
    expected = 0
    for grouping in ("all", "frequency", "length", "tokens"):
        for key, group in frame.groupby(["model", "vocabulary", "style", grouping]):
            row = found[(*key[:3], grouping, key[3])]
            expected += 1
            assert row["images"] == len(group)
            assert row["grams"] == group.sample_id.nunique()
            assert row["grams_overflowing"] == group[group.overflows].sample_id.nunique()
            assert row["mean"] == pytest.approx(group.score.mean(), abs=1e-9)
            residuals = (group.score - group.score.mean()).groupby(group.sample_id).sum()
            if len(residuals) > 2:
                error = (residuals**2).sum() * len(residuals) / (len(residuals) - 1)
                half = stats.t.ppf(0.975, len(residuals) - 1) * error**0.5 / len(group)
                # The quantile's expansion is 0.75 % too small with two degrees of freedom, 0.12 % with three.
                bound = 0.008 if len(residuals) == 3 else 0.003
                assert row["mean_high"] - row["mean"] == pytest.approx(half, rel=bound, abs=1e-7)
                assert row["mean"] - row["mean_low"] == pytest.approx(half, rel=bound, abs=1e-7)
            elif len(residuals) == 1:
                assert (row["mean_low"], row["mean_high"]) == (None, None)
            if len(group) > 1:
                assert row["std"] == pytest.approx(group.score.std(), abs=1e-9)
            else:
                assert row["std"] is None
    assert len(found) == expected
    ends = {(key[3], key[4]): row["band_to"] for key, row in found.items()}
    assert (ends["tokens", 3], ends["tokens", 12]) == (3, None)
    assert (ends["all", 0], ends["frequency", 10], ends["length", 1], ends["length", 41]) == (
        None,
        99,
        2,
        None,
    )
