"""The audit log: leaves, roots, proofs (spec chapter 6)."""

import base64
import hashlib
import hmac

import merkle
import note
import world
from codec import Refused

SIZES = [0, 1, 2, 3, 7, 8, 13]


def leaf_salt(key, index):
    """LOG-3."""
    return hmac.new(key, index.to_bytes(8, "little"), hashlib.sha256).digest()


def leaf_entry(salt, record):
    """LOG-2."""
    prefix = b"cohortium/1 " + len("log leaf").to_bytes(8, "little") + b"log leaf"
    return hashlib.sha256(prefix + salt + record).digest()


def entries(count):
    """The entries of the vectors' log: record i is the text of i, under one salt key."""
    return [leaf_entry(leaf_salt(bytes([7] * 32), index), b"%d" % index) for index in range(count)]


def add_leaves(book):
    """LOG-1, LOG-2, LOG-3."""
    for index, record in ((0, b""), (258, b"record"), (2**64 - 1, b"\xff" * 100)):
        salt = leaf_salt(bytes([7] * 32), index)
        book.add("log/leaves", f"leaf-{index}", "LOG-2", "leaf-entry", {"salt_key": "07" * 32, "index": str(index), "record": record.hex()},
                 expect={"salt": salt.hex(), "entry": leaf_entry(salt, record).hex()}, note="salt and entry of one record")
    for size in SIZES:
        book.add("log/roots", f"root-{size}", "LOG-1", "tree-root", {"entries": [e.hex() for e in entries(size)]},
                 expect=merkle.root(entries(size)).hex(), note=f"a log of {size} leaves")


def add_proofs(book):
    """LOG-14: inclusion and consistency."""

    def included(name, leaf, index, size, root, path, note):
        given = {"leaf": leaf.hex(), "index": index, "size": size, "root": root.hex(), "path": [p.hex() for p in path]}
        _either(book, "log/inclusion", name, "LOG-14", "verify-inclusion", given, note,
                merkle.verify_inclusion, leaf, index, size, root, path)

    for size, index in ((1, 0), (2, 1), (3, 2), (7, 0), (7, 6), (8, 3), (13, 4), (13, 12)):
        log, path = entries(size), merkle.inclusion(index, entries(size))
        leaf, root, name = merkle.leaf_hash(log[index]), merkle.root(log), f"{size}-{index}"
        included(f"in-{name}", leaf, index, size, root, path, "the path of RFC 6962")
        included(f"in-{name}-longer", leaf, index, size, root, path + [bytes(32)], "a hash more")
        included(f"in-{name}-beyond", leaf, size, size, root, path, "an index that the tree does not have")
        included(f"in-{name}-leaf", merkle.leaf_hash(b""), index, size, root, path, "another leaf")
        if path:
            included(f"in-{name}-shorter", leaf, index, size, root, path[:-1], "a hash less")
            included(f"in-{name}-place", leaf, index ^ 1, size + size % 2, root, path, "another place")
            included(f"in-{name}-bent", leaf, index, size, root, [_bend(path[0])] + path[1:], "a bit of the path")
    included("in-empty", merkle.leaf_hash(b""), 0, 0, merkle.root([]), [], "an empty tree has no leaf")

    def grown(name, old, old_root, new, new_root, path, note):
        given = {"old": {"size": old, "root": old_root.hex()}, "new": {"size": new, "root": new_root.hex()},
                 "path": [p.hex() for p in path]}
        _either(book, "log/consistency", name, "LOG-14", "verify-consistency", given, note,
                merkle.verify_consistency, old, old_root, new, new_root, path)

    for old, new in ((0, 3), (1, 2), (3, 7), (4, 7), (6, 8), (8, 8), (7, 13), (8, 13), (12, 13)):
        log, path = entries(new), merkle.consistency(old, entries(new))
        before, after, name = merkle.root(log[:old]), merkle.root(log), f"{old}-{new}"
        grown(f"grown-{name}", old, before, new, after, path, "the path of RFC 6962")
        grown(f"grown-{name}-longer", old, before, new, after, path + [bytes(32)], "a hash more")
        grown(f"grown-{name}-old", old, _bend(before), new, after, path, "another earlier root")
        if old < new:
            grown(f"grown-{name}-back", new, after, old, before, path, "the later head is smaller")
        if path:
            grown(f"grown-{name}-shorter", old, before, new, after, path[:-1], "a hash less")
            grown(f"grown-{name}-bent", old, before, new, after, path[:-1] + [_bend(path[-1])], "a bit of the path")
            grown(f"grown-{name}-new", old, before, new, _bend(after), path, "another later root")


