"""SQL of what views derive from texts: host, language, kind of an error. Plain SQL, so that every catalog takes it."""

from __future__ import annotations

from spark_jobs.pipeline import STAGES

_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://([^/?#@]*@)?([^/:?#]+)"

# Scripts that one language, or nearly, is written in; the first that three letters of are found in.
_SCRIPTS = {
    "ja": r"\\p{IsHiragana}\\p{IsKatakana}",
    "ko": r"\\p{IsHangul}",
    "zh": r"\\p{IsHan}",
    "th": r"\\p{IsThai}",
    "el": r"\\p{IsGreek}",
    "he": r"\\p{IsHebrew}",
    "ar": r"\\p{IsArabic}",
    "hi": r"\\p{IsDevanagari}",
    "ru": r"\\p{IsCyrillic}",
}
# Short words that captions of a language have and captions of the others rarely.
_SHORT_WORDS = {
    "en": "the a an of and with on in is for to by from at this that",
    "de": "der die das und mit von für im auf ein eine einem den dem ist zu",
    "fr": "le la les et avec du des une dans pour sur est un au aux",
    "es": "el la los las y con del una para por un en es al de",
    "pt": "o os as e com do da dos das uma para por um em no na",
    "it": "il lo gli di e con della del una per un nel nella che",
    "nl": "de het een en met van voor op in is te bij",
}


def host(url: str) -> str:
    """The host of a URL, in lower case; null where there is none."""
    return f"nullif(lower(regexp_extract({url}, '{_HOST}', 2)), '')"


def language(caption: str) -> str:
    """The language of a caption, ISO 639-1: by its script, else the one most of whose short words it holds."""
    scripts = " ".join(
        f"WHEN {caption} RLIKE '([{letters}].*){{2}}' THEN '{code}'" for code, letters in _SCRIPTS.items()
    )
    words = f"split(lower({caption}), '[^\\\\p{{L}}]+')"
    # Of each language the count, then its place from the last: of equal counts the first language is the greatest.
    base = len(_SHORT_WORDS)
    counts = ", ".join(
        f"size(filter({words}, w -> array_contains(split('{short}', ' '), w))) * {base} + {base - 1 - place}"
        for place, short in enumerate(_SHORT_WORDS.values())
    )
    codes = ", ".join(f"'{code}'" for code in reversed(_SHORT_WORDS))
    best = f"greatest({counts})"
    return f"CASE {scripts} WHEN {best} >= {base} THEN element_at(array({codes}), {best} % {base} + 1) END"


def error_code(error: str) -> str:
    """The kind of an error: `http_404`, `timed_out`, else its first words, without numbers and names of stages."""
    # Stages hand an error on with their name before it.
    names = "|".join(["image", *(stage.name for stage in STAGES)])
    own = f"regexp_replace({error}, '^(({names}): )+', '')"
    first = f"regexp_extract({own}, '^([^:<(0-9]{{3,60}})', 1)"
    plain = f"trim(BOTH '_' FROM regexp_replace(lower({first}), '[^a-z]+', '_'))"
    return (
        f"CASE WHEN {error} IS NULL THEN NULL "
        f"WHEN {error} RLIKE 'HTTP Error [0-9]{{3}}' "
        f"THEN concat('http_', regexp_extract({error}, 'HTTP Error ([0-9]{{3}})', 1)) "
        f"WHEN lower({error}) RLIKE 'timed? ?out' THEN 'timed_out' "
        f"WHEN coalesce({plain}, '') = '' THEN 'other' ELSE {plain} END"
    )
