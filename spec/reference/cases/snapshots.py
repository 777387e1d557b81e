"""Outboards, groups and ranges (spec chapter 5)."""

import functools

import blake3
import blob
from cases.book import refusal

GROUP, RANGE = blob.GROUP_MIN, blob.RANGE
# The longest blob has two ranges; BLAKE3 in Python takes about a second and a half for each MiB.
LENGTHS = [0, 1, 1024, 1025, GROUP, GROUP + 1, 3 * GROUP + 5, RANGE + 3]


@functools.cache
def built(length):
    """Digest and outboard of the pattern blob of that length."""
    board = blob.outboard(blob.pattern(length))
    values = [board[i : i + 32] for i in range(0, len(board), 32)]
    digest = blob.merge(values) if values else blake3.blake3(blob.pattern(length))
    return digest, board, values


def add_shapes(book):
    """BLOB-1: how a blob is cut."""
    tera, giga = 1 << 40, 1 << 30
    for length in [0, 1, GROUP, GROUP + 1, RANGE, RANGE + 1, 64 * giga, 64 * giga + 1, 128 * giga, 128 * giga + 1, tera]:
        book.add("blob/shapes", f"shape-{length}", "BLOB-1", "blob-shape", {"blob_bytes": length}, note="groups and ranges",
                 expect={"group_bytes": blob.group_bytes(length), "groups": blob.group_count(length),
                         "outboard_bytes": blob.outboard_bytes(length), "ranges": -(-length // RANGE)})


def add_outboards(book):
    """BLOB-2: outboards that merge to the digest, and others."""

    def one(name, digest, length, board, note, refuse=True):
        given = {"digest": digest.hex(), "blob_bytes": length, "outboard": board.hex()}
        if refuse:
            code = refusal(blob.check_outboard, digest, length, board)
            book.add("blob/outboards", name, "BLOB-2", "outboard-check", given, code=code, note=note)
        else:
            blob.check_outboard(digest, length, board)
            book.add("blob/outboards", name, "BLOB-2", "outboard-check", given, expect=True, note=note)

    for length in LENGTHS:
        digest, board, _ = built(length)
        one(f"good-{length}", digest, length, board, "of the pattern blob", refuse=False)
        if board:
            for bit in (0, len(board) * 8 - 1):
                bent = bytearray(board)
                bent[bit // 8] ^= 1 << bit % 8
                one(f"bent-{length}-{bit}", digest, length, bytes(bent), "one bit flipped")
            one(f"short-{length}", digest, length, board[:-1], "a byte short")
            one(f"value-missing-{length}", digest, length, board[:-32], "a value short")
            swapped = board[32:64] + board[:32] + board[64:]
            one(f"swapped-{length}", digest, length, swapped, "the first two values exchanged")
        one(f"long-{length}", digest, length, board + b"\0", "a byte more")
    one("empty-other", bytes(32), 0, b"", "an empty blob has one digest")
    digest, board, values = built(3 * GROUP + 5)
    one("other-length", digest, 2 * GROUP + 5, board, "the right values for another length")
    inner = blob.merge(values[:2], False) + blob.merge(values[2:], False)
    one("merged-pairs", digest, GROUP + 5, inner, "inner nodes passed off as a shorter blob's groups: the root stands", refuse=False)
    one("tebibyte", bytes(32), (1 << 40) + 1, b"", "a blob longer than 1 TiB")


def add_pieces(book):
    """BLOB-3, BLOB-4: groups and ranges."""

    def one(kind, name, length, at, size, refuse=True, flip=None, act=None, note=""):
        digest, board, values = built(length)
        data = bytearray(blob.pattern(max(length, at + size))[at : at + size])
        if flip is not None:
            data[flip // 8] ^= 1 << flip % 8
        given = {"blob_bytes": length, "digest": digest.hex(), "outboard": board.hex(), "data": {"offset": at, "bytes": size}}
        if flip is not None:
            given["data"]["flip"] = flip
        given |= act
        check = blob.verify_group if kind == "group" else blob.verify_range
        place = act.get("index", act.get("offset"))
        requirement = "BLOB-3" if kind == "group" else "BLOB-4"
        if refuse:
            code = refusal(check, digest, length, values, place, bytes(data))
            book.add(f"blob/{kind}s", f"{kind}-{name}", requirement, f"verify-{kind}", given, code=code, note=note)
        else:
            check(digest, length, values, place, bytes(data))
            book.add(f"blob/{kind}s", f"{kind}-{name}", requirement, f"verify-{kind}", given, expect=True, note=note)

    for length, index in ((1, 0), (GROUP, 0), (GROUP + 1, 0), (GROUP + 1, 1), (3 * GROUP + 5, 2), (3 * GROUP + 5, 3)):
        at, size = index * GROUP, min(GROUP, length - index * GROUP)
        one("group", f"good-{length}-{index}", length, at, size, refuse=False, act={"index": index}, note="a group of the blob")
        one("group", f"bent-{length}-{index}", length, at, size, flip=size * 8 - 1, act={"index": index}, note="the last bit flipped")
        one("group", f"short-{length}-{index}", length, at, size - 1, act={"index": index}, note="a byte short")
    one("group", "other-place", 3 * GROUP + 5, GROUP, GROUP, act={"index": 0}, note="group 1 in the place of group 0")
    one("group", "beyond", GROUP, 0, GROUP, act={"index": 1}, note="a group after the end")
    one("group", "of-empty", 0, 0, 0, act={"index": 0}, note="an empty blob has no group")
    long = RANGE + 3
    one("range", "last", long, RANGE, 3, refuse=False, act={"offset": RANGE}, note="the last, short range")
    one("range", "small", 3 * GROUP + 5, 0, 3 * GROUP + 5, refuse=False, act={"offset": 0}, note="a blob of one range")
    one("range", "bent", 3 * GROUP + 5, 0, 3 * GROUP + 5, flip=(2 * GROUP + 1) * 8, act={"offset": 0}, note="a bit of its third group")
    one("range", "last-bent", long, RANGE, 3, flip=0, act={"offset": RANGE}, note="a bit of the last range")
    one("range", "short", 3 * GROUP + 5, 0, 3 * GROUP + 4, act={"offset": 0}, note="a byte short")
    one("range", "unaligned", 3 * GROUP + 5, GROUP, 2 * GROUP + 5, act={"offset": GROUP}, note="not a multiple of 4 MiB")
    one("range", "beyond", 3 * GROUP + 5, 0, 0, act={"offset": RANGE}, note="after the end")