def add_checkpoints(book):
    """LOG-9 to LOG-11: checkpoints and cosignatures."""
    origin, cosigner = f"cohortium/{world.CONSORTIUM}/north", f"cohortium/{world.CONSORTIUM}/operator"
    log_seed, other_seed = world.seed(world.NORTH[2]), world.seed(world.OPERATOR[2])
    log_key, other_key = world.key(world.NORTH[2]), world.key(world.OPERATOR[2])
    text = note.text_of(origin, 13, merkle.root(entries(13)))
    own, theirs = note.sign(text, origin, log_seed), note.cosign(text, cosigner, other_seed, 1_800_000_123)
    book.add("log/checkpoints", "origin", "LOG-9", "log-origin", {"consortium": world.CONSORTIUM, "node": "north"}, expect=origin,
             note="the name of a log and of its key")
    for kind, name, key in ((note.LOG, origin, log_key), (note.COSIGNER, cosigner, other_key)):
        book.add("log/checkpoints", f"key-id-{kind}", "LOG-10", "log-key-id", {"name": name, "kind": kind, "key": key},
                 expect=note.key_id(name, kind, bytes.fromhex(key)).hex(), note="what signature lines carry")

    def one(name, checkpoint, remark):
        keys = [(origin, note.LOG, bytes.fromhex(log_key)), (cosigner, note.COSIGNER, bytes.fromhex(other_key))]
        given = {"checkpoint": checkpoint, "origin": origin, "log_key": log_key, "cosigners": {cosigner: other_key}}

        def act():
            size, root, cosigners, strangers = note.open_checkpoint(checkpoint, origin, keys)
            return {"size": size, "root": root.hex(), "cosigners": cosigners, "strangers": strangers}

        _either(book, "log/checkpoints", name, "LOG-11", "open-checkpoint", given, remark, act)

    stranger = note.cosign(text, "cohortium/elsewhere", world.seed(99), 5)
    again = lambda changed: changed + "\n" + note.sign(changed, origin, log_seed)
    one("signed", f"{text}\n{own}", "the log's own signature")
    one("cosigned", f"{text}\n{own}{theirs}", "and a cosigner's")
    one("cosigned-first", f"{text}\n{theirs}{own}", "the order of signatures does not matter")
    one("stranger", f"{text}\n{own}{stranger}", "a signature by a key that the reader does not know")
    one("unsigned", f"{text}\n{theirs}", "not signed by the log")
    one("no-signature", f"{text}\n", "no signature at all")
    one("no-gap", f"{text}{own}", "no empty line")
    one("cut", f"{text}\n{own[:-1]}", "no newline at the end")
    one("bent-size", f"{text.replace(chr(10) + '13' + chr(10), chr(10) + '14' + chr(10))}\n{own}", "another size under the signature")
    one("bent-cosignature", f"{text}\n{own}" + note.cosign(text + "x\n", cosigner, other_seed, 1), "a cosignature over another text")
    one("lent-time", f"{text}\n{own}" + _restamped(text, cosigner, other_seed), "a cosignature with another time")
    one("latest-time", f"{text}\n{own}" + note.cosign(text, cosigner, other_seed, 2**63 - 1), "the latest time that there is")
    one("beyond-time", f"{text}\n{own}" + note.cosign(text, cosigner, other_seed, 2**63), "a time that does not fit 63 bits")
    one("own-as-cosigner", f"{text}\n{own}" + note.sign(text, cosigner, other_seed), "a cosigner's key used as a log's: a stranger")
    one("leading-zero", again(text.replace("\n13\n", "\n013\n")), "signed, but the size is not canonical")
    one("sign", again(text.replace("\n13\n", "\n+13\n")), "signed, but the size has a sign")
    one("short-root", again(note.text_of(origin, 13, bytes(31))), "signed, but the root is 31 bytes")
    one("other-origin", again(note.text_of(origin + "x", 13, bytes(32))), "signed, but of another log")
    one("extension", again(text + "an extension\n"), "an extension line is kept and not interpreted")
    one("tab", again(text + "a\tb\n"), "a control character")


def _restamped(text, name, seed):
    real = note.cosign(text, name, seed, 7)
    data = base64.b64decode(real.split(" ")[2])
    return note.line(name, data[:4], (8).to_bytes(8, "big") + data[12:])


def _bend(data):
    return bytes([data[0] ^ 1]) + data[1:]


def _either(book, file, name, requirement, operation, given, remark, act, *args):
    """One vector with whatever the reference says."""
    try:
        expect = act(*args)
        book.add(file, name, requirement, operation, given, expect=True if expect is None else expect, note=remark)
    except Refused as refused:
        book.add(file, name, requirement, operation, given, code=refused.code, note=remark)


def index_path(index):
    """LOG-5: three digits an element, all but the last with an x."""
    path, index = f"{index % 1000:03}", index // 1000
    while index:
        path, index = f"x{index % 1000:03}/{path}", index // 1000
    return path


def add_tiles(book):
    """LOG-5: each tile has one path."""
    good = [("entries", 0, 256), ("entries", 999, 256), ("entries", 1000, 255), ("0", 1_234_067, 256), ("0", 273, 112), ("1", 1, 17),
            ("2", 0, 1), ("7", 2**64 - 1, 256)]
    for level, index, width in good:
        path = f"tile/{level}/{index_path(index)}" + (f".p/{width}" if width < 256 else "")
        book.add("log/tiles", f"tile-{level}-{index}-{width}", "LOG-5", "tile-path", {"path": path}, note="the path of one tile",
                 expect={"level": level, "index": str(index), "width": width})
    bad = ["", "tile", "tile/0/1", "tile/0/0001", "tile/0/x000/001", "tile/0/x001", "tile/8/000", "tile/00/000", "tile/-1/000",
           "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/00a", "/tile/0/000", "tile/0/../000", "tile/entry/000",
           "tile/0/x999/x999/x999/x999/x999/x999/x999/999"]
    for number, path in enumerate(bad):
        book.add("log/tiles", f"no-tile-{number}", "LOG-5", "tile-path", {"path": path}, code="no-tile", note="the path of no tile")
