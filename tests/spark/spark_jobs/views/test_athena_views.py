"""What is registered for Athena, over a stored warehouse; its views give Spark's rows in another engine."""

from __future__ import annotations

import datetime
import math
import re

import pyarrow as pa
import pytest
import sqlglot
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from schemas import ALL_TABLES, TABLES, caption_overlap, cluster_models, stage_runs
from spark_jobs.errors import WarehouseError
from spark_jobs.views import VIEWS
from spark_jobs.views.samples import SAMPLE_PROFILE
from spark_jobs.views.trino import to_trino
from spark_jobs.views.view import Relations
from spark_jobs.warehouse.athena import Registered, current_rows, statements
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys, logged_tables, register_views
from tests.golden.warehouse import unpacked
from tests.table_rows import filled, frame_of

ADDRESS = "s3://bucket/warehouse"
# Functions of Trino by DuckDB's.
_OF_TRINO = {
    "at_timezone(instant, zone)": "timezone(zone, instant)",
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return unpacked(tmp_path_factory.mktemp("golden")) / "warehouse"


def registering(spark, warehouse, **registered):
    return list(statements(Tables(spark, str(warehouse)), "parrot", location=ADDRESS, registered=registered))


def test_tables_lie_in_the_warehouse_and_views_stand_before_those_that_read_them(spark, warehouse):
    first, *others = registering(spark, warehouse)
    assert first == "CREATE DATABASE IF NOT EXISTS `parrot`"
    there = [spec for spec in ALL_TABLES if (warehouse / spec.name).is_dir()]
    stored = {
        f"parrot.{spec.name}{'_all' if spec.has_run_key else ''}": f"{ADDRESS}/{spec.name}/" for spec in there
    }
    made = {}
    known = set()
    for statement in others:
        if statement.startswith("CREATE EXTERNAL TABLE"):
            name, folder = re.search(
                r"EXISTS (\S+)\nLOCATION '(.*)'\nTBLPROPERTIES \('table_type' = 'DELTA'\)$", statement
            ).groups()
            made[name.replace("`", "")] = folder
            known.add(name.replace("`", ""))
            continue
        view = sqlglot.parse_one(statement, read="athena")
        reads = {f"{table.db}.{table.name}" for table in view.find_all(sqlglot.exp.Table) if table.db}
        name = f"{view.this.db}.{view.this.name}"
        assert reads - {name} <= known, name
        known.add(name)
    assert made == stored
    views = [
        *(f"parrot.{spec.name}" for spec in there if spec.has_run_key),
        *(f"parrot.{v.name}" for v in VIEWS),
    ]
    assert known - set(stored) == set(views)


def test_a_table_whose_columns_have_changed_is_registered_anew(spark, warehouse):
    columns = frozenset(caption_overlap.TABLE.columns)
    stored = frozenset(Tables(spark, str(warehouse)).read(caption_overlap.TABLE).columns)
    location = f"{ADDRESS}/caption_overlap"
    dropped = "DROP TABLE `parrot`.`caption_overlap_all`"
    assert dropped in registering(
        spark, warehouse, caption_overlap_all=Registered(location, columns - {"cotr"})
    )
    assert dropped not in registering(spark, warehouse, caption_overlap_all=Registered(location, stored))


def test_a_table_of_another_warehouse_is_left_alone(spark, warehouse):
    other = Registered("s3://bucket/other/samples", frozenset())
    with pytest.raises(
        WarehouseError, match=r"lies in s3://bucket/other/samples, this warehouse's in .*--database"
    ):
        registering(spark, warehouse, samples_all=other)


def rows(found):
    """Rows that can be compared: sorted, numbers to seven digits."""
    return sorted((tuple(map(plain, row)) for row in found), key=repr)


def plain(value):
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.7g}")
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    return value.replace(tzinfo=None, microsecond=0) if hasattr(value, "tzinfo") else value


