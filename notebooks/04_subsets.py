# Databricks notebook source
# MAGIC %md
# MAGIC # Subsets side by side
# MAGIC What the subsets that `parrot curate` has built are like, what each condition removed, and how much they
# MAGIC share.

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

# %%
subsets = opened.ask("""
    SELECT subset_id, members, share_of_dataset, mean_cotr, mean_clip_score, share_with_text, share_concurrent, sentence
    FROM subset_profile
    WHERE dataset = :dataset
    ORDER BY subset_id
""")
if subsets.empty:
    print(
        "No subset yet: `parrot curate random without_text --size 1000` builds two; `parrot subset list` names all."
    )
else:
    print(subsets.round(3).to_string(index=False))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Side by side

# COMMAND ----------

# %%
MEASURES = ("mean_cotr", "mean_clip_score", "share_with_text", "share_concurrent")
if not subsets.empty:
    figure, axes = plt.subplots(
        1, 4, figsize=(13, 0.35 * len(subsets) + 1.3), sharey=True, layout="constrained"
    )
    for measure, ax in zip(MEASURES, axes, strict=True):
        ax.barh(subsets["subset_id"], subsets[measure].astype(float))
        ax.set(title=measure if subsets[measure].notna().any() else f"{measure}: not measured")
        ax.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## What each condition removed
# MAGIC `unmeasured` are samples of which the condition's number is not known; they are left out too.

# COMMAND ----------

# %%
if not subsets.empty:
    attrition = opened.ask("""
        SELECT subset_id, step.condition, step.before, step.removed, step.unmeasured, step.left
        FROM (SELECT subset_id, posexplode(attrition) AS (place, step) FROM subsets WHERE dataset = :dataset)
        ORDER BY subset_id, place
    """)
    print(attrition.to_string(index=False))

# COMMAND ----------

# MAGIC %md
# MAGIC ## How much they share
# MAGIC The share of the row's subset that is in the column's too.

# COMMAND ----------

# %%
if not subsets.empty:
    pairs = opened.ask("""
        SELECT a.subset_id AS first, b.subset_id AS second, count(*) AS in_both
        FROM subset_members a
        JOIN subset_members b USING (dataset, sample_id)
        WHERE dataset = :dataset
        GROUP BY ALL
    """)
    shared = pairs.pivot(index="first", columns="second", values="in_both").fillna(0)
    share = shared.div(subsets.set_index("subset_id")["members"].reindex(shared.index), axis=0)
    figure, ax = plt.subplots(figsize=(0.8 * len(share) + 3, 0.6 * len(share) + 2), layout="constrained")
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(share)), share.columns, rotation=30, ha="right")
    ax.set_yticks(range(len(share)), share.index)
    for place, row in enumerate(share.to_numpy()):
        for column, value in enumerate(row):
            ax.text(column, place, f"{value:.0%}", ha="center", color="white" if value > 0.5 else "black")
    plt.show()
