"""Keys, signatures, envelopes, join proofs (spec chapters 2 and 3)."""

import hashlib
import hmac

import codec
import dsse
import ed25519
import records
import world
from cases.book import refusal


def _text(number, sign=0):
    return (number | sign << 255).to_bytes(32, "little").hex()


def add_keys(book):
    """KEY-1: what is a public key."""
    for number in (1, 2, 31):
        book.add("key/keys", f"good-{number}", "KEY-1", "public-key", {"hex": world.key(number)}, expect=world.key(number),
                 note="an ordinary key")
    torsion = ed25519.torsion_points()
    for index, point in enumerate(torsion):
        data = ed25519.compress(point)
        assert not ed25519.accepts_key(data)
        book.add("key/keys", f"small-order-{index}", "KEY-1", "public-key", {"hex": data.hex()}, code="weak-key",
                 note=f"{index} times a point of order eight")
    p = ed25519.P
    second = [("zero", p, 0), ("zero-signed", p, 1), ("one", p + 1, 0), ("one-signed", p + 1, 1), ("one-minus-x", 1, 1),
              ("minus-one-minus-x", p - 1, 1)]
    second += [(f"y-{y}", p + y, sign) for y in range(2, 19) for sign in (0, 1) if ed25519.x_of(y, sign) is not None]
    for name, number, sign in second:
        text = _text(number, sign)
        assert not ed25519.accepts_key(bytes.fromhex(text))
        book.add("key/keys", f"second-encoding-{name}-{sign}", "KEY-1", "public-key", {"hex": text}, code="weak-key",
                 note="not the canonical encoding of its point")
    off = next(y for y in range(2, 99) if ed25519.x_of(y, 0) is None)
    book.add("key/keys", "no-point", "KEY-1", "public-key", {"hex": _text(off)}, code="weak-key", note="no point of the curve")
    mixed = ed25519.compress(ed25519.add(ed25519.decompress(ed25519.public_key(world.seed(1))), torsion[1]))
    assert ed25519.accepts_key(mixed)
    book.add("key/keys", "mixed-order", "KEY-1", "public-key", {"hex": mixed.hex()}, expect=mixed.hex(), edge=True,
             note="a key plus a point of order eight: of large order, so accepted; see key/cofactor")


