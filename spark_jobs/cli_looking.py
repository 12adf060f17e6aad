"""The commands that look at what a warehouse holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spark_jobs.cli_support import (
    Dataset,
    Debug,
    Json,
    Set,
    Warehouse,
    guarded,
    opened,
    require_warehouse,
)


def status(warehouse: Warehouse = None, as_json: Json = False, debug: Debug = False) -> None:
    """Show each table: rows, shards done and pending, failures, last run."""

    def work() -> None:
        from spark_jobs.commands.status import print_status
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        loaded = load_config(options={"warehouse": warehouse})
        require_warehouse(loaded.warehouse)
        print_status(open_session(loaded.session), loaded, as_json=as_json)

    guarded(work, debug=debug)


def sql(
    query: Annotated[str, typer.Argument(help="A query; every table and view is known by its name")],
    warehouse: Warehouse = None,
    format_: Annotated[str, typer.Option("--format", help="table, csv or json")] = "table",
    output: Annotated[
        str | None, typer.Option(help="Write to a file or URI instead: .csv, .parquet, .json or .jsonl")
    ] = None,
    debug: Debug = False,
) -> None:
    """Query the tables; nothing but the result goes to standard output."""

    def work() -> None:
        from spark_jobs.commands.sql import check_output, run_query
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        loaded = load_config(options={"warehouse": warehouse})
        check_output(format_, output)
        require_warehouse(loaded.warehouse)
        run_query(open_session(loaded.session), loaded, query, style=format_, output=output)

    guarded(work, debug=debug)


def compare_models(
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    format_: Annotated[str, typer.Option("--format", help="table, csv or json")] = "table",
    output: Annotated[Path, typer.Option(help="File of the plot, .svg")] = Path("compare-models.svg"),
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Compare CLIP models: what the text does to their scores; one table, one plot, one MLflow run."""

    def work() -> None:
        from spark_jobs.commands import compare_models as command
        from spark_jobs.config import load_config

        options = {"warehouse": warehouse, "dataset": dataset}
        loaded = load_config(overrides=tuple(set_ or ()), options=options)
        command.check_options(format_, output)
        command.compare_models(*opened(loaded), style=format_, output=output)

    guarded(work, debug=debug)


def compare_spotters(
    one: Annotated[str, typer.Argument(help="A spotter with readings there: easyocr-fast, or easyocr/de+en")],
    other: Annotated[str, typer.Argument(help="The spotter that it is compared with")],
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare what two spotters read in one dataset: words, text or none, image types, CoTR."""

    def work() -> None:
        from spark_jobs.commands import compare_spotters as command
        from spark_jobs.config import load_config

        options = {"warehouse": warehouse, "dataset": dataset}
        loaded = load_config(overrides=tuple(set_ or ()), options=options)
        command.check_names(one, other)
        command.compare_spotters(*opened(loaded), (one, other), as_json=as_json)

    guarded(work, debug=debug)


def cost(
    samples: Annotated[str, typer.Option(help="Image-text pairs: 250,000, 100M, 2B")],
    cores: Annotated[int, typer.Option(min=1, help="Cores that would work at once")],
    measured_cores: Annotated[
        int | None, typer.Option(min=1, help="Cores of the runs that were measured; default: this machine's")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of a core-hour, in any currency")] = None,
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    debug: Debug = False,
) -> None:
    """Say what so many samples would cost, by what the warehouse's own runs took."""

    def work() -> None:
        import os

        from spark_jobs.commands import cost as command
        from spark_jobs.config import load_config
        from spark_jobs.cost import Plan, parse_samples

        loaded = load_config(options={"warehouse": warehouse, "dataset": dataset})
        plan = Plan(parse_samples(samples), cores, loaded.runner.chunk_seconds, price)
        spark, loaded = opened(loaded)
        rates = command.measured_rates(spark, loaded, cores=measured_cores or os.cpu_count() or 1)
        command.print_cost(rates, plan, stored=command.bytes_per_sample(spark, loaded))

    guarded(work, debug=debug)


def describe(
    name: Annotated[str, typer.Argument(help="A table, a view or a stage")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a table or view holds, column by column, or what a stage does and how it is configured."""

    def work() -> None:
        from spark_jobs.commands.describe import print_description

        print_description(name, as_json=as_json)

    guarded(work, debug=debug)


def show(
    sample: Annotated[
        str, typer.Argument(help="Its sample_id or the beginning of it, the source's key or id, or its URL")
    ],
    warehouse: Warehouse = None,
    dataset: Annotated[
        str | None, typer.Option(help="Name of the dataset, where samples of several are called so")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML file instead")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show one sample: picture, words, scores, with its text removed, duplicates, cluster, subsets."""

    def work() -> None:
        from spark_jobs.commands.show import print_sample
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        loaded = load_config(options={"warehouse": warehouse, "dataset": dataset})
        require_warehouse(loaded.warehouse)
        print_sample(open_session(loaded.session), loaded, sample, html=html, as_json=as_json)

    guarded(work, debug=debug)
