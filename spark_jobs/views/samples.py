"""Views of samples: all that is known of each, and those that parrot."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
)

from schemas import (
    aesthetic_scores,
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    images,
    near_duplicates,
    samples,
    spotted_text,
    subset_members,
    text_removal_scores,
)
from schemas._table import SAMPLE_KEY, TableSpec, column
from spark_jobs.views.expressions import error_code, host, language
from spark_jobs.views.view import Relations, View

_WORDS = ArrayType(StringType())

# Column, and the expression that it is.
_MEASURES: tuple[tuple[StructField, str], ...] = (
    (samples.TABLE.schema["source_key"], "s.source_key"),
    (samples.TABLE.schema["source_id"], "s.source_id"),
    (samples.TABLE.schema["url"], "s.url"),
    (column("host", StringType(), "Host of the URL, in lower case; null without a URL"), host("s.url")),
    (samples.TABLE.schema["caption"], "s.caption"),
    (
        column(
            "language",
            StringType(),
            "Language that the caption's script or its short words show (ISO 639-1), a guess; null where neither does",
        ),
        language("s.caption"),
    ),
    (
        column("width", IntegerType(), "Width of the image, else as declared, px"),
        "coalesce(i.width, s.width)",
    ),
    (
        column("height", IntegerType(), "Height of the image, else as declared, px"),
        "coalesce(i.height, s.height)",
    ),
    (images.TABLE.schema["format"], "i.format"),
    (images.TABLE.schema["image_uri"], "i.image_uri"),
    (
        column("status", StringType(), "ok, or failed: its image, its vector or its text could not be had"),
        "IF(coalesce(i.status, 'ok') = 'failed' OR coalesce(e.status, 'ok') = 'failed' "
        "OR coalesce(t.status, 'ok') = 'failed', 'failed', 'ok')",
    ),
    (
        column(
            "error_code", StringType(), "What kind of error that was, as view failures counts it; else null"
        ),
        error_code(
            "CASE 'failed' WHEN i.status THEN i.error WHEN e.status THEN e.error WHEN t.status THEN t.error END"
        ),
    ),
    (
        column("error", StringType(), "The first error, of image, vector or text; else null"),
        "CASE 'failed' WHEN i.status THEN i.error WHEN e.status THEN e.error WHEN t.status THEN t.error END",
    ),
    (
        column(
            "visible_text", StringType(), "All that the spotter read, in reading order; empty without text"
        ),
        "array_join(transform(t.words, word -> word.text), ' ')",
    ),
    (spotted_text.TABLE.schema["text_area_ratio"], "t.text_area_ratio"),
    (column("caption_words", _WORDS, "Distinct normalised words of the caption"), "o.caption_words"),
    (column("spotted_words", _WORDS, "Distinct normalised spotted words that count"), "o.spotted_words"),
    (column("co_emb_words", _WORDS, "Caption words that the picture shows too"), "o.co_emb_words"),
    (caption_overlap.TABLE.schema["image_type"], "o.image_type"),
    (caption_overlap.TABLE.schema["cotr"], "o.cotr"),
    (caption_overlap.TABLE.schema["fuzzy_cotr"], "o.fuzzy_cotr"),
    (column("clip_model", StringType(), "CLIP model of clip_score"), "e.model"),
    (clip_embeddings.TABLE.schema["clip_score"], "e.clip_score"),
    (
        column("removal_model", StringType(), "CLIP model of rsa and rsc; the first by name of several"),
        "r.model",
    ),
    (column("rsa", FloatType(), "Score lost when all text is filled in; null without text"), "r.rsa"),
    (
        column("rsc", FloatType(), "Score lost when the words that the caption repeats are filled in"),
        "r.rsc",
    ),
    (cluster_assignments.TABLE.schema["cluster"], "c.cluster"),
    (cluster_assignments.TABLE.schema["cluster_group"], "c.cluster_group"),
    (near_duplicates.TABLE.schema["is_duplicate"], "d.is_duplicate"),
    (near_duplicates.TABLE.schema["duplicate_of"], "d.duplicate_of"),
    (aesthetic_scores.TABLE.schema["aesthetic_score"], "a.aesthetic_score"),
    (
        column("subsets", _WORDS, "Subsets that it is in, by name; empty for none"),
        "coalesce(m.subsets, array())",
    ),
)
_JOINED: tuple[tuple[str, TableSpec], ...] = (
    ("i", images.TABLE),
    ("e", clip_embeddings.TABLE),
    ("t", spotted_text.TABLE),
    ("o", caption_overlap.TABLE),
    ("c", cluster_assignments.TABLE),
    ("d", near_duplicates.TABLE),
    ("a", aesthetic_scores.TABLE),
)
_KEYS = [field.name for field in SAMPLE_KEY]


def _sample_profile(relations: Relations) -> str:
    columns = [*(f"s.{name}" for name in _KEYS), *(f"{sql} AS {field.name}" for field, sql in _MEASURES)]
    joins = [
        f"LEFT JOIN {relations.current(spec)} {alias} ON {_same_sample(alias)}" for alias, spec in _JOINED
    ]
    scores = "min(model) AS model, min_by(rsa, model) AS rsa, min_by(rsc, model) AS rsc"
    joins += [
        f"LEFT JOIN (SELECT dataset, sample_id, {scores} FROM {relations.current(text_removal_scores.TABLE)} "
        f"GROUP BY dataset, sample_id) r ON {_same_sample('r')}",
        "LEFT JOIN (SELECT dataset, sample_id, array_sort(collect_set(subset_id)) AS subsets "
        f"FROM {relations.current(subset_members.TABLE)} GROUP BY dataset, sample_id) m ON {_same_sample('m')}",
    ]
    return "\n".join([f"SELECT {', '.join(columns)}", f"FROM {relations.current(samples.TABLE)} s", *joins])


def _same_sample(alias: str) -> str:
    return f"s.dataset = {alias}.dataset AND s.sample_id = {alias}.sample_id"


SAMPLE_PROFILE = View(
    "sample_profile",
    "one sample with all that has been measured of it; null where a stage has not run or did not give it",
    (*SAMPLE_KEY, *(field for field, _ in _MEASURES)),
    _sample_profile,
    reads=(
        samples.TABLE,
        *(spec for _, spec in _JOINED),
        text_removal_scores.TABLE,
        subset_members.TABLE,
    ),
)

_PROFILED = {field.name: field for field in SAMPLE_PROFILE.columns}
_WORST_FIRST = [
    _PROFILED[name]
    for name in (
        *("cotr", "fuzzy_cotr", "co_emb_words", "caption", "visible_text", "url", "host", "language"),
        *(
            "clip_score",
            "rsa",
            "rsc",
            "cluster",
            "cluster_group",
            "subsets",
            "image_uri",
            "shard_id",
            "sample_id",
        ),
    )
]


def _parrot_captions(relations: Relations) -> str:
    order = "cotr DESC, fuzzy_cotr DESC, size(co_emb_words) DESC, sample_id"
    return (
        f"SELECT row_number() OVER (PARTITION BY dataset ORDER BY {order}) AS worst, * "
        f"FROM {relations.view('sample_profile')} WHERE image_type = 'concurrent'"
    )


PARROT_CAPTIONS = View(
    "parrot_captions",
    "one sample whose caption repeats its visible text",
    (
        SAMPLE_KEY[0],
        column(
            "worst",
            LongType(),
            "Place in its dataset, from 1: by CoTR, fuzzy CoTR, number of repeated words; order by it",
        ),
        *_WORST_FIRST,
    ),
    _parrot_captions,
    reads=SAMPLE_PROFILE.reads,
)
