"""Which models the tasks of a job resolve to: one for all of them."""

from __future__ import annotations

import pytest

from spark_jobs.clip_models import models_named
from tests.deployments import CONFIG_FILES, PROFILED, STEPS, TASKS, parsed

CLIP_STAGES = [name for name in PROFILED if name in ("embed", "remove_text")]
DATABRICKS_ARGUMENTS = {name: TASKS[name]["python_wheel_task"]["parameters"] for name in PROFILED}
EMR_ARGUMENTS = {step["Name"].removeprefix("parrot "): step["Args"][2:] for step in STEPS}


def clip_models(arguments: dict[str, list[str]]) -> set[str]:
    """The CLIP models that the tasks of a job resolve to."""
    assert CLIP_STAGES == ["embed", "remove_text"]
    return {
        model for name in CLIP_STAGES for model in models_named(parsed(arguments[name])["settings"], name)
    }


@pytest.mark.parametrize("arguments", [DATABRICKS_ARGUMENTS, EMR_ARGUMENTS], ids=["databricks", "emr"])
def test_all_tasks_of_a_job_score_with_the_papers_clip_model(arguments):
    assert clip_models(arguments) == {"ViT-B-32/openai"}
    spotters = {repr(parsed(each)["settings"].spot_text) for each in arguments.values()}
    assert len(spotters) == 1


def test_a_task_that_names_its_own_model_would_be_found():
    own = [*DATABRICKS_ARGUMENTS["embed"], "--set", "embed.pretrained=laion2b_s34b_b79k"]
    assert len(clip_models({**DATABRICKS_ARGUMENTS, "embed": own})) == 2
    without = [
        each for each in DATABRICKS_ARGUMENTS["remove_text"] if each not in (*CONFIG_FILES, "--config")
    ]
    assert "parrot-tiny/random-0" in clip_models({**DATABRICKS_ARGUMENTS, "remove_text": without})


@pytest.mark.parametrize("arguments", [DATABRICKS_ARGUMENTS, EMR_ARGUMENTS], ids=["databricks", "emr"])
def test_a_daily_job_assigns_new_images_and_never_refits(arguments):
    assert "cluster" in arguments
    assert {parsed(each)["settings"].cluster.model for each in arguments.values()} == {"keep"}


def test_all_tasks_of_a_databricks_job_share_the_run_of_their_job():
    jobs = {parsed(each)["settings"].tracking.job for each in DATABRICKS_ARGUMENTS.values()}
    assert jobs == {"{{job.run_id}}"}  # which Databricks puts the job run's id in place of
