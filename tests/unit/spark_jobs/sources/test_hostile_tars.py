"""Hostile tars through the webdataset reader: every member a record, every fault a reason."""

from __future__ import annotations

import pytest

from spark_jobs.sources.base import SourceOptions
from spark_jobs.sources.webdataset import WebDataset
from tests.hostile import hostile_tars


@pytest.mark.parametrize("name", sorted(hostile_tars()))
def test_what_is_sound_is_read_and_what_is_not_has_a_reason(tmp_path, name):
    (tmp_path / name).write_bytes(hostile_tars()[name])
    (shard,) = WebDataset().shards(str(tmp_path), SourceOptions())
    records = list(WebDataset().read(shard, SourceOptions()))
    good, *others = records
    assert (good.key, good.image_error, good.sample_error) == ("good", None, None)
    assert others
    assert len({record.sample_id() for record in records}) == len(records)
    for record in records:
        assert (record.image is None) == (record.image_error is not None), record
        if record.image is not None:
            assert record.image.uri == str(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
