from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from spark_jobs.demo.captions import choose_text
from spark_jobs.demo.lettering import PlantedWord, break_lines, draw_text

GROUND = (200, 205, 210)


def drawn(seed: int, words: Sequence[str] | None = None) -> tuple[np.ndarray, tuple[PlantedWord, ...]]:
    """Which pixels of a calm picture the text changed, and the planted words."""
    rng = random.Random(seed)
    before = Image.new("RGB", (320, 320), GROUND)
    after, planted = draw_text(before, words or choose_text(rng), rng=rng)
    assert before.getextrema() == tuple((level, level) for level in GROUND)
    return np.any(np.asarray(after) != np.asarray(before), axis=2), planted


def area_of(planted: Sequence[PlantedWord], *, margin: int = 0) -> np.ndarray:
    mask = Image.new("L", (320, 320))
    for word in planted:
        ImageDraw.Draw(mask).polygon(word.polygon, fill=255)
    return np.asarray(mask.filter(ImageFilter.MaxFilter(2 * margin + 1)) if margin else mask) > 0


def is_turned(word: PlantedWord) -> bool:
    return abs(word.polygon[0][1] - word.polygon[1][1]) > 1


def test_polygons_hold_the_letters_and_nothing_else_is_painted() -> None:
    without_plate, turned = 0, 0
    for seed in range(120):
        changed, planted = drawn(seed)
        if changed.sum() > 0.9 * area_of(planted).sum():
            continue  # a plate: its ground is painted beyond the letters
        without_plate += 1
        turned += is_turned(planted[0])
        inside = changed & area_of(planted, margin=2)
        assert inside.sum() / changed.sum() > 0.99, seed
        for word in planted:
            assert (changed & area_of([word])).sum() > 0.1 * area_of([word]).sum(), (seed, word)
    assert without_plate >= 25
    assert turned >= 5


def test_some_text_stands_on_a_plate_that_covers_every_word() -> None:
    plates = 0
    for seed in range(60):
        changed, planted = drawn(seed)
        if changed.sum() > area_of(planted).sum():
            plates += 1
            assert changed[area_of(planted)].mean() > 0.97, seed
    assert plates >= 15


def test_letters_contrast_with_what_surrounds_them() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        noise = np.random.default_rng(seed).integers(0, 255, (320, 320, 3), dtype=np.uint8)
        after, planted = draw_text(Image.fromarray(noise), choose_text(rng), rng=rng)
        grey = np.asarray(after.convert("L"), dtype=np.float64)
        for word in planted:
            low, high = np.percentile(grey[area_of([word])], (5, 95))
            assert high - low > 50, (seed, word)


def test_polygons_lie_within_the_picture_and_have_legible_size() -> None:
    for seed in range(120):
        _, planted = drawn(seed)
        for word in planted:
            xs, ys = zip(*word.polygon, strict=True)
            assert 0 <= min(xs) < max(xs) <= 320
            assert 0 <= min(ys) < max(ys) <= 320
            assert max(ys) - min(ys) >= 10


def test_words_come_back_in_reading_order() -> None:
    words = ("Coffee", "Garden", "Music", "Tiger", "Velvet")
    for seed in range(40):
        _, planted = drawn(seed, words)
        assert tuple(word.text for word in planted) == words
        assert planted[0].polygon[0][0] < planted[1].polygon[0][0]  # side by side on the first line
        assert planted[0].polygon[3][1] < planted[4].polygon[3][1]  # the last word stands on a lower line


def test_text_keeps_off_what_it_should_avoid() -> None:
    def covered(avoid: list[tuple[float, float, float, float]]) -> int:
        total = 0
        for seed in range(25):
            rng = random.Random(seed)
            before = Image.new("RGB", (320, 320), GROUND)
            after, _ = draw_text(before, ("Tiger",), rng=rng, avoid=avoid)
            total += int(np.any(np.asarray(after)[:160] != np.asarray(before)[:160], axis=2).sum())
        return total

    assert covered([(0, 0, 320, 160)]) < 0.1 * covered([])


def test_lines_are_short_and_few() -> None:
    assert break_lines(["Coffee", "Garden", "Music", "Tiger"]) == [["Coffee", "Garden"], ["Music", "Tiger"]]
    assert [len(line) for line in break_lines(["Insurance"] * 5)] == [2, 2, 1]
    with pytest.raises(ValueError, match="at most 3 lines"):
        break_lines(["Intercontinental"] * 4)


@pytest.mark.parametrize("size", [224, 320])
def test_the_longest_words_fit_in_every_font(size: int) -> None:
    for seed in range(30):
        _, planted = draw_text(Image.new("RGB", (size, size)), ["MMMMMMMMM"] * 5, rng=random.Random(seed))
        assert max(x for word in planted for x, _ in word.polygon) < size


def test_words_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="fit 320 px"):
        draw_text(Image.new("RGB", (320, 320)), ["M" * 40], rng=random.Random(0))
