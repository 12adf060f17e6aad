"""Variants of a sample, and which of them exist."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.text_removal_scores import RANDOM_VARIANTS
from udfs.clip_embedding import resolve
from udfs.inpainting import InpaintParams, inpaint
from udfs.text_removal import RemovalFactory, variant_polygons


def points(left, top, right, bottom):
    return [{"x": x, "y": y} for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]


BIG, SALE = points(4, 4, 20, 12), points(30, 20, 50, 30)
OWN = {"all_emb": [BIG, SALE], "co_emb": [SALE]}
DONOR = {
    "sample_id": "d",
    "polygons": [points(10, 10, 40, 20)],
    "width": 100,
    "height": 50,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    clip = resolve("parrot-tiny", None, cache_dir=tmp_path_factory.mktemp("weights"))
    return RemovalFactory((clip,), InpaintParams(dilation=1), batch_size=2).load()


def photo(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def scored(model, *rows):
    return model.predict([model.prepare_row(photo(), row) for row in rows], rows)


def test_all_emb_and_co_emb_text_are_removed_apart():
    found = variant_polygons({"text": OWN, "donor": None}, width=60, height=40)
    assert [len(polygons) for polygons in found.values()] == [2, 1]
    assert found["co_removed"][0].tolist() == [[30, 20], [50, 20], [50, 30], [30, 30]]


def test_the_donors_polygons_keep_their_relative_place_where_they_hit_no_text():
    found = variant_polygons({"text": OWN, "donor": DONOR, "co_donor": DONOR}, width=200, height=200)
    away = variant_polygons(
        {"text": {**OWN, "all_emb": [BIG]}, "donor": DONOR, "co_donor": DONOR}, width=200, height=200
    )
    for name in ("random_all_removed", "random_co_removed"):
        assert away[name][0].tolist() == [[20, 40], [80, 40], [80, 80], [20, 80]]
    # SALE reaches to x 50 and y 30: too near for the grid, so nothing moves here either.
    assert found["random_all_removed"][0].tolist() == [[20, 40], [80, 40], [80, 80], [20, 80]]


def test_an_image_without_co_emb_text_has_no_random_co_emb_removal():
    no_co = {**OWN, "co_emb": []}
    found = variant_polygons({"text": no_co, "donor": DONOR, "co_donor": DONOR}, width=200, height=200)
    assert set(found) == {"all_removed", "co_removed", "random_all_removed"}


def test_without_text_only_the_raw_image_is_scored(model):
    (row,) = scored(model, {"caption": "a sale", "text": None, "donor": None})
    assert row["scores"][0].pop("score_raw") is not None
    assert set(row["scores"][0].values()) == {None}
    assert {value for name, value in row.items() if name.startswith("mask_share")} == {None}


def test_variants_that_do_not_exist_are_null_and_others_are_not(model):
    no_co = {**OWN, "co_emb": []}
    full, without_co, alone = scored(
        model,
        {"caption": "a sale", "text": OWN, "donor": DONOR, "co_donor": {**DONOR, "sample_id": "c"}},
        {"caption": "a sale", "text": no_co, "donor": DONOR},
        {"caption": "a sale", "text": OWN, "donor": None},
    )

    def existing(row):
        scores = {
            name.removeprefix("score_") for name, value in row["scores"][0].items() if value is not None
        }
        shares = {name.removeprefix("mask_share_") for name, value in row.items()
                  if name.startswith("mask_share") and value is not None}  # fmt: skip
        assert scores - {"raw"} == shares
        hits = {name.removeprefix("hit_share_") for name, value in row.items()
                if name.startswith("hit_share") and value is not None}  # fmt: skip
        assert hits == shares & set(RANDOM_VARIANTS)
        return shares

    assert existing(full) == {"all_removed", "co_removed", "random_all_removed", "random_co_removed"}
    assert existing(without_co) == {"all_removed", "random_all_removed"}
    assert existing(alone) == {"all_removed", "co_removed"}
    assert (full["donor_id"], full["co_donor_id"], alone["donor_id"]) == ("d", "c", None)


def test_a_caption_without_words_has_shares_and_no_scores(model):
    (row,) = scored(model, {"caption": "  ", "text": OWN, "donor": DONOR})
    assert set(row["scores"][0].values()) == {None}
    assert row["mask_share_all_removed"] > 0


def test_polygons_without_area_make_no_variant(model):
    flat = {"all_emb": [points(5, 5, 30, 5), None], "co_emb": [[]]}
    (row,) = scored(model, {"caption": "flat", "text": flat, "donor": None})
    assert row["mask_share_all_removed"] is None
    assert row["scores"][0]["score_all_removed"] is None


def test_scores_are_those_of_images_embedded_one_by_one(model, tmp_path):
    clip = resolve("parrot-tiny", None, cache_dir=tmp_path).load()
    rows = [{"caption": f"sale {n}", "text": OWN, "donor": DONOR} for n in range(3)]
    for row, result in zip(rows, scored(model, *rows), strict=True):
        found = variant_polygons(row, width=60, height=40, dilation=1)
        images = {"raw": photo()}
        images |= {name: inpaint(photo(), polygons, InpaintParams(dilation=1))
                   for name, polygons in found.items() if polygons}  # fmt: skip
        for name, image in images.items():
            (expected,) = clip.predict([clip.prepare(image)], [row])
            assert result["scores"][0][f"score_{name}"] == pytest.approx(expected["clip_score"], abs=1e-5)
        assert len(images) == 4
