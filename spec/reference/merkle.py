"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs, by their definitions."""

import hashlib

from codec import Refused


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(count):
    """The largest power of two below count."""
    return 1 << ((count - 1).bit_length() - 1)


def root(entries):
    """MTH of RFC 6962, 2.1."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return leaf_hash(entries[0])
    k = split(len(entries))
    return node_hash(root(entries[:k]), root(entries[k:]))


def inclusion(index, entries):
    """PATH of RFC 6962, 2.1.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return inclusion(index, entries[:k]) + [root(entries[k:])]
    return inclusion(index - k, entries[k:]) + [root(entries[:k])]


def consistency(size, entries):
    """PROOF of RFC 6962, 2.1.2; nothing for an empty old tree."""
    return [] if size == 0 else _subproof(size, entries, True)


def _subproof(size, entries, whole):
    if size == len(entries):
        return [] if whole else [root(entries)]
    k = split(len(entries))
    if size <= k:
        return _subproof(size, entries[:k], whole) + [root(entries[k:])]
    return _subproof(size - k, entries[k:], False) + [root(entries[:k])]


def verify_inclusion(leaf, index, size, root_hash, path):
    """LOG-14: the steps of RFC 9162, 2.1.3.2."""
    if index >= size:
        raise Refused("index")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            raise Refused("path-length")
        if fn % 2 == 1 or fn == sn:
            r = node_hash(p, r)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Refused("path-length")
    if r != root_hash:
        raise Refused("root")


def verify_consistency(old_size, old_root, new_size, new_root, path):
    """LOG-14: the steps of RFC 9162, 2.1.4.2, and the cases that need no path."""
    if old_size > new_size:
        raise Refused("rolled-back")
    if old_size in (0, new_size):
        if old_root != (new_root if old_size == new_size else root([])):
            raise Refused("forked")
        if path:
            raise Refused("path-length")
        return
    if not path:
        raise Refused("path-length")
    if old_size & (old_size - 1) == 0:
        path = [old_root] + path
    fn, sn = old_size - 1, new_size - 1
    while fn % 2 == 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise Refused("path-length")
        if fn % 2 == 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Refused("path-length")
    if (fr, sr) != (old_root, new_root):
        raise Refused("root")
