from __future__ import annotations

import datetime

from benchmarks.results import Ratio, append, library_versions, processor_features, record

CPUINFO = """processor\t: 0
model name\t: X
flags\t\t: fpu sse2 avx2 avx512f avx_vnni

processor\t: 1
flags\t: fpu amx_tile
"""


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def test_each_ratio_has_a_line_with_processor_and_libraries(tmp_path, monkeypatch, capsys):
    path = tmp_path / "RESULTS.md"
    monkeypatch.setenv("PARROT_RESULTS", str(path))
    record("overlap", [Ratio("SQL / Python, CPU", 51.236, "50x"), Ratio("a|b", 2)], run="1,000 rows")
    record("embedding", [Ratio("stage / tensors", 0.97, "0.95")], run="ViT-B-32")
    lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("|")]
    assert path.read_text("utf-8").count("# Results") == 1
    head, _, *rows = map(cells, lines)
    assert [len(row) for row in rows] == [len(head)] * 3
    first = dict(zip(head, rows[0], strict=True))
    assert {name: first[name] for name in ("benchmark", "run", "measure", "ratio", "goal")} == {
        "benchmark": "overlap",
        "run": "1,000 rows",
        "measure": "SQL / Python, CPU",
        "ratio": "51.24",
        "goal": "50x",
    }
    age = datetime.datetime.now(datetime.UTC).date() - datetime.date.fromisoformat(first["date"])
    assert age <= datetime.timedelta(days=1)
    assert first["processor"] == (" ".join(processor_features()) or "unknown")
    assert f"torch {library_versions()['torch']}" in first["libraries"].split(", ")
    assert rows[1][head.index("measure")] == "a\\|b"
    assert "overlap: SQL / Python, CPU: 51.24 (goal 50x)" in capsys.readouterr().out


def test_without_a_file_ratios_are_only_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("PARROT_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    record("overlap", [Ratio("SQL / Python", 2)], run="1 row")
    assert capsys.readouterr().out == "overlap: SQL / Python: 2.00\n"
    assert list(tmp_path.iterdir()) == []


def test_features_are_those_of_the_processor_and_of_what_bounds_it(tmp_path, monkeypatch):
    for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "cpuinfo"
    file.write_text(CPUINFO)
    assert processor_features(file) == ["avx2", "avx512", "vnni", "amx"]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert processor_features(file)[-1] == "ONEDNN_MAX_CPU_ISA=AVX2"
    assert processor_features(tmp_path / "nothing") == ["ONEDNN_MAX_CPU_ISA=AVX2"]


def test_an_older_file_is_continued(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("kept\n")
    append(path, "curation", [Ratio("stage / DuckDB", 10.5)], run="10 M rows")
    kept, line = path.read_text().splitlines()
    assert kept == "kept"
    assert cells(line)[1:5] == ["curation", "10 M rows", "stage / DuckDB", "10.50"]
