from __future__ import annotations

import random

import pandas as pd
import pytest

from schemas import caption_overlap, clip_embeddings, cluster_assignments
from spark_jobs.report.paper import CC12M, LAION_2B, MMC4
from spark_jobs.sql.statistics import clip_score_steps, cluster_steps, overall_steps
from spark_jobs.sql.steps import run_steps
from tests.interval_oracles import has_interval, student, wilson
from tests.table_rows import filled, frame_of

SHARES = {"cotr": "cotr", "fuzzy_cotr": "fuzzy_cotr", "cotr_verbatim": "cotr_verbatim"}


def overlap_rows(rows):
    """Rows of `caption_overlap` from (status, caption words, image type, cotr, fuzzy, verbatim)."""
    return [
        filled(
            caption_overlap.TABLE,
            sample_id=f"{n:04d}",
            caption_words=words,
            co_emb_words=[],
            spotted_words=[],
            # Every third image with text has none that counts, if its caption does not repeat any.
            spotted_word_count=None if kind is None else 0 if is_unsure(n, kind) else 1,
            cotr_reason=None if words or status != "ok" else "script_without_spaces" if n % 2 else "no_words",
            cotr=cotr,
            cotr_verbatim=verbatim,
            fuzzy_cotr=fuzzy,
            image_type=kind,
            status=status,
        )
        for n, (status, words, kind, cotr, fuzzy, verbatim) in enumerate(rows)
    ]


def is_unsure(number, kind):
    return kind == "no_text" or (kind == "text_not_concurrent" and number % 3 == 0)


def profile(spark, rows):
    frame = frame_of(spark, caption_overlap.TABLE, overlap_rows(rows))
    return run_steps(spark, overall_steps(), {"overlap": frame}).collect()[0]


def drawn_rows(count, seed):
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        fate = draw.random()
        if fate < 0.05:
            rows.append(("skipped", None, None, None, None, None))
        elif fate < 0.1:
            rows.append(("ok", [], draw.choice(["no_text", "text_not_concurrent"]), None, None, None))
        elif fate < 0.5:
            rows.append(("ok", ["a"], "no_text", 0.0, 0.0, 0.0))
        elif fate < 0.7:
            rows.append(("ok", ["a"], "text_not_concurrent", 0.0, draw.random() / 2, 0.0))
        else:
            rate = draw.choice([0.25, 0.5, 1.0])
            rows.append(("ok", ["a"], "concurrent", rate, min(1.0, rate + 0.2), rate / 2))
    return rows


def test_hand_checked_profile(spark):
    row = profile(
        spark,
        [
            ("ok", ["a"], "no_text", 0.0, 0.0, 0.0),
            ("ok", ["a", "b"], "concurrent", 0.5, 0.75, 0.5),
            ("ok", ["a"], "text_not_concurrent", 0.0, 0.25, 0.0),
            ("ok", ["a"], "no_text", 0.0, 0.0, 0.0),
            ("ok", [], "no_text", None, None, None),
            ("skipped", None, None, None, None, None),
        ],
    )
    assert (row["samples"], row["images"], row["not_spotted"], row["without_caption_words"]) == (6, 4, 1, 1)
    assert (row["images_with_text"], row["images_with_co_emb_text"]) == (2, 1)
    assert (row["share_with_text"], row["share_co_emb"], row["share_co_emb_of_text"]) == (0.5, 0.25, 0.5)
    assert (row["cotr_in_total"], row["cotr_with_text"]) == (0.125, 0.25)
    assert (row["fuzzy_cotr_in_total"], row["fuzzy_cotr_with_text"]) == (0.25, 0.5)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.oracle("stat_overall")
