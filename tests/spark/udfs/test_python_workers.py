"""Workers of a local session: PySpark as installed, and no archive that is read anew at each task."""

from __future__ import annotations

from pathlib import Path

import pyspark

_COLUMNS = "pyspark string, archives string, main string"


def test_a_worker_has_no_archive_on_its_path(spark):
    def seen(_):
        import sys
        import zipimport

        import pandas as pd
        import pyspark

        importers = sys.path_importer_cache.items()
        archives = [name for name, found in importers if isinstance(found, zipimport.zipimporter)]
        row = {"pyspark": pyspark.__file__, "archives": ",".join(archives), "main": sys.argv[0]}
        yield pd.DataFrame([row])

    (row,) = spark.range(1, numPartitions=1).mapInPandas(seen, _COLUMNS).collect()
    assert row["archives"] == ""
    assert row["pyspark"] == pyspark.__file__
    assert Path(row["main"]).name == "python_daemon.py"
