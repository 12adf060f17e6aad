"""The main job as a user runs it: profile a drawn corpus, look at it, run again, kill it, continue."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spark_jobs.demo.corpus import read_truth, write_corpus
from spark_jobs.pipeline import STAGES
from spark_jobs.report.page import read_input_key
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import register_views
from tests.cookbook import queries
from tests.e2e.cli import PARROT, REPOSITORY, environment, parrot, parrot_here, query, succeeding
from tests.notebooks import run_notebook

# Tables that a plain run makes; Sync scores need stage render_text, which must be named.
PROFILED = tuple(
    name for stage in STAGES if stage.profiles for name in stage.writes if name != "stat_synthetic_text"
)
SAMPLES = 24
SHARDS = 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus", samples=SAMPLES, shards=SHARDS)


@pytest.fixture(scope="module")
def warehouse(corpus, tmp_path_factory):
    """A finished, uninterrupted run."""
    folder = tmp_path_factory.mktemp("run") / "warehouse"
    succeeding(*arguments(corpus, folder))
    return folder


def arguments(corpus, folder, *stages):
    return ("run", *stages, "--source", corpus.webdataset, "--dataset", "drawn", "--warehouse", folder)


def versions(warehouse: Path) -> dict[str, int]:
    """Number of commits by table, read from the logs."""
    found = {
        name: len(list((warehouse / name / "_delta_log").glob("*.json")))
        for name in (*PROFILED, "stage_runs")
    }
    assert all(found.values()), found
    return found


def contents(warehouse: Path, spark, names=PROFILED) -> dict[str, list[object]]:
    """Every row of some tables, in a fixed order."""
    tables = {}
    for name in names:
        frame = spark.read.format("delta").load(str(warehouse / name))
        tables[name] = sorted(
            json.dumps(row.asDict(recursive=True), sort_keys=True) for row in frame.collect()
        )
    return tables


def test_every_sample_is_accounted_for_and_measured_as_planted(warehouse, corpus, spark):
    truth = {row.key: row for row in read_truth(corpus.truth)}
    rows = query(
        warehouse,
        "SELECT s.source_key, i.status AS image, t.status AS text, t.error, o.cotr, o.image_type "
        "FROM samples s JOIN images i USING (sample_id) JOIN spotted_text t USING (sample_id) "
        "JOIN caption_overlap o USING (sample_id)",
    )
    assert sorted(row["source_key"] for row in rows) == sorted(truth)
    faults = {row["source_key"]: (row["image"], row["text"]) for row in rows if row["text"] != "ok"}
    planted = {
        key: row.fault for key, row in truth.items() if row.fault in ("failed_download", "truncated_jpeg")
    }
    assert faults.keys() == planted.keys()
    assert {planted[key]: fault for key, fault in faults.items()} == {
        "failed_download": ("failed", "skipped"),
        "truncated_jpeg": ("ok", "failed"),
    }
    right = [row["image_type"] == truth[row["source_key"]].image_type for row in rows if row["text"] == "ok"]
    assert sum(right) / len(right) >= 0.9
    rates = [(row["cotr"], truth[row["source_key"]].cotr) for row in rows if row["cotr"] is not None]
    assert sum(abs(found - expected) for found, expected in rates) / len(rates) < 0.1


def test_the_statistics_follow_from_the_rows(warehouse, spark):
    (overall,) = query(warehouse, "SELECT * FROM stat_overall")
    (expected,) = query(
        warehouse,
        "SELECT count(*) AS images, count_if(image_type <> 'no_text') AS with_text, avg(cotr) AS cotr "
        "FROM caption_overlap WHERE status = 'ok' AND size(caption_words) > 0",
    )
    assert overall["samples"] == SAMPLES
    assert (overall["images"], overall["images_with_text"]) == (expected["images"], expected["with_text"])
    assert overall["cotr_in_total"] == pytest.approx(expected["cotr"])
    assert overall["cotr_in_total"] == pytest.approx(overall["share_with_text"] * overall["cotr_with_text"])


def test_the_report_stands_alone_and_says_what_random_weights_mean(warehouse):
    page = (warehouse / "report.html").read_text(encoding="utf-8")
    assert read_input_key(page)
    assert "CLIP scores mean nothing" in page
    assert page.count("data:image/jpeg;base64,") >= 3
    for opening in ('src="http', "src='http", 'href="http', "url(http"):
        assert opening not in page


def test_a_second_run_does_nothing(warehouse, corpus):
    before, report = versions(warehouse), (warehouse / "report.html").stat().st_mtime_ns
    result = succeeding(*arguments(corpus, warehouse))
    assert versions(warehouse) == before
    assert (warehouse / "report.html").stat().st_mtime_ns == report
    for stage in ("ingest", "embed", "cluster", "spot_text", "overlap", "remove_text", "statistics"):
        assert any(line.split()[:2] == [stage, "up"] for line in result.stderr.splitlines()), result.stderr


def test_the_run_is_tracked_with_a_nested_run_per_stage(warehouse):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{warehouse}/mlflow.db")
    (experiment,) = [found for found in client.search_experiments() if found.name == "parrot"]
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    stages = {
        run.info.run_name: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    assert set(stages) == {stage.name for stage in STAGES if stage.profiles}
    assert stages["spot_text"].data.metrics["rows"] == SAMPLES
    assert stages["spot_text"].data.metrics["samples_done"] == SAMPLES
    assert stages["overlap"].data.params["version_read spotted_text"].isdigit()
    assert stages["overlap"].data.params["version_written caption_overlap"].isdigit()
    read = {entry.dataset.name.rpartition("/")[2] for entry in stages["overlap"].inputs.dataset_inputs}
    assert {"samples", "spotted_text"} <= read
    assert {"cotr_in_total", "rsa parrot-tiny/random-0 high"} <= set(parent.data.metrics)
    assert stages["statistics"].data.metrics["samples"] == SAMPLES
    artifacts = [item.path for item in client.list_artifacts(stages["report"].info.run_id)]
    assert artifacts == ["report.html"]


def test_sql_prints_the_result_and_nothing_else(warehouse):
    text = "'a \"b\", c\nd' AS text, CAST(NULL AS INT) AS nothing, array('x', 'y') AS words"
    result = succeeding("sql", "--warehouse", warehouse, "--format", "csv", f"SELECT {text}")
    assert result.stdout == 'text,nothing,words\n"a ""b"", c\nd",,"[""x"", ""y""]"\n'
    assert list(csv.reader(io.StringIO(result.stdout, newline="")))[1][0] == 'a "b", c\nd'


def test_sql_writes_files(warehouse, tmp_path, spark):
    sql = "SELECT sample_id, cotr, co_emb_words FROM caption_overlap ORDER BY sample_id"
    for place in (tmp_path / "rows.csv", tmp_path / "rows.parquet", f"file://{tmp_path}/rows.json"):
        arguments = ("sql", "--warehouse", warehouse, sql, "--output", place)
        result = succeeding(*arguments, run=parrot_here)
        assert result.stdout == ""
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.num_rows == SAMPLES
    lines = (tmp_path / "rows.json").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == table.to_pylist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.json", "rows.parquet"]
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert [row["sample_id"] for row in csv.DictReader(file)] == table["sample_id"].to_pylist()


def test_a_wrong_query_is_a_message_with_the_tables(warehouse):
    result = parrot("sql", "--warehouse", warehouse, "SELECT cotrr FROM caption_overlap")
    assert result.returncode == 1
    said, names = result.stderr.splitlines()  # no stack trace, no plan
    assert said.startswith("error: [UNRESOLVED_COLUMN") and said.endswith("line 1 pos 7")
    assert names.startswith("Tables and views: samples_all, samples")
    assert result.stdout == ""


@pytest.fixture(scope="module")
def curated(warehouse):
    """Two subsets of it, and an export, by commands that name neither warehouse nor dataset."""
    export = ("export", "random-5", "--to", warehouse.parent / "ids", "--format", "ids")
    for command in (("curate", "random", "with_text", "--size", "5"), export):
        result = parrot_here(*command, env={"PARROT_WAREHOUSE": str(warehouse)})
        assert result.returncode == 0, result.stderr
    assert "random-5: 5 of 5 members" in result.stderr
    return warehouse


def test_warehouse_and_dataset_may_be_left_out(curated, spark):
    result = parrot_here("run", "overlap", env={"PARROT_WAREHOUSE": str(curated)})
    assert result.returncode == 0, result.stderr
    assert "overlap  up to date" in result.stderr


def test_subsets_for_programs(curated, spark):
    def told(*command):
        result = succeeding("subset", *command, "--warehouse", curated, "--json", run=parrot_here)
        return json.loads(result.stdout)

    listed = told("list")
    assert {row["subset_id"]: row["members"] for row in listed["built"]} == {"random-5": 5, "with_text-5": 5}
    assert "without_text" in {row["subset_id"] for row in listed["not_built"]}
    (shown,) = told("show", "random-5")["built"]
    assert shown["attrition"][-1]["left"] == 5
    found = told("diff", "random-5", "with_text-5")
    assert found["both"] + found["only_first"] == found["both"] + found["only_second"] == 5
    assert {row["measure"] for row in found["measures"]} >= {"mean CoTR"}
    checked = json.loads(succeeding("verify", curated.parent / "ids", "--json", run=parrot_here).stdout)
    assert (checked["samples"], checked["is_as_written"], checked["differences"]) == (5, True, [])


def test_one_sample_with_its_pictures(curated, tmp_path, spark):
    (row,) = query(
        curated, "SELECT sample_id, caption, url FROM parrot_captions WHERE rsc IS NOT NULL LIMIT 1"
    )
    page = tmp_path / "sample.html"
    succeeding("show", row["url"], "--warehouse", curated, "--html", page, run=parrot_here)
    text = page.read_text(encoding="utf-8")
    assert row["sample_id"] in text
    assert text.count("data:image/jpeg;base64,") == 3, "as it is, without its text, without repeated words"
    shown = succeeding("show", row["sample_id"][:10], "--warehouse", curated, run=parrot_here).stdout
    assert row["caption"] in shown
    assert "repeated in the caption" in shown
    told = json.loads(
        succeeding("show", row["sample_id"], "--warehouse", curated, "--json", run=parrot_here).stdout
    )
    assert (told["image_type"], told["url"]) == ("concurrent", row["url"])
    assert told["removal"][0]["score_co_removed"] is not None
    for sample, message in (("nothing", "no sample nothing in"), ("", "several samples are called")):
        result = parrot_here("show", sample, "--warehouse", curated)
        assert (result.returncode, result.stdout) == (1, "")
        assert message in result.stderr


def test_every_query_of_the_cookbook_answers(curated, spark):
    page = (REPOSITORY / "docs/cookbook.md").read_text(encoding="utf-8")
    asked = queries(page)
    assert len(asked) >= 15
    register_views(Tables(spark, str(curated)))
    (word,) = spark.sql("SELECT min(co_emb_words[0]) FROM parrot_captions").first()
    assert word
    for sql, columns, has_rows in asked:
        # A small corpus shows other words, and fewer images of a host.
        frame = spark.sql(sql.replace("'winner'", f"'{word}'").replace(">= 20", ">= 1"))
        assert frame.columns == columns, sql
        assert bool(frame.limit(1).count()) == has_rows, sql


def test_the_tour_shows_the_numbers_with_intervals_and_chance(curated, spark):
    seen = run_notebook("01_profile.py", curated)
    (overall,) = query(curated, "SELECT * FROM stat_overall")
    (line,) = [line.split() for line in seen.text.splitlines() if line.startswith("share_co_emb ")]
    expected = [overall[f"share_co_emb{end}"] for end in ("", "_low", "_high")]
    assert [float(cell) for cell in line[1:4]] == pytest.approx(expected, abs=1e-4)
    shares, by_type, samples = seen.figures
    assert {"share_co_emb", "cotr_in_total"} <= set(shares)
    assert any(title.startswith("concurrent (") for title in by_type)
    assert sum(title.startswith("concurrent, CoTR ") for title in samples) == 4
    assert seen.pictures == sum("CoTR" in title or "no caption words" in title for title in samples)


def test_the_other_notebooks_run_on_a_profiled_corpus(curated, spark):
    scores = run_notebook("02_clip_scores.py", curated)
    assert len(scores.figures) == 3
    assert scores.pictures > 0
    clusters, *removal = run_notebook("03_clusters_and_text_removal.py", curated).figures
    labels = query(
        curated, "SELECT cluster_id, label FROM cluster_profile WHERE level = 'cluster' AND images > 0"
    )
    assert set(clusters) >= {f"{row['cluster_id']}: {row['label']}"[:60] for row in labels}
    assert any(label.startswith("all_removed (") for figure in removal for label in figure)
    subsets = run_notebook("04_subsets.py", curated)
    assert len(subsets.figures) == 2
    assert all(set(figure) >= {"random-5", "with_text-5"} for figure in subsets.figures)


def test_the_cookbook_is_asked_in_a_notebook(curated, spark):
    seen = run_notebook("05_cookbook.py", curated, question="11")
    assert "random-5" in seen.text
    assert "15. Which subset trains best?" in seen.text
    assert "stat_text_removal" not in seen.text.partition("\n11. ")[2], "only that question is asked"


def test_a_warehouse_without_trainings_says_so_in_its_notebook(curated, spark):
    seen = run_notebook("06_training.py", curated)
    assert "Nothing has been trained yet" in seen.text
    assert "No model has been evaluated yet" in seen.text
    assert seen.figures == []


def test_status_counts_rows_shards_and_failures(warehouse, spark):
    result = succeeding("status", "--warehouse", warehouse, run=parrot_here)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    lines = {cells[1]: cells for cells in rows if len(cells) == 8}
    assert lines["spotted_text"][2:7] == [str(SAMPLES), "1", "2", str(SHARDS), "0"]
    assert lines["caption_overlap"][6] == "0"
    told = json.loads(succeeding("status", "--warehouse", warehouse, "--json", run=parrot_here).stdout)
    (spotted,) = [line for line in told["tables"] if line["table"] == "spotted_text"]
    assert (spotted["rows"], spotted["failed"], spotted["shards_pending"]) == (SAMPLES, 1, 0)
    assert told["notes"] == []


def planned_run(warehouse, corpus, setting):
    """Cells of a dry run's lines, by stage."""
    result = succeeding(*arguments(corpus, warehouse), "--dry-run", "--set", setting, run=parrot_here)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stderr.splitlines()]
    return {cells[0]: cells for cells in rows if len(cells) == 5}


