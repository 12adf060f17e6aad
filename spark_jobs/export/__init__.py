"""Exports: a subset's samples as files that trainers read, with a manifest of what each file holds."""
