"""Zero-shot classification and retrieval through clip_benchmark, over local task folders."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

from spark_jobs.errors import ConfigError
from spark_jobs.evaluation.measures import Measure, share
from spark_jobs.evaluation.tasks import CLASSIFICATION, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from udfs.clip_model import ClipModel

RECALL_AT = (1, 5)


def ensure_clip_benchmark() -> None:
    """Check that clip_benchmark can be imported.

    Raises:
        ConfigError: If it cannot.
    """
    try:
        import clip_benchmark.datasets.builder
        import clip_benchmark.metrics.zeroshot_classification  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"evaluate_clip.tasks needs clip_benchmark ({error}): pip install 'parrot-captions[evaluate]'"
        ) from error


def measure(model: ClipModel, task: Task, *, batch_size: int) -> list[Measure]:
    """Evaluate one task as clip_benchmark does.

    Raises:
        ConfigError: If clip_benchmark is not installed.
    """
    ensure_clip_benchmark()
    from clip_benchmark.datasets.builder import build_dataset, get_dataset_collate_fn
    from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval
    from torch.utils.data import DataLoader

    is_classification = task.kind == CLASSIFICATION
    # Its collation goes by the name of a data set: mscoco_captions stands for any with several captions an image.
    collate = get_dataset_collate_fn("wds" if is_classification else "mscoco_captions")
    kind = "zeroshot_classification" if is_classification else "zeroshot_retrieval"
    dataset = build_dataset(
        "wds/" + task.name,
        root=str(task.path),
        transform=model.transform,
        split="test",
        download=False,
        task=kind,
    )
    counted = _Counted(
        DataLoader(dataset.batched(batch_size, collation_fn=collate), batch_size=None), task.classes
    )
    network, tokens, device = model.network, model.tokenizer, model.device
    with contextlib.redirect_stderr(io.StringIO()):  # tqdm
        if is_classification:
            found = zeroshot_classification.evaluate(
                network, counted, tokens, list(task.classes), list(task.templates), device, amp=False
            )
        else:
            found = zeroshot_retrieval.evaluate(
                network, counted, tokens, device, amp=False, recall_k_list=_recall_at(task)
            )
    return _measures(found, task, counted)


def _recall_at(task: Task) -> list[int]:
    """Of RECALL_AT those that there are images for."""
    return [at for at in RECALL_AT if at <= task.image_count()]


def _measures(found: dict[str, float], task: Task, counted: _Counted) -> list[Measure]:
    if task.kind == CLASSIFICATION:
        chances = {"acc1": 1, "acc5": 5, "mean_per_class_recall": 1}
        return [
            share(
                task.name,
                name,
                float(found[name]),
                samples=counted.images,
                chance=min(1.0, at / len(task.classes)),
            )
            for name, at in chances.items()
            if found[name] == found[name]  # fewer than five classes have no acc5
        ]
    measures = []
    for at in _recall_at(task):
        # A random order: the chance that one of an image's captions is among the first of all captions.
        captions = counted.texts / counted.images
        chance = {"image": at / counted.images, "text": 1 - (1 - at / counted.texts) ** captions}
        queries = {"image": counted.texts, "text": counted.images}
        for way in ("image", "text"):
            name = f"{way}_retrieval_recall@{at}"
            measures.append(
                share(task.name, name, float(found[name]), samples=queries[way], chance=min(1.0, chance[way]))
            )
    return measures


class _Counted:
    """A data loader that counts what it hands out."""

    def __init__(self, loader: Any, classes: Sequence[str]) -> None:
        self._loader = loader
        self.dataset = _Classes(classes)
        self.images, self.texts = 0, 0

    def __iter__(self) -> Any:
        for images, second in self._loader:
            self.images += len(images)
            self.texts += sum(len(one) for one in second) if isinstance(second, list | tuple) else 0
            yield images, second


class _Classes:
    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)
