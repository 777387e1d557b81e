"""Codec, frames, versions, names (spec chapters 1 and 8)."""

import codec
import ident
import messages
from cases.book import refusal
from codec import BOOL, BYTES, STRING, U16, U32, U64, U128, Enum, Map, Option, Seq, Set, U8

KINDS = {
    "u8": U8, "u16": U16, "u32": U32, "u64": U64, "u128": U128, "bool": BOOL, "string": STRING, "bytes": BYTES,
    "option-u32": Option(U32), "seq-u16": Seq(U16), "set-u16": Set(U16), "map-u16-bytes": Map(U16, BYTES),
}
MOST = 64


def add_codec(book):
    """CODEC-1 to CODEC-4."""
    good = [
        ("u8", 255), ("u16", 0), ("u16", 250), ("u16", 251), ("u16", 65535), ("u32", 65536), ("u32", 2**32 - 1),
        ("u64", 2**32), ("u64", 2**64 - 1), ("bool", True), ("bool", False), ("string", "Köln"), ("string", ""),
        ("bytes", "00ff"), ("option-u32", None), ("option-u32", 7), ("seq-u16", [3, 1, 300]), ("set-u16", [1, 3, 300]),
        ("map-u16-bytes", {"1": "07", "2": "", "300": "ff"}),
    ]
    for index, (kind, value) in enumerate(good):
        data = codec.encode(KINDS[kind], value)
        assert codec.decode(KINDS[kind], data, MOST) == value
        book.add("codec/values", f"{kind}-{index}", "CODEC-1", "decode-value", {"type": kind, "max": MOST, "hex": data.hex()},
                 expect={"json": value}, note="the one encoding of this value")
    wide = codec.encode(U128, 2**127).hex()
    book.add("codec/values", "u128", "CODEC-1", "decode-value", {"type": "u128", "max": MOST, "hex": wide},
             expect={"decimal": str(2**127)}, note="a number too large for JSON")
    bad = [
        ("over-long-2", "CODEC-2", "u16", "fb0700", "7 in three bytes"),
        ("over-long-4", "CODEC-2", "u32", "fc07000000", "7 in five bytes"),
        ("over-long-8", "CODEC-2", "u64", "fdffffffff00000000", "2^32 - 1 in nine bytes"),
        ("over-long-16", "CODEC-2", "u128", "fe" + "ff" * 8 + "00" * 8, "2^64 - 1 in 17 bytes"),
        ("over-long-length", "CODEC-2", "bytes", "fb010007", "a length in three bytes"),
        ("too-wide", "CODEC-1", "u16", "fc00000100", "a 32-bit form where 16 bits are expected"),
        ("tag-255", "CODEC-1", "u64", "ff" + "00" * 8, "255 begins no number"),
        ("bool-2", "CODEC-1", "bool", "02", "neither 0 nor 1"),
        ("option-2", "CODEC-1", "option-u32", "0207", "neither 0 nor 1"),
        ("not-utf8", "CODEC-1", "string", "02c328", "bytes that are no text"),
        ("cut", "CODEC-1", "bytes", "0307ff", "fewer bytes than the length says"),
        ("huge-length", "CODEC-1", "bytes", "fd" + "ff" * 8, "a length of 2^64 - 1: refused without allocating"),
        ("huge-count", "CODEC-1", "seq-u16", "fd" + "ff" * 8, "a count of 2^64 - 1: refused without allocating"),
        ("empty", "CODEC-1", "u64", "", "nothing"),
        ("trailing", "CODEC-3", "u16", "0700", "one byte after the value"),
        ("unsorted-map", "CODEC-2", "map-u16-bytes", "02020001" + "0107", "keys 2, 1"),
        ("duplicate-key", "CODEC-2", "map-u16-bytes", "02010107010107", "key 1 twice"),
        ("unsorted-set", "CODEC-2", "set-u16", "020201", "2, 1"),
        ("duplicate-item", "CODEC-2", "set-u16", "020101", "1 twice"),
        ("too-long", "CODEC-4", "bytes", "40" + "00" * 64, "65 bytes where 64 are allowed"),
    ]
    for name, requirement, kind, data, note in bad:
        code = refusal(codec.decode, KINDS[kind], bytes.fromhex(data), MOST)
        book.add("codec/refused", name, requirement, "decode-value", {"type": kind, "max": MOST, "hex": data}, code=code, note=note)
    most = "3f" + "00" * 63
    assert codec.decode(BYTES, bytes.fromhex(most), MOST)
    book.add("codec/values", "longest", "CODEC-4", "decode-value", {"type": "bytes", "max": MOST, "hex": most},
             expect={"json": "00" * 63}, edge=True, note="exactly 64 bytes where 64 are allowed")


