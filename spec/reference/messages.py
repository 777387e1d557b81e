"""What each frame carries (spec chapter 8), as lists of fields, and the frame itself."""

import hashlib

from codec import U16, U64, Enum, Refused, STRING, Seq, Struct
from dsse import ENVELOPE as SIGNED
from dsse import KEY
from ident import NAME, TEXT
from records import CONSORTIUM, DIGEST, MILLIS, NONCE, SIZE, SNAPSHOT, SUBSCRIPTION
from codec import Fixed

VERSIONS = Struct(oldest=U16, newest=U16)
DOCUMENT = Enum(
    charter=SIGNED, node_record=SIGNED, invitation=SIGNED, acceptance=SIGNED, standing=SIGNED, revocation=SIGNED,
    manifest=SIGNED, receipt=SIGNED, linkage_wrap=SIGNED, site_notice=SIGNED, common_schema=SIGNED, project=SIGNED, withdrawal=SIGNED,
    announcement=SIGNED, objection=SIGNED, debit=SIGNED,
)
HELD = Struct(documents=U64, head=Fixed(32))
MESSAGES = {
    "hello": Struct(versions=VERSIONS, consortium=CONSORTIUM, record=SIGNED, clock=MILLIS, held=HELD),
    "hello-ack": Struct(version=U16, record=SIGNED, clock=MILLIS, held=HELD),
    "refused": Struct(code=U16),
    "document": Struct(index=U64, document=DOCUMENT),
    "outboard-get": Struct(subscription=SUBSCRIPTION, snapshot=SNAPSHOT, blob=DIGEST),
    "range-get": Struct(subscription=SUBSCRIPTION, snapshot=SNAPSHOT, blob=DIGEST, offset=SIZE),
    "bulk-begin": Struct(bytes=SIZE),
    "log-offer": Struct(old=U64, checkpoint=STRING, path=Seq(Fixed(32))),
    "log-answer": Enum(cosigned=STRING, prove_from=U64),
    "join-token": Struct(consortium=CONSORTIUM, party=NAME, operator=KEY, tls=KEY, address=TEXT, secret=NONCE, expires=MILLIS),
    "join": Struct(consortium=CONSORTIUM, secret=DIGEST, proof=Fixed(32), record=SIGNED),
    "join-ack": Struct(charter=SIGNED, record=SIGNED),
}


def mail_head(names):
    """MAIL-3: the head over documents, given by their names."""
    head = bytes(32)
    for name in names:
        head = hashlib.sha256(b"cohortium/1 " + (4).to_bytes(8, "little") + b"mail" + head + name).digest()
    return head


def frame_header(data, types):
    """WIRE-1: (type, payload length) of eight bytes; `types` gives each type's bound."""
    code, reserved = int.from_bytes(data[:2], "little"), data[2:4]
    length = int.from_bytes(data[4:8], "little")
    if code not in types:
        raise Refused("unknown-type")
    if reserved != b"\0\0":
        raise Refused("reserved")
    if length > types[code]:
        raise Refused("too-long")
    return code, length


def frame(code, payload):
    """A whole frame."""
    return code.to_bytes(2, "little") + b"\0\0" + len(payload).to_bytes(4, "little") + payload


def agree(ours, theirs):
    """WIRE-3: the newest version that both speak, or None."""
    if ours[0] > ours[1] or theirs[0] > theirs[1]:
        return None
    oldest, newest = max(ours[0], theirs[0]), min(ours[1], theirs[1])
    return newest if oldest <= newest else None