def test_a_dry_run_plans_and_writes_nothing(warehouse, corpus, spark):
    before = versions(warehouse)
    planned = planned_run(warehouse, corpus, "overlap.min_confidence=0.9")
    assert versions(warehouse) == before
    assert (planned["spot_text"][1], planned["overlap"][1]) == ("0", str(SHARDS))
    assert planned["cluster"][1] == "0"
    assert planned["cluster"][3].startswith("stored ")


def test_a_dry_run_of_another_clip_model_redoes_what_depends_on_it(warehouse, corpus, spark):
    planned = planned_run(warehouse, corpus, "embed.seed=1")
    assert [planned[stage][1] for stage in ("embed", "cluster", "spot_text", "overlap")] == [
        str(SHARDS), str(SHARDS), "0", "0",
    ]  # fmt: skip
    assert planned["cluster"][3] == "new fit, after embed"


@pytest.mark.parametrize(
    ("stage", "table"), [("embed", "clip_embeddings"), ("remove_text", "text_removal_scores")]
)
def test_a_stage_killed_in_the_middle_continues_to_the_same_rows(
    stage, table, warehouse, corpus, spark, tmp_path
):
    # What the stage reads is taken from the finished run.
    folder = tmp_path / "warehouse"
    shutil.copytree(warehouse, folder)
    shutil.rmtree(folder / table)
    continues(stage, folder / table, corpus, spark, rest=(stage,))
    assert contents(folder, spark, (table,)) == contents(warehouse, spark, (table,))


