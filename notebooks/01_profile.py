# Databricks notebook source
# %% [markdown]
# # Profile of a dataset
# How many images hold text, how much of each caption stands in its picture, and what that looks like.

# COMMAND ----------

# %%
import os

import matplotlib.pyplot as plt

from schemas import TABLES
from spark_jobs.sections import SessionConfig
from spark_jobs.session import open_session
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import register_views
from udfs.guarded_decode import decode
from udfs.image_codec import DecodeLimits
from udfs.image_refs import ImageRef, read_images

WAREHOUSE = os.environ.get("PARROT_WAREHOUSE", "demo/warehouse")  # or catalog.schema
DATASET = os.environ.get("PARROT_DATASET", "demo")
TYPES = ("no_text", "text_not_concurrent", "concurrent")

spark = open_session(SessionConfig())
print("Tables and views:", ", ".join(register_views(Tables(spark, WAREHOUSE))))

# COMMAND ----------

# %% [markdown]
# ## The paper's Table 1

# COMMAND ----------

# %%
profile = spark.sql("SELECT * FROM stat_overall WHERE dataset = :dataset", args={"dataset": DATASET})
print(profile.drop("input_key", "run_key").toPandas().T.to_string(header=False))
print()
print("\n".join(f"{field.name}: {field.metadata['comment']}" for field in TABLES["stat_overall"].schema))

# COMMAND ----------

# %% [markdown]
# ## CoTR by image type
# The share of caption words that the picture shows too, in bins of 0.05. Images of the first two types have CoTR 0.

# COMMAND ----------

# %%
bins = spark.sql(
    """
    SELECT image_type, least(floor(cotr * 20), 19) / 20 AS bin, count(*) AS samples
    FROM caption_overlap
    WHERE dataset = :dataset AND cotr IS NOT NULL AND image_type IS NOT NULL
    GROUP BY ALL
    """,
    args={"dataset": DATASET},
).toPandas()
counts = bins.pivot(index="bin", columns="image_type", values="samples").reindex(columns=TYPES).fillna(0)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), sharex=True, layout="constrained")
for image_type, ax in zip(TYPES, axes, strict=True):
    ax.bar(counts.index.astype(float), counts[image_type], width=0.05, align="edge")
    ax.set(title=f"{image_type} ({counts[image_type].sum():,.0f})", xlabel="CoTR", xlim=(0, 1))
axes[0].set_ylabel("samples")
plt.show()

# COMMAND ----------

# %% [markdown]
# ## Samples
# Four of each type, the same at every call: the picture, its caption, and the caption words that stand in it.

# COMMAND ----------

# %%
samples = spark.sql(
    """
    SELECT *
    FROM (
        SELECT o.image_type, o.cotr, o.co_emb_words, s.caption,
               i.image_uri, i.image_offset, i.image_length, i.image_row,
               row_number() OVER (PARTITION BY o.image_type ORDER BY o.sample_id) AS number
        FROM caption_overlap o
        JOIN samples s USING (dataset, shard_id, sample_id)
        JOIN images i USING (dataset, shard_id, sample_id)
        WHERE dataset = :dataset AND o.image_type IS NOT NULL
    )
    WHERE number <= 4
    """,
    args={"dataset": DATASET},
).collect()

figure, axes = plt.subplots(len(TYPES), 4, figsize=(12, 11), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for row in samples:
    reference = ImageRef(row.image_uri, row.image_offset, row.image_length, row.image_row)
    (data,) = read_images([reference], max_bytes=100_000_000)
    ax = axes[TYPES.index(row.image_type), row.number - 1]
    ax.imshow(decode(data, DecodeLimits()).pixels)
    cotr = "no caption words" if row.cotr is None else f"CoTR {row.cotr:.2f}"
    ax.set_title(
        f"{row.image_type}, {cotr}\n{(row.caption or '')[:45]}\n{row.co_emb_words}"[:160],
        fontsize=8,
        parse_math=False,
    )
plt.show()
