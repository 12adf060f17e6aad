from __future__ import annotations

import csv
import io

from spark_jobs.commands import compare_models, export, sql


def test_lines_of_csv_end_as_those_of_other_tools_do():
    file = io.StringIO(newline="")
    sql._write_csv(["text", "words"], [("a, b\nc", ["x"]), (None, None)], file)
    assert file.getvalue() == 'text,words\n"a, b\nc","[""x""]"\n,\n'
    assert next(iter(list(csv.reader(io.StringIO(file.getvalue(), newline="")))[1:]))[0] == "a, b\nc"
    file = io.StringIO(newline="")
    compare_models._write_csv({"one": {"rsa": 0.5}}, ["rsa", "rsc"], file)
    assert file.getvalue() == "model,rsa,rsc\none,0.5,\n"


def test_one_file_is_no_files():
    assert [export._files(number) for number in (1, 2, 1200)] == ["1 file", "2 files", "1,200 files"]
