# Databricks notebook source
# MAGIC %md
# MAGIC # The SQL cookbook
# MAGIC The questions of `docs/cookbook.md`, asked of this warehouse: the queries are read from that page, where
# MAGIC each stands with the demo's answer. They ask all datasets that the warehouse holds.

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
from pyspark.errors import AnalysisException

from spark_jobs.notebook import cookbook, open_warehouse, questions, widget

dbutils = globals().get("dbutils")  # Databricks' own; a laptop has none
WAREHOUSE = widget("warehouse", "demo/warehouse", dbutils)  # a folder, a URI or catalog.schema
DATASET = widget("dataset", "", dbutils)  # empty: the only one
QUESTION = widget("question", "", dbutils)  # a number of the list below; empty: all

opened = open_warehouse(WAREHOUSE, DATASET)
print(f"{opened.dataset} in {opened.warehouse}: {', '.join(opened.names)}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The questions

# COMMAND ----------

# %%
asked = questions(cookbook())
print("\n".join(dict.fromkeys(question.title for question in asked)))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The answers
# MAGIC Ten rows of each. A question whose tables the warehouse does not hold yet says so.

# COMMAND ----------

# %%
for question in asked:
    if QUESTION and not question.title.startswith(f"{QUESTION}."):
        continue
    print(f"\n{question.title}\n\n{question.sql}\n")
    try:
        answer = opened.spark.sql(question.sql).limit(10).toPandas()
    except AnalysisException as error:
        print("Cannot be asked here:", str(error).splitlines()[0])
        continue
    print("no row" if answer.empty else answer.to_string(index=False, max_colwidth=60))
