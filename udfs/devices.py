"""What a worker knows of its task and its device: pinned before torch is imported, told from errors afterwards."""

from __future__ import annotations

import os
import sys


def pin_gpu() -> None:
    """Show this worker only the GPU that Spark gave its task.

    Must run before torch is imported: CUDA reads the variable once. Where Spark schedules no GPU
    (a laptop, a CPU cluster) nothing is changed.
    """
    from pyspark import TaskContext

    context = TaskContext.get()
    gpus = context.resources().get("gpu") if context else None
    if gpus and gpus.addresses and "torch" not in sys.modules:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus.addresses[0]


def is_retried() -> bool:
    """Whether Spark runs this task again because an earlier attempt failed: perhaps its worker died."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context is not None and context.attemptNumber() > 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a model failed for want of memory, on a GPU or on the CPU allocator."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def has_native_bf16() -> bool:
    """Whether the processor multiplies in bf16 by itself (AVX512-BF16 or AMX), and the environment lets it.

    Elsewhere oneDNN emulates bf16, slower than fp32.
    """
    import torch

    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "DEFAULT")).upper()
    if not any(word in allowed for word in ("DEFAULT", "ALL", "BF16", "FP16", "AMX", "AVX10")):
        return False
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, test)() for test in tests if hasattr(torch.cpu, test))
