"""One sample with all that is known of it: what `parrot show` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spark_jobs.errors import StageError
from spark_jobs.report.content import GallerySample, Reading
from spark_jobs.report.read.pictures import is_unsafe
from spark_jobs.warehouse.addresses import quoted
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys, register_views
from udfs.guarded_decode import decode
from udfs.image_codec import DecodeLimits, ImageFault
from udfs.image_refs import ImageRef, read_images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_MOST = 5
_LIMITS = DecodeLimits(max_pixels=64_000_000)
_NOT_SHOWN = ("caption_words", "spotted_words", "co_emb_words", "visible_text", "subsets", "caption")


@dataclass
class Shown:
    """A sample as it is shown.

    Attributes:
        profile: Its row of view `sample_profile`.
        words: Readings of the text spotter: text, confidence, polygon, line.
        lines: Its raw readings.
        used: Words that count, as `caption_overlap.used_words` has them.
        reference: Where its image lies.
        scores: Rows of `text_removal_scores`, by model.
        duplicates: Samples that repeat it, or that it repeats: id, and which of the two.
        pictures: Pictures by name: the image with its polygons, and with text filled in.
        fault: Why there is no picture; None where there is one.
        is_unsafe: Whether the source marks the image as unsafe.
    """

    profile: Mapping[str, Any]
    words: list[Mapping[str, Any]]
    lines: list[Mapping[str, Any]]
    used: list[Mapping[str, Any]]
    reference: ImageRef | None
    scores: list[Mapping[str, Any]]
    duplicates: list[tuple[str, str]]
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    fault: str | None = None
    is_unsafe: bool = False


def read_sample(tables: Tables, sample: str, *, dataset: str | None) -> Shown:
    """Read all that tables say of a sample.

    Raises:
        StageError: If no sample is called that, or several are; names them.
    """
    spark = tables.spark
    known = set(register_views(tables, query="sample_profile"))
    profile = _profile(tables, sample, dataset=dataset)
    where = (
        f"dataset = {quoted(profile['dataset'])} AND shard_id = {quoted(profile['shard_id'])} "
        f"AND sample_id = {quoted(profile['sample_id'])}"
    )

    def rows(table: str) -> list[dict[str, Any]]:
        if table not in known:
            return []
        return [
            row.asDict(recursive=True) for row in spark.sql(f"SELECT * FROM {table} WHERE {where}").collect()
        ]

    spotted = next(iter(rows("spotted_text")), {})
    overlap = next(iter(rows("caption_overlap")), {})
    image = next(iter(rows("images")), {})
    source = next(iter(rows("samples")), {})
    reference = None
    if image.get("image_uri"):
        reference = ImageRef(
            image["image_uri"], image["image_offset"], image["image_length"], image["image_row"]
        )
    return Shown(
        profile=profile,
        words=spotted.get("words") or [],
        lines=spotted.get("lines") or [],
        used=overlap.get("used_words") or [],
        reference=reference,
        scores=sorted(rows("text_removal_scores"), key=lambda row: row["model"]),
        duplicates=_duplicates(tables, profile) if "near_duplicates" in known else [],
        is_unsafe=is_unsafe(source.get("nsfw"), source.get("punsafe")),
    )


def _profile(tables: Tables, sample: str, *, dataset: str | None) -> dict[str, Any]:
    text = quoted(sample)
    called = f"(sample_id = {text} OR source_key = {text} OR source_id = {text} OR url = {text}"
    called += f" OR startswith(sample_id, {text}))"
    of = f" AND dataset = {quoted(dataset)}" if dataset else ""
    query = f"SELECT * FROM sample_profile WHERE {called}{of} ORDER BY dataset, sample_id LIMIT {_MOST + 1}"
    found = [row.asDict(recursive=True) for row in tables.spark.sql(query).collect()]
    exact = [row for row in found if row["sample_id"] == sample]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise StageError(
            f"no sample {sample} in {tables.warehouse}: give a sample_id or its beginning, a key or id of the source, "
            "or a URL, as `parrot sql` shows them in sample_profile"
        )
    names = ", ".join(f"{row['sample_id']} of {row['dataset']}" for row in found[:_MOST])
    raise StageError(f"several samples are called {sample}: {names}{', ...' if len(found) > _MOST else ''}")


def _duplicates(tables: Tables, profile: Mapping[str, Any]) -> list[tuple[str, str]]:
    ids = quoted(profile["sample_id"])
    rows = tables.spark.sql(
        f"SELECT sample_id FROM near_duplicates WHERE dataset = {quoted(profile['dataset'])} "
        f"AND duplicate_of = {ids} AND is_duplicate ORDER BY sample_id LIMIT 20"
    ).collect()
    own = [(profile["duplicate_of"], "repeated by this one")] if profile["is_duplicate"] else []
    return own + [(row["sample_id"], "repeats this one") for row in rows]


def add_pictures(tables: Tables, shown: Shown) -> None:
    """Read the image, draw its polygons, and fill its text in as stage `remove_text` did."""
    from PIL import Image as Pillow

    from spark_jobs.report.figures.thumbnails import draw_thumbnail
    from spark_jobs.report.read.text_removal import fill_of, removed_text, without_text

    if shown.reference is None:
        shown.fault = shown.profile["error"] or "there is no image"
        return
    data = read_images([shown.reference], max_bytes=_LIMITS.max_bytes)[0]
    if not isinstance(data, bytes):
        shown.fault = str(data)
        return
    try:
        pixels = decode(data, _LIMITS).pixels
    except ImageFault as fault:
        shown.fault = str(fault)
        return
    shown.pictures["image"] = draw_thumbnail(gallery_sample(shown, pixels))
    dataset = shown.profile["dataset"]
    run_key = current_run_keys(tables).get((dataset, "text_removal_scores"))
    fill = fill_of(tables, dataset, run_key) if run_key and shown.scores else None
    row = {"words": shown.words, "lines": shown.lines, "used_words": shown.used}
    _, readings = removed_text(row)
    if fill is None or not readings or shown.is_unsafe:
        return
    repeated = [shown.words[used["index"]] for used in shown.used if used["co_emb"]]
    for name, removed in (("all text removed", readings), ("repeated words removed", repeated)):
        filled = without_text(data, removed, fill, limits=_LIMITS) if removed else None
        if filled is not None:
            picture = Pillow.fromarray(filled)
            picture.thumbnail((256, 256))
            shown.pictures[name] = picture


def gallery_sample(shown: Shown, pixels: NDArray[np.uint8]) -> GallerySample:
    """The sample as the report's gallery draws it."""
    profile = shown.profile
    height, width = pixels.shape[:2]
    return GallerySample(
        sample_key=profile["sample_id"],
        image_type=profile["image_type"],
        caption=profile["caption"],
        co_emb_words=tuple(profile["co_emb_words"] or ()),
        cotr=profile["cotr"],
        fuzzy_cotr=profile["fuzzy_cotr"],
        clip_score=profile["clip_score"],
        words=tuple(map(Reading.from_row, shown.words)),
        lines=tuple(map(Reading.from_row, shown.lines)),
        pixels=pixels,
        image_width=width,
        image_height=height,
        error=None,
        unsafe=shown.is_unsafe,
    )


