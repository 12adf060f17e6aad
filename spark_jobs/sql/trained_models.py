"""What text does to the scores of a trained model: RSA, RSC, and the paper's Fig. 9."""

from __future__ import annotations

from spark_jobs.sql.steps import Step

PARROT = "cotr >= 0.5"
"""Pairs whose caption is mostly in the image. The paper takes those that lose more than 0.2 under one CLIP when the
text goes; this does not depend on a model."""

# Metric: expression over one sample, and which samples.
_METRICS = {
    "similarity_without_text": ("score_raw", "image_type = 'no_text'"),
    "similarity_parrot": ("score_raw", PARROT),
    "similarity_parrot_all_removed": ("score_all_removed", PARROT),
    "similarity_parrot_co_removed": ("score_co_removed", PARROT),
    "rsa": ("rsa", "image_type <> 'no_text'"),
    "rsc": ("rsc", "image_type <> 'no_text'"),
    "rsa_parrot": ("rsa", PARROT),
    "rsc_parrot": ("rsc", PARROT),
}


def relative_score_steps() -> list[Step]:
    """Means with their 95 % intervals by metric, from `removal` (one model's rows) and `overlap`.

    Returns:
        Steps; the last one has columns metric, value, samples, low, high.
    """
    values = "\nUNION ALL\n".join(
        f"SELECT '{metric}' AS metric, CAST({expression} AS DOUBLE) AS value FROM {{scored}} WHERE {which}"
        for metric, (expression, which) in _METRICS.items()
    )
    return [
        Step(
            "scored",
            "SELECT removal.score_raw, removal.score_all_removed, removal.score_co_removed, removal.rsa, removal.rsc, "
            "overlap.image_type, overlap.cotr FROM {removal} AS removal JOIN {overlap} AS overlap "
            "USING (shard_id, sample_id) WHERE removal.status = 'ok' AND overlap.status = 'ok'",
        ),
        Step("relative_values", values),
        Step(
            "relative_scores",
            "SELECT metric, avg(value) AS value, count(value) AS samples, "
            "avg(value) - 1.959964 * stddev_samp(value) / sqrt(count(value)) AS low, "
            "avg(value) + 1.959964 * stddev_samp(value) / sqrt(count(value)) AS high "
            "FROM {relative_values} WHERE value IS NOT NULL GROUP BY metric",
        ),
    ]
