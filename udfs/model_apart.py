"""A model in a process of its own: an image that kills the model's code costs its row and not the task.

Slower, and a second process: the adapter takes it where a task is tried again, because the first attempt may have died
of an image (a segmentation fault in OpenCV, say). What the process dies of is an error of the batch, so that the
batch is halved until the image stands alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from udfs.heap import trim_heap

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    import numpy as np
    from numpy.typing import NDArray

    from udfs.model_api import ModelFactory, Result, Row


class ModelCrash(Exception):
    """Raised when the process of a model died over a batch."""


class ModelApart:
    """An `ImageModel` that is loaded, and prepares and predicts, in a child process.

    Args:
        factory: Loads the model there; at the first batch, and anew after each crash.
    """

    def __init__(self, factory: ModelFactory) -> None:
        self._factory = factory
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def prepare(
        self, image: NDArray[np.uint8], data: bytes | None = None
    ) -> tuple[NDArray[np.uint8], bytes | None]:
        """Keep what the model's own `prepare` takes: it runs in the child."""
        return image, data

    def predict(self, prepared: Sequence[Any], rows: Sequence[Row]) -> list[Result]:
        """Let the child measure a batch.

        Raises:
            ModelCrash: If the child died of it.
            MemoryError: If the child was killed, as the system does where memory runs out.
            Exception: What the model raised.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send((prepared, rows))
            answer = pipe.recv()
        except (EOFError, OSError):
            raise self._crash() from None
        if isinstance(answer, Exception):
            raise answer
        results: list[Result] = answer
        return results

    def close(self) -> None:
        """End the child."""
        if self._pipe is not None and self._process is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None

    def _start(self) -> Connection:
        # Not a fork: libraries that have threads do not survive one.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._factory, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        try:
            fault = ours.recv()
        except EOFError:
            raise RuntimeError(
                f"the process that loads the model again, apart from its task, {self._end()}"
            ) from None
        if fault is not None:
            self._end()
            raise fault
        return ours

    def _crash(self) -> Exception:
        process, told = self._process, self._end()
        if process is not None and process.exitcode == -signal.SIGKILL:
            return MemoryError("the model's process was killed (signal 9): the machine may be out of memory")
        return ModelCrash(f"the model's process {told}")

    def _end(self) -> str:
        """Wait for a child that is ending, and say what it ended with."""
        process = self._process
        if process is not None:
            process.join(5)
        self.close()
        code = process.exitcode if process is not None else None
        return f"crashed (signal {-code})" if code is not None and code < 0 else f"ended (exit code {code})"


def _serve(factory: ModelFactory, pipe: Connection) -> None:
    """What the child does: load, then answer batch after batch until the parent is gone."""
    try:
        model: Any = factory.load()
    except Exception as error:  # noqa: BLE001 - it is raised in the parent
        pipe.send(_sendable(error))
        return
    pipe.send(None)
    prepare_row = getattr(model, "prepare_row", None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            images, rows = pipe.recv()
            try:
                prepared = [
                    model.prepare(pixels, data) if prepare_row is None else prepare_row(pixels, row)
                    for (pixels, data), row in zip(images, rows, strict=True)
                ]
                answer: object = list(model.predict(prepared, rows))
            except Exception as error:  # noqa: BLE001 - it is raised in the parent
                answer = _sendable(error)
            pipe.send(answer)
            trim_heap()


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - pickling may raise anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
