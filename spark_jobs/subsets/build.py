"""Build one subset: members and definition, with the versions of what was read, in two commits.

Members are written first. A build that is killed in between leaves members whose run key is not the
definition's; the next one sees that and builds again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from schemas import subset_members, subsets
from schemas._table import KEY_COLUMNS
from spark_jobs import tracking
from spark_jobs.dataset_input import DatasetInput
from spark_jobs.runner.model_run_keys import current_of_models
from spark_jobs.runner.outdated import refuse_outdated
from spark_jobs.runner.run_log import LogCommit
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.whole_tables import Making, TableWork, run_whole
from spark_jobs.subsets.definition import SubsetBuild
from spark_jobs.subsets.measured import is_costly, measures_frame
from spark_jobs.subsets.measures import models_of_tables, upstream_of_measures
from spark_jobs.subsets.selection import Selection, select_members
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.sections import RunnerConfig
    from spark_jobs.warehouse.tables import Tables

_STATED = ("sentence", "source", "assumptions")  # of a definition; they say nothing of the members


def build_subset(
    tables: Tables,
    subset: SubsetBuild,
    report: StageReport,
    *,
    config: RunnerConfig,
    commit: LogCommit,
    size: int | None = None,
) -> int:
    """Bring one subset up to date.

    Args:
        tables: The warehouse.
        subset: What to build.
        report: Takes run keys, rows, versions and a note.
        config: The share of failed rows that is let pass.
        commit: Takes the log's entry.
        size: Of a control: the members of its subset.

    Returns:
        Its members.

    Raises:
        StageError: If a measure has not been made, measures do not fit together, or fewer samples qualify than the
            size asks for.
    """
    definition = subset.definition
    if subset.control_of is not None:
        # A subset without members has a control without members.
        definition = definition.model_copy(update={"size": size or None} if size else {"predicate": "false"})
    selection = Selection(definition)
    models = models_of_tables(selection.measures, subset.clip_model)
    current = current_of_models(tables, report.dataset, current=current_run_keys(tables), models=models)
    upstream = upstream_of_measures(current, report.dataset, selection.measures, subset_id=subset.subset_id)
    found = _Found(tables, report.dataset, subset)
    refuse_outdated(tables, report.dataset, current=current, upstream=upstream, subset_id=subset.subset_id)
    work = _work(subset, selection, upstream=upstream, models=models, found=found)
    if run_whole(tables, config, (work,), report=report, commit=commit)[0]:
        row = found.built
        assert row is not None, "it has just been built"
        _tell(report, subset, row=row, stored=found.stored)
    else:
        row = found.stored
        assert row is not None, "what is up to date is stored"
        report.shards_kept += 1
        report.notes.append(f"{subset.subset_id}: up to date, {row['members']:,} samples")
    _track(tables, report, row)
    return int(row["members"])


class _Found:
    """The subset as it is stored when its turn comes, and as it is built then.

    Attributes:
        stored: Its row; None where there is none, or nobody has looked yet.
        built: The row that was written; None where it was up to date.
    """

    def __init__(self, tables: Tables, dataset: str, subset: SubsetBuild) -> None:
        self.stored: dict[str, Any] | None = None
        self.built: dict[str, Any] | None = None
        self._tables = tables
        self._dataset = dataset
        self._subset = subset

    def is_of(self, run_key: str, input_key: str) -> bool:
        """Whether it was built from these keys, and states what its definition states."""
        self.stored = stored_subset(self._tables, self._dataset, self._subset.subset_id)
        stated = {key: getattr(self._subset.definition, key) for key in _STATED}
        stated["assumptions"] = list(stated["assumptions"])
        wanted = {**stated, "run_key": run_key, "input_key": input_key}
        return self.stored is not None and {key: self.stored[key] for key in wanted} == wanted


def _work(
    subset: SubsetBuild,
    selection: Selection,
    *,
    upstream: Mapping[str, str],
    models: Mapping[str, str],
    found: _Found,
) -> TableWork:
    def compute(making: Making) -> None:
        found.built = _build(making, subset, selection, models=models)

    workers = {measure.name: measure.worker for measure in selection.measures if measure.worker}
    decides = {**selection.decides(), **{name: worker.version for name, worker in workers.items()}}
    if models:
        decides["models"] = dict(models)
    return TableWork(
        stage="curate",
        outputs=(subsets.TABLE,),
        reads=upstream,
        params={},
        decides={"stage": "curate", **decides, "reads": dict(upstream)},
        is_done=found.is_of,
        logged={"subset": subset.subset_id, **selection.decides(), "reads": dict(upstream)},
        lock=subset.subset_id,
        name=f"{subsets.TABLE.name} {subset.subset_id}",
        compute=compute,
    )


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


def _build(
    making: Making, subset: SubsetBuild, selection: Selection, *, models: Mapping[str, str]
) -> dict[str, Any]:
    """Write members, then the definition; returns its row."""
    tables, dataset, upstream = making.tables, making.dataset, making.work.reads
    versions = making.report.versions_read
    where = {"dataset": dataset, "subset_id": subset.subset_id}
    evaluated = selection.evaluated(
        measures_frame(tables, dataset, upstream=upstream, wanted=selection.measures, models=models)
    )
    with _kept_frames() as keep:
        if is_costly(upstream, selection.measures):
            evaluated = keep(evaluated)
        selected = select_members(selection, evaluated, subset_id=subset.subset_id, keep=keep)
        making.write(subset_members.TABLE, _of(subset, selected.members), where=where)
    definition = selection.definition
    row: dict[str, Any] = {
        **where,
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
        "content_hash": content_hash(members_of(tables, dataset, subset.subset_id)),
        "tables_read": [
            {"table_name": table, "run_key": run_key, "delta_version": versions[table]}
            for table, run_key in upstream.items()
        ],
        "attrition": [entry.row() for entry in selected.attrition],
        "run_key": making.run_key,
        "input_key": making.input_key,
    }
    making.note(subsets.TABLE, [row], where=where)
    return row


def _of(subset: SubsetBuild, members: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return members.withColumn("subset_id", F.lit(subset.subset_id))


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


def _tell(
    report: StageReport, subset: SubsetBuild, *, row: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> None:
    share = f" ({row['members'] / row['samples']:.1%})" if row["samples"] else ""
    note = f"{subset.subset_id}: {row['members']:,} of {row['samples']:,} samples{share}"
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
    report.results[f"{subset.subset_id} members"] = float(row["members"])


def _track(tables: Tables, report: StageReport, row: Mapping[str, Any]) -> None:
    spec = subset_members.TABLE
    where = f"dataset = '{report.dataset}' AND subset_id = '{row['subset_id']}'"
    kept = {
        name: row[name] for name in ("predicate", "top", "stratum", "size", "seed") if row[name] is not None
    }
    tracking.dataset_input(
        DatasetInput(
            name=f"{report.dataset}/{row['subset_id']}",
            location=tables.location(spec),
            version=tables.version(spec),
            digest=row["content_hash"],
            columns=KEY_COLUMNS,
            rows=row["members"],
            # The table holds all subsets; this is what reads this one.
            tags={"where": where, **kept},
        )
    )
