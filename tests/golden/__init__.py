"""A small warehouse as an earlier version wrote it, with the keys of its tables."""
