"""Linkage: sub-keys, check values, the normaliser of version 1, tokens (spec chapter 7)."""

import calendar
import hashlib
import hmac
import re
import unicodedata

import sealing

MARKS = [
    (0x300, 0x36F), (0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5), (0x5C7, 0x5C7), (0x610, 0x61A), (0x64B, 0x65F),
    (0x670, 0x670), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F),
]
LETTERS = {
    "ßẞ": "SS", "Øø": "O", "Ææ": "AE", "Œœ": "OE", "ĐđÐðƉɖ": "D", "Ħħ": "H", "ıƗɨ": "I", "ĸƘƙ": "K", "ŁłȽƚ": "L", "Ŋŋ": "N",
    "Þþ": "TH", "Ŧŧ": "T", "ƀɃ": "B", "Ƶƶ": "Z", "Ǥǥ": "G", "Əə": "E",
}
FOLD = {letter: to for letters, to in LETTERS.items() for letter in letters}
EXAMPLE = ("Žofia-Ægir Luıs", "Müller-Łódź O'Øreß", "29.02.1984")


def _without_marks(text):
    text = unicodedata.normalize("NFKD", text)
    return "".join(c for c in text if not any(low <= ord(c) <= high for low, high in MARKS))


def _is_part(character):
    """A letter (as the property Alphabetic counts them: with number letters) or a mark, but no spacing modifier."""
    kind = unicodedata.category(character)
    return (kind[0] in "LM" or kind == "Nl") and not 0x2B0 <= ord(character) <= 0x2FF


def name(raw):
    """LINK-4."""
    upper = "".join(FOLD.get(c, c.upper()) for c in _without_marks(raw))
    kept = "".join(c for c in _without_marks(upper) if _is_part(c))
    return unicodedata.normalize("NFKC", kept)


CLOCK = r"([01]\d|2[0-3])(:[0-5]\d(:([0-5]\d|60))?|[0-5]\d([0-5]\d|60)?)?"
OFFSET = r"([zZ]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
TIME = rf"({CLOCK}([.,]\d{{1,9}})?{OFFSET}?)"
FORMATS = {
    "iso": rf"(?P<y>\d{{4}})-(?P<m>\d\d)-(?P<d>\d\d)([Tt ]{TIME})?",
    "compact": rf"(?P<y>\d{{4}})(?P<m>\d\d)(?P<d>\d\d)([Tt ]?{TIME})?",
    "day-month-year-dots": r"(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})",
    "month-day-year-slashes": r"(?P<m>\d\d?)/(?P<d>\d\d?)/(?P<y>\d{4})",
}


def day(raw, form):
    """A day as eight digits, or None."""
    found = re.fullmatch(FORMATS[form], raw.strip(" \t\n\r\f"), re.ASCII)
    if not found:
        return None
    y, m, d = (int(found[part]) for part in "ymd")
    if y == 0 or not 1 <= m <= 12 or not 1 <= d <= calendar.monthrange(y, m)[1]:
        return None
    return f"{y:04}{m:02}{d:02}"


def sub_key(key, consortium, epoch):
    """LINK-7."""
    return sealing.hkdf(consortium, key, b"cohortium/1 linkage sub-key" + epoch.to_bytes(4, "little"))


def key_id(sub):
    """LINK-7."""
    return sealing.hkdf(b"cohortium/1 linkage key id", sub, b"")[:16]


def _message(purpose, normaliser, fields):
    message = purpose + normaliser.to_bytes(2, "little")
    for field in fields:
        message += len(field.encode()).to_bytes(8, "little") + field.encode()
    return message


def check_value(sub, normaliser):
    """LINK-3."""
    given, family, birth = EXAMPLE
    fields = (name(given), name(family), day(birth, "day-month-year-dots"))
    return hmac.new(sub, _message(b"cohortium/1 linkage check", normaliser, fields), hashlib.sha256).digest()[:16]


def token(sub, given, family, birth, form):
    """LINK-5, or None where a row carries no token."""
    fields = (name(given), name(family), day(birth, form))
    if not all(fields):
        return None
    return hmac.new(sub, _message(b"cohortium/1 linkage token", 1, fields), hashlib.sha256).digest()
