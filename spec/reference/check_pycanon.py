#!/usr/bin/env python3
"""Asks pycanon what a table of microdata keeps, and compares that with its statement and with check_anonymity.py.

    check_pycanon.py NAME.csv NAME.json [NAME.csv NAME.json ...]

Needs the package `pycanon`; files are those of check_anonymity.py. pycanon counts rows, so a patient's rows of one class count as
one row (k), or one row a value (diversity). Its t-closeness knows equal distance, and ordered distance over the values that it
sees: it is asked where each row is a patient of its own, and for the ordered distance where every value is in the body.

Prints one line for each body, with how many questions were asked, and ends with 1 if any answer differs. No line quotes a cell.
"""

import csv
import json
import math
import sys

import check_anonymity as ours
import pandas as pd
from pycanon import anonymity

# What sums of floating-point numbers in another order may differ by.
NOISE = 1e-9


def once(rows, columns):
    """The rows as a frame in which each combination of these columns stands once."""
    return pd.DataFrame([dict(zip(columns, cells)) for cells in sorted({tuple(row[name] for name in columns) for row in rows})])


def frame(rows, columns, ident):
    return once(rows, [*columns, ident]) if ident else pd.DataFrame([{name: row[name] for name in columns} for row in rows])


def comparable(asked, rows, ident):
    """Whether pycanon's definition of closeness is the one that was asked for."""
    one_row_each = ident is None or len({row[ident] for row in rows}) == len(rows)
    present = {row[asked["column"]] for row in rows}
    if not one_row_each or len(present) < 2:
        return False
    return asked["distance"] == "equal" or (asked["distance"] == "ordered" and present == set(asked["values"]))


def closeness(rows, quasi, asked):
    data = frame(rows, [*quasi, asked["column"]], None)
    if asked["distance"] == "ordered":
        # Numbers make pycanon take the ordered distance.
        data[asked["column"]] = data[asked["column"]].map({value: at for at, value in enumerate(asked["values"])})
    return float(anonymity.t_closeness(data, quasi, [asked["column"]]))


def faults(rows, statement, asks):
    """Where pycanon, the statement and our checker do not say the same."""
    quasi, ident = statement["quasi"], statement.get("id")
    classes = ours.classes_of(rows, quasi)
    kept = anonymity.k_anonymity(frame(rows, quasi, ident), quasi)
    asks.append("k")
    if kept < statement["k"]:
        yield f"pycanon finds k {kept}, the statement says {statement['k']}"
    if kept != min(ours.patients(members, ident) for members in classes):
        yield f"pycanon finds k {kept}, our checker another"
    for asked in statement.get("diversity", []):
        column = asked["column"]
        data = frame(rows, [*quasi, column], ident)
        spreads = [ours.shares(members, column, ident) for members in classes]
        asks.append("l")
        if "distinct" in asked:
            found, least, ours_finds = anonymity.l_diversity(data, quasi, [column]), asked["distinct"], {min(map(len, spreads))}
        else:
            # pycanon cuts to a whole number; what lies at one but for rounding may fall to either side.
            exact = math.exp(min(map(ours.entropy, spreads)))
            found, least = anonymity.entropy_l_diversity(data, quasi, [column]), math.floor(asked["entropy"] - NOISE)
            ours_finds = {math.floor(exact - NOISE), math.floor(exact + NOISE)}
        if found < least:
            yield f"pycanon finds l {found} of {column}, the statement says {least}"
        if found not in ours_finds:
            yield f"pycanon finds l {found} of {column}, our checker another"
    for asked in statement.get("closeness", []):
        if not comparable(asked, rows, ident):
            continue
        asks.append("t")
        found = closeness(rows, quasi, asked)
        whole = ours.shares(rows, asked["column"], ident)
        spreads = [ours.shares(members, asked["column"], ident) for members in classes]
        if asked["distance"] == "equal":
            counted = max(ours.equal_distance(spread, whole) for spread in spreads)
        else:
            counted = max(ours.ordered_distance(spread, whole, asked["values"]) for spread in spreads)
        if found > asked["t"] + NOISE:
            yield f"pycanon finds t {found:.6f} of {asked['column']}, the statement says {asked['t']}"
        if abs(found - counted) > NOISE:
            yield f"pycanon finds t {found:.6f} of {asked['column']}, our checker {counted:.6f}"


def check(body, statement):
    """What differs, and what was asked of pycanon. It does not take a body without rows."""
    with open(statement, encoding="utf-8") as file:
        stated = json.load(file)
    with open(body, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    asks = []
    return (list(faults(rows, stated, asks)) if rows else []), asks


def main(arguments):
    if not arguments or len(arguments) % 2:
        print("usage: check_pycanon.py NAME.csv NAME.json ...", file=sys.stderr)
        return 2
    failed = False
    for body, statement in zip(arguments[::2], arguments[1::2]):
        found, asks = check(body, statement)
        failed = failed or bool(found)
        verdict = f"{found[0]} ({len(found)} faults)" if found else "agrees"
        print(f"{body}: asked {','.join(asks) or 'nothing'}: {verdict}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
