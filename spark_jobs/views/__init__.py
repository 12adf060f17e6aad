"""Views for people: the joins that every question needs, made once. In order: a view reads only those before it."""

import re

from spark_jobs.views.clusters import CLUSTER_PROFILE
from spark_jobs.views.published import PAPER_VALUES
from spark_jobs.views.runs import FAILURES, JOB_RUNS, STAT_HISTORY
from spark_jobs.views.samples import PARROT_CAPTIONS, SAMPLE_PROFILE
from spark_jobs.views.subsets import SUBSET_PROFILE
from spark_jobs.views.trained import TRAINING_RESULTS
from spark_jobs.views.view import View

VIEWS: tuple[View, ...] = (
    SAMPLE_PROFILE,
    PARROT_CAPTIONS,
    CLUSTER_PROFILE,
    SUBSET_PROFILE,
    FAILURES,
    JOB_RUNS,
    STAT_HISTORY,
    TRAINING_RESULTS,
    PAPER_VALUES,
)


def views_named_in(query: str) -> list[View]:
    """The views that a query may mean, and those that they read, in order.

    Args:
        query: SQL; a name inside a comment or a literal counts too.
    """
    words = {word.lower() for word in re.findall(r"\w+", query)}
    named = {view.name for view in VIEWS} & words
    if PARROT_CAPTIONS.name in named:
        named.add(SAMPLE_PROFILE.name)
    return [view for view in VIEWS if view.name in named]
