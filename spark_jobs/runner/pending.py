"""What a sample-level stage still has to do: shards whose input is not the one its output came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from schemas._table import TableSpec
from spark_jobs.errors import StageError
from spark_jobs.pipeline import run_first
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.query_cache import Question
from spark_jobs.warehouse.views import current_run_keys
from udfs.weights import WeightFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.warehouse.tables import Tables


RunKeys = Mapping[tuple[str, str], str]
"""Run key by dataset and table."""
_SHARD_DIGESTS = Question("digests of the input, by shard", version=1)
_OUTPUT_SHARDS = Question("input keys and failed rows of the output, by shard", version=1)


@dataclass(frozen=True)
class Input:
    """A table that a sample-level stage reads, and what of it.

    Attributes:
        spec: The table.
        columns: Name for the stage by column of the table.
        decisive: SQL expressions that decide whether work is pending; None: the columns.
        where: SQL predicate on the table's rows that are read; None: all of them.
        run_key: Run key to read; None: the table's current one.
        optional: Whether samples may have no row in it: their columns are then null, and no shard waits.
    """

    spec: TableSpec
    columns: Mapping[str, str]
    decisive: tuple[str, ...] | None = None
    where: str | None = None
    run_key: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class ShardWork:
    """A sample-level stage: what it reads, what decides its rows, how it computes them.

    Attributes:
        stage: Stage name.
        output: Table it writes, `rows_per_sample` rows per sample.
        inputs: Tables it reads; the first has a row for every sample.
        params: What decides a row's value, JSON-able.
        compute: From joined inputs (`shard_id`, `sample_id` and the inputs' names) to the result columns,
            `status` and `error`; for model stages also seconds by phase.
        batch_size: Samples per model batch; None for stages without a model.
        models: Names of its models, as the output names them.
        files: Local files that workers need.
        rows_per_sample: Rows that `compute` makes of each sample.
        slice_batches: Model batches per Spark task; None: `runner.slice_batches`.
        max_failed_share: Share of failed rows of a chunk that stops the stage; None: `runner.max_failed_share`.
        whole_shards: What a sample's input takes from the other samples of its shard, added to the joined
            inputs before anything is cut out of a shard; None: nothing.
    """

    stage: str
    output: TableSpec
    inputs: tuple[Input, ...]
    params: dict[str, Any]
    compute: Callable[[DataFrame], DataFrame]
    batch_size: int | None = None
    models: tuple[str, ...] = ()
    files: tuple[WeightFile, ...] = ()
    rows_per_sample: int = 1
    slice_batches: int | None = None
    max_failed_share: float | None = None
    whole_shards: Callable[[DataFrame], DataFrame] | None = None

    @property
    def model(self) -> str:
        """Its models, for people."""
        return ", ".join(self.models)


@dataclass(frozen=True)
class Shard:
    """A shard to be computed: its id, its number of samples, the hash of its input rows."""

    shard_id: str
    samples: int
    input_key: str


@dataclass(frozen=True)
class InputShards:
    """The shards of a stage's inputs.

    Attributes:
        ready: Shards that every input holds in full.
        waiting: Other shards of the first input: their samples whose image is still a URL, and the like.
        lacking: By table, how many samples of the waiting shards it has no row for; only where it lacks any.
    """

    ready: list[Shard]
    waiting: list[str]
    lacking: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """What a sample-level stage would do now.

    Attributes:
        run_key: Run key of its rows.
        upstream: Run key by table read.
        pending: Shards to compute.
        kept: Shards that are up to date.
        kept_samples: Samples in them.
        retries: Shards that are up to date but hold failed rows.
        orphans: Shards of the output whose input is gone.
        stored: All shards of the output.
        waits_for: Why shards wait, in a sentence; None if none waits for something that a user can do.
    """

    run_key: str
    upstream: Mapping[str, str]
    pending: list[Shard] = field(default_factory=list)
    kept: int = 0
    kept_samples: int = 0
    retries: list[Shard] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    stored: frozenset[str] = frozenset()
    waits_for: str | None = None


def run_key_of(work: ShardWork, upstream: Mapping[str, str]) -> str:
    """The run key: stage, parameters, and the run keys of what is read."""
    return digest({"stage": work.stage, "params": work.params, "reads": dict(upstream)})


def upstream_of(current: RunKeys, dataset: str, inputs: tuple[Input, ...]) -> dict[str, str]:
    """The current run key of every input.

    Raises:
        StageError: If an input has none for this dataset; names the stage to run.
    """
    missing = [item.spec.name for item in inputs if (dataset, item.spec.name) not in current]
    if missing:
        known = sorted({name for name, _ in current})
        raise StageError(
            f"dataset {dataset} has no finished table {missing[0]}: {run_first(missing[0])}. "
            f"Datasets in the warehouse: {', '.join(known) or 'none'}"
        )
    return {item.spec.name: item.run_key or current[dataset, item.spec.name] for item in inputs}


def plan_work(
    tables: Tables, work: ShardWork, *, dataset: str, limit: int | None, current: RunKeys | None = None
) -> Plan:
    """Compare input and output shard by shard.

    Args:
        tables: The warehouse.
        work: The stage.
        dataset: The dataset.
        limit: Number of shards to sample, or None.
        current: Run keys to read, by dataset and table; None: the warehouse's current ones.
    """
    upstream = upstream_of(current_run_keys(tables) if current is None else current, dataset, work.inputs)
    run_key = run_key_of(work, upstream)
    inputs = input_shards(tables, work.inputs, dataset=dataset, upstream=upstream)
    done = output_shards(tables, work.output, dataset=dataset, run_key=run_key)
    plan = Plan(run_key, upstream, waits_for=_waits_for(inputs, dataset))
    return planned(plan, inputs, done, limit=limit)


def planned(
    plan: Plan, inputs: InputShards, done: Mapping[str, tuple[str, int]], *, limit: int | None
) -> Plan:
    """A plan with its shards: what is done is up to date where it came from the input as it is now.

    Args:
        plan: With the run keys.
        inputs: The shards of the inputs.
        done: Input key and number of failed rows by shard of the output.
        limit: Number of shards to sample, or None.
    """
    wanted = {shard.shard_id: shard for shard in inputs.ready}
    selected = [wanted[shard_id] for shard_id in sample_shards(wanted, limit)]
    pending = [shard for shard in selected if done.get(shard.shard_id, ("", 0))[0] != shard.input_key]
    todo = {shard.shard_id for shard in pending}
    kept = [shard for shard in selected if shard.shard_id not in todo]
    return replace(
        plan,
        pending=pending,
        kept=len(kept),
        kept_samples=sum(shard.samples for shard in kept),
        retries=[shard for shard in kept if done[shard.shard_id][1]],
        # What was made of a shard that waits is kept: its input may come back as it was.
        orphans=sorted(set(done) - set(wanted) - set(inputs.waiting)),
        stored=frozenset(done),
    )


def chunks_of(
    shards: Sequence[Shard], *, first: int, seconds: float | None, rate: Callable[[], float]
) -> Iterator[list[Shard]]:
    """Cut shards into chunks, each of one shard at least.

    Args:
        shards: The shards, in order.
        first: Samples of the first chunk.
        seconds: What a chunk should take, by the rate seen so far; None: all are as large as the first.
        rate: Samples per second, asked after each chunk.
    """
    left = list(shards)
    target = float(first)
    while left:
        chunk = [left.pop(0)]
        while left and sum(shard.samples for shard in chunk) + left[0].samples <= target:
            chunk.append(left.pop(0))
        yield chunk
        target = target if seconds is None else max(target, rate() * seconds)


def sample_shards(shard_ids: Mapping[str, Any], limit: int | None) -> list[str]:
    """All shard ids in order, or a fixed sample of them: the same at every call and in every stage."""
    if limit is None or limit >= len(shard_ids):
        return sorted(shard_ids)
    by_hash = sorted(shard_ids, key=lambda shard_id: hashlib.sha256(shard_id.encode()).hexdigest())
    return sorted(by_hash[:limit])


def input_shards(
    tables: Tables, inputs: tuple[Input, ...], *, dataset: str, upstream: Mapping[str, str]
) -> InputShards:
    """Shards that every input holds in full, with the hash of their rows, and those that must wait."""
    return joined_shards(
        inputs,
        [_input_digests(tables, item, dataset=dataset, run_key=upstream[item.spec.name]) for item in inputs],
    )


def joined_shards(inputs: Sequence[Input], per_input: Sequence[Mapping[str, tuple[int, str]]]) -> InputShards:
    """What `input_shards` says, from the rows and the hash by shard of each input."""
    ready: list[Shard] = []
    waiting: list[str] = []
    lacking: dict[str, int] = {}
    for shard_id in sorted(per_input[0]):
        found = [digests.get(shard_id, (0, "")) for digests in per_input]
        samples = found[0][0]
        lacks = {
            item.spec.name: samples - count
            for item, (count, _) in zip(inputs, found, strict=True)
            if not item.optional and count != samples
        }
        if not lacks:
            ready.append(Shard(shard_id, samples, digest([total for _, total in found])))
            continue
        waiting.append(shard_id)
        for name, count in lacks.items():
            if count > 0:
                lacking[name] = lacking.get(name, 0) + count
    return InputShards(ready, waiting, lacking)


def _waits_for(inputs: InputShards, dataset: str) -> str | None:
    # Other tables lack samples while their stage has not come to them; that ends by itself.
    only_urls = inputs.lacking.get("images")
    if not only_urls:
        return None
    return (
        f"{only_urls:,} samples of dataset {dataset} have only URLs; download them first: "
        f"`parrot run download` with the same dataset and warehouse ({len(inputs.waiting):,} shard(s) wait)"
    )


def _input_digests(tables: Tables, item: Input, *, dataset: str, run_key: str) -> dict[str, tuple[int, str]]:
    """`shard_digests` of a table; asked again only where the table has changed."""
    question = _SHARD_DIGESTS.of(
        dataset=dataset, run_key=run_key, where=item.where, decisive=list(_decisive(item))
    )
    found = tables.answer(
        item.spec,
        question,
        lambda: shard_digests(tables.read(item.spec, dataset=dataset, run_key=run_key, whole=True), item),
    )
    return {shard_id: (rows, total) for shard_id, (rows, total) in found.items()}


def _decisive(item: Input) -> tuple[str, ...]:
    return item.decisive or tuple(sorted(item.columns.values()))


def shard_digests(frame: DataFrame, item: Input) -> dict[str, tuple[int, str]]:
    """Rows and order-independent hash of the stage's columns, by shard."""
    from pyspark.sql import functions as F

    frame = frame.where(item.where) if item.where else frame
    row_hash = F.xxhash64("sample_id", *map(F.expr, _decisive(item))).cast("decimal(20,0)")
    totals = frame.groupBy("shard_id").agg(F.count("*").alias("n"), F.sum(row_hash).alias("total"))
    return {row["shard_id"]: (row["n"], str(row["total"])) for row in totals.collect()}


def output_shards(
    tables: Tables, spec: TableSpec, *, dataset: str, run_key: str
) -> dict[str, tuple[str, int]]:
    """Input key and number of failed rows by shard of the output; asked again only where it has changed."""
    from pyspark.sql import functions as F

    if not tables.exists(spec):
        return {}

    def ask() -> dict[str, tuple[str, int]]:
        frame = tables.read(spec, dataset=dataset, run_key=run_key)
        failed = F.sum((F.col("status") == "failed").cast("long"))
        rows = frame.groupBy("shard_id").agg(F.min("input_key").alias("key"), failed.alias("failed"))
        return {row["shard_id"]: (row["key"], row["failed"]) for row in rows.collect()}

    question = _OUTPUT_SHARDS.of(dataset=dataset, run_key=run_key)
    found = tables.answer(spec, question, ask)
    return {shard_id: (key, failed) for shard_id, (key, failed) in found.items()}
