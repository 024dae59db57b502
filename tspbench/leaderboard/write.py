"""Tables as Markdown, CSV and JSON. Text from results is escaped: it never becomes markup."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tspbench.leaderboard.tables import Table

MARKED = re.compile(r"([\\`*_\[\]|~$])")
LONE = "backslashreplace"
CSV_COLUMNS = (
    "rank",
    "tie",
    "system",
    "role",
    "metric",
    "version",
    "unit",
    "penalised_mean",
    "mean",
    "low",
    "high",
    "scored",
    "applicable",
    "attempted",
    "position",
    "flags",
    "digest",
    "commit",
)
REPORTED = (
    "Taken from publications, not measured here and not ranked. Rows of one table need not be comparable: "
    "equal labels may stand for different computations and different trial lists."
)
REPORTED_COLUMNS = ("system", "value", "conditions", "training_data", "source", "certainty")
LEADING = ("=", "+", "-", "@", "\t")


def plain(text: object) -> str:
    """Any text as Markdown that shows exactly that text.

    >>> plain("<b>|a_b")
    '&lt;b&gt;\\\\|a\\\\_b'
    """
    shown = MARKED.sub(r"\\\1", " ".join(str(text).split()))
    return re.sub(r"&(?=[#\w]+;)", "&amp;", shown).replace("<", "&lt;").replace(">", "&gt;")


def markdown(table: Table) -> str:
    """A page: ranked systems, bounds set apart, flags, and what the table's identity is."""
    systems = [row for row in table["rows"] if row["role"] != "bound"]
    bounds = [row for row in table["rows"] if row["role"] == "bound"]
    parts = [f"# {plain(table['task'])}: measured here", _about(table)]
    parts += ["## Systems", _grid(systems, table["columns"], ranked=True) if systems else "None yet."]
    if bounds:
        parts += [
            "## Bounds",
            "Not ranked. No system can be read without them.",
            _grid(bounds, table["columns"], ranked=False),
        ]
    parts += ["## Flags", _flag_list(table["rows"]), "## Identity", _identity(table)]
    return "\n\n".join(parts) + "\n"


def _about(table: Table) -> str:
    lines = [f"{table['trials']} trials, {table['clusters']} clusters."]
    if table["synthetic"]:
        lines.append("Synthetic audio: no recordings.")
    if table["columns"]:
        first = table["columns"][0]
        lines.append(
            f"Ranked by the penalised mean of {plain(first['key'])}. A cell holds the penalised mean, the 95 % "
            "interval of the mean, and scored/applicable where some scores are missing. "
            "Systems that share a letter are not told apart."
        )
    if table["differs"]:
        lines.append("A table of its own, for it differs: " + "; ".join(map(plain, table["differs"])) + ".")
    return " ".join(lines)


def _grid(rows: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]], *, ranked: bool) -> str:
    names = [_title(column) for column in columns]
    head = (["rank", "tie"] if ranked else []) + ["system", *names, "failed"]
    lines = [_line(head), _line(["---:", "---"] * ranked + ["---"] + ["---:"] * len(names) + ["---:"])]
    for row in rows:
        lead = [str(row["rank"] or "–"), plain(row["tie"] or "–")] if ranked else []
        cells = [_cell(row["cells"].get(column["key"])) for column in columns]
        lines.append(_line([*lead, plain(row["label"]), *cells, str(_failed(row))]))
    return "\n".join(lines)


def _title(column: Mapping[str, Any]) -> str:
    arrow = "↑" if column["higher_is_better"] else "↓"
    return plain(column["key"]) + f" {arrow}" + (f" {plain(column['unit'])}" if column["unit"] else "")


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["penalised_mean"] is None:
        return "–"
    text = number(cell["penalised_mean"])
    if cell["low"] is not None:
        text += f" [{number(cell['low'])}, {number(cell['high'])}]"
    if cell["scored"] < cell["applicable"]:
        text += f" ({cell['scored']}/{cell['applicable']})"
    return text


def number(value: float) -> str:
    """Two decimals, three below one; no negative zero."""
    digits = 2 if abs(value) >= 1 or value == 0 else 3
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _failed(row: Mapping[str, Any]) -> int:
    return int(row["trials"].get("failed", 0)) + int(row["trials"].get("timed_out", 0))


def _flag_list(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"- {plain(row['label'])}: " + "; ".join(f"{flag['kind']}: {plain(flag['text'])}" for flag in row["flags"])
        for row in rows
        if row["flags"]
    ]
    return "\n".join(lines) if lines else "None."


def _identity(table: Table) -> str:
    text = json.dumps(table["identity"], indent=1, sort_keys=True, ensure_ascii=True)
    return "\n".join(f"    {line}" for line in text.splitlines())


def csv_text(table: Table) -> str:
    """One line for each system and metric."""
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table["rows"]:
        for column in table["columns"]:
            if (cell := row["cells"].get(column["key"])) is not None:
                writer.writerow({name: _safe(value) for name, value in _csv_row(row, column, cell).items()})
    return file.getvalue()


def _csv_row(row: Mapping[str, Any], column: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rank": row["rank"],
        "tie": row["tie"],
        "system": row["label"],
        "role": row["role"],
        "metric": column["key"],
        "version": column["version"],
        "unit": column["unit"],
        **{name: cell.get(name) for name in CSV_COLUMNS[7:15]},
        "flags": "; ".join(f"{flag['kind']}: {flag['text']}" for flag in row["flags"]),
        "digest": row["system"]["digest"][:16],
        "commit": row["code"].get("commit"),
    }


def _safe(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value.startswith(LEADING) else value


def json_text(table: Table) -> str:
    return json.dumps(table, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def reported_markdown(name: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Published numbers, a table for each test and metric, in the order of the file: they are not ranked."""
    parts = [f"# {plain(name)}: as reported", REPORTED]
    for test in dict.fromkeys(_test(row) for row in rows):
        parts.append(f"## {plain(test)}")
        mine = [row for row in rows if _test(row) == test]
        for metric in dict.fromkeys(_measure(row) for row in mine):
            parts += [f"### {plain(metric)}", _reported_grid([row for row in mine if _measure(row) == metric])]
    return "\n\n".join(parts) + "\n"


def _reported_grid(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [_line(name.replace("_", " ") for name in REPORTED_COLUMNS), _line(["---", "---:", *["---"] * 4])]
    return "\n".join(lines + [_line(plain(row[name]) or "–" for name in REPORTED_COLUMNS) for row in rows])


def _test(row: Mapping[str, str]) -> str:
    protocol = "protocol unknown" if row["protocol"] == "unknown" else row["protocol"]
    return f"{row['task']}; {protocol}" + (f"; dialect {row['dialect']}" if row["dialect"] else "")


def _measure(row: Mapping[str, str]) -> str:
    unit = f" ({row['unit']})" if row["unit"] else ""
    return f"{row['metric']}{unit}" + (f", our {row['metric_id']}" if row["metric_id"] else "")


def reported_json(rows: Sequence[Mapping[str, str]]) -> str:
    typed = [{**row, "value": float(row["value"])} for row in rows]
    return json.dumps(typed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
