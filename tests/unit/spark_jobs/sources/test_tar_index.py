"""The tar pass against the `tarfile` module, and on tars that are cut, damaged or none."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import tracemalloc

import pytest

from spark_jobs.sources import storage
from spark_jobs.sources.tar_index import TarScan
from tests.builders import image_bytes, tar_bytes

LONG_NAME = "folder/" * 15 + "n" * 60 + ".jpg"
MEMBERS = [("a.jpg", image_bytes()), ("a.txt", b"hello"), ("b.json", b"{}"), ("empty.txt", b"")]


def scan(tmp_path, data):
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    tar = TarScan(str(path))
    return list(tar.members()), tar.fault


def header_offsets(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(member.offset, member.offset_data, member.size) for member in archive]


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_members_equal_what_tarfile_extracts(tmp_path, tar_format):
    data = tar_bytes(
        [*MEMBERS, (LONG_NAME, b"x" * 5000), ("größe mit leerzeichen.jpg", b"y")], tar_format=tar_format
    )
    members, fault = scan(tmp_path, data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(m.name, m.size, archive.extractfile(m).read()) for m in archive.getmembers()]
    assert fault is None
    assert [(m.name, m.size, data[m.offset : m.offset + m.size]) for m in members] == expected
    assert [m.content.head for m in members] == [content for _, _, content in expected]
    assert [m.content.sha256 for m in members] == [hashlib.sha256(c).hexdigest() for _, _, c in expected]


def test_name_longer_than_a_ustar_header_holds(tmp_path):
    name = "d/" * 120 + "e" * 300 + ".jpg"
    for tar_format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        members, fault = scan(tmp_path, tar_bytes([(name, b"x"), ("b.txt", b"y")], tar_format=tar_format))
        assert [m.name for m in members] == [name, "b.txt"]
        assert fault is None


def test_name_that_is_not_utf8_is_made_storable(tmp_path):
    data = bytearray(tar_bytes([("cafe.txt", b"x")], tar_format=tarfile.USTAR_FORMAT))
    header = tarfile.TarInfo("caf\udce9.txt")
    header.size = 1
    data[:512] = header.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    members, _ = scan(tmp_path, bytes(data))
    assert [m.name for m in members] == ["caf\\xe9.txt"]


def test_tar_cut_in_a_member_gives_the_members_before_and_says_where_the_file_ends(tmp_path):
    data = tar_bytes([("a.txt", b"first"), ("b.jpg", b"z" * 5000), ("c.txt", b"last")])
    _, start, _ = header_offsets(data)[1]
    end = start + 1234
    members, fault = scan(tmp_path, data[:end])
    assert [(m.name, m.content is None) for m in members] == [("a.txt", False), ("b.jpg", True)]
    assert members[1].problem == f"is cut: the tar ends at byte {end}"
    assert fault == f"ends early at byte {end}, inside b.jpg"


@pytest.mark.parametrize("into_header", [0, 100, 511])
@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tar_cut_in_a_header(tmp_path, tar_format, into_header):
    data = tar_bytes([("a.txt", b"first"), ("b.txt", b"second")], tar_format=tar_format)
    end = header_offsets(data)[1][0] + into_header
    members, fault = scan(tmp_path, data[:end])
    assert [m.name for m in members] == ["a.txt"]
    assert fault == f"ends early at byte {end}"


@pytest.mark.parametrize("end", range(1, 10_240, 487))
def test_tar_cut_anywhere_is_reported_and_gives_only_sound_members(tmp_path, end):
    data = tar_bytes([*MEMBERS, (LONG_NAME, b"x" * 700)], tar_format=tarfile.GNU_FORMAT)
    whole = {name: content for name, content in [*MEMBERS, (LONG_NAME, b"x" * 700)]}
    last = header_offsets(data)[-1]
    members, fault = scan(tmp_path, data[:end])
    for member in members:
        assert member.content is None or member.content.head == whole[member.name]
    behind_all = end >= last[1] + -(-last[2] // 512) * 512 + 512  # the end mark is there
    assert (fault is None) == behind_all


def test_damage_between_members_is_reported_with_its_byte(tmp_path):
    data = bytearray(tar_bytes([("a.txt", b"first"), ("b.txt", b"second")], tar_format=tarfile.GNU_FORMAT))
    start = header_offsets(bytes(data))[1][0]
    data[start : start + 512] = b"\x07" * 512
    members, fault = scan(tmp_path, bytes(data))
    assert [m.name for m in members] == ["a.txt"]
    assert fault == f"is damaged: no readable tar header at byte {start}"


def test_header_with_a_negative_size_ends_the_pass(tmp_path):
    # CVE-2025-8194: tarfile runs in circles on it where it can seek back.
    header = tarfile.TarInfo("a.txt")
    header.size = -1024
    block = header.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
    members, fault = scan(
        tmp_path, tar_bytes([("first.txt", b"x")], tar_format=tarfile.GNU_FORMAT)[:1024] + block * 4
    )
    assert members[0].name == "first.txt"
    assert fault is not None and "damaged" in fault


@pytest.mark.parametrize(
    ("compress", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")]
)
def test_compressed_tar_is_told_by_its_first_bytes(tmp_path, compress, name):
    members, fault = scan(tmp_path, compress(tar_bytes(MEMBERS)))
    assert members == []
    assert fault == f"is compressed ({name}), but byte ranges need a plain tar: unpack it"


def test_zstd_is_told_by_its_first_bytes(tmp_path):
    assert "zstd" in scan(tmp_path, b"\x28\xb5\x2f\xfd" + bytes(2000))[1]


@pytest.mark.parametrize("data", [b"<html>no tar</html>" * 100, b"short", bytes(range(256)) * 8])
def test_garbage_is_no_tar(tmp_path, data):
    members, fault = scan(tmp_path, data)
    assert members == []
    assert fault == f"is no tar: it begins with {data[:16]!r}"


def test_empty_file_missing_file_and_tar_without_members(tmp_path):
    assert scan(tmp_path, b"") == ([], "is empty (0 bytes)")
    assert scan(tmp_path, tar_bytes([])) == ([], None)
    missing = TarScan(str(tmp_path / "none.tar"))
    assert (list(missing.members()), missing.fault) == ([], "is missing")


def test_links_are_reported_and_folders_left_out(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in [
            ("d.jpg", tarfile.DIRTYPE),
            ("l.jpg", tarfile.SYMTYPE),
            ("p.jpg", tarfile.FIFOTYPE),
        ]:
            header = tarfile.TarInfo(name)
            header.type, header.linkname = kind, "elsewhere.jpg" if kind == tarfile.SYMTYPE else ""
            archive.addfile(header)
    members, fault = scan(tmp_path, buffer.getvalue())
    assert [(m.name, m.content, m.problem) for m in members] == [
        ("l.jpg", None, "is a link, not a file"),
        ("p.jpg", None, "is no regular file"),
    ]
    assert fault is None


def test_sparse_member_is_reported_and_the_next_one_read(tmp_path):
    # GNU's old format: two stored pieces of 512 bytes stand for 4096 bytes with holes.
    header = bytearray(tarfile.TarInfo("s.jpg").tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"))
    header[124:136] = b"%011o\0" % 1024
    header[156:157] = tarfile.GNUTYPE_SPARSE
    for index, (offset, size) in enumerate([(0, 512), (3584, 512)]):
        header[386 + 24 * index : 410 + 24 * index] = b"%011o\0%011o\0" % (offset, size)
    header[483:495] = b"%011o\0" % 4096
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    members, fault = scan(tmp_path, bytes(header) + b"s" * 1024 + tar_bytes([("a.txt", b"after")]))
    assert [(m.name, m.problem) for m in members] == [
        ("s.jpg", "is a sparse member, which no byte range can give"),
        ("a.txt", None),
    ]
    assert fault is None


def test_member_above_the_limit_is_hashed_but_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "HOLD_BYTES", 1 << 20)
    monkeypatch.setattr(storage, "PIECE_BYTES", 1 << 16)
    picture = image_bytes("BMP", size=(1024, 4096))
    path = tmp_path / "x.tar"
    path.write_bytes(tar_bytes([("big.bmp", picture), ("a.txt", b"after")]))
    tracemalloc.start()
    members = list(TarScan(str(path)).members())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(picture) > 12_000_000
    assert peak < 4_000_000
    assert len(members[0].content.head) == 1 << 16
    assert members[0].content.size == len(picture)
    assert members[0].content.sha256 == hashlib.sha256(picture).hexdigest()
    assert members[1].content.head == b"after"


def test_the_file_is_read_once_and_never_backwards(tmp_path, monkeypatch):
    class Watched(io.BytesIO):
        reads = 0

        def read(self, size=-1):
            assert size <= 1 << 16
            data = super().read(size)
            Watched.reads += len(data)
            return data

    data = tar_bytes([(f"{n}.jpg", b"j" * 30_000) for n in range(20)])
    monkeypatch.setattr("spark_jobs.sources.tar_index.open_file", lambda uri: Watched(data))
    assert len(list(TarScan("x").members())) == 20
    assert Watched.reads <= len(data) + 512  # the end mark is looked at a second time
