"""The closest known name, as messages say it."""

from __future__ import annotations

from udfs.names import did_you_mean


def test_the_closest_name_is_named_whatever_its_case():
    assert did_you_mean("vit-b-23", ["ViT-B-32", "RN50"]) == " Did you mean ViT-B-32?"
    assert did_you_mean("ViT-B", ["ViT-B-32", "ViT-B-16", "RN50"], count=2).count("ViT-B-") == 2
    assert did_you_mean("ViT-B", ["ViT-B-32", "ViT-B-16", "RN50"]).count("ViT-B-") == 1


def test_nothing_is_said_where_nothing_is_close():
    assert did_you_mean("xyz", ["embed", "ingest"]) == ""
    assert did_you_mean("", []) == ""
