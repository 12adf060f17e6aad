"""The layout's rules: who may import whom, the single doors, one file per stage and table, sizes."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql.types import ArrayType, MapType, StructType

from schemas import ALL_TABLES, TABLES
from schemas._table import KEY_COLUMNS
from spark_jobs.config import RunConfig
from spark_jobs.pipeline import STAGES, STATISTICS, maker_of, select
from spark_jobs.sections import Section
from spark_jobs.stages import load_stage
from spark_jobs.views import VIEWS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "udfs", "spark_jobs")
HEAVY = {"torch", "torchvision", "open_clip", "easyocr", "cv2", "faiss", "mlflow", "img2dataset"}
# Sections of the configuration that belong to no single stage.
SHARED_SECTIONS = {"images", "runner", "session", "tracking"}
# Stages that complete a table of an earlier one, under a run key of their own.
SECOND_MAKERS = {"download": {"images"}}


def modules(*folders: str) -> dict[str, ast.Module]:
    """Syntax trees by path relative to the checkout."""
    found = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    assert found, f"no Python files in {folders}"
    return found


def imported(node: ast.AST) -> list[str]:
    """Modules that an import statement names; empty for other nodes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute here"
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def all_imports(tree: ast.AST) -> set[str]:
    return {name for node in ast.walk(tree) for name in imported(node)}


def imports_at_load(tree: ast.AST) -> set[str]:
    """What is imported when the module is: not in functions, not for type checking only."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        names.update(imported(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return names


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def uses(tree: ast.AST) -> Iterator[str]:
    """Attributes and names used, and string arguments of calls as `name('text')`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield f"{name}({node.args[0].value!r})"


# -- who may import whom


def test_schemas_import_only_pyspark_types_and_themselves():
    allowed = ("schemas", "pyspark.sql.types", "dataclasses", "__future__")
    for path, tree in modules("schemas").items():
        outside = {name for name in all_imports(tree) if not name.startswith(allowed)}
        assert not outside, f"{path} imports {outside}"


def test_udfs_import_nothing_of_the_jobs():
    for path, tree in modules("udfs").items():
        assert top(all_imports(tree)).isdisjoint({"spark_jobs", "notebooks", "tests", "benchmarks"}), path


def test_the_packages_import_no_tests_notebooks_or_benchmarks():
    for path, tree in modules(*PACKAGES).items():
        assert top(all_imports(tree)).isdisjoint({"notebooks", "tests", "benchmarks", "deploy"}), path


def test_the_runner_and_the_sources_do_not_import_what_is_built_on_them():
    for path, tree in modules("spark_jobs/runner", "spark_jobs/sources", "spark_jobs/sql").items():
        names = all_imports(tree)
        above = {
            name
            for name in names
            if name.startswith(("spark_jobs.stages", "spark_jobs.commands", "spark_jobs.cli"))
        }
        assert not above, f"{path} imports {above}"


def test_training_and_evaluation_know_neither_spark_nor_tables():
    doors = (
        "warehouse.tables",
        "warehouse.views",
        "runner",
        "stages",
        "sql",
        "session",
        "tracking",
        "commands",
    )
    for path, tree in modules("spark_jobs/training", "spark_jobs/evaluation").items():
        names = all_imports(tree)
        assert top(names).isdisjoint({"pyspark", "delta", "mlflow", "schemas"}), path
        beyond = {name for name in names if name.startswith(tuple(f"spark_jobs.{door}" for door in doors))}
        assert not beyond, f"{path} imports {beyond}"


@pytest.mark.parametrize("package", PACKAGES)
def test_heavy_libraries_are_imported_in_functions_only(package):
    for path, tree in modules(package).items():
        heavy = top(imports_at_load(tree)) & HEAVY
        assert not heavy, f"{path} imports {heavy} when it is loaded"


def test_a_heavy_import_would_be_found():
    late = ast.parse(
        "def f():\n    import torch\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import cv2"
    )
    assert top(imports_at_load(late)) & HEAVY == set()
    early = ast.parse(
        "try:\n    from torch import nn\nexcept ImportError:\n    pass\nclass A:\n    import mlflow"
    )
    assert top(imports_at_load(early)) & HEAVY == {"torch", "mlflow"}


# -- single doors


