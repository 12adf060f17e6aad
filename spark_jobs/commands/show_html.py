"""The HTML page of `parrot show`: one file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup, escape

from spark_jobs.commands.sample import (
    REMOVAL_HEADINGS,
    WORD_HEADINGS,
    Shown,
    facts_of,
    removals_of,
    words_of,
)
from spark_jobs.errors import WarehouseError
from spark_jobs.report.figures.thumbnails import jpeg_data_uri
from spark_jobs.runner.progress import console

_STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1c1c1c; background: #fff }
figure { display: inline-block; margin: 0 1rem 1rem 0 } figcaption { color: #555 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #161616 } figcaption { color: #aaa }
  td, th { border-color: #444 } }"""


def write_page(shown: Shown, file: Path) -> None:
    """Write the page, and say where it is.

    Raises:
        WarehouseError: If it cannot be written.
    """
    try:
        file.write_text(page_of(shown), encoding="utf-8")
    except OSError as error:
        raise WarehouseError(f"cannot write {file}: {error.strerror or error}") from error
    console.print(f"page: {file}", markup=False)


def page_of(shown: Shown) -> str:
    """The page. Captions and readings are other people's text: all of it is escaped."""
    title = f"Sample {shown.profile['sample_id']} of {shown.profile['dataset']}"
    figures = Markup("").join(
        Markup('<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
            jpeg_data_uri(picture), name, name
        )
        for name, picture in shown.pictures.items()
    )
    parts = [
        Markup("<h1>{}</h1>").format(title),
        figures,
        _table(("what", "value"), facts_of(shown).items()),
        _table(WORD_HEADINGS, words_of(shown)),
        _table(REMOVAL_HEADINGS, removals_of(shown)),
    ]
    return str(
        Markup(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{}</title>'
            '<meta name="viewport" content="width=device-width"><style>{}</style></head>\n<body>\n{}\n</body></html>\n'
        ).format(title, Markup(_STYLE), Markup("\n").join(parts))
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    lines = [
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>{}</td>").format(escape(cell)) for cell in row)
        )
        for row in rows
    ]
    if not lines:
        return Markup("")
    head = Markup("").join(Markup("<th>{}</th>").format(heading) for heading in headings)
    return Markup("<table><tr>{}</tr>\n{}</table>").format(head, Markup("\n").join(lines))
