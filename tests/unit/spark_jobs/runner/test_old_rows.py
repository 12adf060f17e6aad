"""What may be removed: nothing that is read, nothing whose age is unknown, nothing young."""

from __future__ import annotations

from spark_jobs.runner.old_rows import OldRows, old_rows, with_what_they_read

OVERLAP, SPOTTED, EMBEDDED = "caption_overlap", "spotted_text", "clip_embeddings"


def test_what_current_rows_were_made_from_is_kept_as_far_back_as_the_log_goes():
    made_from = {
        ("d", OVERLAP, "o2"): {SPOTTED: "s1"},
        ("d", SPOTTED, "s1"): {"images": "i1"},
        ("d", OVERLAP, "o1"): {SPOTTED: "s0"},
        ("other", OVERLAP, "o2"): {SPOTTED: "s9"},
    }
    assert with_what_they_read([("d", OVERLAP, "o2")], made_from) == {
        ("d", OVERLAP, "o2"),
        ("d", SPOTTED, "s1"),
        ("d", "images", "i1"),
    }


def test_old_rows_are_those_that_ended_before_and_that_nothing_reads():
    places = [("d", EMBEDDED, name) for name in ("kept", "old", "young", "unknown")]
    ended = dict(zip(places, (1.0, 2.0, 9.0), strict=False))
    found = old_rows(dict.fromkeys(places, 7), kept={places[0]}, ended=ended, before=5.0)
    assert found == [OldRows("d", EMBEDDED, "old", rows=7, ended=2.0)]
