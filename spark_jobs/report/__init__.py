"""The HTML report. `read` asks the tables, `content` holds what was found, `figures` draw, `sections` lay out."""
