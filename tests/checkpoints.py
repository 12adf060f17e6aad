"""What tests say of checkpoint files."""

from __future__ import annotations

# How open_clip preprocesses where nothing is said; of a checkpoint file it must be said.
AS_OPEN_CLIP = {
    "quick_gelu": False,
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "resize_mode": "shortest",
}
