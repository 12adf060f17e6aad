"""Evaluation against numbers that can be told by hand: a model whose vectors are known."""

import numpy as np
import pytest

from spark_jobs.errors import ConfigError
from spark_jobs.evaluation import attack, words
from spark_jobs.evaluation.attack import write_on, wrong_class
from spark_jobs.evaluation.benchmark import measure as benchmark_measure
from spark_jobs.evaluation.measures import Measure, mean, share
from spark_jobs.evaluation.tasks import DATACOMP, find_tasks, report_missing, summary
from spark_jobs.evaluation.words import _measures as word_measures
from spark_jobs.evaluation.words import read_words
from tests.task_folders import NAMES, write_task

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


def coloured(name, size=(40, 60)):
    return np.full((*size, 3), COLOURS[name], np.uint8)


class ColourModel:
    """Sees the mean colour, and knows the names of three."""

    device = "cpu"

    @property
    def network(self):
        return self

    def transform(self, image):
        import torch

        return torch.tensor(np.asarray(image).reshape(-1, 3).mean(axis=0), dtype=torch.float32)

    def tokenizer(self, texts):
        import torch

        return torch.tensor([next(NAMES.index(name) for name in NAMES if name in text) for text in texts])

    def encode_image(self, images):
        return images

    def encode_text(self, tokens):
        import torch

        return torch.tensor([COLOURS[NAMES[int(token)]] for token in tokens], dtype=torch.float32)

    def prepare(self, pixels):
        return pixels.reshape(-1, 3).mean(axis=0).astype(np.float32)

    def embed_images(self, prepared):
        vectors = np.stack(prepared)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_texts(self, texts):
        return self.embed_images([np.float32(COLOURS[next(n for n in NAMES if n in text)]) for text in texts])


def by_metric(measures):
    return {one.metric: one for one in measures}


@pytest.fixture
def colours(tmp_path):
    samples = [(coloured(name), number) for number, name in enumerate(NAMES)] * 4
    samples[0] = (coloured("blue"), 0)  # one wrong label
    return write_task(tmp_path, "wds_cifar10_test", samples)


def test_classification_through_clip_benchmark(colours):
    pytest.importorskip("clip_benchmark", reason="clip_benchmark comes with the extra `evaluate`")
    (task,) = find_tasks(colours.parent)
    found = by_metric(benchmark_measure(ColourModel(), task, batch_size=5))
    assert found["acc1"].value == pytest.approx(11 / 12)
    assert found["acc1"].samples == 12
    assert found["acc1"].chance == pytest.approx(1 / 3)
    assert found["mean_per_class_recall"].value == pytest.approx((3 / 4 + 1 + 1) / 3)
    assert "acc5" not in found


def test_retrieval_through_clip_benchmark(tmp_path):
    pytest.importorskip("clip_benchmark", reason="clip_benchmark comes with the extra `evaluate`")
    samples = [(coloured(name), [f"{name} one", f"{name} two"]) for name in NAMES]
    write_task(tmp_path, "mscoco_captions", samples, kind="retrieval")
    (task,) = find_tasks(tmp_path)
    found = by_metric(benchmark_measure(ColourModel(), task, batch_size=2))
    assert found["image_retrieval_recall@1"].value == found["text_retrieval_recall@1"].value == 1.0
    assert (found["image_retrieval_recall@1"].samples, found["text_retrieval_recall@1"].samples) == (6, 3)
    assert found["image_retrieval_recall@1"].chance == pytest.approx(1 / 3)
    assert found["text_retrieval_recall@1"].chance == pytest.approx(1 - (1 - 1 / 6) ** 2)


def test_a_model_that_only_sees_is_not_attacked(colours):
    (task,) = find_tasks(colours.parent)
    found = by_metric(attack.measure(ColourModel(), task, batch_size=5, seed=0))
    assert found["clean_acc1"].value == found["attacked_acc1"].value == pytest.approx(11 / 12)
    assert found["attacked_reads"].value == found["clean_reads"].value


def test_a_model_that_only_reads_falls_for_the_attack(colours, monkeypatch):
    (task,) = find_tasks(colours.parent)
    told = []

    def write(pixels, text, rng):
        told.append(text)
        return coloured(text)

    monkeypatch.setattr(attack, "write_on", write)
    found = by_metric(attack.measure(ColourModel(), task, batch_size=4, seed=3))
    assert len(told) == 12
    assert found["attacked_reads"].value == 1.0
    assert found["attacked_acc1"].value == 0.0


