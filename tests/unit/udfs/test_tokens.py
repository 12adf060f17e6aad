from __future__ import annotations

import random
import unicodedata

import pytest

from udfs.tokens import normalised_spans, normalised_words, verbatim_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Year of YES!", ["year", "of", "yes"]),
        ("how-to-make-bubbles", ["how", "to", "make", "bubbles"]),
        ("11/16/2012", ["11", "16", "2012"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("Ｆｕｌｌｗｉｄｔｈ ﬁsh", ["fullwidth", "fish"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("हिन्दी", ["हिन्दी"]),
        ("I ❤️ NY", ["i", "ny"]),
        ("don't", ["don", "t"]),
        ("... - !", []),
        ("", []),
        (None, []),
    ],
)
def test_normalised_words(text, words):
    assert normalised_words(text) == words


def test_verbatim_words_are_str_split():
    assert verbatim_words("Big  SALE:\u00a0now\n") == ["Big", "SALE:", "now"]
    assert verbatim_words(None) == []


def test_spans_name_the_same_words_and_their_place(any_seed):
    draw = random.Random(any_seed)
    letters = [chr(code) for code in range(0x20, 0x3000) if unicodedata.category(chr(code))[0] in "LNPZM"]
    for _ in range(300):
        text = "".join(draw.choices(letters, k=12)) + draw.choice(["", " ﬁn", " Ⅷ", " é"])
        spans = normalised_spans(text)
        assert [word for word, _, _ in spans] == normalised_words(text), repr(text)
        assert all(0 <= start < end <= len(text) for _, start, end in spans)


def test_a_span_holds_the_characters_that_became_the_word():
    text = "Big ﬁsh, CAFE\u0301!"
    assert [text[start:end] for _, start, end in normalised_spans(text)] == ["Big", "ﬁsh", "CAFE\u0301"]
