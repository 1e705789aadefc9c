"""What failed, and why."""

from __future__ import annotations

from collections.abc import Sequence

from gattn._page import Markup, tag
from gattn.compare.html.shown import Shown
from gattn.compare.html.text import plural
from gattn.compare.trial import Row


def failures(found: Sequence[Shown]) -> Markup | None:
    """Return a table of the trials that failed, alike reasons together; None where none did.

    Args:
        found: of `shown`.
    """
    failed = _by_reason(found)
    if not failed:
        return None
    top = tag("tr", *(tag("th", head, scope="col") for head in ("setting", "trials", "reason")))
    lines = [_line(each, reason, rows) for each, reason, rows in failed]
    table = tag("table", tag("thead", top), tag("tbody", *lines), class_="failed")
    return tag("div", table, class_="scroll")


def count_failed(found: Sequence[Shown]) -> int:
    """Return how many trials failed."""
    return sum(len(rows) for _, _, rows in _by_reason(found))


def _by_reason(found: Sequence[Shown]) -> list[tuple[Shown, str, list[Row]]]:
    kept: dict[tuple[str, str], tuple[Shown, str, list[Row]]] = {}
    for each in found:
        for row in each.rows:
            if row["status"] == "failed":
                reason = row.get("reason") or row.get("cause") or "no reason was kept"
                kept.setdefault((each.anchor, reason), (each, reason, []))[2].append(row)
    return list(kept.values())


def _line(each: Shown, reason: str, rows: Sequence[Row]) -> Markup:
    seeds = ", ".join(str(row.get("seed")) for row in rows)
    which = f"{plural(len(rows), 'trial')}, seed {seeds}"
    link = tag("a", each.name, href=f"#{each.anchor}")
    return tag("tr", tag("td", link), tag("td", which), tag("td", reason, class_="reason"))
