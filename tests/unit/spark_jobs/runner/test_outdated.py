from __future__ import annotations

import pytest

from spark_jobs.runner.outdated import outdated_note, outdated_tables, stages_to_run

CURRENT = {
    ("d", "samples"): "s", ("d", "images"): "downloaded", ("d", "clip_embeddings"): "e",
    ("d", "cluster_models"): "m", ("d", "cluster_assignments"): "a", ("d", "spotted_text"): "t",
    ("d", "caption_overlap"): "o", ("d", "ngram_vocabulary"): "n", ("d", "stat_overall"): "so",
    ("d", "stat_clip_score"): "sc", ("d", "stat_cluster"): "sk", ("d", "subsets"): "u",
}  # fmt: skip
MADE_FROM = {
    ("d", "images", "downloaded"): {"samples": "s", "images": "listed"},
    ("d", "clip_embeddings", "e"): {"samples": "s", "images": "downloaded"},
    ("d", "cluster_models", "m"): {"d": "e"},
    ("d", "cluster_assignments", "a"): {"clip_embeddings": "e"},
    ("d", "spotted_text", "t"): {"samples": "s", "images": "downloaded"},
    ("d", "caption_overlap", "o"): {"samples": "s", "spotted_text": "t"},
    ("d", "ngram_vocabulary", "n"): {"samples": "s", "caption_overlap": "o"},
    ("d", "stat_overall", "so"): {"caption_overlap": "o"},
    ("d", "stat_clip_score", "sc"): {"caption_overlap": "o", "clip_embeddings": "e"},
    ("d", "stat_cluster", "sk"): {
        "caption_overlap": "o", "clip_embeddings": "e", "cluster_assignments": "a",
    },
    ("d", "subsets", "u"): {"caption_overlap": "gone"},
}  # fmt: skip


def changed(**run_keys):
    """What is outdated once tables have other current run keys."""
    return outdated_tables(
        "d", {**CURRENT, **{("d", name): key for name, key in run_keys.items()}}, MADE_FROM
    )


def test_tables_made_one_after_the_other_fit_together():
    assert changed() == {}
    assert outdated_note("d", {}, ["stat_overall"]) is None


def test_overlap_with_another_threshold_leaves_statistics_behind():
    outdated = changed(caption_overlap="o2")
    assert outdated == {
        "ngram_vocabulary": ("caption_overlap",),
        "stat_overall": ("caption_overlap",),
        "stat_clip_score": ("caption_overlap",),
        "stat_cluster": ("caption_overlap",),
    }
    assert stages_to_run(outdated, outdated) == ["ngrams", "statistics"]
    note = outdated_note("d", outdated, ["stat_overall"], also_run="report")
    assert "what statistics made is of an older caption_overlap than the current one" in note
    assert "`parrot run statistics report --dataset d`" in note


def test_what_is_outdated_makes_all_behind_it_outdated():
    """A new model's vectors: clusters are of the old ones, and statistics of those clusters."""
    outdated = changed(clip_embeddings="e2")
    assert set(outdated) == {"cluster_assignments", "stat_clip_score", "stat_cluster"}
    assert outdated["stat_cluster"] == ("clip_embeddings", "cluster_assignments")
    assert stages_to_run(outdated, ["stat_cluster"]) == ["cluster", "statistics"]
    note = outdated_note("d", outdated, ["stat_cluster"])
    assert "what cluster and statistics made is of an older clip_embeddings than" in note
    # Statistics were run again, clusters were not: the numbers of the clusters still are of the old vectors.
    again = {
        **MADE_FROM,
        ("d", "stat_cluster", "sk"): {**MADE_FROM["d", "stat_cluster", "sk"], "clip_embeddings": "e2"},
    }
    current = {**CURRENT, ("d", "clip_embeddings"): "e2"}
    assert outdated_tables("d", current, again)["stat_cluster"] == ("cluster_assignments",)


def test_only_what_people_look_at_is_named():
    outdated = changed(caption_overlap="o2")
    assert stages_to_run(outdated, ["ngram_vocabulary"]) == ["ngrams"]
    assert stages_to_run(outdated, ["samples", "caption_overlap"]) == []
    assert outdated_note("d", outdated, ["samples"]) is None


@pytest.mark.parametrize("known", [{}, {("other", "stat_overall", "so"): {"caption_overlap": "x"}}])
def test_what_the_log_does_not_know_counts_as_up_to_date(known):
    assert outdated_tables("d", CURRENT, known) == {}
