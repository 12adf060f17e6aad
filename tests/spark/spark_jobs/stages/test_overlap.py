from __future__ import annotations

import functools
import json
import operator
import random
import unicodedata

import pytest

from schemas import spotted_text
from spark_jobs.stages.overlap import measured as measure
from udfs.geometry import area, as_polygon, clip_to_image, to_points
from udfs.overlap_rows import WordRules
from udfs.word_cutting import WordCutter

WORDS = spotted_text.TABLE.schema["words"].dataType.simpleString()
INPUT = (
    f"shard_id string, sample_id string, caption string, words {WORDS}, image_width int, image_height int, "
    "text_status string, text_error string"
)


def polygon_of(points):
    return as_polygon([(point["x"], point["y"]) for point in points])


def measured(spark, pairs, **rules):
    """Overlap of (caption, [(spotted word, confidence)]) pairs, in order, through the stage's own plan."""
    rows = [
        (
            "0",
            f"{n:06d}",
            caption,
            [(text, confidence, [], 0) for text, confidence in words],
            100,
            50,
            "ok",
            None,
        )
        for n, (caption, words) in enumerate(pairs)
    ]
    rules = WordRules(**{"min_confidence": 0.0, **rules})
    result = measure(spark.createDataFrame(rows, INPUT), rules=rules)
    return sorted(result.collect(), key=lambda row: row["sample_id"])


