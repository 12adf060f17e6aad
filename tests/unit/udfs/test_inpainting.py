"""Filling polygons in, against OpenCV over the whole image: every pixel equal."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from udfs.inpainting import (
    FILLS,
    InpaintParams,
    Region,
    fill_regions,
    inpaint,
    margin_of,
    mask_share,
    regions_of,
)

WIDTH, HEIGHT = 160, 120


def photo(width=WIDTH, height=HEIGHT, *, seed=0):
    """Smooth colours with noise: flat parts would hide wrong pixels."""
    draw = np.random.default_rng(seed)
    noise = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), 2) // 2 + noise // 2)


def whole_mask(polygons, *, width=WIDTH, height=HEIGHT, dilation=0):
    """The mask over the whole image, polygon by polygon, without a box or a group.

    Polygons that `clip_to_image` finds without area are left out by their area here: computed with OpenCV.
    """
    mask = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64).reshape(-1, 2)
        frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        if len(corners) < 3 or not np.isfinite(corners).all():
            continue
        if cv2.contourArea(corners.astype(np.float32)) == 0:
            continue
        if cv2.isContourConvex(corners.astype(np.float32)):
            covered, inside = cv2.intersectConvexConvex(corners.astype(np.float32), frame)
            if covered == 0:
                continue
            corners = inside.reshape(-1, 2).astype(np.float64)
        cv2.fillPoly(mask, [np.rint((corners - 0.5) * 16).astype(np.int32)], 255, shift=4)
    if dilation:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * dilation + 1, 2 * dilation + 1))
        mask = cv2.dilate(mask, kernel)
    return mask


def drawn(regions, *, width=WIDTH, height=HEIGHT):
    """The regions' masks put together."""
    mask = np.zeros((height, width), np.uint8)
    for region in regions:
        assert not (mask[region.place] & region.mask).any(), "a pixel belongs to one region"
        mask[region.place] |= region.mask
    return mask