def test_only_tables_reads_and_writes_delta():
    door = "spark_jobs/warehouse/tables.py"
    delta = {"DeltaTable", "saveAsTable", "insertInto", "format('delta')", "writeTo", "isDeltaTable"}
    trees = modules(*PACKAGES, "notebooks")
    assert set(uses(trees[door])) & delta, (
        "the door itself uses Delta, or this test looks for the wrong names"
    )
    for path, tree in trees.items():
        if path != door:
            found = set(uses(tree)) & delta
            assert not found, f"{path} uses {found}"
            is_session = path == "spark_jobs/session.py"  # it puts Delta's jars into the session
            assert is_session or "delta" not in top(all_imports(tree)), f"{path} imports delta"


def test_only_session_builds_sessions():
    door = "spark_jobs/session.py"
    building = {"builder", "getOrCreate", "newSession"}
    trees = modules(*PACKAGES, "notebooks")
    assert set(uses(trees[door])) & building
    for path, tree in trees.items():
        if path != door:
            found = set(uses(tree)) & building
            assert not found, f"{path} uses {found}"


def test_only_tracking_imports_mlflow():
    trees = modules(*PACKAGES, "notebooks")
    importers = {path for path, tree in trees.items() if "mlflow" in top(all_imports(tree))}
    assert importers == {"spark_jobs/tracking.py"}


# -- stages


def stage_files() -> set[str]:
    return {path.stem for path in (ROOT / "spark_jobs/stages").glob("*.py")} - {"__init__"}


def test_every_stage_has_a_file_and_every_file_is_a_stage():
    assert stage_files() == {stage.name for stage in STAGES}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_is_one_function_of_session_and_configuration(stage):
    run = load_stage(stage.name).run
    assert list(inspect.signature(run).parameters) == ["spark", "config"]
    assert inspect.signature(run).return_annotation == "StageReport"
    assert run.__doc__
    module = importlib.import_module(f"spark_jobs.stages.{stage.name}")
    assert module.__doc__.startswith(f"Stage `{stage.name}`:")
    assert stage.meaning
    assert not stage.meaning.endswith(".")


def test_stages_read_what_an_earlier_stage_writes():
    written: set[str] = set()
    for stage in STAGES:
        assert set(stage.reads) <= written, f"{stage.name} reads what no earlier stage writes"
        shared = SECOND_MAKERS.get(stage.name, set())
        assert written & set(stage.writes) == shared, f"{stage.name} writes what another stage writes"
        written |= set(stage.writes)
    assert written == set(TABLES) - {"stage_runs"}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_declares_the_tables_that_its_file_imports(stage):
    tree = modules("spark_jobs/stages")[f"spark_jobs/stages/{stage.name}.py"]
    named = {name.removeprefix("schemas.") for name in all_imports(tree) if name.startswith("schemas.")}
    tables = named & set(TABLES)
    assert tables <= {*stage.reads, *stage.writes}
    assert set(stage.writes) <= tables
    inputs = load_stage(stage.name).inputs
    if inputs:  # a stage that works shard by shard
        assert {item.spec.name for item in inputs} == set(stage.reads)


def test_select_keeps_the_pipelines_order():
    names = [stage.name for stage in STAGES]
    assert [stage.name for stage in select(list(reversed(names)))] == names
    assert [stage.name for stage in select([])] == [stage.name for stage in STAGES if stage.profiles]
    assert maker_of("samples") == "ingest"


def test_every_section_of_the_configuration_is_a_stages_or_shared():
    sections = {
        name
        for name, field in RunConfig.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }
    assert sections == {stage.name for stage in STAGES} | SHARED_SECTIONS


# -- tables


def test_every_table_has_a_file_of_its_name_and_every_file_a_table():
    files = {path.stem for path in (ROOT / "schemas").glob("*.py")} - {"__init__", "_table"}
    assert files == set(TABLES)
    for name, spec in TABLES.items():
        assert importlib.import_module(f"schemas.{name}").TABLE is spec


def fields_of(schema: StructType, prefix: str = "") -> Iterator[tuple[str, object]]:
    for field in schema.fields:
        yield f"{prefix}{field.name}", field
        inner = field.dataType
        while isinstance(inner, ArrayType | MapType):
            inner = inner.elementType if isinstance(inner, ArrayType) else inner.valueType
        if isinstance(inner, StructType):
            yield from fields_of(inner, f"{prefix}{field.name}.")