def add_frames(book, registry):
    """WIRE-1, WIRE-2, WIRE-3."""
    limits = {limit["name"]: limit["value"] for limit in registry["limit"]}
    types = {entry["code"]: limits[entry["payload_max"]] for entry in registry["message"]}
    for entry in registry["message"]:
        most = types[entry["code"]]
        for size, result in ((0, "ok"), (most, "ok"), (most + 1, "too-long"), (2**32 - 1, "too-long")):
            header = messages.frame(entry["code"], b"")[:4] + size.to_bytes(4, "little")
            given = {"hex": header.hex()}
            name = f"{entry['name'].lower()}-{size}"
            if result == "ok":
                assert messages.frame_header(header, types) == (entry["code"], size)
                book.add("frame/headers", name, "WIRE-1", "frame-header", given, edge=size == most,
                         expect={"type": entry["code"], "payload_bytes": size}, note="a header within its type's bound")
            else:
                code = refusal(messages.frame_header, header, types)
                book.add("frame/headers", name, "WIRE-1", "frame-header", given, code=code, note="longer than its type allows")
    first = min(types)
    for name, data, note in (
        ("type-0", "0000000000000000", "0 is no type"), ("type-65535", "ffff000000000000", "not a known type"),
        ("reserved-low", f"{first:02x}00010000000000", "the first reserved byte is not zero"),
        ("reserved-high", f"{first:02x}00000100000000", "the second reserved byte is not zero"),
        ("big-endian", f"00{first:02x}000000000000", "a type written the wrong way round"),
    ):
        code = refusal(messages.frame_header, bytes.fromhex(data), types)
        book.add("frame/headers", name, "WIRE-2", "frame-header", {"hex": data}, code=code, note=note)
    for ours, theirs in (([1, 1], [1, 1]), ([1, 1], [1, 3]), ([1, 4], [2, 3]), ([2, 9], [5, 5]), ([1, 1], [2, 2]),
                         ([3, 1], [1, 3]), ([1, 3], [3, 1]), ([0, 0], [0, 65535])):
        taken = messages.agree(ours, theirs)
        name = f"versions-{ours[0]}-{ours[1]}-{theirs[0]}-{theirs[1]}"
        given = {"ours": ours, "theirs": theirs}
        if taken is None:
            book.add("frame/versions", name, "WIRE-3", "agree-version", given, code="none", note="no version that both speak")
        else:
            book.add("frame/versions", name, "WIRE-3", "agree-version", given, expect=taken, note="the newest that both speak")


def add_names(book):
    """NAME-1 to NAME-5."""
    checks = {"name": ident.check_name, "text": ident.check_text, "path": ident.check_path, "column": ident.check_column,
              "mark": ident.check_mark}
    good = {
        "name": ["a", "0", "north-1", "a.meyer", "x_y", "a" * 64],
        "text": ["a", "Klinikum Nord, Köln", " ", "北", "x" * 2000, "👩\u200a"],
        "path": ["a", "a.csv", "rows/part-0.parquet", "..a", "a..", "2024/März/a b.csv", "x" * 1024, "..."],
        "column": ["First", "length of stay", "x" * 128, "a/b", "Größe [cm]"],
        "mark": ["", "?", "\\N", " ", "nicht erhoben", "x" * 32],
    }
    bad = {
        "name": ["", "a" * 65, "-a", "_a", ".a", "Nord", "n\u043erth", "a/b", "a b", "a\n", "köln", "..", "a\0"],
        "text": ["", "x" * 2001, "a\tb", "a\nb", "a\u007f", "a\u0085", "a\u200bb", "a\u202eb", "\ufeffa", "Ko\u0308ln", "a\u00adb",
                 "a\u2066b", "a\U000e0041", "\u212b"],
        "path": ["", "x" * 1025, "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/", "a\\b", "a\0b",
                 "a\u202evsc.b", "Ma\u0308rz", "ö" * 513],
        "column": ["", "x" * 129, "a\nb", "a\u200bb", "o\u0308"],
        "mark": ["x" * 33, "a\n", "\t", "\u0085"],
    }
    requirement = {"name": "NAME-1", "text": "NAME-2", "path": "NAME-3", "column": "NAME-4", "mark": "NAME-5"}
    for kind, check in checks.items():
        for index, text in enumerate(good[kind]):
            check(text)
            edge = len(text) >= {"name": 64, "text": 2000, "path": 1024, "column": 128, "mark": 32}[kind]
            book.add(f"name/{kind}", f"{kind}-good-{index}", requirement[kind], "check-text", {"type": kind, "text": text},
                     expect=text, edge=edge, note="accepted")
        for index, text in enumerate(bad[kind]):
            code = refusal(check, text)
            book.add(f"name/{kind}", f"{kind}-bad-{index}", requirement[kind], "check-text", {"type": kind, "text": text},
                     code=code, note="refused")
