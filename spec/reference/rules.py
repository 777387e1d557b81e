"""Rules over records: which charter follows another, which manifest continues a chain, what lets more leave."""

from decimal import Decimal

import codec
import dsse
import records
from codec import Refused
from terms import require, verb

LAXITY = {"erase": 0, "exclude": 1, "keep": 2}


def check_succession(consortium, last, last_digest, following):
    """CHAR-3 to CHAR-5, CHAR-12."""
    require(following["consortium"] == consortium and following["previous"] == last_digest, "link")
    require(following["version"] == last["version"] + 1, "link")
    require(following["kind"] == last["kind"], "kind-changed")
    for name, party in following["roster"].items():
        former = last["roster"].get(name)
        if former is None:
            continue
        kept = (party["root"], party["succeeds"]) == (former["root"], former["succeeds"])
        handed = party["root"] != former["root"] and party["succeeds"] == former["root"]
        require(party["kind"] == former["kind"] and (kept or handed), "name-reassigned")
    renewed = records.safeguards_of(following)["renewed"]
    for name, account in last["accounts"].items():
        now = following["accounts"].get(name, account)
        larger = any(int(now[part]) > int(account[part]) for part in ("rho", "delta"))
        require(not larger or renewed.get(name, {}).get("version") == following["version"], "renewal")
    if last["linkage"] is not None:
        a, b = last["linkage"], following["linkage"]
        require(b is not None, "epoch")
        kept = b == a
        require(kept or b["epoch"] == a["epoch"] + 1, "epoch")


def check_names(chain, following):
    """CHAR-4 after a gap: `chain` is every version in force, the newest last."""
    for name, party in following["roster"].items():
        had = [earlier["roster"][name] for earlier in chain if name in earlier["roster"]]
        if had and name not in chain[-1]["roster"]:
            require(had[-1]["root"] in (party["root"], party["succeeds"]), "name-reassigned")


def strengthens(last, following):
    """CHAR-7: every field by itself must be equal or changed for the stricter."""
    for name in ("title", "kind", "roster", "threshold", "schema", "accounts", "ext"):
        if last[name] != following[name]:
            return False
    for floor in ("anonymity_k_min", "small_cell_min"):
        if following["policy"][floor] < last["policy"][floor]:
            return False
    a, b = last["terms"], following["terms"]
    if b["contract"] != a["contract"] or b["share_validity_max"] > a["share_validity_max"]:
        return False
    if LAXITY[b["landed_rows"]] > LAXITY[a["landed_rows"]]:
        return False
    a, b = last["linkage"], following["linkage"]
    return a == b or (a is not None and b is not None and a["key_maker"] == b["key_maker"])


def requirement(last, following):
    """CHAR-6: whose signatures count, and how many are needed, beside the operator's."""

    def members(charter):
        return sorted(party["root"] for party in charter["roster"].values() if party["kind"] == "member")

    eligible = members(last) or members(following)
    return eligible, 0 if strengthens(last, following) else min(len(eligible), last["threshold"])


def check_continues(head, manifest, identity):
    """SNAP-1, SNAP-2: `head` is (sequence, snapshot) of the last manifest, or None."""
    full = manifest["base"] == "full"
    if head is None:
        require(full and manifest["sequence"] > 0, "chain-broken")
        return
    sequence, snapshot = head
    if manifest["sequence"] == sequence and identity != snapshot:
        raise Refused("forked")
    require(manifest["sequence"] > sequence, "chain-broken")
    if manifest["sequence"] == sequence + 1:
        require(manifest["previous"] == snapshot, "chain-broken")
    else:
        require(full, "chain-broken")


def plainer(last, following):
    """Whether what leaves under the one could not be made of what left under the other."""
    if following == "drop" or last == "keep" or last == following:
        return False
    one, other = verb(last), verb(following)
    if one == "month" and other in ("month", "year"):
        return last["month"]["format"] != following[other]["format"]
    if one == other == "year":
        a, b = last["year"], following["year"]
        return a["format"] != b["format"] or (b["floor"] or 0) < (a["floor"] or 0)
    if one == other == "round":
        return following["round"] > last["round"]
    return True