def add_signatures(book):
    """KEY-2: which signatures stand."""
    seed, message = world.seed(7), b"message"
    key, signature = ed25519.public_key(seed), ed25519.sign(seed, message)

    def one(name, key, message, signature, note, edge=False):
        stands = ed25519.verifies(key, message, signature)
        given = {"key": key.hex(), "message": message.hex(), "signature": signature.hex()}
        outcome = {"expect": True} if stands else {"code": "signature-invalid"}
        book.add("key/signatures", name, "KEY-2", "verify-signature", given, edge=edge, note=note, **outcome)
        return stands

    assert one("good", key, message, signature, "RFC 8032")
    assert one("empty", key, b"", ed25519.sign(seed, b""), "an empty message")
    for bit in (0, 7, 128, 255, 256, 300, 511):
        bent = bytearray(signature)
        bent[bit // 8] ^= 1 << bit % 8
        assert not one(f"bent-{bit}", key, message, bytes(bent), f"bit {bit} of the signature flipped")
    assert not one("other-message", key, b"messagf", signature, "another message")
    assert not one("other-key", ed25519.public_key(world.seed(8)), message, signature, "another key")
    s = int.from_bytes(signature[32:], "little") + ed25519.L
    assert not one("large-s", key, message, signature[:32] + s.to_bytes(32, "little"), "S plus the group's order")
    identity = ed25519.compress(ed25519.IDENTITY)
    h = ed25519.challenge(identity, key, message)
    s = h * ed25519.expand(seed)[0] % ed25519.L
    small_r = identity + s.to_bytes(32, "little")
    assert not one("small-order-r", key, message, small_r, "R of small order; the equation holds")
    _add_cofactor(one, seed)


def _add_cofactor(one, seed):
    """A signature that stands only when both sides are multiplied by eight."""
    scalar = ed25519.expand(seed)[0]
    torsion = ed25519.torsion_points()[1]
    key = ed25519.compress(ed25519.add(ed25519.multiply(scalar, ed25519.BASE), torsion))
    r = ed25519.compress(ed25519.multiply(12345, ed25519.BASE))
    for number in range(64):
        message = b"cofactor %d" % number
        h = ed25519.challenge(r, key, message)
        signature = r + ((12345 + h * scalar) % ed25519.L).to_bytes(32, "little")
        if h % 8 == 4:
            assert not one("cofactor", key, message, signature, "stands only with the cofactor: refused", edge=True)
            return
    raise AssertionError("one message in eight will do")


def add_documents(book):
    """DOC-1 to DOC-5: names, labels, envelopes."""
    for kind, payload in (("http://example.com/HelloWorld", b"hello world"), ("", b""), ("é", b"\0\xff")):
        book.add("document/names", f"pae-{len(kind)}-{len(payload)}", "DOC-1", "pre-authentication-encoding",
                 {"payload_type": kind, "payload": payload.hex()}, note="what is signed, and its SHA-256",
                 expect={"hex": dsse.pae(kind, payload).hex(), "digest": dsse.digest(kind, payload).hex()})
    for name in records.DOCUMENTS:
        book.add("document/names", f"label-{name}", "DOC-2", "label", {"type": name}, expect=records.label(name),
                 note="the payload type of this document")
    person = world.encode("person", world.person())
    label = records.label("person")
    signed = dsse.envelope(label, person, [world.seed(1), world.seed(2)])
    keys = [line["key"] for line in signed["signatures"]]

    def one(name, requirement, envelope, accepted, note, edge=False):
        data = envelope if isinstance(envelope, bytes) else world.envelope_bytes(envelope)
        given = {"type": "person", "hex": data.hex(), "accepted": accepted}
        try:
            _, signers, digest = dsse.verify(records.PERSON, label, data, accepted)
            book.add("document/envelopes", name, requirement, "verify-document", given, edge=edge, note=note,
                     expect={"digest": digest, "signers": signers})
        except codec.Refused as refused:
            wire = 6 if refused.code in ("signature-invalid", "signer-missing") else 5
            book.add("document/envelopes", name, requirement, "verify-document", given, edge=edge, note=note,
                     code=refused.code, wire=wire)

    def bent(**changes):
        return signed | changes

    lines = signed["signatures"]
    one("both", "DOC-3", signed, keys, "both keys may sign")
    one("one-of-two", "DOC-5", signed, keys[:1], "a signature by a key that may not sign is not counted")
    one("none", "DOC-5", signed, [world.key(3)], "no key that may sign has signed")
    one("unsigned", "DOC-5", bent(signatures=[]), keys, "no signature at all")
    one("descending", "DOC-5", bent(signatures=lines[::-1]), keys, "signatures in descending order of keys")
    one("twice", "DOC-5", bent(signatures=[lines[0], lines[0], lines[1]]), keys, "one key twice")
    one("other-type", "DOC-4", bent(payload_type=records.label("order")), keys, "another payload type")
    order = dsse.pae(records.label("order"), person)
    lent = [{"key": keys[0], "signature": ed25519.sign(world.seed(1 if keys[0] == world.key(1) else 2), order).hex()}]
    one("lent", "DOC-4", bent(signatures=lent), keys, "a signature over the same payload under another type")
    stranger = dict(lines[1], signature="00" * 64)
    one("stranger-bent", "DOC-5", bent(signatures=[lines[0], stranger]), keys[:1], "a bad signature by a key that may not sign", True)
    one("accepted-bent", "DOC-3", bent(signatures=[lines[0], stranger]), keys, "one bad signature among good ones")
    swapped = [dict(lines[0], signature=lines[1]["signature"]), dict(lines[1], signature=lines[0]["signature"])]
    one("swapped", "DOC-3", bent(signatures=swapped), keys, "two signatures exchanged")
    weak = dict(lines[0], key="01" + "00" * 31)
    one("weak-key", "KEY-1", bent(signatures=[weak]), ["01" + "00" * 31], "a signature line with a weak key")
    trailing = dsse.envelope(label, person + b"\0", [world.seed(1)])
    one("payload-trailing", "CODEC-3", trailing, keys, "signed, but a byte follows the payload's value")
    unsorted = person.replace(b"\x02\x01\x02", b"\x02\x02\x01")
    assert unsorted != person
    one("payload-unsorted", "CODEC-2", dsse.envelope(label, unsorted, [world.seed(1)]), keys, "signed, but not canonical")
    data = world.envelope_bytes(signed)
    one("envelope-trailing", "CODEC-3", data + b"\0", keys, "a byte after the envelope")
    one("envelope-cut", "CODEC-1", data[:-1], keys, "the last byte is missing")
    long_type = codec.STRING.write(label)
    one("envelope-over-long", "CODEC-2", b"\xfb" + bytes([long_type[0], 0]) + data[1:], keys, "an over-long length")
    for bit in range(3, len(data) * 8, 397):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        one(f"bit-{bit}", "DOC-3", bytes(flipped), keys, f"bit {bit} of the envelope flipped")


def add_join(book):
    """JOIN-1, JOIN-2: the one-time secret."""
    secret = bytes(range(16))
    prefix = b"cohortium/1 " + len("join secret").to_bytes(8, "little") + b"join secret"
    digest = hashlib.sha256(prefix + secret).digest()
    book.add("key/join", "secret-digest", "JOIN-2", "join-secret-digest", {"secret": secret.hex()}, expect=digest.hex(),
             note="the name under which the operator keeps a secret")
    prefix = b"cohortium/1 " + len("join secret id").to_bytes(8, "little") + b"join secret id"
    book.add("key/join", "secret-id", "JOIN-2", "join-secret-id", {"digest": digest.hex()},
             expect=hashlib.sha256(prefix + digest).hexdigest(), note="by which a hospital says which secret it holds")
    keys = [world.key(number) for number in (world.OPERATOR[1], world.NORTH[1], world.NORTH[0])]
    proof = hmac.new(digest, b"cohortium/1 join" + b"".join(map(bytes.fromhex, keys)), hashlib.sha256).hexdigest()
    given = {"secret": digest.hex(), "operator_tls": keys[0], "hospital_tls": keys[1], "root": keys[2]}
    book.add("key/join", "proof", "JOIN-1", "join-proof", given, expect=proof, note="HMAC under the secret's digest")