def test_a_first_run_killed_in_the_middle_continues_to_the_same_rows(warehouse, corpus, spark, tmp_path):
    continues("spot_text", tmp_path / "warehouse" / "spotted_text", corpus, spark, rest=())
    assert contents(tmp_path / "warehouse", spark) == contents(warehouse, spark)


def continues(stage, table, corpus, spark, *, rest):
    """Kill a run in the middle of a stage; the stages that are run then take over what it has done."""
    small_chunks = (*arguments(corpus, table.parent, "ingest", stage), "--set", "runner.first_chunk=1")
    kill_after_first_chunk([*PARROT, *map(str, small_chunks)], table)
    done = spark.read.format("delta").load(str(table)).select("shard_id").distinct().count()
    assert 0 < done < SHARDS
    result = succeeding(*arguments(corpus, table.parent, *rest), run=parrot_here)
    (line,) = [line for line in result.stderr.splitlines() if line.split()[:1] == [stage]]
    assert f"{done} shard(s) were up to date" in line


def kill_after_first_chunk(command: list[str], table: Path) -> None:
    """Run a command and kill -9 it, with all its children, once its table has a first chunk."""
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while len(list((table / "_delta_log").glob("*.json"))) < 2:  # the table's creation, then the chunk
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "no chunk in five minutes"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