def box(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


SHAPES = {
    "none": [],
    "one": [box(40, 30, 80, 50)],
    "at_the_corner": [box(0, 0, 30, 20)],
    "along_every_border": [box(0, 30, 8, 60), box(150, 30, 160, 60), box(40, 0, 90, 6), box(40, 112, 90, 120)],
    "overlapping": [box(20, 20, 70, 50), box(50, 30, 100, 70)],
    "touching": [box(20, 20, 50, 40), box(50, 20, 80, 40)],
    "margins_overlap": [box(20, 20, 50, 40), box(58, 20, 90, 40)],
    "margins_nearly_overlap": [box(10, 20, 40, 40), box(68, 20, 95, 40)],
    "far_apart": [box(5, 5, 20, 15), box(120, 90, 150, 110)],
    "a_frame_around_another": [box(5, 5, 155, 12), box(5, 5, 12, 115), box(5, 108, 155, 115), box(148, 5, 155, 115),
                               box(75, 55, 85, 65)],
    "rotated": [[(40, 60), (80, 20), (95, 35), (55, 75)]],
    "half_outside": [box(-30, 40, 25, 70), box(140, 100, 400, 300)],
    "outside": [box(-50, -50, -10, -10), box(200, 10, 250, 40)],
    "two_points": [[(10, 10), (60, 60)]],
    "zero_area": [[(10, 10), (40, 10), (90, 10)], [(30, 30)] * 4],
    "no_points": [[]],
    "not_finite": [[(10, 10), (float("nan"), 20), (30, 30)]],
    "smaller_than_a_pixel": [box(50.2, 50.2, 50.4, 50.4)],
    "covering_everything": [box(0, 0, WIDTH, HEIGHT)],
    "covering_more": [box(-20, -20, WIDTH + 20, HEIGHT + 20)],
    "all_but_a_line": [box(0, 0, WIDTH, HEIGHT - 1.5)],
}  # fmt: skip


@pytest.mark.parametrize("dilation", [0, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_equals_the_call_over_the_whole_image(name, dilation):
    pixels, params = photo(), InpaintParams(radius=3, dilation=dilation)
    mask = whole_mask(SHAPES[name], dilation=dilation)
    found = regions_of(SHAPES[name], width=WIDTH, height=HEIGHT, params=params)
    assert np.array_equal(drawn(found), mask)
    assert mask_share(found, width=WIDTH, height=HEIGHT) == pytest.approx((mask > 0).mean())
    expected = cv2.inpaint(pixels, mask, 3, cv2.INPAINT_TELEA)
    before = pixels.copy()
    assert np.array_equal(inpaint(pixels, SHAPES[name], params), expected)
    assert np.array_equal(pixels, before)


def test_random_shapes_equal_the_call_over_the_whole_image(any_seed):
    draw = np.random.default_rng(any_seed)
    masked = grouped = 0
    for case in range(300):
        width, height = draw.integers(3, 140, 2).tolist()
        pixels = photo(width, height, seed=case)
        polygons = []
        for _ in range(draw.integers(1, 9)):
            center = draw.uniform((-10, -10), (width + 10, height + 10))
            half, angle = draw.uniform(0.3, 14, 2), draw.uniform(0, np.pi)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            polygons.append((np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half) @ turn + center)
        params = InpaintParams(radius=int(draw.integers(1, 7)), dilation=int(draw.integers(0, 5)))
        found = regions_of(polygons, width=width, height=height, params=params)
        mask = drawn(found, width=width, height=height)
        expected = cv2.inpaint(pixels, mask, params.radius, cv2.INPAINT_TELEA)
        assert np.array_equal(inpaint(pixels, polygons, params), expected), f"case {case}"
        masked += mask.any()
        grouped += len(found) > 1
    assert masked > 250
    assert grouped > 30


@pytest.mark.parametrize("radius", range(1, 7))
def test_pieces_at_any_distance_equal_the_call_over_the_whole_image(radius):
    params, counts = InpaintParams(radius=radius), []
    for gap in range(1, 2 * margin_of(params)):
        pixels = photo(seed=gap)
        for slant in (0, 3):
            polygons = [
                box(40, 30, 70, 55),
                [(70 + gap, 25), (100 + gap, 25 + slant), (100 + gap, 60), (70 + gap, 60)],
            ]
            mask = whole_mask(polygons)
            expected = cv2.inpaint(pixels, mask, radius, cv2.INPAINT_TELEA)
            assert np.array_equal(inpaint(pixels, polygons, params), expected), (gap, slant)
            counts.append(len(regions_of(polygons, width=WIDTH, height=HEIGHT, params=params)))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 2)


@pytest.mark.parametrize("radius", range(1, 7))
def test_masks_just_farther_apart_than_the_margin_do_not_influence_each_other(radius, any_seed):
    """Of any shape, as close as can be: what boxes of polygons only come near to."""
    draw, params = np.random.default_rng([any_seed, radius]), InpaintParams(radius=radius)
    far = margin_of(params) + 1
    for case in range(60):
        first = np.zeros((60, 60), np.uint8)
        for _ in range(draw.integers(1, 5)):
            ends = draw.integers(0, 60, (2, 2)).tolist()
            cv2.line(first, ends[0], ends[1], 255, int(draw.integers(1, 9)))
        near = cv2.dilate(first, np.ones((2 * far - 1, 2 * far - 1), np.uint8))
        second = np.where(near, 0, draw.integers(0, 2, (60, 60)) * 255).astype(np.uint8)
        pixels = photo(60, 60, seed=case)
        expected = cv2.inpaint(pixels, first | second, radius, cv2.INPAINT_TELEA)
        regions = [Region(0, 0, first), Region(0, 0, second)]
        assert np.array_equal(fill_regions(pixels, regions, params), expected), case


@pytest.mark.parametrize("radius", range(1, 7))
def test_grey_parts_equal_the_call_over_the_whole_image(radius):
    """They are filled as one channel where that gives the same pixels."""
    pixels = photo(seed=radius)
    pixels[:, :100] = pixels[:, :100, :1]
    polygons = [box(5, 5, 80, 50), [(10, 60), (70, 70), (60, 110), (8, 100)], box(120, 20, 155, 100)]
    expected = cv2.inpaint(pixels, whole_mask(polygons), radius, cv2.INPAINT_TELEA)
    assert np.array_equal(inpaint(pixels, polygons, InpaintParams(radius=radius)), expected)


def test_the_margin_is_needed():
    """Two pieces that are nearer than the margin influence each other: filling them alone is not exact."""
    pixels, params = photo(), InpaintParams(radius=5, dilation=0)
    polygons = [box(20, 20, 60, 60), box(62, 20, 100, 60)]
    assert len(regions_of(polygons, width=WIDTH, height=HEIGHT, params=params)) == 1
    alone = inpaint(inpaint(pixels, polygons[:1], params), polygons[1:], params)
    assert not np.array_equal(alone, inpaint(pixels, polygons, params))
    assert margin_of(params) == 12


def test_mean_color_takes_the_surroundings_mean():
    pixels = np.full((60, 80, 3), (10, 20, 30), np.uint8)
    pixels[20:30, 30:50] = 255  # the text
    filled = inpaint(pixels, [box(30, 20, 50, 30)], InpaintParams(fill="mean_color", radius=3, dilation=1))
    assert (filled == (10, 20, 30)).all()


def test_mean_color_fills_each_piece_by_its_own_surroundings():
    pixels = np.zeros((60, 200, 3), np.uint8)
    pixels[:, 100:] = 200
    params = InpaintParams(fill="mean_color", dilation=0)
    filled = inpaint(pixels, [box(20, 20, 40, 40), box(160, 20, 180, 40)], params)
    assert np.array_equal(filled, pixels)


def test_mean_color_of_a_covered_image_is_its_own_mean():
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, 10:] = 100
    filled = inpaint(pixels, [box(0, 0, 20, 10)], InpaintParams(fill="mean_color"))
    assert (filled == 50).all()


def test_an_unknown_fill_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"Did you mean telea.*mean_color"):
        inpaint(photo(), [], InpaintParams(fill="tela"))


def test_another_fill_needs_a_name_only(monkeypatch):
    monkeypatch.setitem(FILLS, "black", lambda part, mask, params: np.zeros_like(part))
    filled = inpaint(photo(), [box(10, 10, 20, 20)], InpaintParams(fill="black", dilation=0))
    assert (filled[10:20, 10:20] == 0).all()
    assert (filled[:9] == photo()[:9]).all()
