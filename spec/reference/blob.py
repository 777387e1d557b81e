"""Blobs: chunk groups, outboards, ranges (spec chapter 5)."""

import functools

import blake3
from codec import Refused

GROUP_MIN = 256 * 1024
GROUPS_MAX = 262_144
RANGE = 4 * 1024 * 1024
BLOB_MAX = 1 << 40


def group_bytes(length):
    """The smallest power of two, 256 KiB or more, that cuts the blob into at most 262,144 groups."""
    size = GROUP_MIN
    while size * GROUPS_MAX < length:
        size *= 2
    return size


def group_count(length):
    """How many groups a blob of that length has."""
    return -(-length // group_bytes(length))


def outboard_bytes(length):
    """The length of the serialised outboard."""
    return 32 * group_count(length) if group_count(length) > 1 else 0


def groups_of(blob):
    """(first chunk, bytes) of each group."""
    size = group_bytes(len(blob))
    return [(start // blake3.CHUNK, blob[start : start + size]) for start in range(0, len(blob), size)]


@functools.cache
def group_value(data, chunk):
    """The chaining value of a group that begins at that chunk."""
    return blake3.chaining_value(data, chunk)


def outboard(blob):
    """The serialised outboard of a blob."""
    groups = groups_of(blob)
    return b"".join(group_value(data, chunk) for chunk, data in groups) if len(groups) > 1 else b""


def merge(values, root=True):
    """Merges the groups' values as the tree does."""
    if len(values) == 1:
        return values[0]
    cut = 1 << ((len(values) - 1).bit_length() - 1)
    left, right = merge(values[:cut], False), merge(values[cut:], False)
    return blake3.root_of(left, right) if root else blake3.parent(left, right)


def check_outboard(digest, length, data):
    """BLOB-2: length first, then the root. Returns the groups' values."""
    if length > BLOB_MAX:
        raise Refused("blob-too-long")
    if len(data) != outboard_bytes(length):
        raise Refused("length")
    values = [data[i : i + 32] for i in range(0, len(data), 32)]
    if length == 0 and digest != blake3.blake3(b""):
        raise Refused("root")
    if values and merge(values) != digest:
        raise Refused("root")
    return values


def verify_group(digest, length, values, index, data):
    """BLOB-3: one group by itself."""
    size = group_bytes(length)
    if index * size >= length:
        raise Refused("no-group")
    if len(data) != min(size, length - index * size):
        raise Refused("group-length")
    if values:
        good = group_value(data, index * size // blake3.CHUNK) == values[index]
    else:
        good = blake3.blake3(data) == digest
    if not good:
        raise Refused("group")


def verify_range(digest, length, values, offset, data):
    """BLOB-4: one whole range, group by group."""
    if offset % RANGE != 0 or offset >= length or len(data) != min(RANGE, length - offset):
        raise Refused("no-range")
    size = group_bytes(length)
    for at in range(0, len(data), size):
        verify_group(digest, length, values, (offset + at) // size, data[at : at + size])


def pattern(length):
    """The bytes of the vectors' blobs: 0, 1, ..., 250, 0, 1, ... as in BLAKE3's own vectors."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]
