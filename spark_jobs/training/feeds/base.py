"""What every feed shares: items, decoding, batches made ahead, and the wait for them measured."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from spark_jobs.training.crops import prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_jobs.training.export_folder import Inventory, TrainingExport

_BATCHES_AHEAD = 2
T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """A sample on its way into a batch.

    Attributes:
        sample_id: Its id.
        epoch: Epoch it is drawn for, from 0.
        caption: Its caption.
        image: The stored file, or pixels as `crops.prepared` gives them.
    """

    sample_id: str
    epoch: int
    caption: str
    image: bytes | NDArray[np.uint8]


@dataclass(frozen=True)
class Batch:
    """Pairs of one process for one step.

    Attributes:
        images: Tensor (pairs, 3, size, size), uint8.
        tokens: Tensor (pairs, context length), int64.
        sample_ids: Their samples.
        waited: Seconds for which the training stood still for this batch.
    """

    images: Any
    tokens: Any
    sample_ids: tuple[str, ...]
    waited: float


@dataclass(frozen=True)
class FeedSpec:
    """What a feed needs to know.

    Attributes:
        export: The export.
        inventory: Which of its samples can be trained on.
        rank: This process, from 0.
        world: Processes.
        batch: Pairs per step of this process.
        size: Side of the square images, px.
        smallest_crop: Smallest share of an image's area that a crop shows.
        seed: Of order and crops.
        shuffle_buffer: Samples that are shuffled together.
        threads: Threads that decode.
    """

    export: TrainingExport
    inventory: Inventory
    rank: int
    world: int
    batch: int
    size: int
    smallest_crop: float
    seed: int
    shuffle_buffer: int
    threads: int

    def pixels(self, item: Item) -> NDArray[np.uint8]:
        """The crop of an item: the same for a seed, epoch and sample, whatever feed, process and thread."""
        if not isinstance(item.image, bytes):
            return item.image
        key = (self.seed, item.epoch, int(item.sample_id[:15], 16))
        return prepared(item.image, size=self.size, smallest_crop=self.smallest_crop, key=key)


class Source(Protocol):
    """A feed's own part: an endless stream of items. No sample comes twice, or not at all, in an epoch."""

    samples_per_epoch: int
    """Samples of this process in an epoch."""

    def items(self, first_step: int) -> Iterator[Item]:
        """This process's items from a step on."""


class Feed:
    """Batches of one process, for ever: the epochs follow each other without a gap or a rest.

    Since no stream ends, no process waits for another at an epoch's end, and no sample is dropped there.

    Args:
        source: Where the items come from.
        spec: What the feed knows.
        tokenise: Captions to token tensor.
    """

    def __init__(self, source: Source, spec: FeedSpec, tokenise: Callable[[list[str]], Any]) -> None:
        self._source = source
        self._spec = spec
        self._tokenise = tokenise

    @property
    def samples_per_epoch(self) -> int:
        """Samples of this process in an epoch."""
        return self._source.samples_per_epoch

    def batches(self, first_step: int = 0) -> Generator[Batch, None, None]:
        """Batches from a step on, made ahead by a thread."""
        stop = threading.Event()
        ready: queue.Queue[Any] = queue.Queue(maxsize=_BATCHES_AHEAD)
        worker = threading.Thread(target=self._fill, args=(first_step, ready, stop), daemon=True)
        worker.start()
        try:
            while True:
                started = time.perf_counter()
                made = ready.get()
                if isinstance(made, BaseException):
                    raise made
                images, tokens, sample_ids = made
                yield Batch(images, tokens, sample_ids, time.perf_counter() - started)
        finally:
            stop.set()
            while worker.is_alive():  # it may be waiting to hand over
                _drain(ready)
                worker.join(0.05)

    def _fill(self, first_step: int, ready: queue.Queue[Any], stop: threading.Event) -> None:
        try:
            for made in self._made(first_step, stop):
                ready.put(made)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the batches are taken
            ready.put(error)

    def _made(self, first_step: int, stop: threading.Event) -> Iterator[tuple[Any, Any, tuple[str, ...]]]:
        import torch

        items = self._source.items(first_step)
        decoded = ahead(items, self._spec.pixels, threads=self._spec.threads, depth=2 * self._spec.batch)
        while not stop.is_set():
            pairs = list(itertools.islice(decoded, self._spec.batch))
            images = torch.from_numpy(np.stack([pixels for _, pixels in pairs]))
            tokens = self._tokenise([item.caption for item, _ in pairs])
            yield images, tokens, tuple(item.sample_id for item, _ in pairs)


def ahead(
    items: Iterator[Item], work: Callable[[Item], T], *, threads: int, depth: int
) -> Iterator[tuple[Item, T]]:
    """Items with the result of some work, in order; threads work on those that come next."""
    waiting: deque[tuple[Item, Any]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > depth:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def endless(epoch: Callable[[int], Iterator[Item]], *, length: int, start: int) -> Iterator[Item]:
    """One epoch after the other, from a place in the stream on."""
    for number in itertools.count(start // length):
        yield from itertools.islice(epoch(number), start % length if number == start // length else 0, None)


def shuffled(items: Iterator[T], size: int, rng: np.random.Generator) -> Iterator[T]:
    """Items in the order of draws from a buffer: the same for the same generator."""
    buffer: list[T] = []
    for item in items:
        buffer.append(item)
        if len(buffer) >= size:
            place = int(rng.integers(len(buffer)))
            buffer[place], buffer[-1] = buffer[-1], buffer[place]
            yield buffer.pop()
    for place in rng.permutation(len(buffer)):
        yield buffer[place]


def _drain(ready: queue.Queue[Any]) -> None:
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        return
