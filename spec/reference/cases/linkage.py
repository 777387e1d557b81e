"""The linkage key on its way (spec chapter 7)."""

import blake3
import linkage as rules
import sealing
import world


def add_wraps(book):
    """LINK-2: a wrap opens for its recipient and context alone."""
    secret, recipient = world.seed(9), world.seed(world.SOUTH[3])
    public, context = sealing.sealing_key(recipient), b"south 1"
    ephemeral, ciphertext = sealing.wrap(secret, world.seed(41), public, context)
    good = {"seed": recipient.hex(), "ephemeral": ephemeral.hex(), "ciphertext": ciphertext.hex(), "context": context.hex()}
    book.add("linkage/wraps", "wrap", "LINK-2", "wrap",
             {"secret": secret.hex(), "ephemeral_seed": world.seed(41).hex(), "recipient": public.hex(), "context": context.hex()},
             expect={"ephemeral": ephemeral.hex(), "ciphertext": ciphertext.hex()}, note="X25519, HKDF-SHA-256, AES-256-GCM")

    def one(name, note, **changes):
        given = good | changes
        opened = sealing.unwrap(*(bytes.fromhex(given[key]) for key in ("seed", "ephemeral", "ciphertext", "context")))
        outcome = {"expect": opened.hex()} if opened else {"code": given.get("code", "not-for-us")}
        book.add("linkage/wraps", name, "LINK-2", "unwrap", {key: given[key] for key in good}, note=note, **outcome)

    one("open", "for its recipient and context")
    one("other-context", "another context", context=b"south 2".hex())
    one("other-recipient", "another recipient", seed=world.seed(world.NORTH[3]).hex())
    for byte in (0, 31, 32, 47):
        bent = bytearray(ciphertext)
        bent[byte] ^= 1
        one(f"bent-{byte}", f"byte {byte} of the ciphertext changed", ciphertext=bytes(bent).hex())
    one("cut", "a byte less", ciphertext=ciphertext[:-1].hex())
    one("empty", "nothing", ciphertext="")
    one("other-ephemeral", "another ephemeral key", ephemeral=sealing.sealing_key(world.seed(42)).hex())
    for name, point in (("zero", bytes(32)), ("one", (1).to_bytes(32, "little")), ("p-minus-1", (sealing.P - 1).to_bytes(32, "little"))):
        one(f"small-{name}", "an ephemeral key of small order", ephemeral=point.hex(), code="key-refused")
        given = {"secret": secret.hex(), "ephemeral_seed": world.seed(41).hex(), "recipient": point.hex(), "context": ""}
        assert sealing.wrap(secret, world.seed(41), point, b"") is None
        book.add("linkage/wraps", f"to-small-{name}", "LINK-2", "wrap", given, code="key-refused", note="a recipient's key of small order")


def add_ids(book):
    """BLOB-5: row ids and opt-out entries."""
    for index, parts in enumerate(([], [b""], [b"ab", b"c"], [b"a", b"bc"], [b"x" * 5000])):
        data = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
        book.add("blob/ids", f"id-{index}", "BLOB-5", "keyed-id", {"key": "05" * 32, "parts": [part.hex() for part in parts]},
                 expect=blake3.keyed(bytes([5] * 32), data, 16).hex(), note="keyed BLAKE3 over length and bytes of each part")


def add_tokens(book):
    """LINK-3 to LINK-5, LINK-7."""
    names = [
        "Müller", "Mueller", "Mu\u0308ller", "Straße", "ẞ", "Søren", "Ægir", "Cœur", "Đorđe", "Łódź", "Þórður", "Işık", "İnci", "O'Neil",
        "O’Neil", "Anne-Marie", "  João ", "Nguyễn", "ＡＢ", "ŉa", "ﬁn", "Renée 2", "ǰan", "Σίσυφος", "Иван", "Алёна", "한글", "مُحمد",
        "किरण", "が", "Dvořák", "Ibáñez", "Ŋoŋa", "Ǥa", "Əli", "", " ", "-", "123", "?", "\u0301", "\u200b", "a\u0345b", "ΐ", "李〇", "Ⅷ", "ʻAkau",
    ]
    for index, raw in enumerate(names):
        book.add("linkage/names", f"name-{index}", "LINK-4", "linkage-name", {"name": raw}, expect=rules.name(raw),
                 edge=not rules.name(raw), note="a name by the rules of version 1; none has a token")
    days = [
        ("iso", "2024-02-29"), ("iso", "2023-02-29"), ("iso", "1900-02-29"), ("iso", "2000-02-29T10:00:00Z"), ("iso", "2000-02-29x"),
        ("iso", "2000-02-29T24:00"), ("iso", "2000-02-29T555123456"), ("iso", "2000-02-29T"), ("compact", "20000229555123456"),
        ("iso", "2000-2-29"), ("iso", "0000-01-01"), ("iso", "2000-04-31"), ("iso", ""), ("iso", "2000-01-0\u0661"), ("iso", "2000-13-01"),
        ("day-month-year-dots", "29.02.2024"), ("day-month-year-dots", "1.2.2024"), ("day-month-year-dots", "1.2.24"),
        ("day-month-year-dots", "1.2.2024."), ("day-month-year-dots", "00.01.2024"), ("month-day-year-slashes", "9/21/2012"),
        ("month-day-year-slashes", "21/9/2012"), ("compact", "20240229"), ("compact", "20240229101500+0100"), ("compact", "20240229T10"),
        ("compact", "2024022"), ("compact", "20240230"), ("compact", " 20240229 "),
    ]
    for index, (form, raw) in enumerate(days):
        found = rules.day(raw, form)
        outcome = {"expect": found} if found else {"code": "no-day"}
        book.add("linkage/days", f"day-{index}", "LINK-4", "linkage-day", {"format": form, "day": raw}, note="a day of the calendar", **outcome)
    key, consortium = world.seed(9), bytes.fromhex(world.CONSORTIUM)
    for epoch in (1, 2, 70_000):
        sub = rules.sub_key(key, consortium, epoch)
        given = {"key": key.hex(), "consortium": world.CONSORTIUM, "epoch": epoch}
        book.add("linkage/keys", f"sub-key-{epoch}", "LINK-7", "linkage-sub-key", given, note="the sub-key and its id",
                 expect={"sub_key": sub.hex(), "id": rules.key_id(sub).hex()})
        for normaliser in (1, 2):
            book.add("linkage/keys", f"check-{epoch}-{normaliser}", "LINK-3", "linkage-check", given | {"normaliser": normaliser},
                     expect=rules.check_value(sub, normaliser).hex(), note="what only a holder of key and rules computes")
        for index, (given_name, family) in enumerate((("Renée", "Müller"), ("RENEE", "muller"), ("Müller", "Renée"), ("", "Müller"))):
            made = rules.token(sub, given_name, family, "1984-02-29", "iso")
            outcome = {"expect": made.hex()} if made else {"code": "no-token"}
            book.add("linkage/tokens", f"token-{epoch}-{index}", "LINK-5", "linkage-token",
                     given | {"given": given_name, "family": family, "birth": "1984-02-29", "format": "iso"}, note="a token", **outcome)
