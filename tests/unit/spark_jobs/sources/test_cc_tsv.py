"""Kind `cc-tsv`: CC12M and CC3M."""

import pytest

from spark_jobs.errors import SourceError
from spark_jobs.sources import SOURCES, SourceOptions, recognise

SOURCE = SOURCES["cc-tsv"]
PAIRS = [(f"http://a.org/{n}.jpg", f'caption no {n} with a " quote') for n in range(25)]
CC12M = "".join(f"{url}\t{caption}\n" for url, caption in PAIRS)
CC3M = "".join(f"{caption}\t{url}\n" for url, caption in PAIRS)


def write(tmp_path, text, name="cc.tsv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def read(root, **options):
    chosen = SourceOptions(**options)
    return [r for shard in SOURCE.shards(root, chosen) for r in SOURCE.read(shard, chosen)]


@pytest.mark.parametrize("text", [CC12M, CC3M, CC12M.replace("\n", "\r\n"), "\ufeff" + CC3M, CC12M[:-1]])
def test_the_order_is_that_of_the_urls(tmp_path, text):
    path = write(tmp_path, text)
    assert recognise(path, None) is SOURCE
    records = read(path)
    assert [(record.url, record.caption) for record in records] == PAIRS
    assert all(record.has_only_url and not record.dirt for record in records)
    assert records[0].key == "line 1"


@pytest.mark.parametrize("header", ["url\tcaption\n", "caption\turl\n"])
def test_a_header_is_no_pair(tmp_path, header):
    body = CC12M if header.startswith("url") else CC3M
    path = write(tmp_path, header + body)
    assert [(record.url, record.caption) for record in read(path, shard_size=10)] == PAIRS
    (note,) = SOURCE.shards(path, SourceOptions())[0].notes
    assert "as its header says" in note


def test_ranges_of_lines_are_shards(tmp_path):
    path = write(tmp_path, CC12M)
    shards = SOURCE.shards(path, SourceOptions(shard_size=10))
    assert [shard.samples for shard in shards] == [10, 10, 5]
    keys = [record.key for shard in shards for record in SOURCE.read(shard, SourceOptions())]
    assert keys == [f"line {number}" for number in range(1, 26)]


def test_the_order_can_be_forced_and_must_be_where_it_cannot_be_told(tmp_path):
    path = write(tmp_path, "img/1.jpg\tone\nimg/2.jpg\ttwo\n")
    with pytest.raises(SourceError, match=r"cc.tsv: cannot tell which column.*--set ingest.tsv_order="):
        SOURCE.shards(path, SourceOptions())
    records = read(path, tsv_order="url-caption")
    assert [(record.url, record.caption) for record in records] == [
        ("img/1.jpg", "one"),
        ("img/2.jpg", "two"),
    ]
    assert {record.dirt for record in records} == {("malformed URLs",)}
    assert read(path, tsv_order="caption-url")[0].caption == "img/1.jpg"


def test_dirty_lines(tmp_path):
    lines = [
        b"http://a.org/1\ta caption\twith a tab",
        b"",
        b"http://a.org/3",
        b"only a caption",
        b"http://a.org/5\t",
        b"http://a.org/6\tcaf\xe9",
        b"http://a.org/7\tsound",
    ]
    records = {record.key: record for record in read(write(tmp_path, b"\n".join(lines)))}
    assert list(records) == ["line 1", "line 3", "line 4", "line 5", "line 6", "line 7"]
    assert records["line 1"].caption == "a caption\twith a tab"
    assert records["line 1"].dirt == ("captions with a tab",)
    assert records["line 3"].url == "http://a.org/3"
    assert set(records["line 3"].dirt) == {"lines without a tab", "null captions"}
    assert records["line 4"].sample_error == "no URL and no image (cc.tsv line 4)"
    assert records["line 5"].dirt == ("empty captions",)
    assert "not UTF-8" in records["line 6"].sample_error
    assert records["line 7"].sample_error is None


def test_a_file_without_lines_is_refused(tmp_path):
    with pytest.raises(SourceError, match="holds no line"):
        SOURCE.shards(write(tmp_path, "\n\n"), SourceOptions())


def test_real_cc3m(shared_data):
    path = shared_data / "laion_metadata" / "cc3m_validation.tsv"
    records = read(str(path))
    expected = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert len(expected) == 15_833
    assert [[record.caption, record.url] for record in records] == expected
