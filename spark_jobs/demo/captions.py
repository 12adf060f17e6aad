"""Captions of drawn scenes, and the words rendered onto them, in a relation that is known beforehand."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from spark_jobs.demo.scenes import GROUNDS, Background, Scene, SceneObject

NO_TEXT, UNRELATED, PARTIAL, FULL = "no_text", "unrelated", "partial", "full"
RELATIONS: dict[str, float] = {NO_TEXT: 0.35, UNRELATED: 0.2, PARTIAL: 0.2, FULL: 0.25}
"""How caption and rendered text relate, and the share of each in a corpus."""

MAX_TEXT_WORDS = 5

# None of these words may occur in a scene's caption: it would make an unrelated caption a parrot caption.
_TEXT_WORDS = """
account action address adventure agency airport album alert amazing amber america anchor angel annual
antique apartment apple april arcade archive arena artist august autumn avenue award bakery balance
banana bargain baseball basket battery beauty bedroom berlin bistro bonus border bottle boutique bread
breakfast bridge bright brother budget burger business butter cabinet cafe camera camp candle canvas
capital carbon career caravan castle catalog central ceramic champion channel charity cheese chef cherry
chicken chocolate cinema classic clean clinic coast coffee college comfort comedy company concert
contact cookie copper cotton council country coupon course creative crystal culture custom dance danger
december delivery denim dentist design dessert digital dinner discount discover doctor dollar double
dragon dream easter economy edition education electric element empire energy engine europe evening event
exchange exit expert express fabric factory family famous fashion father february festival finance
fitness forest forever formula fortune freedom fresh friday friend frozen future galaxy gallery garage
garden genuine germany ginger global gourmet grand guitar hammer handmade happy harbour harvest health
helmet heritage history holiday honest honey hotel hunter imagine import industry insurance internet
island jacket january jazz journey juice july june jungle justice keeper ketchup kingdom kitchen ladies
laundry leather legend lemon lesson library license london lounge lucky lunch luxury machine magazine
magic manager maple marathon market master matter medical melody member memory menu mercury message
metal midnight minute mobile modern monday morning mother motor mountain museum music mystery nation
natural network news night notice november number nurse ocean october office organic original outdoor
oxygen pacific package palace paradise paris parking partner party pepper perfect pharmacy phone pilot
pioneer pizza planet player pocket police popular power premium present price prime private product
profit project property protein public pumpkin quality quarter queen quick radio rebel recipe record
repair report rescue resort retail return reward rocket romance royal runner safety salad salmon
sandwich saturday sauce school science season secret security senior september service shampoo shopping
silver singer smart soccer social soda software solution special speed spirit sports spring stadium
station stereo stock store storm studio style sugar summer sunday super supply support surprise system
talent tango teacher temple tender theatre thursday ticket tiger tobacco today tomato tourist tractor
traffic travel treasure tribute trophy tuesday twin uniform union universe vacation vanilla velvet
venture victory video village vintage vision visit volume warning warranty weather wedding weekend
welcome whisper winner winter wonder workshop yoga youth zebra zenith zenova kolvex marvano tebrix
lumera orvanta vektor solara nordex pentara duvanto fabrox
"""
TEXT_WORDS: tuple[str, ...] = tuple(_TEXT_WORDS.split())
# 0 and 1 are left out: fonts and spotters alike confuse them with letters.
_TEXT_NUMBERS = """
235 247 258 264 283 296 324 345 356 365 378 429 436 457 483 529 546 563 587 624 638 659 672 685 724 746
753 768 829 842 865 876 924 937 945 956 2345 2468 3579 4567 6325 7856 8432 9274
"""
TEXT_NUMBERS: tuple[str, ...] = tuple(_TEXT_NUMBERS.split())

_LEADS = ("", "", "", "a picture of ", "a drawing of ", "an illustration of ")
_ENDINGS = ("with the {noun} {words}", "and a sign that says {words}", "with a label reading {words}")


def scene_caption(scene: Scene, rng: random.Random) -> str:
    """Describe a scene in one of several phrasings, all of them true."""
    lead = rng.choice(_LEADS)
    return f"{lead}{_describe_objects(scene, rng)} {_describe_background(scene.background)}"


def choose_text(rng: random.Random) -> tuple[str, ...]:
    """One to five different words (a tenth of them numbers), cased alike, as they will be rendered."""
    words: list[str] = []
    for _ in range(rng.choice((1, 2, 2, 3, 3, 4, MAX_TEXT_WORDS))):
        pool = TEXT_NUMBERS if rng.random() < 0.1 else TEXT_WORDS
        words.append(rng.choice([word for word in pool if word not in words]))
    casing = rng.choice((str.upper, str.upper, str.title, str.title, str.lower))
    return tuple(casing(word) for word in words)


def caption_for(relation: str, scene: Scene, text: Sequence[str], *, rng: random.Random) -> str:
    """Write the caption that stands in `relation` to the rendered words.

    Args:
        relation: Key of `RELATIONS`.
        scene: What the picture shows.
        text: The rendered words, in reading order; empty for `no_text`.
        rng: Source of phrasing and casing.

    Returns:
        For `no_text` and `unrelated` the scene's caption; for `partial` scene words and some rendered words;
        for `full` the rendered words and no other.

    Raises:
        ValueError: If there is no such relation, or `text` does not fit it.
    """
    if relation not in RELATIONS:
        raise ValueError(f"expected a relation of {sorted(RELATIONS)}, found {relation!r}")
    if bool(text) == (relation == NO_TEXT):
        raise ValueError(f"relation {relation!r} does not fit the rendered words {list(text)}")
    if relation == FULL:
        return _recase(" ".join(text), rng)
    caption = scene_caption(scene, rng)
    if relation != PARTIAL:
        return caption
    kept = sorted(rng.sample(range(len(text)), rng.randint(1, len(text))))
    quoted = _recase(" ".join(text[index] for index in kept), rng)
    noun = "word" if len(kept) == 1 else "words"
    ending = rng.choice(_ENDINGS).format(noun=noun, words=f'"{quoted}"' if rng.random() < 0.3 else quoted)
    return f"{caption} {ending}"


def planted_cotr(caption: str, text: Sequence[str]) -> float | None:
    """Share of the caption's distinct lower-cased words that were rendered; None for a caption without words.

    Written for the ASCII of this corpus and apart from the measuring code, which it is there to check.
    """
    caption_words = set(re.findall(r"[a-z0-9]+", caption.lower()))
    if not caption_words:
        return None
    return len(caption_words & {word.lower() for word in text}) / len(caption_words)


def _recase(words: str, rng: random.Random) -> str:
    return rng.choice((str, str, str.title, str.lower))(words)


def _describe_objects(scene: Scene, rng: random.Random) -> str:
    names = [name_object(item) for item in scene.objects]
    if scene.layout == "single":
        return f"{names[0]} {scene.place}" if rng.random() < 0.6 else names[0]
    if scene.layout == "row":
        order = " from left to right" if rng.random() < 0.5 else ""
        return f"{names[0]}, {names[1]} and {names[2]}{order}"
    forward, backward = _BETWEEN[scene.layout]
    if rng.random() < 0.2:
        return f"{names[0]} and {names[1]}"
    if rng.random() < 0.5:
        return f"{names[0]} {forward} {names[1]}"
    return f"{names[1]} {backward} {names[0]}"


_BETWEEN = {"above": ("above", "below"), "beside": ("to the left of", "to the right of")}


def name_object(item: SceneObject) -> str:
    """A shape with size and colour: a small red star."""
    size = "" if item.size == "medium" else f"{item.size} "
    return with_article(f"{size}{item.colour} {item.shape}")


def _describe_background(background: Background) -> str:
    first, *rest = background.colours
    if background.style in GROUNDS:
        return f"in {with_article(f'{first} {background.style}')} under {with_article(f'{rest[0]} sky')}"
    if background.style == "fading":
        return f"on {with_article(f'{first} background')} fading to {rest[0]}"
    second = f" and {rest[0]}" if rest else ""
    return f"on {with_article(f'{background.style} {first}{second} background')}"


def with_article(noun: str) -> str:
    """A noun with a or an."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
