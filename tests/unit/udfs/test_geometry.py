"""Polygons against shapely."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import MultiPoint, Polygon, box

from udfs import geometry

WIDTH, HEIGHT = 100, 60


def random_polygons(count: int, *, corners: int, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        points = random.uniform(-60, 160, size=(corners, 2))
        if corners == 4:
            points = np.array(MultiPoint(points).convex_hull.exterior.coords)[:-1]
        if Polygon(points).is_valid and Polygon(points).area > 1:
            found.append(points)
    return found


@pytest.mark.parametrize("corners", [3, 4, 5])
def test_clip_has_the_area_of_shapely_intersection(corners: int, any_seed: int) -> None:
    polygons = random_polygons(200, corners=corners, seed=any_seed)
    outside = 0
    for points in polygons:
        expected = Polygon(points).intersection(box(0, 0, WIDTH, HEIGHT)).area
        clipped = geometry.clip_to_image(points, width=WIDTH, height=HEIGHT)
        assert geometry.area(clipped) == pytest.approx(expected, abs=1e-6)
        assert len(clipped) == 0 or (clipped.min() >= 0 and (clipped.max(axis=0) <= (WIDTH, HEIGHT)).all())
        outside += len(clipped) == 0
    assert outside > 0, "no polygon of the sample lies outside the image"


def test_clip_of_convex_polygon_is_shapely_intersection(any_seed: int) -> None:
    for points in random_polygons(200, corners=4, seed=any_seed):
        clipped = geometry.clip_to_image(points, width=WIDTH, height=HEIGHT)
        expected = Polygon(points).intersection(box(0, 0, WIDTH, HEIGHT))
        if len(clipped):
            assert Polygon(clipped).symmetric_difference(expected).area == pytest.approx(0, abs=1e-6)


def test_polygon_inside_the_image_is_unchanged() -> None:
    quad = np.array([(10.0, 10), (40, 12), (39, 30), (11, 28)])
    np.testing.assert_array_equal(geometry.clip_to_image(quad, width=WIDTH, height=HEIGHT), quad)


def test_area_agrees_with_shapely_far_from_the_origin(any_seed: int) -> None:
    for points in random_polygons(50, corners=5, seed=any_seed):
        far = points + 1e6
        assert geometry.area(far) == pytest.approx(Polygon(points).area, rel=1e-6)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(5, 5)],
        [(5, 5), (9, 9)],
        [(5, 5), (9, 9), (20, 20), (30, 30)],  # on a line
        [(5, 5)] * 4,
        [(-30, -30), (-10, -30), (-10, -10), (-30, -10)],  # outside
        [(WIDTH, 0), (WIDTH + 9, 0), (WIDTH + 9, 9), (WIDTH, 9)],  # touches the edge
        [(0, 0), (float("nan"), 0), (9, 9)],
        [(0, 0), (float("inf"), 0), (9, 9)],
        [(0, 0), (1e300, 0), (1e300, 1e300), (0, 1e300)],
        [(0, 0, 0), (5, 0, 0), (5, 5, 0)],
        [(0, 0), (5,), (5, 5)],
        [("a", "b"), ("c", "d"), ("e", "f")],
        None,
    ],
)
def test_degenerate_polygons_become_empty(points: object) -> None:
    clipped = geometry.clip_to_image(points, width=WIDTH, height=HEIGHT)
    assert clipped.shape == (0, 2)
    assert geometry.area(clipped) == 0
    assert geometry.text_area_ratio([points], width=WIDTH, height=HEIGHT) == 0
    assert [word.text for word in geometry.cut_words("two words", points)] == ["two", "words"]


def test_text_area_ratio_counts_overlap_twice_and_clips() -> None:
    half = np.array([(0.0, 0), (50, 0), (50, 60), (0, 60)])
    beyond = np.array([(-500.0, -500), (500, -500), (500, 500), (-500, 500)])
    assert geometry.text_area_ratio([], width=WIDTH, height=HEIGHT) == 0
    assert geometry.text_area_ratio([half], width=WIDTH, height=HEIGHT) == 0.5
    assert geometry.text_area_ratio([half, half, beyond], width=WIDTH, height=HEIGHT) == 2.0


def test_text_area_ratio_of_no_image_is_zero() -> None:
    assert geometry.text_area_ratio([np.array([(0.0, 0), (5, 0), (5, 5)])], width=0, height=0) == 0


def test_words_take_their_character_share() -> None:
    words = geometry.cut_words("ab cdefg", [(0, 0), (80, 0), (80, 10), (0, 10)])
    assert [word.text for word in words] == ["ab", "cdefg"]
    np.testing.assert_allclose(words[0].polygon, [(0, 0), (20, 0), (20, 10), (0, 10)])
    np.testing.assert_allclose(words[1].polygon, [(30, 0), (80, 0), (80, 10), (30, 10)])


def test_words_follow_a_slanted_line() -> None:
    quad = [(0, 0), (100, 50), (90, 70), (-10, 20)]  # top edge 0 -> 1, bottom edge 3 -> 2
    first, second = geometry.cut_words("aaaa bbbbb", quad)
    np.testing.assert_allclose(first.polygon, [(0, 0), (40, 20), (30, 40), (-10, 20)])
    np.testing.assert_allclose(second.polygon, [(50, 25), (100, 50), (90, 70), (40, 45)])


def test_leading_and_inner_spaces_count() -> None:
    (word,) = geometry.cut_words("  ab  ", [(0, 0), (60, 0), (60, 10), (0, 10)])
    np.testing.assert_allclose(word.polygon[:2], [(20, 0), (40, 0)])


@pytest.mark.parametrize("text", ["", "   ", "a", "a\tb\u00a0c\u3000d", " x  y ", "x\x1cy\x85z"])
def test_words_are_those_of_str_split(text: str) -> None:
    assert [word.text for word in geometry.cut_words(text, [(0, 0), (9, 0), (9, 9), (0, 9)])] == text.split()


def test_other_than_four_corners_are_cut_by_their_bounding_rectangle() -> None:
    (word,) = geometry.cut_words("ab", [(0, 5), (5, 0), (10, 5), (8, 9), (2, 9)])
    np.testing.assert_allclose(word.polygon, [(0, 0), (10, 0), (10, 9), (0, 9)])


def test_points_of_a_table_come_back() -> None:
    quad = np.array([(1.5, 2), (30, 2), (30, 9), (1.5, 9)])
    points = geometry.to_points(quad)
    assert points[0] == {"x": 1.5, "y": 2.0}
    assert {type(value) for point in points for value in point.values()} == {float}
    np.testing.assert_array_equal(geometry.from_points(points), quad)
    assert geometry.from_points([]).shape == (0, 2)
