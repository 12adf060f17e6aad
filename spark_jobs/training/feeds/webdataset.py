"""Feed `webdataset`: tars read through the library webdataset, as open_clip does, each process its own share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from spark_jobs.errors import ConfigError
from spark_jobs.training.feeds.base import FeedSpec, Item, endless, shuffled
from spark_jobs.training.feeds.shares import Piece, share_of

_NOT_IMAGES = {"__key__", "__url__", "__local_path__", "json", "txt"}


class WebdatasetSource:
    """Items of one process, read by webdataset.

    Raises:
        ConfigError: If webdataset is not installed.
    """

    def __init__(self, spec: FeedSpec) -> None:
        try:
            import webdataset  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "the feed webdataset needs the package webdataset: pip install 'parrot-captions[train]', or export "
                "with --format parquet --with-images and take the feed parquet"
            ) from error
        self._spec = spec
        self._pieces = share_of(spec.inventory, spec.rank, spec.world)
        self.samples_per_epoch = sum(len(piece.rows) for piece in self._pieces)

    def items(self, first_step: int) -> Iterator[Item]:
        """This process's items, from a step on."""
        return endless(self._epoch, length=self.samples_per_epoch, start=first_step * self._spec.batch)

    def _epoch(self, number: int) -> Iterator[Item]:
        rng = np.random.default_rng((self._spec.seed, number, self._spec.rank))
        order = [self._pieces[place] for place in rng.permutation(len(self._pieces))]
        items = (item for piece in order for item in self._read(piece, number))
        return shuffled(items, self._spec.shuffle_buffer, rng)

    def _read(self, piece: Piece, epoch: int) -> Iterator[Item]:
        import webdataset

        path = os.path.join(self._spec.export.root, piece.chunk.file)
        samples = webdataset.DataPipeline(
            webdataset.SimpleShardList([path]),
            webdataset.tarfile_to_samples(handler=webdataset.reraise_exception),
        )
        own = set(piece.rows)
        for row, sample in enumerate(samples):
            if row in own:
                yield Item(sample["__key__"], epoch, sample["txt"].decode("utf-8"), _image(sample))


def _image(sample: dict[str, Any]) -> bytes:
    return next(bytes(data) for name, data in sample.items() if name not in _NOT_IMAGES)
