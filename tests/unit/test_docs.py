"""The documentation says what the code does: tables, commands, settings, links."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from schemas import ALL_TABLES, TABLES
from spark_jobs.cli import app
from spark_jobs.config import RunConfig, load_config
from spark_jobs.pipeline import STAGES, select
from spark_jobs.sections import Section
from spark_jobs.sources import SOURCES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "deploy/*/*.md", "notebooks/*.md", "tests/*.md")
    for page in ROOT.glob(pattern)
)
README = (ROOT / "README.md").read_text(encoding="utf-8")

_specification = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(generate)


def fenced_lines(page: Path) -> list[str]:
    """Lines of a page's shell blocks, continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def parrot_commands() -> list[tuple[str, list[str]]]:
    """Every command line of the pages that calls parrot, as (page, arguments)."""
    commands = []
    for page in PAGES:
        for line in fenced_lines(page):
            words = shlex.split(line, comments=True)
            if words and words[0].rpartition("/")[2] in ("parrot", "submit.sh"):
                commands.append((page.relative_to(ROOT).as_posix(), words[1:]))
    return commands


def check_command(arguments: list[str]) -> None:
    """Parse a command line as parrot would, and look up what it names. Runs nothing."""
    name, *rest = arguments
    command = typer.main.get_command(app).commands[name]
    if hasattr(command, "commands"):  # a group: its first word names the command
        name, *rest = rest
        command = command.commands[name]
    values = command.make_context(name, list(rest)).params
    select(values.get("stages") or [])
    load_config(overrides=tuple(values.get("set_") or ()))
    if name == "describe":
        assert values["name"] in {*TABLES, *(stage.name for stage in STAGES)}


def table_after(text: str, marker: str) -> list[list[str]]:
    """Cells of the Markdown table behind a marker, without its head."""
    block = text.split(f"<!-- {marker}: docs/generate.py -->")[1].split(f"<!-- /{marker} -->")[0]
    rows = [line.strip().strip("|").split(" | ") for line in block.strip().splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_pages_are_found():
    names = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert {"README.md", "CHANGELOG.md", "docs/configuration.md", "deploy/emr/README.md"} <= names


def test_readme_lists_the_stages_of_the_registry():
    rows = table_after(README, "stages")
    assert [row[0] for row in rows] == [f"`{stage.name}`" for stage in STAGES]
    for row, stage in zip(rows, STAGES, strict=True):
        assert row[1] == stage.meaning
        assert set(re.findall(r"`(\w+)`", row[2])) == set(stage.reads)
        assert set(re.findall(r"`(\w+)`", row[3])) == set(stage.writes)
        assert (row[4] == "yes") == stage.uses_model


def test_readme_lists_the_tables_of_the_schemas():
    rows = table_after(README, "tables")
    assert [row[0] for row in rows] == [f"`{spec.name}`" for spec in ALL_TABLES]
    for row, spec in zip(rows, ALL_TABLES, strict=True):
        assert row[1] == spec.meaning
        makers = [f"`{stage.name}`" for stage in STAGES if spec.name in stage.writes]
        assert row[2] == (", ".join(makers) or "every stage")


def test_readme_lists_the_kinds_of_sources():
    assert [row[0] for row in table_after(README, "sources")] == [f"`{kind}`" for kind in SOURCES]


def test_generated_text_is_up_to_date():
    assert generate.with_tables(README) == README, "run python docs/generate.py"
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == generate.configuration_page(), "run python docs/generate.py"
    views = (ROOT / "docs/views.md").read_text("utf-8")
    assert views == generate.views_page(), "run python docs/generate.py"
    tables = (ROOT / "docs/tables.md").read_text("utf-8")
    assert tables == generate.tables_page(), "run python docs/generate.py"


def test_generator_refuses_a_readme_without_its_places():
    with pytest.raises(ValueError, match="stages"):
        generate.with_tables(README.replace("<!-- stages: docs/generate.py -->", ""))


def test_every_setting_is_on_the_configuration_page():
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    seen = 0
    for name, field in RunConfig.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, Section)):
            assert f"| `{name}` |" in page.split("## Top level")[1].split("\n## ")[0]
            continue
        for key, setting in model.model_fields.items():
            seen += 1
            assert setting.description, f"{name}.{key} has no description"
            assert re.search(
                rf"^\| `{key}` .*{re.escape(setting.description)} \|$", sections[name], re.MULTILINE
            )
    assert seen > 20


