"""A release for people: a few lines of text, and a table with its intervals and its cost for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any, List, Tuple

from .release import Release

SHOWN = 20
"""Rows of a table that are shown."""


def _facts(release: Release) -> List[Tuple[str, str]]:
    done = release.statement["done"][release.kind]
    facts = [("kind", release.kind), ("rows", str(release.rows)), ("project", release.statement["request"]["project"])]
    members = sorted({member for parts in release.statement["inputs"].values() for member in parts})
    facts.append(("rows of", ", ".join(members)))
    if release.statement["excluded"]:
        facts.append(("without", ", ".join(release.statement["excluded"])))
    facts.append(("signed", release.signed_at.strftime("%Y-%m-%d %H:%M:%S UTC")))
    facts.append(("consortium", release.consortium + (" (rehearsal)" if release.rehearsal else "")))
    facts.append(("log cosigned by", ", ".join(release.cosigned_by) or "nobody"))
    if release.kind == "microdata":
        facts.append(("k", f"{done['k']}; {done['measures']['suppressed']} rows suppressed; no epsilon is claimed"))
    elif release.kind == "counts":
        facts.append(("floor", f"{done['floor']}; {done['suppressed']} of {done['cells']} suppressed; no epsilon is claimed"))
    cost = release.cost
    if cost is not None:
        facts.append(("rho", f"{cost.rho:.6g}"))
        person = f"{cost.epsilon_person:.3f} of a person at {cost.tokens} members"
        facts.append(("epsilon", f"{cost.epsilon:.3f} of a token, {person}, at delta {cost.at:.1e}"))
        facts.extend(("not covered by epsilon", f"release {other}") for other in cost.uncovered)
        facts.extend(("fixed beforehand", f"{what}: {origin}") for what, origin in cost.fixed)
    facts.extend(("not covered", words) for words in release.not_covered)
    return facts


def _standing(release: Release) -> str:
    if release.anchored:
        return "verified"
    return "NOT ANCHORED: give the consortium's id as anchor; anybody could have made all of it"


def text(release: Release) -> str:
    """The release in lines."""
    facts = _facts(release)
    width = max(len(name) for name, _ in facts)
    lines = [f"Release {release.id}: {_standing(release)}"]
    return "\n".join(lines + [f"  {name:<{width}}  {value}" for name, value in facts])


def _cell(value: Any) -> str:
    if value is None:
        return "<i>suppressed</i>"
    return f"{value:,.4g}" if isinstance(value, float) else escape(str(value))


def _numbers(release: Release) -> Tuple[List[str], List[List[str]]]:
    """Heads and rows: of a private answer each number stands with its interval."""
    head, rows = release._opened.head(SHOWN)
    intervals = release.intervals
    ends = {end for pair in intervals.values() for end in pair}
    names = [name for name in head if name not in ends]
    shown = []
    for row in rows:
        of = dict(zip(head, row))
        cells = []
        for name in names:
            low, high = (of[end] for end in intervals[name]) if name in intervals else (None, None)
            interval = "" if low is None else f" <small>[{_cell(low)}, {_cell(high)}]</small>"
            cells.append(_cell(of[name]) + interval)
        shown.append(cells)
    heads = [escape(name) + (" <small>[95 %]</small>" if name in intervals else "") for name in names]
    return heads, shown


def page(release: Release) -> str:
    """The release as a table of HTML, without script and without anything to fetch."""
    heads, rows = _numbers(release)
    table = "".join(f"<th>{head}</th>" for head in heads)
    table = f"<thead><tr>{table}</tr></thead><tbody>"
    table += "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</tbody>"
    more = f"<p>{len(rows)} of {release.rows} rows</p>" if release.rows > len(rows) else ""
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(release))
    standing = escape(_standing(release))
    return (
        f'<div class="cohortium"><p><b>Release {escape(release.id)}</b>: {standing}</p><table>{table}</table>{more}'
        f"<details><summary>statement</summary><table>{facts}</table></details></div>"
    )
