"""What a table's terms may say, column by column (spec chapter 4): roles, treatments, filters, Safe Harbor."""

import calendar
import re
import tomllib
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

from codec import I8, U16, Checked, Enum, Option, Refused, Seq, Set, STRING, Struct
from ident import COLUMN, NAME, TEXT

REGISTRY = tomllib.loads((Path(__file__).resolve().parent.parent / "registry.toml").read_text())
LIMITS = {entry["name"]: entry["value"] for entry in REGISTRY["limit"]}
SMALL_AREAS_2000 = REGISTRY["small_areas"]


def form(pattern, also=lambda text: True):
    """A text of this form alone."""
    def check(text):
        if not re.fullmatch(pattern, text, re.ASCII) or not also(text):
            raise Refused("form")
    return Checked(STRING, check)


def is_day(text):
    """A day of the calendar as YYYY-MM-DD."""
    y, m, d = (int(part) for part in text.split("-"))
    return y > 0 and 1 <= m <= 12 and 1 <= d <= calendar.monthrange(y, m)[1]


DAY = form(r"\d{4}-\d\d-\d\d", is_day)
DECIMAL = form(r"-?(0|[1-9]\d{0,17})(\.\d{0,17}[1-9])?", lambda text: text != "-0")
ZIP_AREA = form(r"\d{3}")

FORMAT = Enum("iso", "day_month_year_dots", "month_day_year_slashes", "compact")
KIND = Enum("text", "integer", "float", "boolean", "date", "timestamp", "other")
ROLE = Enum("direct_identifier", "quasi_identifier", "sensitive", "measure", "free_text")
CLASS = Enum(
    "name", "place", "date", "birth_date", "phone", "fax", "email", "social_security", "medical_record", "health_plan",
    "account", "licence", "vehicle", "device", "url", "ip_address", "biometric", "photo", "other")
TREATMENT = Enum(
    drop=None, keep=None, pseudonym=None, month=Struct(format=FORMAT), year=Struct(format=FORMAT, floor=Option(U16)),
    zip3=None, age90=None, shift_dates=Struct(format=FORMAT, days_max=U16), round=I8)
COLUMN_ENTRY = Struct(
    name=COLUMN, kind=KIND, role=ROLE, **{"class": Option(CLASS)}, owner=Option(NAME), treatment=TREATMENT, reason=Option(TEXT))
BOUND = Enum(number=DECIMAL, day=Struct(day=DAY, format=FORMAT))
ROW_TEST = Struct(column=COLUMN, passes=Enum(present=None, one_of=Set(TEXT), at_least=BOUND, at_most=BOUND))
TABLE = Struct(
    columns=Seq(COLUMN_ENTRY), linkage=Enum("none", "token"), filter=Seq(ROW_TEST), small_areas=Set(ZIP_AREA),
    standard=Enum("none", "hipaa_safe_harbor"))


def require(condition, code):
    """Refuses with this code unless the condition holds."""
    if not condition:
        raise Refused(code)


def verb(treatment):
    """A treatment's name."""
    return treatment if isinstance(treatment, str) else next(iter(treatment))


def words(name):
    """The words of a column's name."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.findall(r"[A-Za-z0-9]+", spaced)]


def ascii_lower(text):
    """Capitals of ASCII made small, nothing else."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def suspicion(name):
    """The first line of the registry's table that fits: (role, class)."""
    for line in REGISTRY["suspicion"]:
        if set(words(name)) & set(line["words"]) or any(part in ascii_lower(name) for part in line["parts"]):
            return line["role"], line.get("class")
    return "measure", None


def check_column(c):
    """SHARE-1, SHARE-11 to SHARE-14."""
    does = verb(c["treatment"])
    require(not (c["role"] == "direct-identifier" and does not in ("drop", "pseudonym")), "identifier-leaves")
    require(not (c["role"] == "free-text" and does != "drop" and c["reason"] is None), "free-text-leaves")
    require(not (c["role"] == "measure" and does == "keep" and c["kind"] != "boolean"), "measure-not-rounded")
    kinds = {
        "pseudonym": ("text",), "month": ("text",), "year": ("text",), "zip3": ("text",), "age90": ("text", "integer"),
        "shift-dates": ("text", "date", "timestamp"), "round": ("text", "integer", "float", "other")}
    require(does not in kinds or c["kind"] in kinds[does], "treatment-unfit")
    if does == "year":
        floor = c["treatment"]["year"]["floor"]
        require(floor is None or 1 <= floor <= 9999, "treatment-unfit")
    if does == "shift-dates":
        require(1 <= c["treatment"]["shift-dates"]["days_max"] <= LIMITS["SHIFT_DAYS_MAX"], "treatment-unfit")
    if does == "round":
        require(abs(c["treatment"]["round"]) <= LIMITS["ROUND_DIGITS_MAX"], "treatment-unfit")
    suspected = suspicion(c["name"])[0] == "direct-identifier"
    require(not suspected or does in ("drop", "pseudonym") or c["reason"] is not None, "identifier-suspected")


