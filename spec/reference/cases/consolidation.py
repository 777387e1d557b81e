"""Rows, parts and versions of consolidated tables, and the record that names them (spec chapter 10)."""

import records
import table
import world
from cases.documents import golden, refused

TEXTS = ["", "a", "é", "a" * 300]
NUMBERS = [0, 1, -1, 2**63 - 1, -(2**63)]
# Bits of 0, -0, 0.1, both infinities, and four of the many NaN.
FLOATS = ["0000000000000000", "8000000000000000", "3fb999999999999a", "7ff0000000000000", "fff0000000000000",
          "7ff8000000000000", "fff8000000000000", "7ff0000000000001", "ffffffffffffffff"]


def add_rows(book):
    """CONS-1: rows of one cell of each kind, and of several."""

    def one(name, cells, note):
        book.add("table/rows", f"row-{name}", "CONS-1", "row-encoding", {"cells": cells}, note=note,
                 expect={"hex": table.encode_row(cells).hex(), "digest": table.row_digest(cells).hex()})

    one("none", [], "a row without cells")
    for kind, values in (("text", TEXTS), ("integer", NUMBERS), ("float", FLOATS), ("boolean", [False, True]),
                         ("date", [0, -1, 2**31 - 1, -(2**31)]), ("timestamp", NUMBERS)):
        for index, value in enumerate([None, *values]):
            one(f"{kind}-{index}", [[kind, value]], "no value" if value is None else f"one {kind}")
    one("person", [["integer", 7], ["text", "F"], ["date", -3000], ["text", None], ["text", "lab"], ["text", "0a" * 16]],
        "cells one after the other, source and origin last")
    one("ab-c", [["text", "ab"], ["text", "c"]], "where a text ends")
    one("a-bc", [["text", "a"], ["text", "bc"]], "and where another does")


def add_parts(book):
    """CONS-2, CONS-3."""
    rows = [table.row_digest([["integer", number]]) for number in range(4)]

    def part(name, given, note, of="person", member="north"):
        book.add("table/parts", f"part-{name}", "CONS-2", "part-digest",
                 {"table": of, "member": member, "rows": [row.hex() for row in given]},
                 expect=table.part_digest(of, member, given).hex(), note=note)

    part("none", [], "a part without rows")
    part("one", rows[:1], "one row")
    part("four", rows, "four rows")
    part("turned", rows[::-1], "the same rows in another order have the same digest")
    part("twice", [*rows, rows[0]], "an equal row counts again")
    part("member", rows, "the same rows of another member", member="south")
    part("table", rows, "the same rows of another table", of="death")
    schema = "5c" * 32
    north, south = (table.part_digest("person", member, rows).hex() for member in ("north", "south"))
    versions = [
        ("none", "person", schema, {}, "no member has the table"), ("one", "person", schema, {"north": north}, "one member"),
        ("two", "person", schema, {"north": north, "south": south}, "two members, in the order of their names"),
        ("swapped", "person", schema, {"north": south, "south": north}, "a part is its member's"),
        ("table", "death", schema, {"north": north}, "another table"), ("schema", "person", "5d" * 32, {"north": north}, "another schema"),
    ]
    for name, of, schema, parts, note in versions:
        book.add("table/versions", f"version-{name}", "CONS-3", "table-version", {"table": of, "schema": schema, "parts": parts},
                 expect=table.version_id(of, schema, parts).hex(), note=note)


def add_records(book):
    """CONS-4."""
    first, second = world.consolidation(), world.consolidation_2()
    golden(book, "consolidation", "first", first, "CODEC-1", "bytes and JSON of one value")
    golden(book, "consolidation", "second", second, "CODEC-1", "bytes and JSON of one value")
    person = first["tables"]["person"]
    other = person | {"version": "00" * 32}
    fewer = person | {"parts": {"north": person["parts"]["north"]}}
    bent = person["parts"] | {"north": person["parts"]["north"] | {"digest": "0d" * 32}}
    cases = [
        ("number-0", first, {"sequence": 0}, "there is no number 0"),
        ("first-linked", first, {"previous": "0e" * 32}, "number 1 follows none"),
        ("second-unlinked", second, {"previous": None}, "every later one follows one"),
        ("version-other", first, {"tables": {"person": other}}, "a version that is not its parts' digest"),
        ("version-fewer", first, {"tables": {"person": fewer}}, "a part taken away"),
        ("version-bent", first, {"tables": {"person": person | {"parts": bent}}}, "another content of one part"),
        ("version-name", first, {"tables": {"death": person}}, "the version of another table"),
        ("version-schema", first, {"schema": "5d" * 32}, "the version under another schema"),
    ]
    for suffix, base, change, note in cases:
        refused(book, "consolidation", suffix, base | change, "CONS-4", note)
    moved = person["parts"] | {"north": person["parts"]["north"] | {"blobs": [], "snapshot": "77" * 32}}
    golden(book, "consolidation", "moved", first | {"tables": {"person": person | {"parts": moved}}}, "CONS-4",
           "other files and another snapshot with the same content are the same version")