def facts_of(shown: Shown) -> dict[str, str]:
    """What stands in the first table, in order; what is not known is left out."""
    profile = shown.profile
    facts: dict[str, Any] = {
        "caption": profile["caption"],
        "visible text": profile["visible_text"],
        "repeated words": ", ".join(profile["co_emb_words"] or ()),
        "subsets": ", ".join(profile["subsets"] or ()),
        "duplicates": ", ".join(f"{sample} ({how})" for sample, how in shown.duplicates),
        "no picture": shown.fault,
    }
    for name, value in profile.items():
        if name not in _NOT_SHOWN:
            facts[name.replace("_", " ")] = f"{value:.4g}" if isinstance(value, float) else value
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def words_of(shown: Shown) -> list[tuple[str, str, str]]:
    """Each spotted word, its confidence, and what it counts as."""
    used = {one["index"]: one for one in shown.used}
    kinds = {None: "does not count", False: "counts", True: "repeated in the caption"}
    return [
        (word["text"], f"{word['confidence']:.2f}", kinds[used[place]["co_emb"] if place in used else None])
        for place, word in enumerate(shown.words)
    ]


def removals_of(shown: Shown) -> list[tuple[str, ...]]:
    """CLIP scores by model: raw, without all text, without repeated words, and the two random removals."""
    names = ("raw", "all_removed", "co_removed", "random_all_removed", "random_co_removed")
    return [
        (
            row["model"],
            *("" if row[f"score_{name}"] is None else f"{row[f'score_{name}']:.4f}" for name in names),
        )
        for row in shown.scores
    ]


REMOVAL_HEADINGS = (
    "CLIP model",
    "raw",
    "all text removed",
    "repeated removed",
    "random all",
    "random repeated",
)
WORD_HEADINGS = ("word", "confidence", "is")
