# Databricks notebook source
# MAGIC %md
# MAGIC # What training on it does
# MAGIC CLIP models trained on subsets of one size, the same way and with several seeds (`parrot study`): how they
# MAGIC were trained, and what they can do. `docs/views.md` describes the view `training_results`.

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
import pandas as pd

from spark_jobs.config import load_config
from spark_jobs.notebook import open_warehouse, widget
from spark_jobs.study.comparison import Number, compare
from spark_jobs.tracking import histories, tracking_uri

dbutils = globals().get("dbutils")  # Databricks' own; a laptop has none
WAREHOUSE = widget("warehouse", "demo/warehouse", dbutils)  # a folder, a URI or catalog.schema
DATASET = widget("dataset", "", dbutils)  # empty: the only one
BASELINE = widget("baseline", "random", dbutils)  # what the others are compared with: how its name begins
MLFLOW = widget("mlflow", "", dbutils)  # address of the store; empty: that of the warehouse

opened = open_warehouse(WAREHOUSE, DATASET)
print(f"{opened.dataset} in {opened.warehouse}: {', '.join(opened.names)}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The trainings
# MAGIC Shown are those that saw as many pairs as most did: a model that has seen more is better for that alone.

# COMMAND ----------

# %%
trainings = pd.DataFrame()
if "training_runs" in opened.names:
    trainings = opened.ask("""
        SELECT training, subset_id, model, seed, samples_seen, steps, loss, seconds, samples_per_second, mlflow_run
        FROM training_runs
        WHERE dataset = :dataset
          AND samples_seen = (SELECT mode(samples_seen) FROM training_runs WHERE dataset = :dataset)
        ORDER BY model, subset_id, seed
    """)
if trainings.empty:
    print("Nothing has been trained yet: `parrot study STUDY.yaml` trains, evaluates and compares.")
else:
    print(trainings.drop(columns="mlflow_run").round(3).to_string(index=False))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Loss by step, from MLflow
# MAGIC Smoothed over twenty entries. A subset whose loss is lower is easier to learn, not better: the loss is of
# MAGIC its own pairs.

# COMMAND ----------

# %%
curves = {}
if not trainings.empty:
    store = MLFLOW or tracking_uri(load_config(options={"warehouse": WAREHOUSE, "dataset": opened.dataset}))
    curves = histories(store, trainings["mlflow_run"].dropna().tolist(), "loss")
    print(f"{len(curves)} of {len(trainings)} trainings are tracked in MLflow")
if curves:
    figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    names = trainings["subset_id"].unique().tolist()
    for row in (
        trainings[trainings["mlflow_run"].isin(list(curves))].drop_duplicates("mlflow_run").itertuples()
    ):
        curve = pd.Series(dict(curves[row.mlflow_run])).rolling(20, min_periods=1).mean()
        ax.plot(curve.index, curve, color=f"C{names.index(row.subset_id)}", linewidth=1, alpha=0.8)
    for number, name in enumerate(names):
        ax.plot([], [], color=f"C{number}", label=name)
    ax.set(xlabel="step", ylabel="loss")
    ax.legend(fontsize=8)
    plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## What the models can do
# MAGIC Mean and standard deviation over seeds; `p_value` is that of no difference from the baseline (Welch's test
# MAGIC over seeds, Holm's correction over subsets). `chance` is what a model that knows nothing gives.

# COMMAND ----------

# %%
results = opened.ask("SELECT * FROM training_results WHERE dataset = :dataset AND value IS NOT NULL")
results = results[results["training"].isin(trainings.get("training", []))]
results = results.drop_duplicates(["training", "task", "metric"])
compared = pd.DataFrame()
if results.empty:
    print(
        "No model has been evaluated yet: `parrot study` goes on to it, or `parrot evaluate --models MODEL`."
    )
else:
    columns = ["subset_id", "model", "seed", "task", "metric", "value", "chance"]
    numbers = [Number(*row) for row in results[columns].itertuples(index=False)]
    names = sorted(results["subset_id"].unique())
    baseline = next((name for name in names if name.startswith(BASELINE)), names[0])
    compared = pd.DataFrame(compare(numbers, subsets=names, baseline=baseline))
    optional = ["spread", "difference", "p_value", "chance"]
    compared[optional] = compared[optional].astype(float)
    print(f"compared with {baseline}")
    print(compared.round(4).to_string(index=False, na_rep=""))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Number by number
# MAGIC A point is the mean over seeds with their standard deviation; the dashed line is chance.

# COMMAND ----------

# %%
panels = list(compared.groupby(["metric", "task"], sort=False)) if len(compared) else []
if panels:
    rows = -(-len(panels) // 3)
    figure, axes = plt.subplots(rows, 3, figsize=(13, 2.6 * rows), squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.set_visible(False)
    for ((metric, task), shown), ax in zip(panels, axes.flat, strict=False):
        ax.set_visible(True)
        for number, (model, points) in enumerate(shown.groupby("model")):
            places = [names.index(name) + 0.15 * number for name in points["subset"]]
            reach = points["spread"].fillna(0)  # one seed has no spread
            ax.errorbar(points["mean"], places, xerr=reach, fmt="o", capsize=3, label=model)
        if shown["chance"].notna().any():
            ax.axvline(shown["chance"].mean(), color="grey", linestyle="--", linewidth=0.8)
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_title(f"{metric}, {task}", fontsize=9)
        ax.grid(axis="x", alpha=0.3)
        ax.locator_params(axis="x", nbins=5)
    axes[0, 0].legend(fontsize=7)
    plt.show()
