"""Train CLIP on an export folder. Plain torch: no Spark and no tables; the stage `train_clip` starts it."""
