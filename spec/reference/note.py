"""Checkpoints: signed notes (C2SP signed-note, tlog-checkpoint, tlog-cosignature; spec chapter 6)."""

import base64
import hashlib

import ed25519
from codec import Refused

LOG, COSIGNER = 1, 4
MARK = "\u2014 "
NOTE_MAX, SIGNATURES_MAX = 512 * 1024, 1000


def key_id(name, kind, key):
    """LOG-10."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


def text_of(origin, size, root):
    """The text of a checkpoint."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def line(name, identity, signature):
    """A signature line."""
    return f"{MARK}{name} {base64.b64encode(identity + signature).decode()}\n"


def sign(text, name, seed):
    """The log's own signature line."""
    return line(name, key_id(name, LOG, ed25519.public_key(seed)), ed25519.sign(seed, text.encode()))


def cosigned(text, seconds):
    """What a cosigner signs."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def cosign(text, name, seed, seconds):
    """A cosigner's signature line."""
    stamped = seconds.to_bytes(8, "big") + ed25519.sign(seed, cosigned(text, seconds))
    return line(name, key_id(name, COSIGNER, ed25519.public_key(seed)), stamped)


def _decode64(text, code):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(code) from None
    if base64.b64encode(data).decode() != text:
        raise Refused(code)
    return data


def _stands(kind, key, text, signature):
    if kind == LOG:
        return len(signature) == 64 and ed25519.verifies(key, text.encode(), signature)
    seconds = int.from_bytes(signature[:8], "big")
    return len(signature) == 72 and seconds < 2**63 and ed25519.verifies(key, cosigned(text, seconds), signature[8:])


def open_checkpoint(note, origin, keys):
    """LOG-11: (size, root, cosigners, strangers). `keys` are (name, kind, key)."""
    if len(note.encode()) > NOTE_MAX:
        raise Refused("too-long")
    if any(c < " " and c != "\n" for c in note):
        raise Refused("not-text")
    head, gap, tail = note.rpartition("\n\n")
    if not gap or not head or not tail.endswith("\n") or tail.count("\n") > SIGNATURES_MAX:
        raise Refused("shape")
    text, signatures = head + "\n", []
    for each in tail[:-1].split("\n"):
        if not each.startswith(MARK) or each.count(" ") < 2:
            raise Refused("signature-line")
        name, encoded = each[len(MARK) :].split(" ", 1)
        data = _decode64(encoded, "signature-line")
        if len(data) <= 4 or not name or "+" in name:
            raise Refused("signature-line")
        signatures.append((name, data[:4], data[4:]))
    by_log, cosigners, strangers = False, [], 0
    for name, identity, signature in signatures:
        known = [(kind, key) for known, kind, key in keys if known == name and key_id(name, kind, key) == identity]
        if not known:
            strangers += 1
        elif not _stands(*known[0], text, signature):
            raise Refused("signature-invalid")
        elif known[0][0] == LOG:
            by_log = True
        else:
            cosigners.append({"name": name, "at": int.from_bytes(signature[:8], "big")})
    if not by_log:
        raise Refused("unsigned")
    lines = head.split("\n")
    digits = lines[1] if len(lines) > 1 else ""
    if "" in lines or not digits.isascii() or not digits.isdigit() or str(int(digits)) != digits or int(digits) >= 2**64:
        raise Refused("body")
    root = _decode64(lines[2] if len(lines) > 2 else "", "body")
    if len(root) != 32:
        raise Refused("body")
    if lines[0] != origin:
        raise Refused("origin")
    return int(digits), root, cosigners, strangers
