"""The one Arrow adapter of the model stages: references in, measured rows out.

Each task reads its images by coalesced byte ranges, decodes and prepares them in threads while the model
works on the batch before, and turns whatever is wrong with one image into a row that says so. An image that kills
the model's process fails the task once; the next attempt finds it with the model in a process apart. The batches
are those that the input names (column `batch`), so results do not depend on partitions or cores.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import pyarrow as pa

from schemas._table import KEY_COLUMNS
from schemas.images import REFERENCE_COLUMNS
from udfs.devices import is_out_of_memory, is_retried, pin_gpu
from udfs.guarded_decode import decode
from udfs.heap import trim_heap
from udfs.image_codec import DecodeLimits, ImageFault
from udfs.image_refs import ImageRef, UnreadableImage, read_images
from udfs.model_apart import ModelApart
from udfs.model_api import ImageModel, ModelFactory, Result, Row

SKIP_COLUMN = "skip_reason"
BATCH_COLUMN = "batch"
PHASES = ("read", "decode", "infer")


@dataclass(frozen=True)
class ImageTask:
    """What a worker does with images; pickled to it.

    Attributes:
        factory: Loads the model, once per worker process.
        output: Arrow schema of what comes out: keys, results, status, error, seconds by phase.
        constants: Result columns that are the same in every row, failed ones too (the model's name).
        limits: What one image may cost.
        decode_threads: Threads that decode and prepare while the model works.
    """

    factory: ModelFactory
    output: pa.Schema
    constants: tuple[tuple[str, str], ...] = ()
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    decode_threads: int = 2


@dataclass
class _Batch:
    """One batch on its way: per row either what the model takes, or why there is nothing."""

    rows: list[Row]
    prepared: list[Any]
    faults: list[tuple[str, str] | None]
    seconds: dict[str, float]


_Load = Callable[[], ImageModel]
_loaded: dict[ModelFactory, ImageModel] = {}


def load_once(factory: ModelFactory) -> ImageModel:
    """The factory's model, loaded at its first use in this process and kept until another is asked for.

    PySpark collects garbage after every task. What stays for good is frozen: with open_clip and EasyOCR imported, half
    a million objects were looked through each time, .25 s of a core a task.
    """
    if factory not in _loaded:
        _forget()
        pin_gpu()
        _loaded[factory] = factory.load()
        gc.collect()
        gc.freeze()
    return _loaded[factory]


def _forget() -> None:
    """Let the model go; frozen, what of it refers to itself would stay."""
    _loaded.clear()
    gc.unfreeze()
    gc.collect()


def map_images(task: ImageTask) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """The function for `mapInArrow`: one output row per input row, in order.

    Input columns: `shard_id`, `sample_id`, `batch`, `skip_reason` (null, or why upstream has no image),
    the image reference, and what the model's `predict` reads from a row.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with _loader(task.factory) as load:
            for batch in _prefetched(_batches_of(batches), task, load):
                yield _measured(batch, task, load)
                trim_heap()

    return run


@contextmanager
def _loader(factory: ModelFactory) -> Iterator[_Load]:
    """How a task gets its model: in this process, or apart where an attempt before this one has failed."""
    if not is_retried():
        yield partial(load_once, factory)
        return
    _forget()
    pin_gpu()
    apart: list[ModelApart] = []

    def load() -> ImageModel:
        if not apart:
            apart.append(ModelApart(factory))
        return apart[0]

    try:
        yield load
    finally:
        for model in apart:
            model.close()


def _batches_of(batches: Iterable[pa.RecordBatch]) -> Iterator[list[Row]]:
    rows = (row for batch in batches for row in batch.to_pylist())
    for _, group in groupby(rows, key=lambda row: (row["shard_id"], row[BATCH_COLUMN])):
        yield list(group)


def _prefetched(groups: Iterator[list[Row]], task: ImageTask, load: _Load) -> Iterator[_Batch]:
    """Prepare each batch while the caller works on the one before."""
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(task.decode_threads) as decoders:
        following = None
        for rows in groups:
            # The model is loaded here, in the task's thread: GPU libraries want one thread, and a missing
            # weight file must fail the task.
            model = load() if _any_image(rows) else None
            current, following = following, reader.submit(_prepare, rows, model, task=task, decoders=decoders)
            if current is not None:
                yield current.result()
        if following is not None:
            yield following.result()


def _any_image(rows: list[Row]) -> bool:
    return any(row[SKIP_COLUMN] is None for row in rows)


def _prepare(
    rows: list[Row], model: ImageModel | None, *, task: ImageTask, decoders: ThreadPoolExecutor
) -> _Batch:
    started = time.perf_counter()
    wanted = [index for index, row in enumerate(rows) if row[SKIP_COLUMN] is None]
    refs = [ImageRef(*(rows[index][name] for name in REFERENCE_COLUMNS)) for index in wanted]
    data = read_images(refs, max_bytes=task.limits.max_bytes)
    read = time.perf_counter()
    prepare_row = getattr(model, "prepare_row", None)

    def prepare(item: bytes | UnreadableImage, row: Row) -> Any:
        if isinstance(item, UnreadableImage):
            return item
        try:
            pixels, is_guarded = decode(item, task.limits)
        except ImageFault as fault:
            return fault
        try:
            if prepare_row is not None:
                return prepare_row(pixels, row)
            # A model must not open a suspicious file a second time, in this process.
            return model.prepare(pixels, None if is_guarded else item)  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001 - one image that a model cannot take is one row
            return ImageFault(f"model: {type(error).__name__}: {error}")

    batch = _Batch(list(rows), [None] * len(rows), [None] * len(rows), {})
    for index, row in enumerate(rows):
        if row[SKIP_COLUMN] is not None:
            batch.faults[index] = ("skipped", row[SKIP_COLUMN])
    prepared = decoders.map(prepare, data, [rows[index] for index in wanted])
    for index, item in zip(wanted, prepared, strict=True):
        if isinstance(item, (ImageFault, UnreadableImage)):
            batch.faults[index] = ("failed", str(item))
        else:
            batch.prepared[index] = item
    batch.seconds = {"read": read - started, "decode": time.perf_counter() - read}
    return batch


def _measured(batch: _Batch, task: ImageTask, load: _Load) -> pa.RecordBatch:
    started = time.perf_counter()
    good = [index for index, fault in enumerate(batch.faults) if fault is None]
    results: list[Result] = [{}] * len(batch.rows)
    if good:
        outcomes = predict_all(
            load(),
            [batch.prepared[index] for index in good],
            [batch.rows[index] for index in good],
        )
        for index, outcome in zip(good, outcomes, strict=True):
            if isinstance(outcome, Exception):
                batch.faults[index] = ("failed", f"model: {type(outcome).__name__}: {outcome}")
            else:
                results[index] = outcome
    batch.seconds["infer"] = time.perf_counter() - started
    return _record_batch(batch, results, task)


def predict_all(model: ImageModel, prepared: Sequence[Any], rows: Sequence[Row]) -> list[Result | Exception]:
    """Predict a batch; find the images that fail alone; halve the batch on out-of-memory.

    Raises:
        RuntimeError: If a single image runs out of memory: the machine is too small, not the image bad.
    """
    try:
        return list(model.predict(prepared, rows))
    except Exception as error:
        if len(rows) == 1:
            if is_out_of_memory(error):
                raise RuntimeError(
                    f"out of memory on a single image (sample {rows[0].get('sample_id')}): {error}"
                ) from error
            return [error]
    middle = len(rows) // 2
    return predict_all(model, prepared[:middle], rows[:middle]) + predict_all(
        model, prepared[middle:], rows[middle:]
    )


def _record_batch(batch: _Batch, results: list[Result], task: ImageTask) -> pa.RecordBatch:
    constants = dict(task.constants)
    first_row = {f"{phase}_seconds": batch.seconds[phase] for phase in PHASES}
    no_seconds = {f"{phase}_seconds": 0.0 for phase in PHASES}
    out = []
    for index, (row, result, fault) in enumerate(zip(batch.rows, results, batch.faults, strict=True)):
        status, error = fault or ("ok", None)
        keys = {name: row[name] for name in KEY_COLUMNS}
        seconds = no_seconds if index else first_row
        out.append({**keys, **constants, **result, "status": status, "error": error, **seconds})
    return pa.RecordBatch.from_pylist(out, schema=task.output)
