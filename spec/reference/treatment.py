"""What is done to a value before it leaves (spec chapter 4, SHARE-16 to SHARE-19)."""

import datetime
import re
from decimal import ROUND_HALF_UP, Context, Decimal

import blake3
import linkage
from codec import Refused
from terms import verb

EPOCH = datetime.date(1970, 1, 1)
WRITTEN = {"iso": "{0:04}-{1:02}-{2:02}", "compact": "{0:04}{1:02}{2:02}",
           "day-month-year-dots": "{2:02}.{1:02}.{0:04}", "month-day-year-slashes": "{1:02}/{2:02}/{0:04}"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
EXACT = Context(prec=2000)
BLANKS = " \t\n\r\f\v"


def read_day(text, form):
    """(day, what follows it) or None."""
    found = linkage.day(text, form)
    if found is None:
        return None
    rest = {"iso": text.strip(BLANKS)[10:], "compact": text.strip(BLANKS)[8:]}.get(form, "")
    return datetime.date(int(found[:4]), int(found[4:6]), int(found[6:])), rest


def read_number(text):
    """An exact number, or refused."""
    text = text.strip(BLANKS)
    found = NUMBER.fullmatch(text)
    if not found or len(re.sub(r"[eE].*", "", text).strip("+-").replace(".", "").lstrip("0")) > 36:
        raise Refused("no-number")
    if found[2] and abs(int(found[2][1:])) > 400:
        raise Refused("no-number")
    return Decimal(text)


def shift_days(row_key, patient, days_max):
    """SHARE-18."""
    parts = (b"shift", patient.strip(BLANKS).encode())
    drawn = blake3.keyed(row_key, b"".join(len(p).to_bytes(8, "little") + p for p in parts), 16)
    place = int.from_bytes(drawn, "little") % (2 * days_max) - days_max
    return place if place < 0 else place + 1


def treat(treatment, small_areas, shift, text):
    """SHARE-16, SHARE-17: a text as it leaves."""
    bare = text.strip(BLANKS)
    if not bare:
        return ""
    does = verb(treatment)
    if does == "month":
        first = f"{bare}-01" if treatment["month"]["format"] == "iso" and len(bare) == 7 else text
        found = read_day(text, treatment["month"]["format"]) or read_day(first, treatment["month"]["format"])
        if found is None:
            raise Refused("no-day")
        return f"{found[0].year:04}-{found[0].month:02}"
    if does == "year":
        form, floor = treatment["year"]["format"], treatment["year"]["floor"] or 0
        if re.fullmatch(r"\d{4}", bare, re.ASCII) and bare != "0000":
            return f"{max(int(bare), floor):04}"
        found = read_day(text, form)
        if found is None and form == "iso" and len(bare) == 7:
            found = read_day(f"{bare}-01", form)
        if found is None:
            raise Refused("no-day")
        return f"{max(found[0].year, floor):04}"
    if does == "zip3":
        if not re.fullmatch(r"\d{5}|\d{9}|\d{5}-\d{4}", bare, re.ASCII):
            raise Refused("no-zip")
        return "000" if bare[:3] in small_areas else bare[:3]
    if does == "age90":
        if not re.fullmatch(r"\d{1,3}", bare, re.ASCII):
            raise Refused("no-age")
        return str(min(int(bare), 90))
    if does == "shift-dates":
        form = treatment["shift-dates"]["format"]
        if shift is None:
            raise Refused("no-patient")
        found = read_day(text, form)
        if found is None:
            raise Refused("no-day")
        try:
            moved = found[0] + datetime.timedelta(shift)
        except OverflowError:
            raise Refused("out-of-range") from None
        return WRITTEN[form].format(moved.year, moved.month, moved.day) + found[1]
    assert does == "round", does
    number = read_number(text)
    step = Decimal(1).scaleb(-treatment["round"])
    if number.as_tuple().exponent < -treatment["round"]:
        number = number.quantize(step, ROUND_HALF_UP, EXACT)
    plain = f"{number:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if number == 0 else plain


def passes(test, text):
    """SHARE-19: whether a cell passes a test; None is missing."""
    cell = (text or "").strip(BLANKS)
    if not cell:
        return False
    if test == "present":
        return True
    does = verb(test)
    if does == "one-of":
        return cell in test["one-of"]
    bound = test[does]
    if "number" in bound:
        found, wanted = read_number(cell), Decimal(bound["number"])
    else:
        read = read_day(cell, bound["day"]["format"])
        if read is None:
            raise Refused("no-day")
        found, wanted = read[0], datetime.date.fromisoformat(bound["day"]["day"])
    return found >= wanted if does == "at-least" else found <= wanted
