"""Studies: their files, cells and comparisons."""

import numpy as np
import pytest
from scipy import stats

from spark_jobs.errors import ConfigError
from spark_jobs.study.comparison import Number, compare, holm
from spark_jobs.study.definition import read_study
from spark_jobs.study.figure import draw

TEXT = """
study: captions
subsets: [random, without_text]
size: 300
models: [parrot-tiny]
seeds: [0, 1, 2]
train: {samples_seen: 2000, batch_size: 50}
"""


def written(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_a_study_has_a_cell_per_subset_model_and_seed(tmp_path):
    study = read_study(written(tmp_path, TEXT))
    cells = study.cells()
    assert len(cells) == len(set(cells)) == 6
    assert [(cell.subset, cell.seed) for cell in cells[:3]] == [
        ("random", 0),
        ("without_text", 0),
        ("random", 1),
    ]
    assert study.compared_with == "random"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("random, without_text", "random, random"), "subsets names one twice"),
        (("size: 300", "baseline: other"), "baseline other is none of the subsets"),
        (("samples_seen: 2000", "seed: 7"), "train: seed follow from the study itself"),
        (("models: [parrot-tiny]", ""), "models: Field required"),
        (("study: captions", "study: captions\nsise: 3"), "sise: Extra inputs"),
        (("size: 300", "size: [3"), "not valid YAML"),
    ],
)
def test_faults_of_a_study_are_named(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        read_study(written(tmp_path, TEXT.replace(*change)))


def test_a_study_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="no study at"):
        read_study(tmp_path / "none.yaml")


def numbers():
    rng = np.random.default_rng(3)
    means = {"random": 0.5, "without_text": 0.8, "with_text": 0.5}
    return [
        Number(subset, "m", seed, "t", metric, middle + rng.normal(0, 0.02), 0.25)
        for subset, middle in means.items()
        for seed in range(3)
        for metric in ("acc1", "not shown")
    ]


def test_means_spreads_and_differences():
    given = numbers()
    found = {
        one.subset: one
        for one in compare(given, subsets=["with_text", "random", "without_text"], baseline="random")
    }
    assert list(found) == ["with_text", "random", "without_text"]
    values = {name: [n.value for n in given if n.subset == name and n.metric == "acc1"] for name in found}
    for name, one in found.items():
        assert (one.metric, one.seeds, one.chance) == ("acc1", 3, 0.25)
        assert one.mean == pytest.approx(np.mean(values[name]))
        assert one.spread == pytest.approx(np.std(values[name], ddof=1))
    raw = {
        name: stats.ttest_ind(values[name], values["random"], equal_var=False).pvalue
        for name in ("with_text", "without_text")
    }
    assert found["random"].p_value is None is found["random"].difference
    assert found["without_text"].p_value == pytest.approx(min(1, 2 * min(raw.values())))
    assert found["without_text"].p_value < 0.05 < found["with_text"].p_value


def test_one_seed_has_no_spread_and_no_significance():
    only = [one for one in numbers() if one.seed == 0]
    found = compare(only, subsets=["random", "without_text", "with_text"], baseline="random")
    assert {(one.spread, one.p_value) for one in found} == {(None, None)}
    assert found[1].difference == pytest.approx(found[1].mean - found[0].mean)


def test_an_arm_whose_seeds_agree_is_compared_by_the_others_spread():
    values = {"random": [0.104, 0.1, 0.11], "cotr_eq_1": [0.0, 0.0, 0.0]}
    numbers = [
        Number(name, "m", seed, "t", "acc1", value)
        for name, row in values.items()
        for seed, value in enumerate(row)
    ]
    _, found = compare(numbers, subsets=list(values), baseline="random")
    assert found.p_value == pytest.approx(stats.ttest_1samp(values["random"], 0.0).pvalue)


def test_equal_numbers_do_not_differ():
    same = [Number(subset, "m", seed, "t", "acc1", 0.5) for subset in ("a", "b") for seed in (0, 1)]
    assert [one.p_value for one in compare(same, subsets=["a", "b"], baseline="a")] == [None, 1.0]


def test_holm_by_hand():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_the_plot_is_the_same_for_the_same_numbers(tmp_path):
    order = ["random", "without_text", "with_text"]
    compared = compare(
        [*numbers(), Number("random", "m", 0, "t", "rsa", 0.1)], subsets=order, baseline="random"
    )
    for name in ("one.svg", "two.svg"):
        draw(compared, tmp_path / name, subsets=order, title="captions")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert "<svg" in text
    assert text.count("stroke-dasharray") == 1, "a line at chance where it is known"
