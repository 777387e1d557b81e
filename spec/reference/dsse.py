"""Signed documents (spec chapter 2): DSSE pre-authentication encoding, envelopes, verification."""

import hashlib

import codec
import ed25519
from codec import Refused

DOCUMENT_MAX = 1024 * 1024
SIGNATURES_MAX = 1000
KEY = codec.Checked(codec.Fixed(32), lambda key: _check_key(bytes.fromhex(key)))
ENVELOPE = codec.Struct(
    payload_type=codec.STRING,
    payload=codec.BYTES,
    signatures=codec.Seq(codec.Struct(key=KEY, signature=codec.Fixed(64))),
)


def _check_key(data):
    if not ed25519.accepts_key(data):
        raise Refused("weak-key")


def pae(payload_type, payload):
    """DOC-1: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def digest(payload_type, payload):
    """DOC-1: a document's name."""
    return hashlib.sha256(pae(payload_type, payload)).digest()


def envelope(payload_type, payload, seeds):
    """A signed document, its signatures in ascending order of their keys."""
    message = pae(payload_type, payload)
    lines = [{"key": ed25519.public_key(seed).hex(), "signature": ed25519.sign(seed, message).hex()} for seed in seeds]
    return {"payload_type": payload_type, "payload": payload.hex(), "signatures": sorted(lines, key=lambda line: line["key"])}


def verify(kind, label, data, accepted):
    """Checks an envelope's bytes against the keys that may sign; returns (document, signers, digest)."""
    env = codec.decode(ENVELOPE, data, DOCUMENT_MAX)
    if env["payload_type"] != label:
        raise Refused("wrong-type")
    keys = [line["key"] for line in env["signatures"]]
    if len(keys) > SIGNATURES_MAX or any(a >= b for a, b in zip(keys, keys[1:])):
        raise Refused("signature-order")
    payload = bytes.fromhex(env["payload"])
    message, signers = pae(label, payload), []
    for line in env["signatures"]:
        if line["key"] not in accepted:
            continue
        if not ed25519.verifies(bytes.fromhex(line["key"]), message, bytes.fromhex(line["signature"])):
            raise Refused("signature-invalid")
        signers.append(line["key"])
    if not signers:
        raise Refused("signer-missing")
    return codec.decode(kind, payload, DOCUMENT_MAX), signers, hashlib.sha256(message).hexdigest()
