"""What a view for people is: a name, a meaning, its columns, and a query over tables that may not be there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql.types import StructField

from schemas._table import TableSpec


@dataclass(frozen=True)
class Relations:
    """How a query names tables and views.

    Attributes:
        columns: Columns of each table that is there, by its name.
        prefix: What stands before a name, `catalog.schema.`; empty for the views of a session.
    """

    columns: Mapping[str, Sequence[str]]
    prefix: str = ""

    def current(self, spec: TableSpec) -> str:
        """The current rows of a table, with every column that it should have; without a row where it is missing."""
        return self._with_columns(spec, spec.name)

    def every(self, spec: TableSpec) -> str:
        """The rows of a table under all run keys, likewise."""
        return self._with_columns(spec, f"{spec.name}_all" if spec.has_run_key else spec.name)

    def view(self, name: str) -> str:
        """Another view for people, which stands before in the list."""
        return f"{self.prefix}{name}"

    def _with_columns(self, spec: TableSpec, name: str) -> str:
        found = self.columns.get(spec.name)
        lacking = [
            f"CAST(NULL AS {field.dataType.simpleString()}) AS {field.name}"
            for field in spec.schema.fields
            if found is None or field.name not in found
        ]
        if found is None:
            return f"(SELECT {', '.join(lacking)} WHERE false)"
        if lacking:  # an older version wrote the table
            return f"(SELECT *, {', '.join(lacking)} FROM {self.prefix}{name})"
        return f"{self.prefix}{name}"


@dataclass(frozen=True)
class View:
    """A view that joins what people ask for together.

    Attributes:
        name: Its name.
        meaning: One sentence that completes "A row is ...".
        columns: Columns in order, each with a comment.
        query: From how tables are named to a query that gives at least these columns.
        reads: Tables, and views that stand before; where none of the tables is there, the view has no row.
    """

    name: str
    meaning: str
    columns: Sequence[StructField]
    query: Callable[[Relations], str]
    reads: Sequence[TableSpec] = ()

    def sql(self, relations: Relations) -> str:
        """The whole query: the columns as declared, in order and of their types."""
        columns = ",\n  ".join(
            f"CAST({field.name} AS {field.dataType.simpleString()}) AS {field.name}" for field in self.columns
        )
        return f"SELECT\n  {columns}\nFROM (\n{self.query(relations)}\n)"
