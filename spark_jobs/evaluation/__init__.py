"""Evaluate CLIP models: what they see and what they spot. Plain torch: no Spark and no tables."""
