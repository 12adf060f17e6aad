"""Reads an export by petastorm: a program for .venv-train, where petastorm lives (`make train-env`).

petastorm_reader.py FOLDER FILE writes the SHA-256 of each image by sample to the file, as JSON (petastorm prints).
"""

import hashlib
import json
import sys
from pathlib import Path

from petastorm import make_batch_reader

with make_batch_reader(
    f"file://{sys.argv[1]}", reader_pool_type="dummy", num_epochs=1, shuffle_row_groups=False
) as reader:
    found = {
        name: hashlib.sha256(data).hexdigest()
        for batch in reader
        for name, data in zip(batch.sample_id, batch.image, strict=True)
    }
Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")
