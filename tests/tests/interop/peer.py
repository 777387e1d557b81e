"""Reads what a real node wrote with nothing but the reference, and checks it.

    peer.py REFERENCE node FACTS      documents, snapshot ids, journal records, log
    peer.py REFERENCE export FACTS FOLDER      blobs and outboards of an exported folder

Ends with 0 and a line of counts, or with a traceback that names what does not hold.
"""

import json
import os
import sys

sys.path.insert(0, sys.argv[1])

import blake3
import blob
import codec
import dsse
import merkle
import note
import records
from cases.log import leaf_entry, leaf_salt

KINDS = {records.label(name): (name, kind) for name, kind in records.DOCUMENTS.items()}


def read_documents(folder):
    """Every document of a folder: (file, name of its kind, decoded, claimed signers, bytes)."""
    found = []
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), "rb") as opened:
            data = opened.read()
        envelope = codec.decode(dsse.ENVELOPE, data, dsse.DOCUMENT_MAX)
        name, kind = KINDS[envelope["payload_type"]]
        payload = codec.decode(kind, bytes.fromhex(envelope["payload"]), dsse.DOCUMENT_MAX)
        found.append((file, name, kind, payload, [line["key"] for line in envelope["signatures"]], data))
    return found


def keys_of(documents):
    """Who may sign what, from the charters down: roots sign records and persons, records name signing keys."""
    roots, signing, persons = set(), set(), set()
    for _, name, _, document, _, _ in documents:
        if name == "charter":
            roots |= {party["root"] for party in document["roster"].values()}
    for _, name, kind, document, _, data in documents:
        if name in ("node-record", "person"):
            dsse.verify(kind, records.label(name), data, roots | persons)
        if name == "node-record":
            signing.add(document["signing"])
        if name == "person":
            persons.add(document["key"])
    for _, name, _, document, _, _ in documents:
        enrolled = document["command"] if name == "order" else None
        if isinstance(enrolled, dict) and "enrol-person" in enrolled:
            inner = enrolled["enrol-person"]
            persons.add(codec.decode(records.PERSON, bytes.fromhex(inner["payload"]), dsse.DOCUMENT_MAX)["key"])
    return {"charter": roots, "node-record": roots, "person": roots | persons, "order": persons}, signing


def check_documents(facts):
    documents = read_documents(facts["documents"])
    accepted, signing = keys_of(documents)
    digests = {}
    for file, name, kind, document, signers, data in documents:
        decoded, valid, digest = dsse.verify(kind, records.label(name), data, accepted.get(name, signing))
        shown = facts["shown"][file]
        assert decoded == document and valid, file
        assert shown["digest"] == digest, (file, shown["digest"], digest)
        assert shown["claimed_signers"] == signers, file
        assert shown["type"] == records.label(name), file
        assert shown["document"] == document, (file, shown["document"], document)
        digests.setdefault(name, set()).add(digest)
    assert set(facts["snapshots"]) <= digests["manifest"], "a snapshot's id is its manifest's digest"
    return len(documents), len(facts["snapshots"])


def logged(folder, size):
    """The entries of a log of this size, from its bundles."""
    entries = []
    for bundle in range(0, (size + 255) // 256):
        width = min(256, size - bundle * 256)
        path = os.path.join(folder, "tile", "entries", "%03d" % bundle)
        with open(path if width == 256 else os.path.join(path + ".p", str(width)), "rb") as opened:
            data = opened.read()
        assert len(data) == 34 * width, path
        for at in range(0, len(data), 34):
            assert data[at : at + 2] == b"\x00\x20", path
            entries.append(data[at + 2 : at + 34])
    return entries


def check_log(facts):
    origin = "cohortium/%s/%s" % (facts["consortium"], facts["party"])
    with open(os.path.join(facts["log"], "checkpoint"), encoding="utf-8", newline="") as opened:
        text = opened.read()
    opened = note.open_checkpoint(text, origin, [(origin, note.LOG, bytes.fromhex(facts["signing"]))])
    size, root = text.split("\n")[1:3]
    size = int(size)
    assert opened is not None and size == len(facts["history"]), (size, len(facts["history"]))
    entries = logged(facts["log"], size)
    import base64

    assert merkle.root(entries) == base64.b64decode(root), "the root is the tree's"
    salt_key = bytes.fromhex(facts["salt_key"])
    for index, entry in enumerate(facts["history"]):
        record = codec.encode(records.JOURNAL_ENTRY, entry)
        assert leaf_entry(leaf_salt(salt_key, index), record) == entries[index], (index, entry)
    for index in (0, size // 2, size - 1):
        path = merkle.inclusion(index, entries)
        merkle.verify_inclusion(merkle.leaf_hash(entries[index]), index, size, merkle.root(entries), path)
    return size


def check_export(facts, folder):
    names = sorted(os.listdir(os.path.join(folder, "blobs")))
    contents = {}
    for name in names:
        with open(os.path.join(folder, "blobs", name), "rb") as opened:
            contents[name] = opened.read()
        assert blake3.blake3(contents[name]).hex() == name, name
        with open(os.path.join(folder, "outboards", name), "rb") as opened:
            outboard = opened.read()
        blob.check_outboard(bytes.fromhex(name), len(contents[name]), outboard)
    listed = 0
    for _, name, _, document, _, _ in read_documents(facts["documents"]):
        digest = document["listing"][0] if name == "manifest" else None
        if digest in contents:
            for entry in codec.decode(records.LISTING, contents[digest], 64 << 20):
                assert len(contents[entry["blob"][0]]) == entry["blob"][1], entry
                listed += 1
    assert listed, "no listing of a manifest is among the blobs %s" % names
    return len(names), listed


def main():
    with open(sys.argv[3], encoding="utf-8") as opened:
        facts = json.load(opened)
    if sys.argv[2] == "node":
        documents, snapshots = check_documents(facts)
        leaves = check_log(facts)
        print(f"{documents} documents verified, {snapshots} snapshot ids, {leaves} journal records re-encoded and in the log")
    else:
        blobs, listed = check_export(facts, sys.argv[4])
        print(f"{blobs} blobs and outboards, {listed} listed files")


main()
