"""Weights that come with this project, one file each: ARCHITECTURE-TAG.safetensors, its settings beside it."""
