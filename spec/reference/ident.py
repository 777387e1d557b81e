"""Names, texts and paths (spec chapter 1)."""

import unicodedata

from codec import Checked, Refused, STRING

NAME_MAX, TEXT_MAX, PATH_MAX, COLUMN_MAX = 64, 2000, 1024, 128
MARK_MAX = 32
INVISIBLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F),
    (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB), (0xE0000, 0xE0FFF),
]


def _bounded(length, most):
    if length == 0:
        raise Refused("empty")
    if length > most:
        raise Refused("too-long")


def _visible(text):
    for character in text:
        code = ord(character)
        control = code < 0x20 or 0x7F <= code <= 0x9F
        if control or any(low <= code <= high for low, high in INVISIBLE):
            raise Refused("character")
    if unicodedata.normalize("NFC", text) != text:
        raise Refused("not-normal")


def check_name(text):
    """NAME-1."""
    _bounded(len(text), NAME_MAX)
    if any(c not in "abcdefghijklmnopqrstuvwxyz0123456789-_." for c in text):
        raise Refused("character")
    if text[0] in "-_.":
        raise Refused("start")


def check_text(text):
    """NAME-2."""
    _bounded(len(text), TEXT_MAX)
    _visible(text)


def check_column(text):
    """NAME-4."""
    _bounded(len(text), COLUMN_MAX)
    _visible(text)


def check_mark(text):
    """NAME-5."""
    if len(text) > MARK_MAX:
        raise Refused("too-long")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text):
        raise Refused("character")


def check_path(text):
    """NAME-3."""
    _bounded(len(text.encode()), PATH_MAX)
    _visible(text)
    if "\\" in text:
        raise Refused("character")
    if any(component in ("", ".", "..") for component in text.split("/")):
        raise Refused("escapes")


NAME, TEXT = Checked(STRING, check_name), Checked(STRING, check_text)
PATH, COLUMN = Checked(STRING, check_path), Checked(STRING, check_column)
MARK = Checked(STRING, check_mark)
