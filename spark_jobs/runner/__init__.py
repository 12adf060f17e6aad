"""What brings tables up to date: pending shards, chunks, slices, the log, progress."""
