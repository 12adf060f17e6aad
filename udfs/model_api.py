"""What a model stage gives the Arrow adapter: a factory, and an object that prepares and predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from udfs.weights import WeightFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Row = Mapping[str, Any]
Result = Mapping[str, Any]


class ImageModel(Protocol):
    """A loaded model. One instance lives in a worker process; `predict` is called from one thread only."""

    def prepare(self, image: NDArray[np.uint8], data: bytes | None = None) -> Any:
        """Turn an image into model input. Runs in decoding threads.

        Keep what is returned small: a batch of them waits in memory.

        Args:
            image: Decoded, (height, width, 3) RGB uint8, EXIF-upright, full size.
            data: The stored file, for models that can make more of it than pixels; None where it is
                suspicious, so that only the guarded decoder opens it.

        Raises:
            Exception: The image becomes a failed row.
        """
        ...

    def predict(self, prepared: Sequence[Any], rows: Sequence[Row]) -> list[Result]:
        """Measure a batch.

        Args:
            prepared: One `prepare` result per image, in order.
            rows: The same samples' input columns (caption, ids).

        Returns:
            One mapping of result column to plain Python or numpy value per image, in order.

        Raises:
            RuntimeError: Out of memory, told by `is_out_of_memory`; the adapter halves the batch.
            Exception: Anything else; the adapter retries the images one by one, and the one that fails
                alone becomes a failed row.
        """
        ...


class RowImageModel(ImageModel, Protocol):
    """A model whose input depends on more of a sample than its image (text removal: on its polygons)."""

    def prepare_row(self, image: NDArray[np.uint8], row: Row) -> Any:
        """As `prepare`, with the sample's input columns; the adapter calls it where it exists."""
        ...


class ModelFactory(Protocol):
    """Loads an `ImageModel` in a worker. Picklable: a frozen dataclass that holds paths and parameters."""

    def load(self) -> ImageModel:
        """Load the model. Verifies the weights' sha256; never downloads; imports heavy libraries here.

        Raises:
            FileNotFoundError: If the weights are not where they were staged.
            ValueError: If the weights are not the expected ones.
        """
        ...


class StagedFactory(ModelFactory, Protocol):
    """A factory that says what decides its results and which files it needs: what a stage is declared with."""

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a row's value, as JSON types; enters the run key."""
        ...

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Weight files that a worker needs."""
        ...
