# Databricks notebook source
# %% [markdown]
# # CLIP scores and embedded text
# Does CLIP score pictures higher whose caption stands in them? Only a trained model can say: with the demo's random
# weights these plots show noise.

# COMMAND ----------

# %%
import os

import matplotlib.pyplot as plt

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
# ## CLIP score by image type

# COMMAND ----------

# %%
by_type = spark.sql(
    """
    SELECT model, image_type, images, mean, std, p05, p25, p50, p75, p95
    FROM stat_clip_score
    WHERE dataset = :dataset
    """,
    args={"dataset": DATASET},
).toPandas()
by_type = by_type.set_index("image_type").reindex(TYPES)
print(by_type.round(4).to_string())

boxes = [
    {"label": f"{row.Index}\n{row.images:,.0f} images", "whislo": row.p05, "q1": row.p25, "med": row.p50}
    | {"q3": row.p75, "whishi": row.p95}
    for row in by_type.dropna(subset=["p50"]).itertuples()
]
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.bxp(boxes, showfliers=False)
ax.set(ylabel="CLIP score", title=f"{by_type['model'].dropna().iloc[0]}: 5, 25, 50, 75, 95 %")
plt.show()

# COMMAND ----------

# %% [markdown]
# ## CLIP score against CoTR
# The mean score of the samples in each tenth of CoTR; the first tenth holds all without co-emb text.

# COMMAND ----------

# %%
by_cotr = spark.sql(
    """
    SELECT least(floor(o.cotr * 10), 9) / 10 AS cotr, count(*) AS samples, avg(e.clip_score) AS score
    FROM caption_overlap o
    JOIN clip_embeddings e USING (dataset, shard_id, sample_id)
    WHERE dataset = :dataset AND o.cotr IS NOT NULL AND e.clip_score IS NOT NULL
    GROUP BY 1
    ORDER BY 1
    """,
    args={"dataset": DATASET},
).toPandas()
print(by_cotr.to_string(index=False))

figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.plot(by_cotr["cotr"].astype(float) + 0.05, by_cotr["score"], marker="o")
ax.set(xlabel="CoTR", ylabel="mean CLIP score", xlim=(0, 1))
plt.show()

# COMMAND ----------

# %% [markdown]
# ## The parrot captions that CLIP likes best

# COMMAND ----------

# %%
best = spark.sql(
    """
    SELECT e.clip_score, o.cotr, s.caption, i.image_uri, i.image_offset, i.image_length, i.image_row
    FROM clip_embeddings e
    JOIN caption_overlap o USING (dataset, shard_id, sample_id)
    JOIN samples s USING (dataset, shard_id, sample_id)
    JOIN images i USING (dataset, shard_id, sample_id)
    WHERE dataset = :dataset AND o.image_type = 'concurrent' AND e.clip_score IS NOT NULL
    ORDER BY e.clip_score DESC, e.sample_id
    LIMIT 8
    """,
    args={"dataset": DATASET},
).collect()

figure, axes = plt.subplots(2, 4, figsize=(12, 7), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for ax, row in zip(axes.flat, best, strict=False):
    reference = ImageRef(row.image_uri, row.image_offset, row.image_length, row.image_row)
    (data,) = read_images([reference], max_bytes=100_000_000)
    ax.imshow(decode(data, DecodeLimits()).pixels)
    ax.set_title(
        f"score {row.clip_score:.3f}, CoTR {row.cotr:.2f}\n{row.caption[:45]}", fontsize=8, parse_math=False
    )
plt.show()
