"""From the numbers of all cells to the study's table: mean and spread over seeds, and what differs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Of these metrics every task is shown; others stay in table evaluation_results.
SHOWN = (
    "IN",
    "Ret.",
    "Avg.",
    "acc1",
    "image_retrieval_recall@1",
    "text_retrieval_recall@1",
    "attacked_acc1",
    "attacked_reads",
    "sync_score",
    "sync_margin",
    "word_retrieval@1",
    "rsa",
    "rsa_parrot",
    "similarity_without_text",
    "similarity_parrot",
    "similarity_parrot_all_removed",
)


@dataclass(frozen=True)
class Number:
    """One number of one cell: `evaluation_results` with subset, model and seed.

    Attributes:
        subset: Subset.
        model: open_clip architecture.
        seed: Seed of the training.
        task: Task.
        metric: Metric.
        value: The number.
        chance: What a model that knows nothing gives; None where not known.
    """

    subset: str
    model: str
    seed: int
    task: str
    metric: str
    value: float
    chance: float | None = None


@dataclass(frozen=True)
class Compared:
    """A subset's numbers over the seeds.

    Attributes:
        model: open_clip architecture.
        task: Task.
        metric: Metric.
        subset: Subset.
        seeds: Seeds that have the number.
        mean: Over them.
        spread: Standard deviation over them; None for one seed.
        difference: Mean minus the baseline's mean; None for the baseline, or where it has none.
        p_value: That the difference is none: Welch's test over seeds, Holm's correction over the subsets compared; None
            with fewer than two seeds.
        chance: What a model that knows nothing gives; None where not known.
    """

    model: str
    task: str
    metric: str
    subset: str
    seeds: int
    mean: float
    spread: float | None
    difference: float | None
    p_value: float | None
    chance: float | None


def compare(numbers: Iterable[Number], *, subsets: Sequence[str], baseline: str) -> list[Compared]:
    """Compare subsets by model, task and metric.

    Args:
        numbers: Of all cells.
        subsets: In the order of the table.
        baseline: What the others are compared with.

    Returns:
        By model, metric and task; within them by subset.
    """
    grouped: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    chances: dict[tuple[str, str], float] = {}
    for number in numbers:
        if number.metric in SHOWN:
            grouped[number.model, number.metric, number.task][number.subset].append(number.value)
            if number.chance is not None:
                chances[number.metric, number.task] = number.chance
    compared: list[Compared] = []
    for model, metric, task in sorted(grouped, key=lambda key: (key[0], SHOWN.index(key[1]), key[2])):
        by_subset = grouped[model, metric, task]
        p_values = _p_values(by_subset, [one for one in subsets if one != baseline], baseline)
        base = by_subset.get(baseline)
        compared += [
            Compared(
                model=model,
                task=task,
                metric=metric,
                subset=subset,
                seeds=len(by_subset[subset]),
                mean=_mean(by_subset[subset]),
                spread=_spread(by_subset[subset]),
                difference=_mean(by_subset[subset]) - _mean(base) if base and subset != baseline else None,
                p_value=p_values.get(subset),
                chance=chances.get((metric, task)),
            )
            for subset in subsets
            if by_subset.get(subset)
        ]
    return compared


def measures_of(compared: Iterable[Compared]) -> dict[tuple[str, str], float | None]:
    """Metric and task of each measure, in the order of `compare`, with its chance."""
    return {(one.metric, one.task): one.chance for one in compared}


def _p_values(
    by_subset: Mapping[str, Sequence[float]], others: Sequence[str], baseline: str
) -> dict[str, float]:
    from scipy.stats import ttest_ind_from_stats

    base = by_subset.get(baseline, ())
    raw: dict[str, float] = {}
    for subset in others:
        values = by_subset.get(subset, ())
        if len(base) < 2 or len(values) < 2:
            continue
        (mean, spread, size), of_base = ((_mean(row), _spread(row), len(row)) for row in (values, base))
        if spread == of_base[1] == 0:  # the test knows no answer to this
            raw[subset] = 1.0 if mean == of_base[0] else 0.0
        else:  # given values, scipy warns of those of an arm that are all equal, and gives the same number
            raw[subset] = float(ttest_ind_from_stats(mean, spread, size, *of_base, equal_var=False).pvalue)
    return holm(raw)


def holm(raw: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction of several p-values."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(raw, key=lambda name: raw[name])):
        largest = max(largest, min(1.0, raw[name] * (len(raw) - place)))
        corrected[name] = largest
    return corrected


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _spread(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    middle = _mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))
