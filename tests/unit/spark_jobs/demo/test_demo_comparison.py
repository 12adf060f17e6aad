from __future__ import annotations

import pytest
from rich.console import Console

from spark_jobs.demo.comparison import (
    NOT_MEASURED,
    MeasuredRow,
    RelationLine,
    TruthRow,
    compare,
    render,
    to_lines,
)


def planted(
    key: str,
    relation: str,
    image_type: str | None,
    *,
    words: tuple[str, ...] = (),
    cotr: float | None = 0.0,
    fault: str | None = None,
) -> TruthRow:
    return TruthRow(key, "00000", relation, image_type, words, (), "a caption", cotr, fault)


TRUTH = [
    planted("full", "full", "concurrent", words=("Big", "SALE"), cotr=1.0),
    planted("partial", "partial", "concurrent", words=("Tiger", "Lemon", "Jazz", "Radio"), cotr=0.25),
    planted("unseen", "unrelated", "text_not_concurrent", words=("Velvet",)),
    planted("scene", "no_text", "no_text"),
    planted("ring", "no_text", "no_text"),
    planted("empty", "no_text", "no_text", cotr=None, fault="empty_caption"),
    planted("truncated", "full", None, words=("Ocean",), cotr=None, fault="truncated_jpeg"),
    planted("gone", "full", None, cotr=None, fault="failed_download"),
    planted("crashed", "full", "concurrent", words=("Pizza",), cotr=1.0),
    planted("lost", "no_text", "no_text"),
]
MEASURED = [
    MeasuredRow("full", "ok", ("big", "sale"), 1.0, "concurrent"),
    # Two of four words read, one false word: recall 2/4, precision 2/3.
    MeasuredRow("partial", "ok", ("tiger", "lemon", "jozz", "tiger"), 0.125, "concurrent"),
    MeasuredRow("unseen", "ok", (), 0.0, "no_text"),
    MeasuredRow("scene", "ok", (), 0.0, "no_text"),
    MeasuredRow("ring", "ok", ("0",), 0.0, "text_not_concurrent"),
    MeasuredRow("empty", "ok", (), None, "no_text"),
    MeasuredRow("truncated", "failed"),
    MeasuredRow("gone", "skipped"),
    MeasuredRow("crashed", "failed"),
    MeasuredRow("stranger", "ok", ("what",), 0.0, "text_not_concurrent"),
]


def test_words_are_scored_as_sets_per_image_and_averaged() -> None:
    result = compare(TRUTH, MEASURED)
    assert result.images_with_text == 3
    assert result.word_recall == pytest.approx((1 + 2 / 4 + 0) / 3)
    assert result.word_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (result.images_without_text, result.images_with_false_words) == (3, 1)


def test_rates_are_compared_where_both_exist() -> None:
    result = compare(TRUTH, MEASURED)
    assert result.cotr_compared == 5
    assert result.cotr_error == pytest.approx(0.125 / 5)
    assert result.relations == (
        RelationLine("no_text", 2, 0.0, 0.0),
        RelationLine("unrelated", 1, 0.0, 0.0),
        RelationLine("partial", 1, 0.25, 0.125),
        RelationLine("full", 1, 1.0, 1.0),
    )


def test_every_planted_sample_stands_once_in_the_image_types() -> None:
    result = compare(TRUTH, MEASURED)
    assert result.image_types == {
        ("concurrent", "concurrent"): 2,
        ("text_not_concurrent", "no_text"): 1,
        ("no_text", "no_text"): 2,
        ("no_text", "text_not_concurrent"): 1,
        (NOT_MEASURED, NOT_MEASURED): 2,
        ("concurrent", NOT_MEASURED): 1,
        ("no_text", NOT_MEASURED): 1,
    }
    assert sum(result.image_types.values()) == result.samples == 10


def test_what_was_not_measured_is_counted_by_reason() -> None:
    result = compare(TRUTH, MEASURED)
    assert (result.measured, result.failed, result.skipped, result.missing) == (6, 2, 1, 1)
    assert result.unknown == 1
    assert result.lost == 2  # crashed and lost; the truncated and the failed one were planted so


def test_nothing_measured_gives_no_means() -> None:
    result = compare(TRUTH, [])
    assert (result.word_recall, result.word_precision, result.cotr_error) == (None, None, None)
    assert result.missing == 10


@pytest.mark.parametrize("side", ["truth", "measurement"])
def test_a_key_that_occurs_twice_is_refused(side: str) -> None:
    truth = TRUTH * 2 if side == "truth" else TRUTH
    with pytest.raises(ValueError, match=f"once in the {side}, found 'full' twice"):
        compare(truth, MEASURED * 2 if side == "measurement" else MEASURED)


def test_the_tables_show_the_numbers() -> None:
    result = compare(TRUTH, MEASURED)
    console = Console(width=110, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(render(result))
    text = capture.get()
    for measure, value in to_lines(result):
        assert measure in text and value in text
    assert "50.0%" in text  # recall
    assert "83.3%" in text  # precision
    assert "0.025" in text  # CoTR error
    assert NOT_MEASURED in text
