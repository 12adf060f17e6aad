"""Build one subset: members and definition, with the versions of what was read, in two commits.

Members are written first. A build that is killed in between leaves members whose run key is not the
definition's; the next one sees that and builds again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from schemas import TABLES, subset_members, subsets
from spark_jobs import tracking
from spark_jobs.runner.run_log import LogCommit, RunLog
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import content_key
from spark_jobs.subsets.definition import Order
from spark_jobs.subsets.measures import KEY, is_costly, measures_frame, upstream_of_measures
from spark_jobs.subsets.selection import Selected, Selection, select_members
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.warehouse.tables import Tables

_STATED = ("sentence", "source", "assumptions")  # of a definition; they say nothing of the members
_LANGUAGE_MODEL = "langid.py, py3langid 0.2"


def build_subset(
    tables: Tables, order: Order, report: StageReport, *, commit: LogCommit, size: int | None = None
) -> int:
    """Bring one subset up to date.

    Args:
        tables: The warehouse.
        order: What to build.
        report: Takes run keys, rows, versions and a note.
        commit: Takes the log's entry.
        size: Of a control: the members of its subset.

    Returns:
        Its members.

    Raises:
        StageError: If a measure has not been made, or fewer samples qualify than the size asks for.
    """
    started = time.monotonic()
    definition = order.definition
    if order.control_of is not None:
        # A subset without members has a control without members.
        definition = definition.model_copy(update={"size": size or None} if size else {"predicate": "false"})
    selection = Selection(definition)
    current = current_run_keys(tables)
    upstream = upstream_of_measures(current, report.dataset, selection.measures, subset_id=order.subset_id)
    keys = _keys(tables, report.dataset, selection, upstream)
    name = f"{subsets.TABLE.name} {order.subset_id}"
    report.run_keys[name] = keys["run_key"]
    stored = stored_subset(tables, report.dataset, order.subset_id)
    if stored is not None and {key: stored[key] for key in keys} == keys:
        stated = {key: getattr(order.definition, key) for key in _STATED}
        if {**stated, "assumptions": list(stated["assumptions"])} == {key: stored[key] for key in _STATED}:
            report.shards_kept += 1
            report.notes.append(f"{order.subset_id}: up to date, {stored['members']:,} samples")
            _track(tables, report, stored)
            return int(stored["members"])
    spec = subset_members.TABLE
    with tables.writing(spec, dataset=report.dataset, run_key=order.subset_id):
        row = _build(tables, order, selection, report, upstream=upstream, keys=keys)
    _tell(report, order, row, stored)
    _track(tables, report, row)
    log = RunLog(
        commit,
        subsets.TABLE,
        stage=report.stage,
        dataset=report.dataset,
        run_key=keys["run_key"],
        params={"subset": order.subset_id, **selection.decides(), "reads": upstream},
    )
    log.add("finished", seconds=time.monotonic() - started, shards=0, counts={"rows": row["members"]})
    return int(row["members"])


def stored_subset(tables: Tables, dataset: str, subset_id: str) -> dict[str, Any] | None:
    """The row of a subset whose members are those of the same build; None where there is no such subset."""
    from pyspark.sql import functions as F

    if not tables.exists(subsets.TABLE) or not tables.exists(subset_members.TABLE):
        return None
    if tables.version(subsets.TABLE) == 0:  # made, never written: no need to look
        return None
    rows = tables.read(subsets.TABLE, dataset=dataset).where(F.col("subset_id") == subset_id).collect()
    if not rows:
        return None
    row: dict[str, Any] = rows[0].asDict(recursive=True)
    members = members_of(tables, dataset, subset_id).groupBy("run_key").count().collect()
    found = {built["run_key"]: built["count"] for built in members}
    return row if found == ({row["run_key"]: row["members"]} if row["members"] else {}) else None


def members_of(tables: Tables, dataset: str, subset_id: str) -> DataFrame:
    """The members' rows of one subset."""
    from pyspark.sql import functions as F

    return tables.read(subset_members.TABLE, dataset=dataset).where(F.col("subset_id") == subset_id)


def content_hash(members: DataFrame) -> str:
    """Hash of a set of members: the same for the same samples in any order and any files."""
    from pyspark.sql import functions as F

    row = members.agg(
        F.count("*").alias("n"),
        F.sum(F.xxhash64("shard_id", "sample_id").cast("decimal(20,0)")).alias("total"),
        F.bit_xor(F.xxhash64("sample_id", "shard_id")).alias("mixed"),
    ).collect()[0]
    return digest([row["n"], str(row["total"]), str(row["mixed"])])


