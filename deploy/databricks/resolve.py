"""Resolves what the bundle installs: the runtime's packages as they are, and what is added to them.

`make lock` runs it. It writes requirements-RUNTIME.txt and the table in the README. A release that would replace a
package of the runtime is not taken; where nothing else is left, the resolution fails and names the two.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNTIME = "17.3-ml"
PYTHON = "3.12"
# torch of the runtime has them; the one of a package index would bring them.
OF_TORCH = re.compile(r"nvidia-|triton$")


def versions(text: str) -> dict[str, str]:
    """Version by package, from lines `name==version` or `name~=version`."""
    return dict(re.findall(r"^([a-z0-9._-]+)[=~]=(\S+)", text, re.MULTILINE))


def resolved(runtime: dict[str, str]) -> dict[str, str]:
    """What an installation of parrot comes to where the runtime's versions are fixed.

    Raises:
        subprocess.CalledProcessError: If parrot cannot do with them.
    """
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(
            "".join(f"{name}=={version}\n" for name, version in runtime.items()), encoding="utf-8"
        )
        command = ["uv", "pip", "compile", "pyproject.toml", "--quiet", "--constraints", str(pins)]
        command += ["--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_28", "--no-annotate"]
        found = subprocess.run(command, cwd=HERE.parents[1], check=True, stdout=subprocess.PIPE, text=True)
    return versions(found.stdout)


def requirements(kept: dict[str, str], added: dict[str, str]) -> str:
    """The file that clusters install: kept packages in the versions a runtime's maintenance may give them."""
    lines = [f"# Databricks Runtime {RUNTIME}: made by make lock (deploy/databricks/resolve.py).", "# Kept"]
    lines += [f"{name}~={version}" for name, version in sorted(kept.items())]
    lines += ["# Added", *(f"{name}=={version}" for name, version in sorted(added.items()))]
    return "\n".join(lines) + "\n"


def table(kept: dict[str, str], added: dict[str, str]) -> str:
    """Markdown: what is kept, added and replaced."""
    rows = [
        ("kept", len(kept), ", ".join(f"{name} {version}" for name, version in sorted(kept.items()))),
        ("added", len(added), ", ".join(f"{name} {version}" for name, version in sorted(added.items()))),
        ("replaced", 0, "none: the resolution fails where one would have to be"),
    ]
    head = "| | packages | which |\n| --- | --- | --- |\n"
    return head + "".join(f"| {what} | {count} | {which} |\n" for what, count, which in rows)


def main() -> None:
    """Write the requirements and the README's table."""
    runtime = versions((HERE / f"runtime-{RUNTIME}.txt").read_text(encoding="utf-8"))
    found = resolved(runtime)
    kept = {name: version for name, version in found.items() if name in runtime}
    added = {
        name: version for name, version in found.items() if name not in runtime and not OF_TORCH.match(name)
    }
    (HERE / f"requirements-{RUNTIME}.txt").write_text(requirements(kept, added), encoding="utf-8")
    readme = HERE / "README.md"
    begin, end = "<!-- packages: resolve.py -->\n", "<!-- /packages -->"
    before, _, rest = readme.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    readme.write_text(f"{before}{begin}{table(kept, added)}{end}{after}", encoding="utf-8")
    sys.stdout.write(table(kept, added))


if __name__ == "__main__":
    main()
