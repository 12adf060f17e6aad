# Databricks notebook source
# MAGIC %md
# MAGIC # Clusters, and what text removal does to the score
# MAGIC Which kinds of pictures parrot, and whether CLIP still likes a picture once its text is filled in.

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

from spark_jobs.notebook import open_warehouse, widget

dbutils = globals().get("dbutils")  # Databricks' own; a laptop has none
WAREHOUSE = widget("warehouse", "demo/warehouse", dbutils)  # a folder, a URI or catalog.schema
DATASET = widget("dataset", "", dbutils)  # empty: the only one

opened = open_warehouse(WAREHOUSE, DATASET)
print(f"{opened.dataset} in {opened.warehouse}: {', '.join(opened.names)}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Clusters: what they are about, and how much they parrot
# MAGIC The label is made of the caption words that a cluster's captions have and others lack.

# COMMAND ----------

# %%
clusters = opened.ask("""
    SELECT cluster_id, label, samples, images, share_concurrent, share_concurrent_low, share_concurrent_high, cotr,
           mean_clip_score
    FROM cluster_profile
    WHERE dataset = :dataset AND level = 'cluster' AND images > 0
    ORDER BY share_concurrent DESC, cluster_id
    LIMIT 25
""").fillna({"label": ""})
print(clusters.round(3).to_string(index=False))
if clusters.empty:
    print("No cluster yet: `parrot run cluster overlap statistics` makes them.")
else:
    figure, ax = plt.subplots(figsize=(9, 0.35 * len(clusters) + 1), layout="constrained")
    share = clusters["share_concurrent"]
    reach = [share - clusters["share_concurrent_low"], clusters["share_concurrent_high"] - share]
    ax.errorbar(share, range(len(clusters)), xerr=reach, fmt="o", capsize=3)
    ax.set_yticks(
        range(len(clusters)), [f"{row.cluster_id}: {row.label}"[:60] for row in clusters.itertuples()]
    )
    ax.invert_yaxis()
    ax.set(xlabel="share of parrot captions, 95 % interval", xlim=(0, 1))
    ax.grid(axis="x", alpha=0.3)
    plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Scores by what was removed (the paper's Table 2)
# MAGIC `random_...` fills in as much of the same images, off their text: what filling in costs by itself.

# COMMAND ----------

# %%
removal = opened.ask("""
    SELECT model, image_type AS variant, images, mean, mean_low, mean_high
    FROM stat_text_removal
    WHERE dataset = :dataset AND mean IS NOT NULL
    ORDER BY model, mean DESC
""")
print(removal.round(4).to_string(index=False))
for model, rows in removal.groupby("model"):
    figure, ax = plt.subplots(figsize=(7, 0.35 * len(rows) + 1.2), layout="constrained")
    reach = [rows["mean"] - rows["mean_low"], rows["mean_high"] - rows["mean"]]
    ax.errorbar(rows["mean"], range(len(rows)), xerr=reach, fmt="o", capsize=3)
    ax.set_yticks(range(len(rows)), [f"{row.variant} ({row.images:,})" for row in rows.itertuples()])
    ax.invert_yaxis()
    ax.set(title=model, xlabel="mean CLIP score, 95 % interval")
    ax.grid(axis="x", alpha=0.3)
    plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## By cluster: the score lost when all text is filled in
# MAGIC RSA is that loss per image; above 0 the text has lifted the score.

# COMMAND ----------

# %%
lost = opened.ask("""
    SELECT cluster, count(rsa) AS images, avg(rsa) AS rsa, 1.96 * stddev_samp(rsa) / sqrt(count(rsa)) AS plus_minus,
           avg(rsc) AS rsc
    FROM sample_profile
    WHERE dataset = :dataset AND rsa IS NOT NULL AND cluster IS NOT NULL
    GROUP BY cluster
    HAVING count(rsa) > 1
    ORDER BY rsa DESC
    LIMIT 25
""")
print(lost.round(4).to_string(index=False))
if not lost.empty:
    figure, ax = plt.subplots(figsize=(7, 0.35 * len(lost) + 1.2), layout="constrained")
    ax.errorbar(lost["rsa"], range(len(lost)), xerr=lost["plus_minus"], fmt="o", capsize=3)
    labels = clusters.set_index("cluster_id")["label"]
    ax.set_yticks(
        range(len(lost)), [f"{cluster}: {labels.get(cluster, '')}"[:60] for cluster in lost["cluster"]]
    )
    ax.invert_yaxis()
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set(xlabel="mean RSA, 95 % interval")
    plt.show()
