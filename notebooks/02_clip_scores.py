# Databricks notebook source
# MAGIC %md
# MAGIC # CLIP scores and embedded text
# MAGIC Does CLIP score pictures higher whose caption stands in them? Only a trained model can say: with random
# MAGIC weights these plots show noise.

# COMMAND ----------

# MAGIC %md
# MAGIC ## Install
# MAGIC On Databricks the next lines install the wheel that `databricks bundle deploy` has put beside this folder,
# MAGIC with the versions that its runtime ships. On a laptop they are comments: install the project there as the
# MAGIC README says, and run the file from the project's folder. The settings stand above the notebook as widgets;
# MAGIC on a laptop they are `PARROT_WAREHOUSE` and `PARROT_DATASET`.

# COMMAND ----------

# MAGIC %pip install -q -r ../deploy/databricks/requirements-17.3-ml.txt
# MAGIC %pip install -q ../../artifacts/.internal/parrot_captions-0.1.0-py3-none-any.whl

# COMMAND ----------

# %%
import matplotlib.pyplot as plt

from spark_jobs.notebook import open_warehouse, show_picture, widget

dbutils = globals().get("dbutils")  # Databricks' own; a laptop has none
WAREHOUSE = widget("warehouse", "demo/warehouse", dbutils)  # a folder, a URI or catalog.schema
DATASET = widget("dataset", "", dbutils)  # empty: the only one
TYPES = ("no_text", "text_not_concurrent", "concurrent")
opened = open_warehouse(WAREHOUSE, DATASET)
print(f"{opened.dataset} in {opened.warehouse}: {', '.join(opened.names)}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## CLIP score by image type

# COMMAND ----------

# %%
by_type = opened.ask("""
    SELECT model, image_type, images, mean, mean_low, mean_high, std, p05, p25, p50, p75, p95
    FROM stat_clip_score
    WHERE dataset = :dataset
""")
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

# MAGIC %md
# MAGIC ## CLIP score against CoTR
# MAGIC The mean score of the samples in each tenth of CoTR, with its 95 % interval; the first tenth holds all
# MAGIC without co-emb text.

# COMMAND ----------

# %%
by_cotr = opened.ask("""
    SELECT least(floor(cotr * 10), 9) / 10 AS cotr, count(*) AS samples, avg(clip_score) AS score,
           1.96 * stddev_samp(clip_score) / sqrt(count(*)) AS plus_minus
    FROM sample_profile
    WHERE dataset = :dataset AND cotr IS NOT NULL AND clip_score IS NOT NULL
    GROUP BY 1
    ORDER BY 1
""")
print(by_cotr.to_string(index=False))

figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.errorbar(
    by_cotr["cotr"].astype(float) + 0.05, by_cotr["score"], yerr=by_cotr["plus_minus"], marker="o", capsize=3
)
ax.set(xlabel="CoTR", ylabel="mean CLIP score", xlim=(0, 1))
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## The parrot captions that CLIP likes best

# COMMAND ----------

# %%
best = opened.ask("""
    SELECT p.clip_score, p.cotr, p.caption, i.image_uri, i.image_offset, i.image_length, i.image_row
    FROM parrot_captions p
    JOIN images i USING (dataset, shard_id, sample_id)
    WHERE dataset = :dataset AND p.clip_score IS NOT NULL
    ORDER BY p.clip_score DESC, p.worst
    LIMIT 8
""")

figure, axes = plt.subplots(2, 4, figsize=(12, 7), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for ax, row in zip(axes.flat, best.itertuples(), strict=False):
    show_picture(ax, row, f"score {row.clip_score:.3f}, CoTR {row.cotr:.2f}\n{row.caption[:45]}")
plt.show()
