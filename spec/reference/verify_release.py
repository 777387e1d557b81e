#!/usr/bin/env python3
"""Verifies the folder of a release offline (spec chapter 17). Shares no code with the node; standard library only, Python 3.11.

    verify_release.py FOLDER [--anchor CONSORTIUM_ID]

Prints one JSON object and ends with 0 when everything stands, or with the first file in which something is wrong and its
fault and ends with 5. Without the anchor anybody could have made all of it, and the output says so. Bodies are checked by
their length and SHA-256; their BLAKE3, which the node's reader checks too, is left out here.
"""

import argparse
import hashlib
import json
import os
import stat
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import codec  # noqa: E402
import dsse  # noqa: E402
import epsilon  # noqa: E402
import ident  # noqa: E402
import merkle  # noqa: E402
import note  # noqa: E402
import records  # noqa: E402
import rules  # noqa: E402
from codec import Refused  # noqa: E402
from terms import LIMITS  # noqa: E402

DEPTH_MAX, FILES_MAX, JSON_MAX = 8, 20_000, 64 << 20
ENTRY_MAX = LIMITS["JOURNAL_ENTRY_BYTES_MAX"]
JOURNAL_FILE = codec.Struct(salt=codec.Fixed(32), entry=codec.BYTES)
PROOF = codec.Struct(
    origin=codec.STRING, index=codec.U64, leaf=codec.Fixed(32), path=codec.Seq(codec.Fixed(32)), checkpoint=codec.STRING)
STATEMENT, PROJECT = "statement.cohortium", "project.cohortium"
FIXED = {STATEMENT, "statement.json", PROJECT, "journal/reserved", "journal/signed", "log/reserved", "log/signed"}


class Wrong(Exception):
    """The first thing that is wrong: in which file, and what."""

    def __init__(self, path, fault):
        super().__init__(f"{path}: {fault}")
        self.path, self.fault = path, fault


def demand(holds, path, fault):
    if not holds:
        raise Wrong(path, fault)


def digest_of(name, value):
    """The name of a document that may have no signature."""
    return dsse.digest(records.label(name), codec.encode(records.RECORDS[name], value)).hex()


class Folder:
    """The folder as it is read: symbolic links and other special files are no files of a release."""

    def __init__(self, root):
        self.root, self.paths = Path(root), []
        self._visit("", 0)
        self.paths.sort()

    def _visit(self, folder, depth):
        shown = folder or "."
        demand(depth <= DEPTH_MAX and len(self.paths) <= FILES_MAX, shown, "too-long")
        try:
            found = list(os.scandir(self.root / folder))
        except OSError:
            raise Wrong(shown, "unreadable") from None
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                self._visit(path, depth + 1)
            else:
                self.paths.append(path)

    def pieces(self, path):
        try:
            demand(stat.S_ISREG((self.root / path).lstat().st_mode), path, "unreadable")
            with open(self.root / path, "rb") as file:
                while piece := file.read(1 << 20):
                    yield piece
        except (FileNotFoundError, NotADirectoryError) as fault:
            raise Wrong(path, "missing" if isinstance(fault, FileNotFoundError) else "unreadable") from None
        except OSError:
            raise Wrong(path, "unreadable") from None

    def whole(self, path, most):
        data = bytearray()
        for piece in self.pieces(path):
            data += piece
            demand(len(data) <= most, path, "too-long")
        return bytes(data)

    def envelope(self, path):
        data = self.whole(path, dsse.DOCUMENT_MAX)
        try:
            return codec.decode(dsse.ENVELOPE, data, dsse.DOCUMENT_MAX), data
        except Refused as refused:
            raise Wrong(path, refused.code) from None

    def document(self, path, name, accepted):
        """A document that these keys have signed, and nobody else: (document, signers, digest, envelope)."""
        envelope, data = self.envelope(path)
        try:
            document, signers, digest = dsse.verify(records.RECORDS[name], records.label(name), data, accepted)
        except Refused as refused:
            raise Wrong(path, refused.code) from None
        demand(len(signers) == len(envelope["signatures"]), path, "strange-signature")
        return document, signers, digest, envelope

    def numbered(self, folder):
        """The numbered documents of a folder, from 1 on, as far as they go."""
        paths, present = [], set(self.paths)
        while (path := f"{folder}/{len(paths) + 1:04}.cohortium") in present:
            paths.append(path)
        return paths


def operator_of(charter):
    return next((name, party) for name, party in charter["roster"].items() if party["kind"] == "operator")


def first_charter(folder, path, anchor):
    """(consortium, the operator's root): its own signature first, then whether it is the consortium that was named."""
    envelope, data = folder.envelope(path)
    label, payload = records.label("charter"), bytes.fromhex(envelope["payload"])
    demand(envelope["payload_type"] == label, path, "wrong-type")
    try:
        root = operator_of(codec.decode(records.CHARTER, payload, dsse.DOCUMENT_MAX))[1]["root"]
        _, _, consortium = dsse.verify(records.CHARTER, label, data, [root])
    except Refused as refused:
        raise Wrong(path, refused.code) from None
    demand(anchor in (None, consortium), path, "anchor")
    return consortium, root


