"""Architectures of this project as open_clip reads them, one JSON file each: parrot-tiny and parrot-small."""