def check_safe_harbor_column(c, small_areas, expires):
    """SHARE-15."""
    does = verb(c["treatment"])
    if does == "drop":
        return
    require(c["role"] not in ("direct-identifier", "free-text"), "safe-harbor")
    require(does not in ("pseudonym", "month", "shift-dates"), "safe-harbor")
    require(c["kind"] not in ("date", "timestamp"), "safe-harbor")
    allowed = {None: True, "place": does == "zip3", "date": does in ("year", "age90"), "birth-date": does == "year"}
    require(allowed.get(c["class"], False), "safe-harbor")
    if c["class"] == "birth-date":
        first = datetime.fromtimestamp(expires / 1000, timezone.utc).year - 89
        require((c["treatment"]["year"]["floor"] or 0) >= first, "safe-harbor")
    require(does != "zip3" or small_areas, "safe-harbor")
    suspected = suspicion(c["name"])[1]
    require(suspected in (None, c["class"]) or c["reason"] is not None, "safe-harbor")


def check_test(test, column):
    """SHARE-23."""
    named = suspicion(column["name"])[0] == "direct-identifier" and column["reason"] is None
    named = named or column["role"] in ("direct-identifier", "free-text")
    require(not named or test["passes"] == "present", "filter-tells")


def check_safe_harbor_test(test, column, expires):
    """SHARE-24."""
    if test["passes"] == "present":
        return
    kind, bound = next(iter(test["passes"].items()))
    of = column["class"] or (suspicion(column["name"])[1] if column["reason"] is None else None)
    if kind == "one-of":
        require(of is None, "safe-harbor")
    elif "number" in bound:
        require(of is None or of == "date" and Fraction(bound["number"]) <= 89, "safe-harbor")
    else:
        day = bound["day"]["day"]
        require(of in (None, "date", "birth-date"), "safe-harbor")
        require(day.endswith("-01-01" if kind == "at-least" else "-12-31"), "safe-harbor")
        if of == "birth-date" and kind == "at-most":
            require(int(day[:4]) >= datetime.fromtimestamp(expires / 1000, timezone.utc).year - 89, "safe-harbor")


def check_table(table, expires):
    """SHARE-1, SHARE-2, SHARE-11 to SHARE-15, SHARE-23, SHARE-24."""
    columns, seen = table["columns"], set()
    for column in columns:
        check_column(column)
        require(column["name"] not in seen, "column-twice")
        seen.add(column["name"])
    leaving = [c for c in columns if c["treatment"] != "drop"]
    require(leaving and len(columns) <= LIMITS["COLUMNS_MAX"], "columns")
    named = {column["name"]: column for column in columns}
    for test in table["filter"]:
        require(test["column"] in seen, "filter-column")
        check_test(test, named[test["column"]])
    texts = [test["passes"]["one-of"] for test in table["filter"] if "one-of" in test["passes"]]
    require(len(table["filter"]) <= LIMITS["ROW_TESTS_MAX"], "filter")
    require(all(1 <= len(set(some)) <= LIMITS["ROW_TEST_TEXTS_MAX"] for some in texts), "filter")
    bounds = {c["treatment"]["shift-dates"]["days_max"] for c in columns if verb(c["treatment"]) == "shift-dates"}
    require(len(bounds) <= 1, "shift-bounds")
    if table["standard"] == "hipaa-safe-harbor":
        require(table["linkage"] == "none", "safe-harbor-tokens")
        for column in columns:
            check_safe_harbor_column(column, table["small_areas"], expires)
            for test in table["filter"]:
                if test["column"] == column["name"]:
                    check_safe_harbor_test(test, column, expires)
