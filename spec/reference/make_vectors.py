#!/usr/bin/env python3
"""Writes spec/vectors from the reference, or with --check says which files would change. Needs Python 3.11, nothing else."""

import json
import sys
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True

from cases import consolidation, documents, encoding, identity, linkage, log, rules, snapshots  # noqa: E402
from cases import documents, encoding, identity, linkage, log, releases, rules, snapshots, treatments  # noqa: E402
from cases.book import Book  # noqa: E402

SPEC = Path(__file__).resolve().parent.parent


def build():
    """All vectors, as file name -> text."""
    book = Book()
    registry = tomllib.loads((SPEC / "registry.toml").read_text())
    encoding.add_codec(book)
    encoding.add_frames(book, registry)
    encoding.add_names(book)
    identity.add_keys(book)
    identity.add_signatures(book)
    identity.add_documents(book)
    identity.add_join(book)
    documents.add_golden(book)
    documents.add_charters(book)
    documents.add_identity(book)
    documents.add_shares(book)
    documents.add_mappings(book)
    documents.add_pipelines(book)
    documents.add_sources(book)
    documents.add_listings(book)
    documents.add_messages(book)
    consolidation.add_rows(book)
    consolidation.add_parts(book)
    consolidation.add_records(book)
    releases.add_records(book)
    releases.add_review(book)
    releases.add_budget(book)
    releases.add_projects(book)
    snapshots.add_shapes(book)
    snapshots.add_outboards(book)
    snapshots.add_pieces(book)
    log.add_leaves(book)
    log.add_proofs(book)
    log.add_checkpoints(book)
    log.add_tiles(book)
    linkage.add_wraps(book)
    linkage.add_ids(book)
    linkage.add_tokens(book)
    treatments.add_values(book)
    treatments.add_shifts(book)
    treatments.add_tests(book)
    rules.add_succession(book)
    rules.add_chains(book)
    rules.add_widenings(book)
    rules.add_documents(book)
    rules.add_flow(book)
    return {f"{name}.json": text_of(vectors) for name, vectors in sorted(book.files.items())}


def text_of(vectors):
    """One vector a line, so that a change shows as one line."""
    lines = ",\n".join(json.dumps(vector, ensure_ascii=False, separators=(",", ":")) for vector in vectors)
    return f"[\n{lines}\n]\n"


def main():
    folder, wanted = SPEC / "vectors", build()
    present = {str(path.relative_to(folder)): path for path in folder.glob("*/*.json")}
    differing = sorted(name for name in wanted.keys() | present.keys()
                       if name not in present or name not in wanted or present[name].read_text() != wanted[name])
    if "--check" in sys.argv[1:]:
        for name in differing:
            print(f"spec/vectors/{name} is not what the reference makes")
        return 1 if differing else 0
    for name in differing:
        if name in wanted:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(wanted[name])
        else:
            present[name].unlink()
    print(f"{sum(text.count(chr(10)) - 2 for text in wanted.values())} vectors in {len(wanted)} files, {len(differing)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