def implies(test, other):
    """Whether every row that passes the first test of a filter passes the second."""
    if test["column"] != other["column"]:
        return False
    a, b = test["passes"], other["passes"]
    if b == "present":
        return True
    if a == "present" or verb(a) != verb(b):
        return False
    if verb(a) == "one-of":
        return set(a["one-of"]) <= set(b["one-of"])
    x, y = a[verb(a)], b[verb(b)]
    if verb(x) != verb(y):
        return False
    if "number" in x:
        low, high = Decimal(x["number"]), Decimal(y["number"])
    elif x["day"]["format"] == y["day"]["format"]:
        low, high = x["day"]["day"], y["day"]["day"]
    else:
        return False
    return low >= high if verb(a) == "at-least" else low <= high


def widens(last, following):
    """SHARE-3: whether more leaves under the following terms."""
    if any(last[name] != following[name] for name in ("dataset", "form", "purpose", "share", "provider")):
        return True
    a, b = last["content"], following["content"]
    if isinstance(a, str) != isinstance(b, str):
        return True
    if not isinstance(a, str):
        last_table, next_table = a["table"], b["table"]
        before = {column["name"]: column["treatment"] for column in last_table["columns"]}
        if any(plainer(before.get(column["name"], "drop"), column["treatment"]) for column in next_table["columns"]):
            return True
        if last_table["linkage"] == "none" and next_table["linkage"] == "token":
            return True
        if not all(any(implies(after, test) for after in next_table["filter"]) for test in last_table["filter"]):
            return True
        if set(last_table["small_areas"]) - set(next_table["small_areas"]):
            return True
        if last_table["standard"] != "none" and next_table["standard"] == "none":
            return True
    more = set(following["consumers"]) - set(last["consumers"])
    laxer = LAXITY[following["landed_rows"]] > LAXITY[last["landed_rows"]]
    return bool(more) or following["expires"] > last["expires"] or laxer


def check_charter_document(consortium, operator_root, chain, data):
    """CHAR-4, CHAR-8, CHAR-9: (digest, signers) of a version that may follow the chain of (document, digest), each in force.

    Only the signatures of the signers are carried on."""
    env = codec.decode(dsse.ENVELOPE, data, dsse.DOCUMENT_MAX)
    charter = codec.decode(records.CHARTER, bytes.fromhex(env["payload"]), dsse.DOCUMENT_MAX)
    digest = dsse.digest(env["payload_type"], bytes.fromhex(env["payload"])).hex()
    if not chain:
        require(charter["version"] == 1 and digest == consortium, "chain-broken")
        roots, operator = [], operator_root
    else:
        last, last_digest = chain[-1]
        try:
            check_succession(consortium, last, last_digest, charter)
            check_names([earlier for earlier, _ in chain], charter)
        except Refused:
            raise Refused("chain-broken") from None
        roots = [party["root"] for party in last["roster"].values()]
        operator = next(party["root"] for party in last["roster"].values() if party["kind"] == "operator")
    accepted = [party["root"] for party in charter["roster"].values()] + roots + [operator]
    try:
        _, signers, _ = dsse.verify(records.CHARTER, records.label("charter"), data, accepted)
    except Refused as refused:
        wrong = ("signature-invalid", "signer-missing")
        raise Refused("signature-invalid" if refused.code in wrong else "malformed") from None
    require(operator in signers, "signature-invalid")
    return digest, signers


def invitation_digest(invitation):
    """The name of an invitation."""
    return dsse.digest(records.label("invitation"), codec.encode(records.INVITATION, invitation)).hex()


def may_flow(invitation, events, now):
    """XFER-1, SHARE-8, SHARE-9: after these events, whether a byte may leave at that time."""
    standing, revoked, expires, accepted = "active", False, invitation["share"]["expires"], None
    former = (None, expires)
    for event in events:
        ((kind, value),) = event.items()
        if kind == "invitation":
            invitation = value
            if accepted != value["accepted"]:
                accepted, expires = former if former[0] == value["accepted"] else (None, expires)
        elif kind == "answer":
            if value == "accept":
                former = (accepted, expires)
                accepted, expires = invitation_digest(invitation), invitation["share"]["expires"]
        elif kind == "standing":
            standing = value
        elif value == "revoke":
            revoked = True
        elif value == "reinstate":
            revoked = False
        elif "expires" in value:
            expires = value["expires"]
    require(standing != "ended", "out-of-order")
    require(not revoked, "revoked")
    require(now < expires, "expired")
    require(accepted and standing == "active", "out-of-order")
