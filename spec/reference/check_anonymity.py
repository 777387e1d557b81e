#!/usr/bin/env python3
"""Checks that a table of microdata keeps what its statement says. Shares no code with the engine; standard library only.

    check_anonymity.py NAME.csv NAME.json [NAME.csv NAME.json ...]

The CSV is the body of a release, one line a row, with a header. The JSON is the statement:

    quasi         names of the quasi-identifiers
    k             fewest patients of a class
    id            column that says whose a row is; absent: each row is a patient of its own
    diversity     list of {column, distinct: l} or {column, entropy: l}
    closeness     list of {column, t, distance: equal | ordered | hierarchical, values: in order, paths: leaf to root}
    rows          rows of the table before release
    suppressed    rows that were not released
    classes       classes of the release
    loss          mean over rows and quasi-identifiers, a suppressed row counting 1
    hierarchies   for each quasi-identifier its paths, leaf to root

Prints one line for each body, and ends with 1 if any does not keep its statement. No line quotes a cell.
"""

import csv
import json
import math
import sys
from collections import Counter, defaultdict

NOISE = 1e-9


def classes_of(rows, quasi):
    found = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in quasi)].append(row)
    return list(found.values())


def patients(rows, ident):
    return len(rows) if ident is None else len({row[ident] for row in rows})


def shares(rows, column, ident):
    """How patients are spread over the values of a column; a patient counts once a value."""
    if ident is None:
        counts = Counter(row[column] for row in rows)
    else:
        counts = Counter(value for value, _ in {(row[column], row[ident]) for row in rows})
    whole = sum(counts.values())
    return {value: count / whole for value, count in counts.items()}


def entropy(distribution):
    return -sum(share * math.log(share) for share in distribution.values())


def equal_distance(one, other):
    return sum(abs(one.get(value, 0) - other.get(value, 0)) for value in set(one) | set(other)) / 2


def ordered_distance(one, other, values):
    moved = carried = 0.0
    for value in values:
        carried += one.get(value, 0) - other.get(value, 0)
        moved += abs(carried)
    return moved / (len(values) - 1) if len(values) > 1 else 0.0


def hierarchical_distance(one, other, paths):
    height = len(paths[0]) - 1
    extra = {(0, path[0]): one.get(path[0], 0) - other.get(path[0], 0) for path in paths}
    parent = {(level, path[level]): (level + 1, path[level + 1]) for path in paths for level in range(height)}
    cost = 0.0
    for level in range(1, height + 1):
        more, less, total = defaultdict(float), defaultdict(float), defaultdict(float)
        for node, value in extra.items():
            above = parent[node]
            total[above] += value
            if value > 0:
                more[above] += value
            else:
                less[above] -= value
        cost += sum(level / height * min(more[above], less[above]) for above in total)
        extra = total
    return cost


def loss_of(rows, statement):
    """Leaves below a value over leaves of the domain; a leaf counts nothing."""
    lost = float(statement["suppressed"] * len(statement["quasi"]))
    for name in statement["quasi"]:
        below = Counter()
        leaves = set()
        for path in statement["hierarchies"][name]:
            leaves.add(path[0])
            below.update(set(path))
        for row in rows:
            value = row[name]
            if value not in below:
                raise ValueError(f"column {name} holds a value that is not in its hierarchy")
            lost += 0 if value in leaves else below[value] / len(leaves)
    return lost / (statement["rows"] * len(statement["quasi"])) if statement["rows"] else 0.0


def faults(rows, statement):
    """What does not hold, in words without cells."""
    quasi, ident = statement["quasi"], statement.get("id")
    classes = classes_of(rows, quasi)
    for at, members in enumerate(classes):
        if patients(members, ident) < statement["k"]:
            yield f"class {at} has {patients(members, ident)} patients, k is {statement['k']}"
    for asked in statement.get("diversity", []):
        for at, members in enumerate(classes):
            spread = shares(members, asked["column"], ident)
            if "distinct" in asked and len(spread) < asked["distinct"]:
                yield f"class {at} has {len(spread)} values of {asked['column']}"
            if "entropy" in asked and entropy(spread) < math.log(asked["entropy"]) - NOISE:
                yield f"class {at} has too little entropy of {asked['column']}"
    for asked in statement.get("closeness", []):
        whole = shares(rows, asked["column"], ident) if rows else {}
        for at, members in enumerate(classes):
            spread = shares(members, asked["column"], ident)
            if asked["distance"] == "equal":
                distance = equal_distance(spread, whole)
            elif asked["distance"] == "ordered":
                distance = ordered_distance(spread, whole, asked["values"])
            else:
                distance = hierarchical_distance(spread, whole, asked["paths"])
            if distance > asked["t"] + NOISE:
                yield f"class {at} is {distance:.4f} from the release in {asked['column']}, t is {asked['t']}"
    if statement["rows"] - statement["suppressed"] != len(rows):
        yield f"the statement says {statement['rows'] - statement['suppressed']} rows, the body has {len(rows)}"
    if statement["classes"] != len(classes):
        yield f"the statement says {statement['classes']} classes, the body has {len(classes)}"
    if "loss" in statement:
        loss = loss_of(rows, statement)
        if abs(loss - statement["loss"]) > 1e-6:
            yield f"the statement says a loss of {statement['loss']:.6f}, the body has {loss:.6f}"


def check(body, statement):
    with open(statement, encoding="utf-8") as file:
        stated = json.load(file)
    with open(body, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return list(faults(rows, stated))


def main(arguments):
    if not arguments or len(arguments) % 2:
        print("usage: check_anonymity.py NAME.csv NAME.json ...", file=sys.stderr)
        return 2
    failed = False
    for body, statement in zip(arguments[::2], arguments[1::2]):
        found = check(body, statement)
        failed = failed or bool(found)
        print(f"{body}: {found[0]} ({len(found)} faults)" if found else f"{body}: holds")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