@pytest.mark.parametrize("spec", ALL_TABLES, ids=lambda spec: spec.name)
def test_columns_are_snake_case_and_commented(spec):
    assert spec.meaning
    for path, field in fields_of(spec.schema):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", field.name), f"{spec.name}.{path}"
        is_coordinate = path.endswith(("polygon.x", "polygon.y"))  # their polygon's comment names the frame
        assert is_coordinate or field.metadata.get("comment"), f"{spec.name}.{path} has no comment"


@pytest.mark.parametrize("spec", ALL_TABLES, ids=lambda spec: spec.name)
def test_keys_exist_and_are_never_null(spec):
    fields = {field.name: field for field in spec.schema.fields}
    assert spec.key
    for name in {*spec.key, *spec.partition_by}:
        assert not fields[name].nullable, f"{spec.name}.{name} may be null"
    if set(KEY_COLUMNS) <= set(fields) and spec.has_run_key:
        assert (
            {"dataset", "sample_id", "run_key"}
            <= set(spec.key)
            <= {"dataset", "sample_id", "model", "style", "run_key"}
        )
        assert {"status", "error", "input_key"} <= set(fields)
        assert not fields["status"].nullable


def oracles(tree: ast.AST) -> Iterator[str]:
    """Tables that tests are marked with as `@pytest.mark.oracle("TABLE")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.oracle":
                    yield from (argument.value for argument in mark.args)


def test_every_statistics_table_is_compared_with_pandas():
    marked = {table for tree in modules("tests/spark").values() for table in oracles(tree)}
    assert marked == set(STATISTICS)


# -- notebooks


def test_notebooks_hold_cells_and_no_logic():
    defining = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for path, tree in modules("notebooks").items():
        text = (ROOT / path).read_text(encoding="utf-8")
        head, _, body = text.partition("\n")
        assert head == "# Databricks notebook source", path
        assert not [node for node in ast.walk(tree) if isinstance(node, defining)], path
        named = set(re.findall(r"\b(?:FROM|JOIN) (\w+)", body))
        assert named or "cookbook()" in text
        assert named <= {*TABLES, *(view.name for view in VIEWS)}, path
        first, *cells = body.split("\n\n# COMMAND ----------\n\n")
        assert first.startswith("# MAGIC %md\n# MAGIC # "), path
        assert len(cells) > 3
        # Databricks takes a cell for Markdown, or for a command of its own, only as a whole.
        for cell in (first, *cells):
            lines = cell.strip().splitlines()
            magic = [line for line in lines if line.startswith("# MAGIC")]
            assert magic in ([], lines), f"{path}: {lines[0]}"
            assert magic or lines[0] == "# %%", f"{path}: {lines[0]}"


def test_the_first_cell_of_a_notebook_installs_what_the_bundle_has_uploaded():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheel = f"parrot_captions-{project['version']}-py3-none-any.whl"
    for path in modules("notebooks"):
        text = (ROOT / path).read_text(encoding="utf-8")
        installed = re.findall(r"^# MAGIC %pip install -q (.*)$", text, re.MULTILINE)
        requirements, built = installed
        assert text.index("%pip") < text.index("# %%"), path
        assert (ROOT / path).parent.joinpath(requirements.removeprefix("-r ")).is_file(), path
        assert built == f"../../artifacts/.internal/{wheel}", path


def test_packages_have_an_init_with_a_docstring():
    for package in PACKAGES:
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
            init = folder / "__init__.py"
            assert init.is_file(), f"{folder.relative_to(ROOT)} is no package: the wheel would lack it"
            assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), init


def test_names_of_test_files_are_unique():
    # pytest imports them by their bare names, so two of one name end a run of all tests.
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("kind", ["unit", "spark"])
def test_tests_lie_where_the_code_lies(kind):
    """A test lies under its kind in the folder of what it tests; what tests all of it lies directly there."""
    folders = {
        path.parent.relative_to(ROOT / "tests" / kind) for path in (ROOT / "tests" / kind).rglob("test_*.py")
    }
    assert {Path("udfs"), Path("spark_jobs/stages"), Path("spark_jobs/warehouse")} <= folders, (
        "tests were not found"
    )
    strangers = [folder.as_posix() for folder in folders if not (ROOT / folder).is_dir()]
    assert not strangers, f"no such folders in the code: {strangers}"
    packages = {folder.parts[0] for folder in folders if folder.parts}
    assert packages <= {*PACKAGES, "deploy", "benchmarks"}