def charters(folder, anchor):
    """(consortium, chain): the versions with their digests, each in force (CHAR-4, CHAR-6, CHAR-8)."""
    paths = folder.numbered("charter") or ["charter/0001.cohortium"]
    consortium, root = first_charter(folder, paths[0], anchor)
    chain = []
    for path in paths:
        envelope, data = folder.envelope(path)
        digest = dsse.digest(envelope["payload_type"], bytes.fromhex(envelope["payload"])).hex()
        again = [at for at, (_, known) in enumerate(chain) if known == digest]
        before = chain[: again[0]] if again else chain
        try:
            _, signers = rules.check_charter_document(consortium, root, before, data)
        except Refused:
            raise Wrong(path, "chain") from None
        demand(len(signers) == len(envelope["signatures"]), path, "strange-signature")
        charter = codec.decode(records.CHARTER, bytes.fromhex(envelope["payload"]), dsse.DOCUMENT_MAX)
        eligible, needed = rules.requirement(before[-1][0], charter) if before else ([], 0)
        demand(not again and len(set(eligible) & set(signers)) >= needed, path, "not-in-force")
        chain.append((charter, digest))
    return consortium, chain


def node_record(folder, path, party, consortium, chain):
    roots = [charter["roster"][party]["root"] for charter, _ in chain if party in charter["roster"]]
    record, signers, _, _ = folder.document(path, "node-record", roots)
    demand(record["consortium"] == consortium, path, "consortium")
    demand(record["party"] == party and record["root"] in signers, path, "party")
    return record


def node_records(folder, consortium, chain):
    """(the operator's records, those of cosigners by name)."""
    operator = operator_of(chain[-1][0])[0]
    paths = folder.numbered("operator")
    demand(paths, "operator/0001.cohortium", "missing")
    own = [node_record(folder, path, operator, consortium, chain) for path in paths]
    cosigners = {}
    for path in (path for path in folder.paths if path.startswith("cosigner")):
        name = path.removeprefix("cosigner").removeprefix("/").removesuffix(".cohortium")
        demand(path == f"cosigner/{name}.cohortium", path, "stranger")
        try:
            ident.check_name(name)
        except Refused:
            raise Wrong(path, "stranger") from None
        cosigners[name] = node_record(folder, path, name, consortium, chain)
    return own, cosigners


def check_statement(release, consortium, chain):
    charter, digest = chain[-1]
    demand(release["consortium"] == consortium, STATEMENT, "consortium")
    demand(release["operator"] == operator_of(charter)[0], STATEMENT, "party")
    demand(release["charter"] == digest, STATEMENT, "charter")
    members = {name for name, party in charter["roster"].items() if party["kind"] == "member"}
    demand(set(release["request"]["recipients"]) <= members, STATEMENT, "recipient")


def check_project(release, project, digest, charter):
    (kind, done), = release["done"].items()
    same = (digest, project["consortium"], project["operator"], project["name"], project["account"])
    stated = (release["project"], release["consortium"], release["operator"], release["request"]["project"], release["account"])
    demand(same == stated, PROJECT, "project")
    allowed = kind in project["kinds"] and set(release["request"]["recipients"]) <= set(project["recipients"])
    allowed = allowed and set(release["tables"]) <= set(project["tables"]) and project["account"] in charter["accounts"]
    demand(allowed, STATEMENT, "not-of-project")
    floors = {"microdata": ("k", "anonymity_k_min"), "counts": ("floor", "small_cell_min")}
    if kind in floors:
        kept, least = floors[kind]
        demand(done[kept] >= charter["policy"][least], STATEMENT, "floor")
    if kind == "aggregate":
        check_epsilon(done, charter["accounts"][release["account"]])


def check_epsilon(done, account):
    """FOLD-6."""
    rho, delta, shown, tokens = int(done["rho"]), int(done["delta"]), int(done["at"]), done["tokens"]
    demand(tokens == account["tokens_per_person_max"], STATEMENT, "account")
    demand(shown == epsilon.delta_shown(account["patients_max"]), STATEMENT, "account")
    demand(done["epsilon"] >= epsilon.least_stated(rho, delta, shown), STATEMENT, "epsilon-of-token")
    person = max(tokens, 1) ** 2 * rho
    demand(done["epsilon_person"] >= epsilon.least_stated(person, delta, shown), STATEMENT, "epsilon-of-person")


def check_body(folder, release):
    for file in release["body"]:
        length, digest = 0, hashlib.sha256()
        for piece in folder.pieces(file["path"]):
            length += len(piece)
            digest.update(piece)
        demand((length, digest.hexdigest()) == (file["bytes"], file["sha256"]), file["path"], "body")


def journal_entry(folder, path):
    data = folder.whole(path, ENTRY_MAX + 64)
    try:
        file = codec.decode(JOURNAL_FILE, data, ENTRY_MAX + 64)
        return codec.decode(records.JOURNAL_ENTRY, bytes.fromhex(file["entry"]), ENTRY_MAX), file
    except Refused:
        raise Wrong(path, "entry") from None


