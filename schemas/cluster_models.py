"""Table `cluster_models`: PCA, centroids and their merge into groups, vector by vector."""

from pyspark.sql.types import ArrayType, FloatType, IntegerType, LongType, StringType, StructType

from schemas._table import PROVENANCE, TableSpec, column

TABLE = TableSpec(
    name="cluster_models",
    meaning="one vector of a fitted cluster model: its PCA mean, a PCA component or a centroid",
    schema=StructType(
        [
            column("dataset", StringType(), "Dataset whose samples the model is used for", nullable=False),
            column(
                "model_version",
                StringType(),
                "Hash of the model's numbers; cluster_assignments names the same",
                nullable=False,
            ),
            column("kind", StringType(), "pca_mean, pca_component or centroid", nullable=False),
            column(
                "position",
                IntegerType(),
                "Number within its kind, from 0; a centroid's is its cluster",
                nullable=False,
            ),
            column(
                "vector",
                ArrayType(FloatType(), containsNull=False),
                "The vector: in CLIP space for the PCA, in PCA space for a centroid",
                nullable=False,
            ),
            column(
                "cluster_group",
                IntegerType(),
                "Group that the centroid is merged into (Ward, weighted by size), 0 the largest; else null",
            ),
            column("size", LongType(), "Points of the fitting sample nearest to the centroid; else null"),
            column("points", LongType(), "Points of the fitting sample", nullable=False),
            column("datasets", StringType(), "Datasets fitted together, JSON", nullable=False),
            column("parameters", StringType(), "What the fit was made with, JSON", nullable=False),
            *PROVENANCE,
        ]
    ),
    key=("dataset", "kind", "position", "run_key"),
)
