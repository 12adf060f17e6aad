"""Table `subsets`: what each named subset is, what it was drawn from, and what its conditions removed."""

from pyspark.sql.types import ArrayType, LongType, StringType, StructType

from schemas._table import PROVENANCE, SAMPLE_KEY, TableSpec, column

_TABLE_READ = StructType(
    [
        column("table_name", StringType(), "Table"),
        column("run_key", StringType(), "Run key of the rows read"),
        column("delta_version", LongType(), "Delta version read; Delta forgets old ones"),
    ]
)
_ATTRITION = StructType(
    [
        column("condition", StringType(), "One AND-condition of the predicate, or a rule of the draw"),
        column("before", LongType(), "Samples that pass every condition before this one"),
        column("removed", LongType(), "Of these: not true for the condition, so removed here"),
        column("unmeasured", LongType(), "Of the removed: the condition is null, a measure is missing"),
        column("left", LongType(), "before - removed"),
        column(
            "removed_alone",
            LongType(),
            "Of all samples: those the condition would remove alone; null for rules of the draw",
        ),
    ]
)

TABLE = TableSpec(
    name="subsets",
    meaning="one named subset of one dataset: definition, provenance, counts and attrition",
    schema=StructType(
        [
            SAMPLE_KEY[0],
            column(
                "subset_id",
                StringType(),
                "Definition's id, with -SIZE, -sSEED and -control where the command says so",
                nullable=False,
            ),
            column("definition", StringType(), "Id of the definition", nullable=False),
            column("sentence", StringType(), "What the subset is, in one sentence"),
            column("predicate", StringType(), "SQL predicate over the measures, as table.column"),
            column("top", StringType(), "Quantile rule: share and measure; null without one"),
            column("size", LongType(), "Samples asked for; null: all that qualify"),
            column("seed", LongType(), "Seed of the draw by hash", nullable=False),
            column("stratum", StringType(), "equal or capped per cluster, with the cap; null without"),
            column("source", StringType(), "Where the definition comes from"),
            column(
                "assumptions", ArrayType(StringType()), "What the source leaves open, and how it was read"
            ),
            column("samples", LongType(), "Samples of the dataset", nullable=False),
            column("qualifying", LongType(), "Samples that pass predicate and quantile rule", nullable=False),
            column("members", LongType(), "Samples of the subset", nullable=False),
            column(
                "content_hash",
                StringType(),
                "Hash of the set of members, whatever their order and files",
                nullable=False,
            ),
            column("tables_read", ArrayType(_TABLE_READ), "What the subset was drawn from"),
            column("attrition", ArrayType(_ATTRITION), "What each condition removed, in order and alone"),
            *PROVENANCE,
        ]
    ),
    key=("dataset", "subset_id"),
    partition_by=("dataset", "subset_id"),
)