def check_proof(folder, path, origin, keys, entry, file):
    """LOG-14: (index in the log, names that cosigned)."""
    data = folder.whole(path, LIMITS["LOG_PROOF_BYTES_MAX"])
    try:
        proof = codec.decode(PROOF, data, LIMITS["LOG_PROOF_BYTES_MAX"])
        demand(proof["origin"] == origin, path, "proof")
        size, root, cosigned, strangers = note.open_checkpoint(proof["checkpoint"], origin, keys)
        demand(strangers == 0, path, "proof")
        leaf = merkle.leaf_hash(bytes.fromhex(proof["leaf"]))
        merkle.verify_inclusion(leaf, proof["index"], size, root, [bytes.fromhex(step) for step in proof["path"]])
    except Refused:
        raise Wrong(path, "proof") from None
    salted = b"cohortium/1 " + (8).to_bytes(8, "little") + b"log leaf" + bytes.fromhex(file["salt"] + file["entry"])
    demand(hashlib.sha256(salted).hexdigest() == proof["leaf"], entry, "leaf")
    return proof["index"], {line["name"] for line in cosigned}


def reserved_as(release):
    """What the entry that reserved this release says, but for the question and the members."""
    (kind, asked), = release["request"]["asked"].items()
    charge = {"private": {part: asked[part] for part in ("rho", "delta")}} if kind == "aggregate" else "uncovered"
    same = ("release", "charter", "project", "account", "consolidation", "tables")
    said = {name: release[name] for name in same}
    request = digest_of("request", release["request"])
    return said | {"kind": kind, "request": request, "recipients": release["request"]["recipients"], "charge": charge}


def check_reservation(release, project, entry):
    path, act = "journal/reserved", entry["act"]
    demand("release-reserved" in act, path, "entry")
    stated = act["release-reserved"]
    differs = [name for name, value in reserved_as(release).items() if stated[name] != value]
    demand(entry["at"] < project["expires"] and not differs, path, "entry-differs")


def check_signing(entry, envelope, signers, own):
    demand("released" in entry["act"], "journal/signed", "entry")
    demand(entry["act"]["released"] == envelope, "journal/signed", "entry-differs")
    stood = any(record["signing"] in signers and record["not_before"] <= entry["at"] < record["not_after"] for record in own)
    demand(stood, STATEMENT, "expired")


def verify(root, anchor=None):
    """FOLD-1 to FOLD-3: what stands of a release; raises Wrong with the first thing that does not."""
    folder = Folder(root)
    consortium, chain = charters(folder, anchor)
    own, cosigners = node_records(folder, consortium, chain)
    keys = [record["signing"] for record in own]
    release, signers, _, envelope = folder.document(STATEMENT, "release", keys)
    check_statement(release, consortium, chain)
    project, _, digest, _ = folder.document(PROJECT, "project", keys)
    check_project(release, project, digest, chain[-1][0])
    check_body(folder, release)
    words = (json.dumps(release, indent=2, ensure_ascii=False) + "\n").encode()
    demand(folder.whole("statement.json", JSON_MAX) == words, "statement.json", "words")
    origin = f"cohortium/{consortium}/{release['operator']}"
    known = [(origin, note.LOG, bytes.fromhex(key)) for key in keys]
    names = {party: f"cohortium/{consortium}/{party}" for party in cosigners}
    known += [(names[party], note.COSIGNER, bytes.fromhex(record["signing"])) for party, record in cosigners.items()]
    reserved, file = journal_entry(folder, "journal/reserved")
    index, first = check_proof(folder, "log/reserved", origin, known, "journal/reserved", file)
    demand(index == release["reserved"], "log/reserved", "proof")
    check_reservation(release, project, reserved)
    signed, file = journal_entry(folder, "journal/signed")
    _, second = check_proof(folder, "log/signed", origin, known, "journal/signed", file)
    check_signing(signed, envelope, signers, own)
    expected = FIXED | {file["path"] for file in release["body"]} | {f"cosigner/{name}.cohortium" for name in cosigners}
    expected |= set(folder.numbered("charter")) | set(folder.numbered("operator"))
    strangers = [path for path in folder.paths if path not in expected]
    demand(not strangers, strangers[0] if strangers else "", "stranger")
    return {
        "release": release["release"], "consortium": consortium, "anchored": anchor is not None,
        "charter_version": chain[-1][0]["version"], "consortium_kind": chain[-1][0]["kind"],
        "kind": next(iter(release["done"])), "signed_at": signed["at"],
        "cosigned_by": sorted(party for party, name in names.items() if name in first | second),
        "rows": sum(file["rows"] for file in release["body"]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder")
    parser.add_argument("--anchor", help="the consortium's id, from somewhere else than the folder")
    given = parser.parse_args()
    try:
        told, code = verify(given.folder, given.anchor), 0
    except Wrong as wrong:
        told, code = {"path": wrong.path, "fault": wrong.fault}, 5
    print(json.dumps(told))
    if told.get("anchored") is False:
        print("NOT ANCHORED: give --anchor CONSORTIUM_ID; anybody could have made all of it.", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