def test_profile_equals_pandas_and_keeps_the_table_1_identity(spark, seed):
    rows = drawn_rows(500, seed)
    found = profile(spark, rows)
    frame = pd.DataFrame(rows, columns=["status", "words", "kind", "cotr", "fuzzy_cotr", "cotr_verbatim"])
    images = frame[(frame.status == "ok") & frame.words.map(bool)]
    with_text = images[images.kind != "no_text"]
    concurrent = int((images.kind == "concurrent").sum())
    skipped = int((frame.status != "ok").sum())
    assert (found["samples"], found["not_spotted"]) == (len(frame), skipped)
    assert found["without_caption_words"] == len(frame) - skipped - len(images)
    assert found["images"] == len(images)
    assert found["images_with_text"] == len(with_text)
    unsure = sum(
        is_unsure(n, kind)
        for n, (status, words, kind, *_) in enumerate(rows)
        if status == "ok" and words and kind != "no_text"
    )
    assert found["images_with_unsure_text"] == unsure > 3
    assert found["share_unsure_text"] == pytest.approx(unsure / len(images))
    not_cut = sum(status == "ok" and not words and n % 2 for n, (status, words, *_) in enumerate(rows))
    assert found["captions_not_cut"] == not_cut > 0
    assert found["images_with_co_emb_text"] == concurrent
    assert found["share_with_text"] == pytest.approx(len(with_text) / len(images))
    assert found["share_co_emb"] == pytest.approx(concurrent / len(images))
    assert found["share_co_emb_of_text"] == pytest.approx(concurrent / len(with_text))
    verbatim = int((with_text.cotr_verbatim > 0).sum())
    assert found["images_with_verbatim_co_emb_text"] == verbatim > 0
    for name, part, whole in (
        ("share_with_text", len(with_text), len(images)),
        ("share_co_emb", concurrent, len(images)),
        ("share_co_emb_of_text", concurrent, len(with_text)),
        ("share_verbatim_of_text", verbatim, len(with_text)),
    ):
        assert found[name] == pytest.approx(part / whole)
        has_interval(found.asDict(), name, wilson(part, whole))
    for name in SHARES:
        assert found[f"{name}_in_total"] == pytest.approx(images[name].sum() / len(images), abs=1e-12)
        assert found[f"{name}_with_text"] == pytest.approx(with_text[name].mean(), abs=1e-12)
        row = found.asDict()
        has_interval(row, f"{name}_in_total", student(images[name], is_rate=True))
        has_interval(row, f"{name}_with_text", student(with_text[name], is_rate=True))
        assert found[f"{name}_in_total"] == pytest.approx(
            found["share_with_text"] * found[f"{name}_with_text"], abs=1e-12
        )


def test_a_dataset_without_any_text_has_no_rate_with_text(spark):
    row = profile(spark, [("ok", ["a"], "no_text", 0.0, 0.0, 0.0)])
    assert row["cotr_in_total"] == 0.0
    assert row["cotr_with_text"] is None
    assert row["share_co_emb_of_text"] is None


@pytest.mark.parametrize("published", [LAION_2B, CC12M, MMC4], ids=lambda profile: profile.name)
def test_published_profiles_keep_the_identity_too(published):
    row = published.row()
    for name in ("cotr", "fuzzy_cotr"):
        total = row["share_with_text"] * row[f"{name}_with_text"]
        assert row[f"{name}_in_total"] == pytest.approx(total, abs=1e-4)  # printed to two digits of a percent


@pytest.mark.oracle("stat_clip_score")
def test_clip_scores_by_image_type_equal_pandas(spark):
    draw = random.Random(7)
    kinds = ["no_text", "text_not_concurrent", "concurrent"]
    # Captions without a word are no part of Table 1, nor of this.
    rows = [
        ("ok", [] if draw.random() < 0.1 else ["a"], draw.choice(kinds), 0.0, 0.0, 0.0) for _ in range(300)
    ]
    scores = [None if draw.random() < 0.1 else draw.uniform(0.1, 0.4) for _ in rows]
    embeddings = [
        filled(clip_embeddings.TABLE, sample_id=f"{n:04d}", model="m", clip_score=score)
        for n, score in enumerate(scores)
    ]
    frames = {
        "overlap": frame_of(spark, caption_overlap.TABLE, overlap_rows(rows)),
        "embeddings": frame_of(spark, clip_embeddings.TABLE, embeddings),
    }
    found = {row["image_type"]: row for row in run_steps(spark, clip_score_steps(), frames).collect()}
    frame = pd.DataFrame(
        {
            "kind": [row[2] if row[1] else None for row in rows],
            "score": pd.Series(scores, dtype="float32").astype("float64"),
        }
    ).dropna()
    assert set(found) == set(kinds)
    for kind, group in frame.groupby("kind"):
        assert found[kind]["images"] == len(group)
        assert found[kind]["mean"] == pytest.approx(group.score.mean(), abs=1e-6)
        assert found[kind]["std"] == pytest.approx(group.score.std(), abs=1e-6)
        for name, share in (("p05", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)):
            assert found[kind][name] == pytest.approx(group.score.round(4).quantile(share), abs=1e-9)
        has_interval(found[kind].asDict(), "mean", student(group.score))


