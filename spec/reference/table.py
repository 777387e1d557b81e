"""Content of consolidated tables: the canonical encoding of rows and the digests over them (spec chapter 10)."""

import math
import struct

import blake3
import codec
from ident import NAME

DIGEST = codec.Fixed(32)
NAN = 0x7FF8_0000_0000_0000


def _hash(domain, data):
    """BLAKE3 for one purpose."""
    return blake3.blake3(b"cohortium/1 " + len(domain).to_bytes(8, "little") + domain + data)


def _value(kind, value):
    if kind == "text":
        data = value.encode()
        return len(data).to_bytes(8, "little") + data
    if kind in ("integer", "timestamp"):
        return value.to_bytes(8, "little", signed=True)
    if kind == "float":
        # Written as its 64 bits, since JSON has no NaN.
        (number,) = struct.unpack("<d", bytes.fromhex(value)[::-1])
        return (NAN if math.isnan(number) else int(value, 16)).to_bytes(8, "little")
    if kind == "boolean":
        return bytes([1 if value else 0])
    assert kind == "date", kind
    return value.to_bytes(4, "little", signed=True)


def encode_row(cells):
    """CONS-1: `cells` are pairs of kind and value; a value None is no value."""
    return b"".join(b"\0" if value is None else b"\1" + _value(kind, value) for kind, value in cells)


def row_digest(cells):
    """CONS-1."""
    return _hash(b"consolidated row", encode_row(cells))


def part_digest(table, member, rows):
    """CONS-2: `rows` are digests of rows in any order."""
    head = codec.encode(codec.Tuple(NAME, NAME, codec.U64), [table, member, len(rows)])
    return _hash(b"consolidated part", head + b"".join(sorted(rows)))


def version_id(table, schema, parts):
    """CONS-3: `parts` is the digest of each member's part."""
    kind = codec.Tuple(NAME, DIGEST, codec.Map(NAME, DIGEST))
    return _hash(b"table version", codec.encode(kind, [table, schema, parts]))
