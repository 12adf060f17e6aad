"""View of clusters: their statistics, and words that tell what each is about."""

from __future__ import annotations

from pyspark.sql.types import ArrayType, IntegerType, LongType, StringType, StructField

from schemas import caption_overlap, cluster_assignments, stat_cluster
from schemas._table import SAMPLE_KEY, column
from spark_jobs.views.view import Relations, View

_LABEL_WORDS = 5
_BY_PLACE = ", ".join(f"max(CASE WHEN place = {place} THEN word END)" for place in range(1, _LABEL_WORDS + 1))
_LEVELS = {"cluster": "cluster", "group": "cluster_group"}
_NAMES = ("dataset", "level", "cluster_id", "samples")
_STATISTICS = [
    StructField(field.name, field.dataType, True, field.metadata)
    for field in stat_cluster.TABLE.result_fields()
    if field.name not in _NAMES
]


def _cluster_profile(relations: Relations) -> str:
    """Statistics of each cluster, its group, and its most distinctive caption words.

    Distinctive is what many captions of the cluster hold and few others: the log-odds of a caption holding the word,
    in units of their standard deviation (Monroe, Colaresi and Quinn, "Fightin' Words", 2008, with a flat prior of
    half a caption).
    """
    members = " UNION ALL ".join(
        f"SELECT dataset, '{level}' AS level, {name} AS cluster_id, cluster_group, sample_id "
        f"FROM {relations.current(cluster_assignments.TABLE)} WHERE {name} IS NOT NULL"
        for level, name in _LEVELS.items()
    )
    statistics = ", ".join(f"t.{field.name}" for field in _STATISTICS)
    return f"""WITH members AS ({members}),
sizes AS (
  SELECT dataset, level, cluster_id, min(cluster_group) AS cluster_group, count(*) AS samples
  FROM members GROUP BY dataset, level, cluster_id
),
words AS (
  SELECT m.dataset, m.level, m.cluster_id, word, count(*) AS here
  FROM members m
  JOIN (
    SELECT dataset, sample_id, word FROM {relations.current(caption_overlap.TABLE)}
    LATERAL VIEW explode(caption_words) words AS word
  ) o ON m.dataset = o.dataset AND m.sample_id = o.sample_id
  WHERE length(word) > 2 AND NOT word RLIKE '^[0-9]+$'
  GROUP BY m.dataset, m.level, m.cluster_id, word
),
counted AS (
  SELECT w.*, s.samples,
    sum(here) OVER (PARTITION BY w.dataset, w.level, word) - here AS elsewhere,
    t.all_samples - s.samples AS others
  FROM words w JOIN sizes s
    ON w.dataset = s.dataset AND w.level = s.level AND w.cluster_id = s.cluster_id
  JOIN (SELECT dataset, level, sum(samples) AS all_samples FROM sizes GROUP BY dataset, level) t
    ON w.dataset = t.dataset AND w.level = t.level
),
scored AS (
  SELECT dataset, level, cluster_id, word,
    (ln((here + 0.5) / (samples - here + 0.5)) - ln((elsewhere + 0.5) / (others - elsewhere + 0.5)))
      / sqrt(1 / (here + 0.5) + 1 / (elsewhere + 0.5)) AS score
  FROM counted WHERE here > 1 AND others > 0
),
placed AS (
  SELECT dataset, level, cluster_id, word,
    row_number() OVER (PARTITION BY dataset, level, cluster_id ORDER BY score DESC, word) AS place
  FROM scored WHERE score > 0
),
labels AS (
  SELECT dataset, level, cluster_id, filter(array({_BY_PLACE}), w -> w IS NOT NULL) AS label_words
  FROM placed WHERE place <= {_LABEL_WORDS} GROUP BY dataset, level, cluster_id
)
SELECT s.dataset, s.level, s.cluster_id, s.cluster_group, s.samples,
  coalesce(array_join(l.label_words, ', '), '') AS label, coalesce(l.label_words, array()) AS label_words,
  {statistics}
FROM sizes s
LEFT JOIN labels l ON s.dataset = l.dataset AND s.level = l.level AND s.cluster_id = l.cluster_id
LEFT JOIN {relations.current(stat_cluster.TABLE)} t
  ON s.dataset = t.dataset AND s.level = t.level AND s.cluster_id = t.cluster_id"""


CLUSTER_PROFILE = View(
    "cluster_profile",
    "one cluster, or group of clusters, of one dataset: what it is about, and its statistics",
    (
        SAMPLE_KEY[0],
        column("level", StringType(), "cluster, or group (clusters merged)"),
        column("cluster_id", IntegerType(), "Cluster or group, from 0"),
        column(
            "cluster_group", IntegerType(), "Group that the cluster is merged into; of a group its own number"
        ),
        column("samples", LongType(), "Samples in it"),
        column(
            "label",
            StringType(),
            "Its most distinctive caption words, by log-odds against all other clusters, the most distinctive first; "
            "empty for an only one",
        ),
        column("label_words", ArrayType(StringType()), "The same as a list"),
        *_STATISTICS,
    ),
    _cluster_profile,
    reads=(cluster_assignments.TABLE, caption_overlap.TABLE, stat_cluster.TABLE),
)