@pytest.mark.oracle("stat_cluster")
def test_clusters_and_groups_equal_pandas_and_add_up_to_the_dataset(spark):
    draw = random.Random(11)
    rows = drawn_rows(400, 5)
    scores = [None if draw.random() < 0.1 else draw.uniform(0.1, 0.4) for _ in rows]
    clusters = [None if draw.random() < 0.1 else draw.randrange(6) for _ in rows]
    embeddings = [
        filled(clip_embeddings.TABLE, sample_id=f"{n:04d}", model="m", clip_score=score)
        for n, score in enumerate(scores)
    ]
    assignments = [
        filled(
            cluster_assignments.TABLE,
            sample_id=f"{n:04d}",
            cluster=cluster,
            cluster_group=None if cluster is None else cluster // 4,
        )
        for n, cluster in enumerate(clusters)
    ]
    frames = {
        "overlap": frame_of(spark, caption_overlap.TABLE, overlap_rows(rows)),
        "embeddings": frame_of(spark, clip_embeddings.TABLE, embeddings),
        "assignments": frame_of(spark, cluster_assignments.TABLE, assignments),
    }
    found = [row.asDict() for row in run_steps(spark, cluster_steps(), frames).collect()]
    ids = {
        level: {row["cluster_id"] for row in found if row["level"] == level} for level in ("cluster", "group")
    }
    assert ids == {"cluster": {-1, 0, 1, 2, 3, 4, 5}, "group": {-1, 0, 1}}
    overall = profile(spark, rows)
    for level in ids:
        part = pd.DataFrame([row for row in found if row["level"] == level])
        assert part.samples.sum() == overall["samples"]
        assert part.images.sum() == overall["images"]
        assert part.images_concurrent.sum() == overall["images_with_co_emb_text"]
        assert part.images_no_text.sum() == overall["images"] - overall["images_with_text"]
        assert (part.images * part.cotr).sum() / part.images.sum() == pytest.approx(overall["cotr_in_total"])
        known = [
            score
            for score, row in zip(scores, rows, strict=True)
            if score is not None and row[0] == "ok" and row[1]
        ]
        assert part.scored.sum() == len(known)
        mean = (part.scored * part.mean_clip_score).sum() / len(known)
        assert mean == pytest.approx(sum(known) / len(known), abs=1e-6)
        shares = part.share_no_text + part.share_text_not_concurrent + part.share_concurrent
        assert shares.tolist() == pytest.approx([1.0] * len(part))
    samples = pd.DataFrame(rows, columns=["status", "words", "kind", "cotr", "fuzzy_cotr", "cotr_verbatim"])
    samples["score"] = pd.Series(scores, dtype="float32").astype("float64")
    samples["cluster"] = [-1 if cluster is None else cluster for cluster in clusters]
    samples["group"] = [-1 if cluster is None else cluster // 4 for cluster in clusters]
    for row in found:
        own = samples[samples[row["level"]] == row["cluster_id"]]
        images = own[(own.status == "ok") & own.words.map(bool)]
        assert (row["samples"], row["images"], row["scored"]) == (len(own), len(images), images.score.count())
        assert row["mean_clip_score"] == pytest.approx(images.score.mean(), abs=1e-9)
        has_interval(row, "mean_clip_score", student(images.score.dropna()))
        has_interval(row, "cotr", student(images.cotr, is_rate=True))
        assert row["cotr"] == pytest.approx(images.cotr.mean(), abs=1e-12)
        for kind in ("no_text", "text_not_concurrent", "concurrent"):
            count = int((images.kind == kind).sum())
            assert row[f"images_{kind}"] == count
            assert row[f"share_{kind}"] == pytest.approx(count / len(images))
            has_interval(row, f"share_{kind}", wilson(count, len(images)))
