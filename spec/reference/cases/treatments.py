"""What is done to values, and which rows leave (spec chapter 4)."""

import terms
import treatment as rules
import world
from codec import Refused

ISO, DOTS = {"format": "iso"}, {"format": "day-month-year-dots"}
YEAR, MONTH, SHIFT = {"year": ISO | {"floor": None}}, {"month": ISO}, {"shift-dates": ISO | {"days_max": 30}}


def outcome(act, *args):
    """What the reference makes, or refuses with."""
    try:
        return {"expect": act(*args)}
    except Refused as refused:
        return {"code": refused.code}


def add_values(book):
    """SHARE-16, SHARE-17."""
    cases = [
        (MONTH, ["2024-02-29", "2024-02-29T10:00:00Z", "2024-02", "2024", "29.02.2024", "2023-02-29", "", " ", "x"]),
        ({"month": DOTS}, ["29.2.2024", "2024-02"]),
        (YEAR, ["2024-02-29", "2024-02", " 2024 ", "0000", "20240", "29.02.2024", "2024-13", "", "yesterday"]),
        ({"year": DOTS | {"floor": 1938}}, ["31.12.1937", "01.01.1938", "1.1.1990", "1901", "2024-01-01"]),
        ("zip3", ["02139", "02139-1234", "021391234", " 02139 ", "2139", "0213-91234", "021390", "SW1A 1AA", "", "03601", "89301-0001", "00000"]),
        ("age90", ["0", "89", "90", "117", "089", "999", "1000", "-1", "+1", "45.5", "old", "", " 45 "]),
        (SHIFT, ["2024-03-01", "2024-03-01 10:15", "2024-03-01T10:15:30.5+01:00", "2024-03-01T99", "2024-03-01T10:15:61", "soon",
                 "0001-01-01", "9999-12-31", "2024", "", "2024-03-01T555123456", "2024-03-01T10:00.1234567890"]),
        ({"shift-dates": {"format": "compact", "days_max": 30}}, ["20240301", "20240301101500+0100", "20240301T10"]),
        ({"shift-dates": DOTS | {"days_max": 30}}, ["1.3.2024", "01.03.2024"]),
        ({"round": 1}, ["139.46", "139.45", "-139.45", "139.40", "-0.04", ".5", "5.", "+7", "1e3", "1.5E-3", "<5", "1,5", "NaN", "", "0x1",
                        "1e999", "9" * 36, "9" * 37, "0" * 40 + "1.25"]),
        ({"round": -1}, ["145", "144", "-145", "4.9", "5", "1e30"]), ({"round": 0}, ["0.5", "-0.5", "2.5", "1e-99"]),
    ]
    for index, (treatment, values) in enumerate(cases):
        for place, value in enumerate(values):
            given = {"treatment": treatment, "small_areas": ["036", "893"], "shift": -3, "text": value}
            found = outcome(rules.treat, treatment, ["036", "893"], -3, value)
            book.add("treatment/values", f"value-{index}-{place}", "SHARE-17" if "code" in found else "SHARE-16", "treat", given,
                     note="a text as it leaves, or why it does not", **found)
    given = {"treatment": SHIFT, "small_areas": [], "shift": None, "text": "2024-03-01"}
    book.add("treatment/values", "value-nobody", "SHARE-17", "treat", given, note="a date of no patient",
             **outcome(rules.treat, SHIFT, [], None, "2024-03-01"))


def add_shifts(book):
    """SHARE-18."""
    for index, (key, patient, most) in enumerate(
            ((5, "7", 30), (5, " 7 ", 30), (6, "7", 30), (5, "8", 30), (5, "7", 3650), (5, "7", 1), (5, "8", 1), (5, "M\u00fcller", 365))):
        given = {"key": world.seed(key).hex(), "patient": patient, "days_max": most}
        book.add("treatment/shifts", f"shift-{index}", "SHARE-18", "shift-days", given,
                 expect=rules.shift_days(world.seed(key), patient, most), note="by how many days a patient's dates move")


def add_tests(book):
    """SHARE-13, SHARE-19."""
    number, day = {"number": "18.5"}, {"day": {"day": "2024-01-31", "format": "day-month-year-dots"}}
    cases = [
        ("present", ["x", "", " "]), ({"one-of": ["a", "b c"]}, ["a", " b c ", "A", "", "c"]),
        ({"at-least": number}, ["18.5", "18.49999", "1e2", "", "x"]), ({"at-most": number}, ["18.50", "18.51", "-1e9"]),
        ({"at-least": day}, ["31.01.2024", "30.01.2024", "2024-02-01"]), ({"at-most": day}, ["31.1.2024", "1.2.2024", ""]),
    ]
    for index, (test, cells) in enumerate(cases):
        for place, cell in enumerate(cells):
            book.add("treatment/tests", f"test-{index}-{place}", "SHARE-19", "row-test", {"passes": test, "text": cell},
                     note="whether a cell passes", **outcome(rules.passes, test, cell))
    for index, name in enumerate((
            "First", "givenName", "e-mail", "MRN", "patient_id", "encounterId", "ENC_NO", "Stra\u00dfe", "street", "ZIP3", "dob", "birthDate",
            "effectiveDateTime", "age", "dosage", "facid", "comments", "icd10", "sodium", "x", "\u00e4", "HTTPServerId", "platelets")):
        role, kind = terms.suspicion(name)
        book.add("treatment/names", f"named-{index}", "SHARE-13", "suspicion", {"name": name}, expect={"role": role, "class": kind},
                 note="what a column's name says")
