"""Spark jobs that measure parrot captions, cut them out, and prove that the cut helps."""
