"""Two spotters' readings beside pandas, scipy and words cut in Python, on planted readings."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from schemas import samples, spotted_text
from spark_jobs.commands.compare_spotters import compare_spotters
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.warehouse.tables import Tables
from tests.interval_oracles import has_interval, student, wilson
from tests.table_rows import filled, put_rows

WORDS = ("Sale", "sale", "50%", "dog", "HUND", "Übergröße", "-", "one two", "cat_house")
CAPTIONS = ("a dog", "big sale", "one of two", "übergröße", "...", "nothing of it", "cat")
TYPES = ("no_text", "text_not_concurrent", "concurrent")
SURE = 0.3


def reading_row(number, spotter, run_key, readings, status="ok"):
    """A row of `spotted_text`; lines are its words."""
    lines = [(text, sure, []) for text, sure in readings]
    words = [(word, sure, [], line) for line, (text, sure) in enumerate(readings) for word in text.split()]
    return filled(
        spotted_text.TABLE,
        dataset="d",
        sample_id=f"s{number}",
        shard_id=str(number % 3),
        run_key=run_key,
        spotter=spotter,
        status=status,
        lines=lines if status == "ok" else None,
        words=words if status == "ok" else None,
        image_width=100,
        image_height=100,
    )


def tokens(readings):
    return set(re.findall(r"[^\W_]+", " ".join(text for text, _ in readings).lower()))


def kind_and_rate(caption, readings):
    """Image type and CoTR, by the definitions."""
    wanted = set(re.findall(r"[^\W_]+", caption.lower()))
    sure = {word for text, confidence in readings if confidence >= SURE for word in tokens([(text, 1)])}
    rate = len(wanted & sure) / len(wanted) if wanted else None
    kind = "no_text" if not tokens(readings) else "concurrent" if rate else "text_not_concurrent"
    return kind, rate


@pytest.fixture
def planted(spark, config):
    """A warehouse with three spotters; of the first, an older run key that read something else."""
    config = config.model_copy(update={"dataset": "d"})
    tables = Tables(spark, config.warehouse)
    draw = np.random.default_rng(5)
    captions = [str(caption) for caption in draw.choice(CAPTIONS, 60)]
    rows = [
        filled(samples.TABLE, dataset="d", sample_id=f"s{number}", shard_id=str(number % 3), caption=caption)
        for number, caption in enumerate(captions)
    ]
    put_rows(tables, samples.TABLE, rows, stage="ingest")

    def drawn():
        words = draw.choice(WORDS, draw.choice([0, 0, 1, 3]))
        return [(str(word), float(draw.choice([0.125, 0.5, 0.75]))) for word in words]

    one = {number: drawn() for number in range(60)}
    other = {number: one[number] if draw.random() < 0.4 else drawn() for number in range(60)}
    elsewhere = [reading_row(number, "easyocr/en", "z-before", [("elsewhere", 0.9)]) for number in range(60)]
    put_rows(tables, spotted_text.TABLE, elsewhere, stage="spot_text")
    # The last image is read by one alone, the one before failed there.
    rows = [reading_row(number, "easyocr/en", "a-now", one[number]) for number in range(59)]
    rows[58] = reading_row(58, "easyocr/en", "a-now", [], status="failed")
    put_rows(tables, spotted_text.TABLE, rows, stage="spot_text")
    rows = [reading_row(number, "easyocr-fast/en", "f", other[number]) for number in range(60)]
    put_rows(tables, spotted_text.TABLE, rows, stage="spot_text")
    frame = pd.DataFrame(
        [
            (
                tokens(one[n]),
                tokens(other[n]),
                *kind_and_rate(captions[n], one[n]),
                *kind_and_rate(captions[n], other[n]),
            )
            for n in range(58)
        ],
        columns=["one", "other", "one_type", "one_cotr", "other_type", "other_cotr"],
    )
    return config, frame


def test_the_numbers_are_those_of_pandas(spark, planted, capsys):
    config, frame = planted
    found = compare_spotters(spark, config, ("easyocr", "easyocr-fast/en"), as_json=True)
    assert json.loads(capsys.readouterr().out) == found
    assert (found["one"], found["other"]) == (
        {"spotter": "easyocr/en", "run_key": "a-now"},
        {"spotter": "easyocr-fast/en", "run_key": "f"},
    )
    assert (found["images"], found["images_of_one_only"], found["images_of_other_only"]) == (58, 0, 2)

    shared = frame.apply(lambda row: 2 * len(row.one & row.other), axis=1)
    words = frame.one.str.len() + frame.other.str.len()
    with_words = words > 0
    assert 10 < found["images_with_words"] == with_words.sum() < 58
    f1 = shared.sum() / words.sum()
    assert found["word_f1"] == pytest.approx(f1, abs=1e-12)
    residuals = (shared - f1 * words)[with_words]
    clusters = len(residuals)
    error = np.sqrt((residuals**2).sum() * clusters / (clusters - 1)) / words.sum()
    half = stats.t.ppf(0.975, clusters - 1) * error
    has_interval(found, "word_f1", (f1 - half, f1 + half))

    table = pd.crosstab(frame.one_type, frame.other_type).reindex(index=TYPES, columns=TYPES, fill_value=0)
    assert (table.to_numpy() > 0).sum() >= 8
    assert (
        pd.DataFrame(found["image_types"])
        .T.loc[list(TYPES), list(TYPES)]
        .equals(table.rename_axis(None).rename_axis(None, axis=1))
    )
    for name, agrees in (
        ("text_or_none_agrees", (frame.one_type == "no_text") == (frame.other_type == "no_text")),
        ("image_type_agrees", frame.one_type == frame.other_type),
    ):
        assert found[name] == pytest.approx(agrees.mean())
        has_interval(found, name, wilson(agrees.sum(), len(agrees)))

    rates = frame[["one_cotr", "other_cotr"]].dropna().astype(float)
    assert 20 < found["images_with_cotr"] == len(rates) < 58
    assert found["cotr_one"] == pytest.approx(rates.one_cotr.mean())
    assert found["cotr_other"] == pytest.approx(rates.other_cotr.mean())
    differences = rates.one_cotr - rates.other_cotr
    assert found["cotr_difference"] == pytest.approx(differences.mean(), abs=1e-12)
    has_interval(found, "cotr_difference", student(differences))


def test_what_people_see_and_what_is_refused(spark, planted, capsys):
    config, frame = planted
    compare_spotters(spark, config, ("easyocr-fast", "easyocr"), as_json=False)
    shown = capsys.readouterr().out
    assert "easyocr-fast/en (one) beside easyocr/en (other), dataset d" in " ".join(shown.split())
    assert "left out: read by easyocr-fast/en alone" in shown
    both = ((frame.one_type == "no_text") & (frame.other_type == "no_text")).sum()
    assert re.search(rf"│ no_text +│ +{both} │", shown)

    with pytest.raises(ConfigError, match="expected two spotters, found easyocr/en twice"):
        compare_spotters(spark, config, ("easyocr", "easyocr/en"), as_json=False)
    with pytest.raises(StageError) as raised:
        compare_spotters(spark, config, ("easyocr", "rapidocr"), as_json=False)
    assert "expected readings of rapidocr for dataset d, found those of easyocr-fast/en, easyocr/en" in str(
        raised.value
    )
    assert "parrot run spot_text --dataset d" in str(raised.value)
    assert "--set spot_text.spotter=rapidocr" in str(raised.value)

    tables = Tables(spark, config.warehouse)
    rows = [reading_row(99, "easyocr/de+en", "de", [("Hund", 0.9)])]
    put_rows(tables, spotted_text.TABLE, rows, stage="spot_text")
    with pytest.raises(ConfigError, match=r"in several languages: name one of easyocr/de\+en, easyocr/en"):
        compare_spotters(spark, config, ("easyocr", "easyocr-fast"), as_json=False)
    with pytest.raises(StageError, match=r"both easyocr/de\+en and easyocr/en have read, found none"):
        compare_spotters(spark, config, ("easyocr/de+en", "easyocr/en"), as_json=False)
