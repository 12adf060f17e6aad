"""Words of text whose script is written without spaces, cut by a segmenter where its language is configured.

Chinese and Thai are cut by BudouX, Japanese by Janome (both of the extra `segment`). Where the language is not
configured such a run of letters is one piece, which says nothing about words: a caption that holds one has no CoTR.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

from udfs.tokens import normalised_words
from udfs.weights import WeightsError

Cut = Callable[[str], Sequence[str]]

_WITHOUT_SPACES = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}][\p{L}\p{M}]*"
)
_KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")


@dataclass(frozen=True)
class Language:
    """A language written without spaces that can be cut.

    Attributes:
        name: As messages call it.
        package: What cuts it; its version decides the words.
        script: Matches a character of its script.
    """

    name: str
    package: str
    script: regex.Pattern[str]


LANGUAGES = {
    "ch_sim": Language("Chinese", "budoux", regex.compile(r"\p{Han}")),
    "ch_tra": Language("Chinese", "budoux", regex.compile(r"\p{Han}")),
    "ja": Language("Japanese", "janome", regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")),
    "th": Language("Thai", "budoux", regex.compile(r"\p{Thai}")),
}
"""EasyOCR's code -> the language; of languages written without spaces, those that a segmenter is known for."""


@dataclass(frozen=True)
class WordCutter:
    """Words of the default reading, in every script. Picklable; segmenters are loaded where they are used.

    Attributes:
        languages: Codes of `LANGUAGES`, in the order in which they are asked; empty: nothing is cut.
    """

    languages: tuple[str, ...] = ()

    @property
    def params(self) -> dict[str, Any]:
        """What decides the words, as JSON types; empty where nothing is cut."""
        from importlib.metadata import version

        return {code: f"{_package(code)} {version(_package(code))}" for code in self.languages}

    def words(self, text: str | None) -> list[str]:
        """Normalised words; runs of a script without spaces are cut where the language is configured.

        Returns:
            Words in order, repeats kept; what cannot be cut stays one piece.
        """
        words = normalised_words(text)
        # Most text: nothing in it to cut, and to normalise its words again changes nothing.
        if text is None or text.isascii():
            return words
        return [piece for word in words for piece in self._pieces(word, text)]

    def is_cut(self, text: str | None) -> bool:
        """Whether all of a text can be cut into words: each script in it has spaces, or a configured language."""
        if text is None or text.isascii():
            return True
        runs = [run.group() for word in normalised_words(text) for run in _WITHOUT_SPACES.finditer(word)]
        return all(self._language_of(run, text) is not None for run in runs)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Places of the words in an unchanged text: whitespace words, cut further where a language is configured.

        Returns:
            (start, end) in order. What a segmenter cuts off without a letter or digit stays with what precedes it.
        """
        found: list[tuple[int, int]] = []
        for match in regex.finditer(r"\S+", text):
            start = match.start()
            for piece in self._raw_pieces(match.group(), text):
                end = start + len(piece)
                if found and found[-1][1] == start > match.start() and not normalised_words(piece):
                    found[-1] = (found[-1][0], end)
                else:
                    found.append((start, end))
                start = end
        return found

    def _pieces(self, word: str, text: str) -> list[str]:
        if word.isascii():
            return [word]
        return [piece for raw in self._raw_pieces(word, text) for piece in normalised_words(raw)]

    def _raw_pieces(self, word: str, text: str) -> list[str]:
        """The parts of a word, which together are the word."""
        pieces: list[str] = []
        done = 0
        for run in _WITHOUT_SPACES.finditer(word) if self.languages else ():
            code = self._language_of(run.group(), text)
            if code is None:
                continue
            if run.start() > done:
                pieces.append(word[done : run.start()])
            pieces += _segmenter(code)(run.group())
            done = run.end()
        if done < len(word):
            pieces.append(word[done:])
        return pieces

    def _language_of(self, run: str, text: str) -> str | None:
        """The configured language that cuts a run: kana in the text tells Japanese from Chinese."""
        fitting = [code for code in self.languages if LANGUAGES[code].script.match(run)]
        if "ja" in fitting and len(fitting) > 1:
            return "ja" if _KANA.search(text) else next(code for code in fitting if code != "ja")
        return next(iter(fitting), None)


def cutter_of(languages: Iterable[str]) -> WordCutter:
    """The cutter for a spotter's languages. Driver side.

    Args:
        languages: EasyOCR's codes; those written with spaces need no cutting.

    Raises:
        WeightsError: If the package that cuts one of them is not installed; says how to install it.
    """
    codes = tuple(code for code in dict.fromkeys(languages) if code in LANGUAGES)
    missing = sorted({_package(code) for code in codes if importlib.util.find_spec(_package(code)) is None})
    if missing:
        names = sorted({LANGUAGES[code].name for code in codes if _package(code) in missing})
        raise WeightsError(
            f"{' and '.join(names)} text is written without spaces, and {' and '.join(missing)}, which cuts it into "
            "words, is not installed: pip install 'parrot-captions[segment]' (on the workers too)."
        )
    return WordCutter(codes)


def _package(code: str) -> str:
    return LANGUAGES[code].package


@lru_cache(maxsize=len(LANGUAGES))
def _segmenter(code: str) -> Cut:
    """Load what cuts a language, once per process."""
    if code == "ja":
        from janome.tokenizer import Tokenizer

        tokenizer = Tokenizer(wakati=True)
        return lambda run: list(tokenizer.tokenize(run))
    import budoux

    load = {
        "ch_sim": budoux.load_default_simplified_chinese_parser,
        "ch_tra": budoux.load_default_traditional_chinese_parser,
        "th": budoux.load_default_thai_parser,
    }
    parser = load[code]()
    return lambda run: list(parser.parse(run))
