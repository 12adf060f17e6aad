"""A model in a process of its own: an image that kills the model's code costs its row and not the task.

Slower, and a second process: the adapter takes it where a task is tried again, because the first attempt may have died
of an image (a segmentation fault in OpenCV, say). What the process dies of is an error of the image, or of the batch,
which is then halved until the image stands alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from udfs.heap import trim_heap

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    import numpy as np
    from numpy.typing import NDArray

    from udfs.model_api import ModelFactory, Result, Row

_END_SECONDS = 5.0


class ModelCrash(Exception):
    """Raised when the process of a model died over an image or a batch."""


class ModelApart:
    """An `ImageModel` that is loaded, and prepares and predicts, in a child process.

    Args:
        factory: Loads the model there: now, and anew after each crash.

    Raises:
        Exception: What loading raised; RuntimeError if the process died of it.
    """

    def __init__(self, factory: ModelFactory) -> None:
        self._factory = factory
        self._lock = threading.Lock()  # decoding threads prepare, the task's thread predicts
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._takes_rows = False
        self._start()

    @property
    def prepare_row(self) -> Callable[[NDArray[np.uint8], Row], Any] | None:
        """The model's `prepare_row`, where it has one."""
        return (lambda image, row: self._ask("prepare_row", image, row)) if self._takes_rows else None

    def prepare(self, image: NDArray[np.uint8], data: bytes | None = None) -> Any:
        """As the model's `prepare`; raises as `predict`."""
        return self._ask("prepare", image, data)

    def predict(self, prepared: Sequence[Any], rows: Sequence[Row]) -> list[Result]:
        """Let the child measure a batch.

        Raises:
            ModelCrash: If the child died of it.
            MemoryError: If the child was killed, as the system does where memory runs out.
            Exception: What the model raised.
        """
        results: list[Result] = self._ask("predict", prepared, rows)
        return results

    def close(self) -> None:
        """End the child."""
        if self._pipe is not None and self._process is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None

    def _ask(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            pipe = self._pipe or self._start()
            try:
                pipe.send((name, arguments))
                fault, answer = pipe.recv()
            except (EOFError, OSError):
                raise self._crash() from None
        if fault is not None:
            raise fault
        return answer

    def _start(self) -> Connection:
        # Not a fork: libraries that have threads do not survive one.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._factory, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        try:
            fault, self._takes_rows = ours.recv()
        except (EOFError, OSError):
            raise RuntimeError(
                f"the process that a model is loaded in, apart from its task, {self._end()}"
            ) from None
        if fault is not None:
            self.close()
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
            process.join(_END_SECONDS)
        self.close()
        code = process.exitcode if process is not None else None
        return f"crashed (signal {-code})" if code is not None and code < 0 else f"ended (exit code {code})"


def _serve(factory: ModelFactory, pipe: Connection) -> None:
    """What the child does: load, then answer until the parent is gone."""
    try:
        model = factory.load()
    except Exception as error:  # noqa: BLE001 - it is raised in the parent
        pipe.send((_sendable(error), False))
        return
    pipe.send((None, hasattr(model, "prepare_row")))
    with contextlib.suppress(EOFError, OSError):
        while True:
            name, arguments = pipe.recv()
            try:
                answer: tuple[Exception | None, Any] = (None, getattr(model, name)(*arguments))
            except Exception as error:  # noqa: BLE001 - it is raised in the parent
                answer = (_sendable(error), None)
            pipe.send(answer)
            if name == "predict":
                trim_heap()


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - pickling may raise anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