def oracle_tokens(text):
    """The default reading, written character by character: no regular expression, no shared code."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text or "").casefold())
    words, word = [], ""
    for character in folded + " ":
        category = unicodedata.category(character)
        if category[0] in "LM" or category == "Nd":
            word += character
            continue
        if any(
            unicodedata.category(letter)[0] == "L" or unicodedata.category(letter) == "Nd" for letter in word
        ):
            words.append(word)
        word = ""
    return words


def has_no_spaces(text):
    """By the names of characters: no regular expression, no shared code."""
    scripts = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "THAI", "LAO ", "KHMER", "MYANMAR")
    return any(unicodedata.name(character, "").startswith(scripts) for character in text)


@functools.cache
def levenshtein(one, other):
    """Distance by two rows of the table."""
    before = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        now = [place]
        for column, counterpart in enumerate(other, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != counterpart)))
        before = now
    return before[-1]


def oracle(caption, words):
    caption_words = list(dict.fromkeys(oracle_tokens(caption)))
    reason = None if caption_words else "no_words"
    if any(map(has_no_spaces, caption_words)):
        caption_words, reason = [], "script_without_spaces"
    spotted = set()
    for word in words:
        spotted.update(oracle_tokens(word))
    verbatim = set() if reason == "script_without_spaces" else set((caption or "").split())
    # Punctuation alone is no text.
    spotted_verbatim = {piece for word in words for piece in word.split()} if spotted else set()
    rate = fuzzy = verbatim_rate = None
    if caption_words:
        rate = len(set(caption_words) & spotted) / len(caption_words)
        best = [
            max((1 - levenshtein(w, s) / max(len(w), len(s)) for s in spotted), default=0.0)
            for w in caption_words
        ]
        fuzzy = functools.reduce(operator.add, best, 0.0) / len(best)
    if verbatim:
        verbatim_rate = len(verbatim & spotted_verbatim) / len(verbatim)
    kind = "no_text" if not spotted else "concurrent" if rate else "text_not_concurrent"
    return {
        "spotted_words": spotted,
        "co_emb_words": set(caption_words) & spotted,
        "cotr": rate,
        "cotr_verbatim": verbatim_rate,
        "fuzzy_cotr": fuzzy,
        "cotr_reason": reason,
        "image_type": kind,
    }


def assert_equal_to_oracle(spark, pairs):
    for row, (caption, words) in zip(measured(spark, pairs), pairs, strict=True):
        expected = oracle(caption, [text for text, _ in words])
        for name in ("spotted_words", "co_emb_words"):
            assert set(row[name]) == expected[name], caption
            assert len(set(row[name])) == len(row[name])
        # To the bit: similarities are added in the order of the caption's words.
        for name in ("cotr", "cotr_verbatim", "fuzzy_cotr", "image_type", "cotr_reason"):
            assert row[name] == expected[name], (name, caption, words)


def test_real_captions_and_ocr_words_equal_the_oracle(spark, shared_data):
    lines = (
        (shared_data / "laion_metadata" / "caption_vs_ocr_853.jsonl").read_text(encoding="utf-8").splitlines()
    )
    records = [json.loads(line) for line in lines if line.strip()]
    pairs = [
        ((record["captions"] or [None])[0], [(word, 1.0) for word in record["words"] if word.strip()])
        for record in records
    ]
    assert len(pairs) == 853
    assert sum(bool(words) for _, words in pairs) == 369
    assert_equal_to_oracle(spark, pairs)


def test_generated_text_equals_the_oracle(spark, any_seed):
    draw = random.Random(any_seed)
    pool = [
        "STRASSE", "straße", "Ｆｕｌｌ", "full", "ﬁsh", "fish", "İstanbul", "istanbul", "café", "cafe\u0301", "naïve",
        "how-to-make", "11/16/2012", "3.14", "x²", "½", "é", "مرحبا", "日本語", "हिन्दी", "👍", "❤️", "don't", "O'Neil",
        "...", "-", "a", "A", "ΣΊΣΥΦΟΣ", "σίσυφος", "Ⅷ", "tab\tbed", "new\nline", "\u00a0nbsp\u00a0", "é́́",
        "_under_score_",
    ]  # fmt: skip
    pairs = [
        (
            draw.choice(["", " "]).join(draw.choices(pool, k=draw.randrange(0, 9)))
            if draw.random() < 0.2
            else " ".join(draw.choices(pool, k=draw.randrange(0, 9))),
            [(word, 1.0) for word in draw.choices(pool, k=draw.randrange(0, 6))],
        )
        for _ in range(400)
    ]
    pairs += [
        (None, []),
        (None, [("text", 1.0)]),
        ("", []),
        ("   ", [("x", 1.0)]),
        ("word " * 20_000, [("word", 1.0)]),
    ]
    assert_equal_to_oracle(spark, pairs)


def test_a_caption_without_words_has_no_rate_but_a_type(spark):
    none, punctuation, blank = measured(spark, [(None, [("SALE", 1.0)]), ("?!", [("SALE", 1.0)]), ("", [])])
    assert [row["cotr"] for row in (none, punctuation, blank)] == [None, None, None]
    assert [row["fuzzy_cotr"] for row in (none, punctuation, blank)] == [None, None, None]
    assert [row["image_type"] for row in (none, punctuation, blank)] == [
        "text_not_concurrent",
        "text_not_concurrent",
        "no_text",
    ]


def test_hand_checked_rates(spark):
    (row,) = measured(spark, [("Big SALE big shoes", [("sale!", 0.9), ("Big", 0.9)])])
    assert row["caption_words"] == ["big", "sale", "shoes"]
    assert row["co_emb_words"] == ["big", "sale"]
    assert row["cotr"] == pytest.approx(2 / 3)
    assert row["cotr_verbatim"] == pytest.approx(
        1 / 4
    )  # Big, SALE, big, shoes: only Big stands there verbatim
    assert row["fuzzy_cotr"] == pytest.approx((1 + 1 + 0.4) / 3)  # shoes ~ sale: distance 3 of 5
    assert row["image_type"] == "concurrent"


def test_words_below_the_minimum_confidence_do_not_count_but_are_text(spark):
    pairs = [("open door", [("open", 0.30), ("door", 0.29)]), ("open", [("open", 0.1)])]
    first, second = measured(spark, pairs, min_confidence=0.3)
    assert first["co_emb_words"] == ["open"]
    assert (first["spotted_word_count"], first["mean_confidence"]) == (1, 0.3)
    assert (second["spotted_word_count"], second["mean_confidence"]) == (0, None)
    assert (second["text_detected"], second["image_type"]) == (True, "text_not_concurrent")
    assert (second["cotr"], second["fuzzy_cotr"]) == (0, 0)


def test_text_is_detected_by_a_letter_or_a_digit_from_the_detection_confidence_on(spark):
    pairs = [
        ("a & b", [("&", 0.9), ("!?", 0.9)]),
        ("a", [("x", 0.0)]),
        ("a", [("7", 0.2), ("--", 0.9)]),
        ("a", [("7", 0.19), ("--", 0.9)]),
        ("a", [("\u0661", 0.5)]),  # an Arabic digit
        ("a", []),
    ]
    by_default = [row["text_detected"] for row in measured(spark, pairs, min_confidence=0.3)]
    assert by_default == [False, True, True, True, True, False]
    raised = measured(spark, pairs, min_confidence=0.3, detection_confidence=0.2)
    assert [row["text_detected"] for row in raised] == [False, False, True, False, True, False]
    assert [row["image_type"] for row in raised] == [
        "no_text", "no_text", "text_not_concurrent", "no_text", "text_not_concurrent", "no_text",
    ]  # fmt: skip
    punctuation = raised[0]
    assert (punctuation["cotr_verbatim"], punctuation["used_words"]) == (0, [])


def test_captions_in_a_script_without_spaces_are_cut_where_their_language_is_configured(spark):
    pairs = [
        ("禁止停车", [("停车", 0.9)]),
        ("ห้ามจอดรถ", [("จอด", 0.9)]),
        ("no parking 禁止停车", [("PARKING", 0.9)]),
        ("no parking", [("禁止停车", 0.9)]),
    ]
    for row in measured(spark, pairs)[:3]:
        assert (row["cotr"], row["cotr_verbatim"], row["fuzzy_cotr"]) == (None, None, None)
        assert (row["cotr_reason"], row["caption_words"]) == ("script_without_spaces", [])
        assert row["image_type"] == "text_not_concurrent"
    assert measured(spark, pairs)[3]["cotr"] == 0
    pytest.importorskip("budoux", reason="extra segment is not installed")
    chinese, thai, mixed, english = measured(spark, pairs, cutter=WordCutter(("ch_sim", "th")))
    assert chinese["caption_words"] == ["禁止", "停车"]
    assert (chinese["cotr"], chinese["co_emb_words"]) == (0.5, ["停车"])
    assert thai["cotr"] == pytest.approx(1 / 3)
    assert mixed["cotr"] == 0.25
    assert english["cotr"] == 0


def test_a_sample_without_spotted_text_result_is_skipped(spark):
    frame = spark.createDataFrame([("0", "1", "a caption", None, None, None, "failed", "damaged")], INPUT)
    (row,) = measure(frame, rules=WordRules(0.0)).collect()
    assert (row["status"], row["error"]) == ("skipped", "spot_text: damaged")
    assert row["image_type"] is None
    assert row["cotr"] is None


def test_used_words_say_where_they_stand_whether_they_are_co_emb_and_how_large(spark):
    draw = random.Random(5)

    def polygon():
        points = [(draw.uniform(-20, 120), draw.uniform(-20, 70)) for _ in range(draw.randrange(3, 7))]
        return to_points(clip_to_image(points, width=100, height=50))

    words = [
        ("Sale!", 0.9, [{"x": 0.0, "y": 0.0}, {"x": 50.0, "y": 0.0}, {"x": 50.0, "y": 10.0}, {"x": 0.0, "y": 10.0}], 0),
        ("low", 0.1, polygon(), 0),
        ("none", 0.9, [], 0),
        ("!!", 0.9, None, 0),
        *(("big-shoes", 0.9, polygon(), 1) for _ in range(20)),
    ]  # fmt: skip
    rows = [
        ("0", "0", "SALE of shoes", words, 100, 50, "ok", None),
        ("0", "1", None, words, None, None, "ok", None),
        ("0", "2", "no text", [], 100, 50, "ok", None),
        ("0", "3", "damaged", None, None, None, "failed", "damaged"),
    ]
    frame = measure(spark.createDataFrame(rows, INPUT), rules=WordRules(0.3))
    found = sorted(frame.collect(), key=lambda row: row["sample_id"])
    first, second, third, fourth = (row["used_words"] for row in found)
    assert [word["index"] for word in first] == [0, 2, *range(4, 24)]  # "low" is unsure, "!!" is no word
    assert [word["co_emb"] for word in first] == [True, False, *[True] * 20]
    assert first[0]["area_ratio"] == pytest.approx(0.1)
    expected = [area(polygon_of(words[word["index"]][2] or [])) / 5000 for word in first]
    assert [word["area_ratio"] for word in first] == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert sum(ratio > 0 for ratio in expected) > 15
    assert {(word["co_emb"], word["area_ratio"]) for word in second} == {(False, None)}
    assert (third, fourth) == ([], None)
