"""Task folders in the layout of clip_benchmark's wds data sets, and DataComp's list of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spark_jobs.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_jobs.evaluation.measures import Measure

CLASSIFICATION, RETRIEVAL = "classification", "retrieval"
IMAGENET = "imagenet1k"
_RETRIEVALS = ("flickr30k", "mscoco_captions")
# DataComp's 38 but for those that clip_benchmark does not cover: WILDS (iWildCam, Camelyon17, FMoW), WinoGAViL,
# Dollar Street and GeoDE.
DATACOMP = (
    "vtab-caltech101", "cifar10", "vtab-cifar100", "vtab-clevr_count_all", "vtab-clevr_closest_object_distance",
    "country211", "vtab-dtd", "vtab-eurosat", "fgvc_aircraft", "food101", "gtsrb", IMAGENET, "imagenet_sketch",
    "imagenetv2", "imagenet-a", "imagenet-o", "imagenet-r", "vtab-kitti_closest_vehicle_distance", "mnist",
    "objectnet", "vtab-flowers", "vtab-pets", "voc2007", "vtab-pcam", "renderedsst2", "vtab-resisc45", "cars",
    "stl10", "sun397", "vtab-svhn", *_RETRIEVALS,
)  # fmt: skip
_PER_CLASS = {
    "vtab-caltech101",
    "fgvc_aircraft",
    "vtab-flowers",
    "vtab-pets",
}  # DataComp's mean per-class recall


@dataclass(frozen=True)
class Task:
    """One task folder.

    Attributes:
        name: Name of the folder.
        path: The folder.
        kind: classification or retrieval.
        classes: Class names; empty for retrieval.
        templates: Captions with `{c}` for the class; empty for retrieval.
    """

    name: str
    path: Path
    kind: str
    classes: tuple[str, ...]
    templates: tuple[str, ...]

    def image_count(self) -> int:
        """Images of a retrieval: one text file each."""
        count = 0
        for number in range(int((self.path / "test/nshards.txt").read_text())):
            with tarfile.open(self.path / "test" / f"{number}.tar") as archive:
                count += sum(name.endswith(".txt") for name in archive.getnames())
        return count

    def images(self) -> Iterator[tuple[bytes, int]]:
        """Stored images of a classification with their class, in order."""
        for number in range(int((self.path / "test/nshards.txt").read_text())):
            with tarfile.open(self.path / "test" / f"{number}.tar") as archive:
                held: dict[str, dict[str, bytes]] = {}
                for member in archive:
                    stream = archive.extractfile(member)
                    key, _, extension = member.name.partition(".")
                    parts = held.setdefault(key, {})
                    parts["cls" if extension == "cls" else "image"] = stream.read() if stream else b""
                    if len(parts) == 2:
                        yield parts["image"], int(held.pop(key)["cls"])


def find_tasks(folder: Path, wanted: Sequence[str] | None = None) -> list[Task]:
    """The tasks in a folder, by name.

    Args:
        folder: Folder with a folder per task.
        wanted: Names of those that must be there, and no others are taken; None for all.

    Raises:
        ConfigError: If the folder, or a wanted task, or a part of a task is not there; names all of them.
    """
    if not folder.is_dir():
        raise ConfigError(f"evaluate_clip.tasks: no folder {folder}")
    there = {
        path.parent.parent.name: path.parent.parent for path in sorted(folder.glob("*/test/nshards.txt"))
    }
    missing = sorted(set(wanted or ()) - set(there))
    if missing or not there:
        raise ConfigError(
            f"evaluate_clip.tasks: {folder} lacks {', '.join(missing) or 'any task'}; there are: "
            f"{', '.join(there) or 'none'}. A task is a folder with test/nshards.txt, test/0.tar, ..., and for a "
            "classification classnames.txt and zeroshot_classification_templates.txt "
            "(clip_benchmark_export_wds makes it)"
        )
    return [_task(name, path) for name, path in there.items() if wanted is None or name in wanted]


def _task(name: str, path: Path) -> Task:
    shards = int((path / "test/nshards.txt").read_text())
    type_file = path / "dataset_type.txt"
    kind = type_file.read_text().strip().lower() if type_file.is_file() else CLASSIFICATION
    needed = [f"test/{number}.tar" for number in range(shards)]
    texts = ("classnames.txt", "zeroshot_classification_templates.txt")
    needed += texts if kind == CLASSIFICATION else ()
    missing = [one for one in needed if not (path / one).is_file()]
    if missing or kind not in (CLASSIFICATION, RETRIEVAL):
        reason = f"lacks {', '.join(missing)}" if missing else f"is of the unknown type {kind}"
        raise ConfigError(f"evaluate_clip.tasks: the task {path} {reason}")
    if kind == RETRIEVAL:
        return Task(name, path, kind, (), ())
    classes, templates = ((path / one).read_text(encoding="utf-8").splitlines() for one in texts)
    return Task(name, path, kind, tuple(map(str.strip, classes)), tuple(map(str.strip, templates)))


def wds_name(name: str) -> str:
    """A folder's name as clip_benchmark spells it: `wds_imagenet1k_test` is `imagenet1k`."""
    return name.removeprefix("wds_").removesuffix("_test").replace("/", "-")


def summary(measures: Sequence[Measure]) -> tuple[list[Measure], list[str]]:
    """DataComp's columns over the tasks that are there: IN, Ret., Avg.

    Returns:
        The columns that can be told, and the names of DataComp's tasks that are not there.
    """
    from spark_jobs.evaluation.measures import Measure

    values = {(wds_name(one.task), one.metric): one.value for one in measures}
    main: dict[str, float] = {}
    for name in dict.fromkeys(name for name, _ in values):
        both = [values.get((name, f"{way}_retrieval_recall@1")) for way in ("image", "text")]
        found = [one for one in both if one is not None]
        main_metric = values.get((name, "mean_per_class_recall" if name in _PER_CLASS else "acc1"))
        if found:
            main[name] = float(np.mean(found))
        elif main_metric is not None:
            main[name] = main_metric
    columns = []
    if IMAGENET in main:
        columns.append(Measure("datacomp", "IN", main[IMAGENET], 1))
    retrievals = [main[name] for name in _RETRIEVALS if name in main]
    if retrievals:
        columns.append(Measure("datacomp", "Ret.", float(np.mean(retrievals)), len(retrievals)))
    if main:
        columns.append(Measure("datacomp", "Avg.", float(np.mean(list(main.values()))), len(main)))
    return columns, [name for name in DATACOMP if name not in main]


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    """Pixels of an image of a task, shape (height, width, 3)."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def report_missing(missing: Sequence[str]) -> str:
    """One sentence about DataComp's tasks that are not there."""
    return (
        f"{len(DATACOMP) - len(missing)} of DataComp's tasks are there, {len(missing)} are not: "
        + ", ".join(missing[:8])
        + (", ..." if len(missing) > 8 else "")
    )


def as_arrays(vectors: Any) -> NDArray[np.float64]:
    """Vectors as an array of float64, shape (n, width)."""
    return np.asarray(vectors, dtype=np.float64)