def test_the_configuration_pages_example_is_valid(tmp_path):
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "profile.yaml").write_text(example, encoding="utf-8")
    assert load_config(str(tmp_path / "profile.yaml")).embed.model == "ViT-B-32"
    (override,) = re.findall(r"`--set '([^']+)'`", page)
    assert load_config(overrides=(override,)).session.spark


def test_commands_stand_in_blocks_that_are_checked():
    """A block of another language than sh is not looked at, so no command may hide there."""
    blocks = 0
    for page in PAGES:
        fences = re.findall(
            r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        blocks += len(fences)
        for language, block in fences:
            if language != "sh":
                assert not re.search(r"^\s*\$?\s*(\S*/)?parrot [a-z]+ --", block, re.MULTILINE), page.name
    assert blocks > 50


def test_the_example_of_several_datasets_is_valid(tmp_path):
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "job.yaml").write_text(example, encoding="utf-8")
    assert [one.name for one in load_config(str(tmp_path / "job.yaml")).datasets] == ["cc12m", "laion"]


def test_the_pages_commands_are_found():
    assert len(parrot_commands()) > 10
    assert {"README.md", "deploy/emr/README.md"} <= {page for page, _ in parrot_commands()}


@pytest.mark.parametrize(
    ("page", "arguments"),
    parrot_commands(),
    ids=lambda value: value if isinstance(value, str) else shlex.join(value)[:60],
)
def test_a_command_of_the_pages_exists(page, arguments):
    check_command(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--sauce", "x"],
        ["run", "embedd"],
        ["run", "--set", "embed.modell=x"],
        ["export", "random"],
        ["report", "--warehouse", "x", "--outptu", "y"],
    ],
)
def test_a_wrong_command_would_be_found(arguments):
    with pytest.raises(Exception, match=r"No such option|unknown stage|unknown key|Missing parameter"):
        check_command(arguments)


def test_every_command_is_shown_and_every_option_of_run():
    commands = typer.main.get_command(app).commands
    shown = [arguments for _, arguments in parrot_commands()]
    assert set(commands) == {arguments[0] for arguments in shown} | {"demo"}  # `make demo`
    options = {
        option for parameter in commands["run"].params for option in parameter.opts if option[:2] == "--"
    }
    used = {word for arguments in shown if arguments[0] == "run" for word in arguments}
    assert options - {"--debug", "--help"} <= used


def test_the_readme_links_to_every_page():
    linked = set(re.findall(r"\]\((docs/\w+\.md)\)", README))
    pages = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")}
    assert len(pages) > 20
    assert linked == pages


def test_commands_and_options_have_help():
    commands = dict(typer.main.get_command(app).commands)
    for group in [command for command in commands.values() if hasattr(command, "commands")]:
        commands |= group.commands
    for name, command in commands.items():
        assert command.help, name
        lacking = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
        assert not lacking, f"parrot {name} has parameters without help: {lacking}"


def test_makefile_targets_in_the_readme_exist():
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"clean"}
    targets = set(
        re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {"demo", "test"} <= named <= targets


def test_links_and_named_files_exist():
    links = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if "://" not in target:
                links += 1
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
    assert links > 5
    architecture = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    folders = re.findall(r"^\| (`[^|]*/`[^|]*) \|", architecture, re.MULTILINE)
    assert len(folders) > 10
    for name in re.findall(r"`([^`]+)`", " ".join(folders)):
        assert (ROOT / name).is_dir(), f"architecture.md names {name}"


def test_changelog_keeps_the_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## Unreleased$", text, re.MULTILINE)
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert headings
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_notebooks_are_listed_in_their_readme():
    names = {path.name for path in (ROOT / "notebooks").glob("*.py")}
    assert names
    listed = re.findall(
        r"^\| \d+ \| `([^`]+)`", (ROOT / "notebooks/README.md").read_text("utf-8"), re.MULTILINE
    )
    assert listed == sorted(names)


def test_help_imports_no_heavy_library():
    code = (
        "import sys; from spark_jobs.cli import main; sys.argv = ['parrot', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pyspark', 'torch', 'mlflow', 'open_clip', 'easyocr', 'cv2', 'numpy', 'pandas', 'pyarrow'}\n"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "demo" in result.stdout
    assert result.returncode == 0
    assert result.stderr == ""