@pytest.mark.parametrize(
    ("spec", "is_logged"),
    [(caption_overlap.TABLE, True), (cluster_models.TABLE, False)],
    ids=["logged", "not logged"],
)
def test_current_rows_are_those_of_the_session(spec, is_logged, spark, warehouse):
    tables = Tables(spark, str(warehouse))
    assert (spec.name in logged_tables(tables)) == is_logged
    for name in (spec, stage_runs.TABLE):
        tables.read(name).createOrReplaceTempView(f"{name.name}_all" if name.has_run_key else name.name)
    run_keys = {key for (_, table), key in current_run_keys(tables).items() if table == spec.name}
    found = spark.sql(current_rows(spec, is_logged=is_logged))
    assert found.columns == tables.read(spec).columns
    expected = tables.read(spec).where(F.col("run_key").isin(list(run_keys)))
    assert rows(found.select(*spec.key).collect()) == rows(expected.select(*spec.key).collect())
    assert found.count() > 0


def test_of_several_run_keys_the_last_to_finish_is_current_and_without_a_log_none(spark):
    """Of dataset a key 2 began before key 1 and finished after it."""
    spec = cluster_models.TABLE
    frame_of(
        spark, spec, [filled(spec, dataset=dataset, run_key=key) for dataset, key in ("a1", "a2", "b1")]
    ).createOrReplaceTempView(f"{spec.name}_all")
    log = [
        filled(
            stage_runs.TABLE,
            dataset="a",
            table_name=table,
            run_key=key,
            event=event,
            started_at=datetime.datetime(2026, 1, 1, 0, minute),
            seconds=seconds,
        )
        for table, key, event, minute, seconds in [
            (spec.name, "1", "finished", 2, 60.0),
            (spec.name, "2", "finished", 1, 180.5),
            (spec.name, "1", "failed", 50, 1.0),
            ("samples", "1", "finished", 50, 1.0),
        ]
    ]
    frame_of(spark, stage_runs.TABLE, log).createOrReplaceTempView(stage_runs.TABLE.name)
    for is_logged, current in ((True, [("a", "2")]), (False, [("b", "1")])):
        found = spark.sql(current_rows(spec, is_logged=is_logged)).select("dataset", "run_key").collect()
        assert rows(found) == current


@pytest.fixture(scope="module")
def engine(_spark_session, warehouse):
    """DuckDB with the tables that views read, those that are not there without a row, and Spark's rows by view."""
    duckdb = pytest.importorskip("duckdb", reason="the extra `dev` is not installed")
    names = register_views(Tables(_spark_session, str(warehouse)))
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    for function, meaning in _OF_TRINO.items():
        connection.execute(f"CREATE MACRO {function} AS {meaning}")
    for spec in {spec.name: spec for view in VIEWS for spec in view.reads}.values():
        empty = to_arrow_schema(spec.schema).empty_table()
        for name in (spec.name, f"{spec.name}_all"):
            there = [arrow_of(_spark_session.table(name))] if name in names else []
            # The warehouse is an earlier version's: columns that it did not know are null.
            connection.register(name, pa.concat_tables([empty, *there], promote_options="permissive"))
    return connection, {view.name: _spark_session.table(view.name).collect() for view in VIEWS}


def arrow_of(frame):
    """The frame's rows as an Arrow table; `toArrow` came with Spark 4."""
    return pa.Table.from_pylist(
        [row.asDict(recursive=True) for row in frame.collect()], schema=to_arrow_schema(frame.schema)
    )


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_in_trinos_words_gives_the_rows_of_sparks(view, engine):
    """DuckDB stands for Trino, which is not at hand: what sqlglot makes of Trino's words is asked there."""
    connection, by_spark = engine
    if view.name == "parrot_captions":  # it reads another view
        connection.execute(f"CREATE OR REPLACE VIEW sample_profile AS {in_duckdb(SAMPLE_PROFILE)}")
    assert rows(connection.execute(in_duckdb(view)).fetchall()) == rows(by_spark[view.name])


def in_duckdb(view):
    sql = to_trino(view.sql(Relations({name: spec.columns for name, spec in TABLES.items()})))
    (found,) = sqlglot.transpile(
        sql, read="trino", write="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    return found
