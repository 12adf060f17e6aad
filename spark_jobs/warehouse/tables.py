"""The only door to Delta: where tables lie, their schema on the way in, atomic replacement, versions."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas._table import TableSpec
from spark_jobs.access_mode import is_remote
from spark_jobs.errors import StageError, WarehouseError
from spark_jobs.pipeline import run_first
from spark_jobs.warehouse.addresses import is_catalog, is_local_folder, quoted, spark_path
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.query_cache import Question, query_cache_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField

# Delta forgets vectors and long texts for file skipping: only the columns that predicates name count.
_SHARD_PROPERTIES = "'delta.dataSkippingStatsColumns' = 'shard_id'"


class Tables:
    """The warehouse: Delta tables under a folder or URI, or in a catalog's schema.

    In a catalog the table `NAME` is stored as `NAME_all` (every run key) and `NAME` is the view of the
    current one; under a folder the same two names exist as views of the session.
    """

    def __init__(self, spark: SparkSession, warehouse: str) -> None:
        self.spark = spark
        self.warehouse = warehouse.rstrip("/")
        self.in_catalog = is_catalog(warehouse)
        self._has_locks = is_local_folder(warehouse)
        self._found: set[str] = set()
        self._answers = query_cache_of(self.warehouse)

    def location(self, spec: TableSpec) -> str:
        """Path of the table, or its catalog name."""
        if not self.in_catalog:
            return f"{self.warehouse}/{spec.name}"
        return f"{self.warehouse}.{spec.name}{'_all' if spec.has_run_key else ''}"

    def exists(self, spec: TableSpec) -> bool:
        """Whether the table has been created. Nobody drops tables while they are worked on: it is looked up once."""
        if spec.name not in self._found and self._is_there(spec):
            self._found.add(spec.name)
        return spec.name in self._found

    def _is_there(self, spec: TableSpec) -> bool:
        from delta.tables import DeltaTable

        if self.in_catalog:
            return self.spark.catalog.tableExists(self.location(spec))
        path = spark_path(self.location(spec))
        if self._has_locks and not os.path.isdir(f"{path}/_delta_log"):
            return False
        if is_remote(self.spark):  # Delta's Python module wants a part of Delta that not every server has
            return self._is_described(spec)
        return bool(DeltaTable.isDeltaTable(self.spark, path))

    def _is_described(self, spec: TableSpec) -> bool:
        from pyspark.errors import AnalysisException

        try:
            self.detail(spec)
        except AnalysisException:
            return False
        return True

    def create(self, spec: TableSpec) -> None:
        """Create the table with its column comments if it is not there; check its schema if it is.

        Columns that an older version did not know are added: its rows hold nulls there, under their own run keys.

        Raises:
            WarehouseError: If the warehouse cannot be written, or the table has another schema.
        """
        if self.exists(spec):
            self._add_columns(spec)
            self._check_columns(spec, dict(self._open(spec).dtypes), where=self.location(spec))
            return
        try:
            self.spark.sql(self._create_statement(spec))
        except Exception as error:
            raise WarehouseError(
                f"cannot create table {spec.name} in {self.warehouse}: {_first_line(error)}\n"
                "Give a warehouse that can be written: --warehouse DIR (or catalog.schema)"
            ) from error

    def read(
        self,
        spec: TableSpec,
        *,
        dataset: str | None = None,
        run_key: str | None = None,
        whole: bool = False,
    ) -> DataFrame:
        """Read a table, all of it or one dataset and run key of it.

        Args:
            spec: The table.
            dataset: Only this dataset's rows.
            run_key: Only this run key's rows.
            whole: Whether every column is needed.

        Raises:
            StageError: If the table does not exist yet; names the stage that makes it.
            WarehouseError: If every column is needed, and an older version wrote the table without some; the same.
        """
        from pyspark.sql import functions as F

        if not self.exists(spec):
            raise StageError(f"table {spec.name} does not exist in {self.warehouse}: {run_first(spec.name)}")
        frame = self._open(spec)
        if whole and (lacking := _lacking(spec, frame.columns)):
            from spark_jobs.pipeline import maker_of

            raise WarehouseError(
                f"table {spec.name} in {self.warehouse} was written by an older version: it lacks "
                f"{', '.join(field.name for field in lacking)}. `parrot run {maker_of(spec.name)}` with the same "
                "dataset and warehouse makes its rows anew, from what is there"
            )
        if dataset is not None:
            frame = frame.where(F.col("dataset") == dataset)
        if run_key is not None:
            frame = frame.where(F.col("run_key") == run_key)
        return frame

    def replace(
        self,
        spec: TableSpec,
        frame: DataFrame,
        *,
        dataset: str,
        run_key: str,
        shards: Iterable[str] | None = None,
        is_new: bool = False,
    ) -> int:
        """Put rows in place of those of some shards (or of the whole dataset) in one atomic commit.

        Args:
            spec: The table.
            frame: The new rows, in any column order; may be empty (the shards' rows are then removed).
            dataset: Their dataset.
            run_key: Their run key.
            shards: The shards replaced; None: all rows of the dataset and run key.
            is_new: Whether the caller has seen, inside `writing`, that none of these rows are there.

        Returns:
            The Delta version written.

        Raises:
            WarehouseError: If columns do not fit the schema, or another writer was faster.
        """
        predicate = f"dataset = {quoted(dataset)} AND run_key = {quoted(run_key)}"
        if shards is not None:
            predicate += f" AND shard_id IN ({', '.join(quoted(shard) for shard in shards)})"
        return self._replace(spec, frame, predicate, is_new=is_new)

    def replace_where(self, spec: TableSpec, frame: DataFrame, *, where: Mapping[str, str]) -> int:
        """Put rows in place of those with the given values of partition columns, in one atomic commit.

        Returns:
            The Delta version written.

        Raises:
            WarehouseError: If columns do not fit the schema, or another writer was faster.
        """
        predicate = " AND ".join(f"{column} = {quoted(value)}" for column, value in where.items())
        return self._replace(spec, frame, predicate)

    def _replace(self, spec: TableSpec, frame: DataFrame, predicate: str, *, is_new: bool = False) -> int:
        self._check_columns(spec, dict(frame.dtypes), where="the rows to write")
        writer = frame.select(*spec.columns).write.format("delta")
        # To look for rows to replace takes several jobs, more the larger the table is (beside an append: 4x the CPU
        # time on a table of one file). Where writers are not locked out, Delta's check of replacements must keep
        # them apart.
        if self._has_locks and (is_new or self.version(spec) == 0):
            self._save(spec, writer.mode("append"))
        else:
            self._save(spec, writer.mode("overwrite").option("replaceWhere", predicate))
        return self.version(spec)

    def append(self, spec: TableSpec, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append a few rows made on the driver (the log)."""
        self.create(spec)
        self._save(spec, self.rows(spec, rows).write.format("delta").mode("append"))

    def rows(self, spec: TableSpec, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
        """A frame of a few rows made on the driver."""
        values = [tuple(row[name] for name in spec.columns) for row in rows]
        return self.spark.createDataFrame(values, spec.schema).coalesce(1)

    def detail(self, spec: TableSpec) -> Any:
        """What Delta says of the table as a whole, among it `numFiles` and `sizeInBytes` of its current version."""
        return self.spark.sql(f"DESCRIBE DETAIL {self._place(spec)}").collect()[0]

    def version(self, spec: TableSpec) -> int:
        """The table's current Delta version."""
        snapshot = self._snapshot(spec)
        if snapshot is not None:
            return int(snapshot.version())
        return int(self.spark.sql(f"DESCRIBE HISTORY {self._place(spec)} LIMIT 1").collect()[0]["version"])

    def answer_each(
        self,
        specs: Iterable[TableSpec],
        questions: Mapping[str, Question],
        ask: Callable[[list[str]], Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Answers to a question about each of some tables; only tables that have changed are asked again.

        Args:
            specs: The tables.
            questions: By table name.
            ask: From names of tables to their answers, JSON-able.

        Returns:
            Answers by table name, as JSON has them: lists for tuples.
        """
        return self._answers.each({spec.name: self._state(spec) for spec in specs}, questions, ask)

    def answer(self, spec: TableSpec, question: Question, ask: Callable[[], Any]) -> Any:
        """The answer to a question about one table, as `answer_each` gives it."""
        return self.answer_each([spec], {spec.name: question}, lambda names: {spec.name: ask()})[spec.name]

    def _state(self, spec: TableSpec) -> str | None:
        """What identifies the rows that the table holds now; None where only a query could tell."""
        snapshot = self._snapshot(spec)
        if snapshot is None:
            return None
        return f"{snapshot.metadata().id()} {snapshot.version()} {snapshot.timestamp()}"

    def _snapshot(self, spec: TableSpec) -> Any:
        """Delta's own view of the table's log, in milliseconds; None where Delta does not give it."""
        if is_remote(self.spark):
            return None
        from py4j.protocol import Py4JError

        try:
            jvm = self.spark.sparkContext._jvm
            none = jvm.scala.Option.empty()  # type: ignore[union-attr]
            if self.in_catalog:
                return self.delta(spec)._jdt.deltaLog().update(False, none, none)
            logs = jvm.org.apache.spark.sql.delta.DeltaLog  # type: ignore[union-attr]
            path = spark_path(self.location(spec))
            return logs.forTable(self.spark._jsparkSession, path).update(False, none, none)
        except (Py4JError, TypeError, AttributeError):
            return None

    def note_empty(self, spec: TableSpec, *, dataset: str, run_key: str, input_key: str) -> int:
        """Remember in the table's properties from which input it came out without a row.

        Rows carry their input key themselves; where there is none, the table would be made again each time.

        Returns:
            The Delta version written.
        """
        name = quoted(_empty_property(dataset, run_key))
        self.spark.sql(f"ALTER TABLE {self._place(spec)} SET TBLPROPERTIES ({name} = {quoted(input_key)})")
        return self.version(spec)

    def empty_input_key(self, spec: TableSpec, *, dataset: str, run_key: str) -> str | None:
        """The input key that `note_empty` remembered last; None where it never did."""
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self._place(spec)}").collect()
        return {row["key"]: row["value"] for row in rows}.get(_empty_property(dataset, run_key))

    @contextlib.contextmanager
    def writing(self, spec: TableSpec, *, dataset: str, run_key: str) -> Iterator[None]:
        """Be the only writer of one dataset and run key of a table, on a local warehouse.

        In a catalog Delta's own conflict check stops the second writer at its commit. On S3 it needs Delta's
        DynamoDB log store for that; without one, run one `parrot` at a time per warehouse.

        Raises:
            StageError: If another run is writing there.
        """
        if not self._has_locks:
            yield
            return
        folder = Path(self.warehouse) / "_locks"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{spec.name}-{dataset}-{run_key}.lock"
        with file.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StageError(
                    f"another run is writing {spec.name} of dataset {dataset} in {self.warehouse}: "
                    "wait until it has finished, or stop it"
                ) from error
            yield

    def _create_statement(self, spec: TableSpec) -> str:
        columns = ", ".join(
            _column_statement(field, "" if field.nullable else " NOT NULL") for field in spec.schema.fields
        )
        partitions = f" PARTITIONED BY ({', '.join(spec.partition_by)})" if spec.partition_by else ""
        statement = f"CREATE TABLE IF NOT EXISTS {self._place(spec)} ({columns}) USING DELTA{partitions}"
        statement += f" COMMENT {quoted(f'A row is {spec.meaning}.')}"
        if "shard_id" in spec.columns:
            statement += f" TBLPROPERTIES ({_SHARD_PROPERTIES})"
        return statement

    def _place(self, spec: TableSpec) -> str:
        """The table in a statement."""
        return self.location(spec) if self.in_catalog else f"delta.`{spark_path(self.location(spec))}`"

    def _open(self, spec: TableSpec) -> DataFrame:
        if self.in_catalog:
            return self.spark.read.table(self.location(spec))
        return self.spark.read.format("delta").load(spark_path(self.location(spec)))

    def delta(self, spec: TableSpec) -> Any:
        """Delta's own handle of the table, for its upkeep."""
        from delta.tables import DeltaTable

        if self.in_catalog:
            return DeltaTable.forName(self.spark, self._short_name(spec))
        return DeltaTable.forPath(self.spark, spark_path(self.location(spec)))

    def _short_name(self, spec: TableSpec) -> str:
        """The table's name without Spark's own catalog: Delta for Spark 3.5 takes names of two parts only."""
        own = "spark_catalog"
        name = self.location(spec)
        return name.removeprefix(f"{own}.") if self.spark.catalog.currentCatalog() == own else name

    def _save(self, spec: TableSpec, writer: Any) -> None:
        try:
            if self.in_catalog:
                writer.saveAsTable(self.location(spec))
            else:
                writer.save(spark_path(self.location(spec)))
        except Exception as error:
            if "Concurrent" in str(error):
                raise WarehouseError(
                    f"another run wrote the same rows of {spec.name} at the same time; nothing was written "
                    "by this one. Run it again when the other has finished"
                ) from error
            raise

    def _add_columns(self, spec: TableSpec) -> None:
        lacking = _lacking(spec, self._open(spec).columns)
        if lacking:
            # Older rows have nothing there, whatever new ones must have.
            columns = ", ".join(_column_statement(field) for field in lacking)
            self.spark.sql(f"ALTER TABLE {self._place(spec)} ADD COLUMNS ({columns})")

    def _check_columns(self, spec: TableSpec, found: dict[str, str], *, where: str) -> None:
        expected = {field.name: field.dataType.simpleString() for field in spec.schema.fields}
        faults = [f"missing {name} ({kind})" for name, kind in expected.items() if name not in found]
        faults += [f"not in the schema: {name}" for name in found if name not in expected]
        faults += [
            f"{name} is {found[name]}, expected {kind}"
            for name, kind in expected.items()
            if name in found and found[name] != kind
        ]
        if faults:
            raise WarehouseError(f"{where} does not fit table {spec.name}: " + "; ".join(faults))


def _empty_property(dataset: str, run_key: str) -> str:
    # Names of datasets may hold what property names may not.
    return f"parrot.empty.{digest({'dataset': dataset, 'run_key': run_key})}"


def _lacking(spec: TableSpec, columns: Sequence[str]) -> list[StructField]:
    return [field for field in spec.schema.fields if field.name not in columns]


def _column_statement(field: StructField, rule: str = "") -> str:
    """A column in CREATE TABLE and ALTER TABLE."""
    return f"{field.name} {field.dataType.simpleString()}{rule} COMMENT {quoted(field.metadata['comment'])}"


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
