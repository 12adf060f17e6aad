"""View of what the paper publishes, to stand beside one's own numbers."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql.types import DoubleType, StringType

from schemas._table import column
from spark_jobs.report.paper import AVERAGE_SCORES, PROFILES, TABLE_2
from spark_jobs.views.view import Relations, View


def paper_rows() -> Iterator[tuple[str, str, str, str, float]]:
    """Table of the paper, what it is about, table and number that parrot gives, and the value."""
    for profile in PROFILES:
        for number, value in profile.row().items():
            if value is not None:
                yield profile.table, profile.name, "stat_overall", number, float(value)
    for variant, score in TABLE_2.items():
        yield "Table 2", variant, "stat_text_removal", "mean_over_groups", score.mean
        yield "Table 2", variant, "stat_text_removal", "spread_over_groups", score.spread
    for subset, mean in AVERAGE_SCORES.items():
        table = "Table 5" if subset.startswith("rsa") else "Table 6"
        yield table, subset, "stat_curation_score", "mean_clip_score", mean


def _paper_values(relations: Relations) -> str:
    rows = ",\n  ".join(
        f"('{table}', '{subject}', '{statistic}', '{number}', {value!r}D)"
        for table, subject, statistic, number, value in paper_rows()
    )
    return f"SELECT * FROM VALUES\n  {rows}\nAS paper(paper_table, subject, table_name, number, value)"


PAPER_VALUES = View(
    "paper_values",
    "one number that the paper publishes (arXiv 2312.14232)",
    (
        column("paper_table", StringType(), "Table of the paper"),
        column("subject", StringType(), "Dataset, kind of text removal, or built-in subset"),
        column("table_name", StringType(), "Table that holds one's own number"),
        column("number", StringType(), "Column of that table"),
        column("value", DoubleType(), "What the paper prints"),
    ),
    _paper_values,
)
