# Databricks notebook source
# MAGIC %md
# MAGIC # A tour of a profiled dataset
# MAGIC How many images hold text, how much of each caption stands in its picture, how much of that is chance, and
# MAGIC what it looks like. The tables are described by `parrot describe`, the views in `docs/views.md`.

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
# MAGIC ## The paper's Table 1, with intervals and chance
# MAGIC `low` and `high` are the ends of the 95 % interval. `by_chance` is the same number with the captions
# MAGIC exchanged between the images: what the words of the language alone give.

# COMMAND ----------

# %%
measured = opened.ask("SELECT * FROM stat_overall WHERE dataset = :dataset").T[0]
measured = measured.drop(["dataset", "input_key", "run_key"])
intervals = measured[[name for name in measured.index if f"{name}_low" in measured.index]].to_frame("value")
intervals["low"] = [measured[f"{name}_low"] for name in intervals.index]
intervals["high"] = [measured[f"{name}_high"] for name in intervals.index]
chance = opened.ask("SELECT * FROM stat_chance WHERE dataset = :dataset AND words = 'all'").set_index(
    "measure"
)
intervals = intervals.join(chance[["by_chance", "by_chance_low", "by_chance_high"]]).astype(float)
print(measured[["samples", "images", "not_spotted", "without_caption_words"]].to_string())
print()
print(intervals.round(4).to_string(na_rep=""))

shares = intervals[intervals.index.str.startswith(("share", "cotr"))].iloc[::-1]
figure, ax = plt.subplots(figsize=(8, 0.4 * len(shares) + 1), layout="constrained")
reach = [shares["value"] - shares["low"], shares["high"] - shares["value"]]
ax.errorbar(
    shares["value"], range(len(shares)), xerr=reach, fmt="o", capsize=3, label="measured, 95 % interval"
)
ax.plot(shares["by_chance"], range(len(shares)), "x", color="tab:red", label="by chance")
ax.set_yticks(range(len(shares)), shares.index)
ax.set(xlim=(-0.02, 1.02))
ax.grid(axis="x", alpha=0.3)
ax.legend(fontsize=8)
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## CoTR by image type
# MAGIC The share of caption words that the picture shows too, in bins of 0.05. Images of the first two types have
# MAGIC CoTR 0.

# COMMAND ----------

# %%
bins = opened.ask("""
    SELECT image_type, least(floor(cotr * 20), 19) / 20 AS bin, count(*) AS samples
    FROM sample_profile
    WHERE dataset = :dataset AND cotr IS NOT NULL AND image_type IS NOT NULL
    GROUP BY ALL
""")
counts = bins.pivot(index="bin", columns="image_type", values="samples").reindex(columns=TYPES).fillna(0)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), sharex=True, layout="constrained")
for image_type, ax in zip(TYPES, axes, strict=True):
    ax.bar(counts.index.astype(float), counts[image_type], width=0.05, align="edge")
    ax.set(title=f"{image_type} ({counts[image_type].sum():,.0f})", xlabel="CoTR", xlim=(0, 1))
axes[0].set_ylabel("samples")
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## The worst parrot captions

# COMMAND ----------

# %%
worst = opened.ask("""
    SELECT worst, cotr, clip_score, language, caption, visible_text, url
    FROM parrot_captions
    WHERE dataset = :dataset
    ORDER BY worst
    LIMIT 10
""")
print(worst.round(3).to_string(index=False, max_colwidth=50))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Samples
# MAGIC Four of each type, the same at every call: the picture, its caption, and the caption words that stand in it.

# COMMAND ----------

# %%
samples = opened.ask("""
    SELECT *
    FROM (
        SELECT p.image_type, p.cotr, p.co_emb_words, p.caption,
               i.image_uri, i.image_offset, i.image_length, i.image_row,
               row_number() OVER (PARTITION BY p.image_type ORDER BY p.sample_id) AS number
        FROM sample_profile p
        JOIN images i USING (dataset, shard_id, sample_id)
        WHERE dataset = :dataset AND p.image_type IS NOT NULL
    )
    WHERE number <= 4
""")

figure, axes = plt.subplots(len(TYPES), 4, figsize=(12, 11), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for row in samples.itertuples():
    cotr = "no caption words" if row.cotr != row.cotr else f"CoTR {row.cotr:.2f}"
    title = f"{row.image_type}, {cotr}\n{(row.caption or '')[:45]}\n{', '.join(row.co_emb_words)[:45]}"
    show_picture(axes[TYPES.index(row.image_type), row.number - 1], row, title)
plt.show()