def test_wrong_names_are_wrong_and_written_where_they_fit():
    rng = np.random.default_rng(0)
    assert {wrong_class(1, 3, rng) for _ in range(50)} == {0, 2}
    grey = np.full((64, 48, 3), 90, np.uint8)
    for seed in range(8):
        drawn = write_on(grey, "a rather long name", np.random.default_rng(seed))
        assert drawn.shape == grey.shape
        assert (drawn == 255).all(axis=2).any()
        assert drawn.min() < 60
        assert (drawn == 90).all(axis=2).mean() > 0.5
    assert np.array_equal(grey, np.full((64, 48, 3), 90, np.uint8))


def test_word_measures_by_hand():
    # Two styles, three words: the first is told rightly, the second ties with one, the third is behind one.
    one = np.array([[0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [0.0, 0.6, 0.3]])
    found = by_metric(word_measures(np.stack([one, one]), "t"))
    assert found["sync_score"].value == pytest.approx((0.9 + 0.5 + 0.3) / 3)
    assert found["sync_wrong"].value == pytest.approx((0.15 + 0.3 + 0.3) / 3)
    assert found["sync_margin"].value == pytest.approx((0.75 + 0.2 + 0.0) / 3)
    assert found["word_retrieval@1"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["word_retrieval@1"].chance == pytest.approx(1 / 3)
    assert found["word_retrieval@1"].samples == 3


def test_a_model_that_gives_all_words_the_same_is_at_chance():
    found = by_metric(word_measures(np.full((4, 50, 50), 0.7), "t"))
    assert found["word_retrieval@1"].value == pytest.approx(1 / 50)
    assert found["word_retrieval@5"].value == pytest.approx(5 / 50)
    assert found["sync_score"].value == pytest.approx(0.7)
    assert found["sync_margin"].value == pytest.approx(0.0)


def test_words_are_drawn_and_compared():
    found = by_metric(words.measure(ColourModel(), [*NAMES, "blue\U0010ffff"], batch_size=2))
    assert found["sync_score"].samples == 3  # the font has no sign for the fourth
    assert found["word_retrieval@1"].value == pytest.approx(1 / 3, abs=0.35)


def test_intervals():
    found = share("t", "m", 0.5, samples=100)
    assert (found.low, found.high) == pytest.approx((0.4038, 0.5962), abs=1e-3)  # Wilson, by R's prop.test
    assert share("t", "m", 1.0, samples=10).high == pytest.approx(1.0)
    values = np.array([1.0, 2.0, 3.0, 4.0])
    average = mean("t", "m", values)
    assert average.value == 2.5
    assert average.high - average.low == pytest.approx(2 * 1.959964 * 1.2909944 / 2)
    assert mean("t", "m", values[:1]).low is None


def test_tasks_that_are_not_there_are_named(colours, tmp_path):
    with pytest.raises(ConfigError, match=r"lacks imagenet1k, stl10; there are: wds_cifar10_test"):
        find_tasks(tmp_path, ("imagenet1k", "stl10", "wds_cifar10_test"))
    with pytest.raises(ConfigError, match="no folder"):
        find_tasks(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="lacks any task"):
        find_tasks(tmp_path / "empty")
    (colours / "classnames.txt").unlink()
    with pytest.raises(ConfigError, match=r"wds_cifar10_test lacks classnames.txt"):
        find_tasks(tmp_path)


def test_the_summary_has_datacomps_columns():
    measures = [
        Measure("wds_imagenet1k_test", "acc1", 0.4, 10),
        Measure("wds_vtab-pets_test", "acc1", 0.9, 10),
        Measure("wds_vtab-pets_test", "mean_per_class_recall", 0.6, 10),
        Measure("flickr30k", "image_retrieval_recall@1", 0.2, 10),
        Measure("flickr30k", "text_retrieval_recall@1", 0.4, 10),
    ]
    columns, missing = summary(measures)
    assert {one.metric: one.value for one in columns} == pytest.approx(
        {"IN": 0.4, "Ret.": 0.3, "Avg.": (0.4 + 0.6 + 0.3) / 3}
    )
    assert len(missing) == len(DATACOMP) - 3
    assert f"3 of DataComp's tasks are there, {len(missing)} are not: vtab-caltech101" in report_missing(
        missing
    )
    assert summary([Measure("own", "acc1", 0.5, 3)])[0][-1].value == 0.5


def test_words_of_a_file(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("one\n\n two \none\nthree\n")
    assert read_words(file, 2) == ["one", "two"]
    file.write_text("one\n")
    with pytest.raises(ConfigError, match="holds 1 words"):
        read_words(file, 5)
    with pytest.raises(ConfigError, match="no file"):
        read_words(tmp_path / "none", 5)