def _keys(tables: Tables, dataset: str, selection: Selection, upstream: Mapping[str, str]) -> dict[str, str]:
    decides = selection.decides()
    if any(measure.name == "language" for measure in selection.measures):
        decides["language"] = _LANGUAGE_MODEL
    return {
        "run_key": digest({"stage": "curate", **decides, "reads": dict(upstream)}),
        "input_key": content_key(tables, dataset, upstream),
    }


def _build(
    tables: Tables,
    order: Order,
    selection: Selection,
    report: StageReport,
    *,
    upstream: Mapping[str, str],
    keys: Mapping[str, str],
) -> dict[str, Any]:
    versions = {table: tables.version(TABLES[table]) for table in upstream}
    measured = measures_frame(tables, report.dataset, upstream, selection.measures)
    evaluated = selection.evaluated(measured)
    with _kept_frames() as keep:
        if is_costly(upstream, selection.measures):
            evaluated = keep(evaluated)
        selected = select_members(selection, evaluated, subset_id=order.subset_id, keep=keep)
        _write_members(tables, order, selected, report, keys)
    definition = selection.definition
    row: dict[str, Any] = {
        "dataset": report.dataset,
        "subset_id": order.subset_id,
        "definition": definition.id,
        **{key: getattr(definition, key) for key in _STATED},
        "assumptions": list(definition.assumptions),
        "predicate": selection.predicate,
        "top": selection.top,
        "size": definition.size,
        "seed": definition.seed,
        "stratum": selection.stratum,
        "samples": selected.samples,
        "qualifying": selected.qualifying,
        "members": selected.count,
        # Of what was written, so that it says what the table holds.
        "content_hash": content_hash(members_of(tables, report.dataset, order.subset_id)),
        "tables_read": [
            {"table_name": table, "run_key": run_key, "delta_version": versions[table]}
            for table, run_key in upstream.items()
        ],
        "attrition": [entry.row() for entry in selected.attrition],
        **keys,
    }
    spec = subsets.TABLE
    frame = tables.rows(spec, [row])
    report.versions_written[spec.name] = tables.replace_where(
        spec, frame, where={"dataset": report.dataset, "subset_id": order.subset_id}
    )
    report.versions_read.update(versions)
    report.rows += selected.count
    return row


@contextlib.contextmanager
def _kept_frames() -> Iterator[Callable[[DataFrame], DataFrame]]:
    """A function that persists a frame until the block is left."""
    kept: list[DataFrame] = []

    def keep(frame: DataFrame) -> DataFrame:
        kept.append(frame.persist())
        return kept[-1]

    try:
        yield keep
    finally:
        for frame in kept:
            frame.unpersist()


def _write_members(
    tables: Tables, order: Order, selected: Selected, report: StageReport, keys: Mapping[str, str]
) -> None:
    from pyspark.sql import functions as F

    spec = subset_members.TABLE
    frame = (
        selected.members.withColumn("dataset", F.lit(report.dataset))
        .withColumn("subset_id", F.lit(order.subset_id))
        .withColumn("run_key", F.lit(keys["run_key"]))
    )
    report.versions_written[spec.name] = tables.replace_where(
        spec, frame, where={"dataset": report.dataset, "subset_id": order.subset_id}
    )


def _tell(
    report: StageReport, order: Order, row: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> None:
    share = f" ({row['members'] / row['samples']:.1%})" if row["samples"] else ""
    note = f"{order.subset_id}: {row['members']:,} of {row['samples']:,} samples{share}"
    if stored is not None and stored["content_hash"] != row["content_hash"]:
        note += (
            f"; it replaces {stored['members']:,} samples drawn from other inputs or by another definition "
            f"(content {stored['content_hash']})"
        )
    emptying = next((step for step in row["attrition"] if step["before"] and not step["left"]), None)
    if emptying is not None:
        removed, unmeasured = emptying["removed"], emptying["unmeasured"]
        note += f"; nothing is left after {emptying['condition']}, which removed {removed:,}"
        if unmeasured:
            some = "all" if unmeasured == removed else f"{unmeasured:,}"
            note += f", {some} of them because they have no such measure"
    report.notes.append(note)
    report.results[f"{order.subset_id} members"] = float(row["members"])


def _track(tables: Tables, report: StageReport, row: Mapping[str, Any]) -> None:
    spec = subset_members.TABLE
    where = f"dataset = '{report.dataset}' AND subset_id = '{row['subset_id']}'"
    kept = {
        name: row[name] for name in ("predicate", "top", "stratum", "size", "seed") if row[name] is not None
    }
    tracking.dataset_input(
        tracking.DatasetInput(
            name=f"{report.dataset}/{row['subset_id']}",
            location=tables.location(spec),
            version=tables.version(spec),
            digest=row["content_hash"],
            columns=KEY,
            rows=row["members"],
            # The table holds all subsets; this is what reads this one.
            tags={"where": where, **kept},
        )
    )
