"""Networks whose weights come from a file: built without drawing random ones first, which is most of their loading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any


def skipped_init() -> AbstractContextManager[Any]:
    """Inside, what `torch.nn.init` would draw is left as it is in memory: what no file fills afterwards is undefined.

    EasyOCR builds all of VGG-16 to keep its convolutions: of the 2.6 s of CPU that a worker took to load its models,
    2.1 went into random numbers, most of them for layers that are thrown away. A mode is PyTorch's own means
    (https://docs.pytorch.org/docs/stable/notes/extending.html#extending-all-torch-api-with-modes).
    """
    from torch.overrides import TorchFunctionMode

    class SkippedInit(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Callable[..., Any], _types: Any, *given: Any) -> Any:
            args, named = _args_and_kwargs(*given)
            if getattr(func, "__module__", None) == "torch.nn.init":
                return named["tensor"] if "tensor" in named else args[0]
            return func(*args, **named)

    mode: AbstractContextManager[Any] = SkippedInit()
    return mode


def _args_and_kwargs(
    args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    return args, kwargs or {}
