"""Feeds: what reads an export and yields batches; `choose.open_feed` opens one by name."""
