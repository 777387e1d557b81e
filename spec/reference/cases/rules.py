"""Charter succession, manifest chains, widenings (spec chapters 3 to 5)."""

import rules
import world
from codec import Refused
from world import CONSORTIUM


def _third(**changes):
    last = world.charter_2()
    return last | {"version": 3, "previous": world.digest("charter", last), "at": last["at"] + 1000} | changes


def add_succession(book):
    """CHAR-3 to CHAR-7."""
    first, last = world.charter(), world.charter_2()
    roster = last["roster"]
    north, south = roster["north"], roster["south"]
    east = {"kind": "member", "title": "Ostklinik", "root": world.key(51), "succeeds": None}

    def one(name, requirement, base, following, note):
        given = {"consortium": CONSORTIUM, "last": base, "last_digest": world.digest("charter", base), "next": following}
        try:
            rules.check_succession(CONSORTIUM, base, given["last_digest"], following)
        except Refused as refused:
            book.add("rule/succession", name, requirement, "charter-succession", given, code=refused.code, note=note)
            return
        eligible, needed = rules.requirement(base, following)
        expect = {"eligible": eligible, "needed": needed, "strengthens": rules.strengthens(base, following)}
        book.add("rule/succession", name, requirement, "charter-succession", given, expect=expect, note=note)

    terms, policy, linkage = last["terms"], last["policy"], last["linkage"]
    one("founding", "CHAR-6", first, last, "no member stands yet: those that are admitted count")
    one("same", "CHAR-7", last, _third(), "nothing but the number changes")
    one("admits", "CHAR-6", last, _third(roster=roster | {"east": east}), "a third member: both standing members sign")
    one("leaves", "CHAR-6", last, _third(roster={k: v for k, v in roster.items() if k != "south"}), "a member leaves")
    one("threshold-1", "CHAR-6", last, _third(threshold=1), "the threshold of the version before counts")
    one("k-up", "CHAR-7", last, _third(policy=policy | {"anonymity_k_min": 12}), "a higher k")
    one("k-down", "CHAR-7", last, _third(policy=policy | {"anonymity_k_min": 10}), "a lower k")
    one("cell-up", "CHAR-7", last, _third(policy=policy | {"small_cell_min": 12}), "a higher least cell")
    one("cell-down", "CHAR-7", last, _third(policy=policy | {"small_cell_min": 10}), "a lower least cell")
    one("shorter", "CHAR-7", last, _third(terms=terms | {"share_validity_max": 1}), "shares end earlier")
    one("longer", "CHAR-7", last, _third(terms=terms | {"share_validity_max": 31_536_001}), "shares run longer")
    one("erase", "CHAR-7", last, _third(terms=terms | {"landed_rows": "erase"}), "landed rows are erased")
    one("keep", "CHAR-7", last, _third(terms=terms | {"landed_rows": "keep"}), "landed rows are kept")
    one("contract", "CHAR-7", last, _third(terms=terms | {"contract": None}), "another contract")
    one("account", "CHAR-7", last, _third(accounts={}), "an account less")
    one("title", "CHAR-7", last, _third(title="Other"), "another title")
    one("extension", "CHAR-7", last, _third(ext={"1": ""}), "an extension more")
    one("epoch-up", "CHAR-7", last, _third(linkage=linkage | {"epoch": 2}), "a new epoch by the same maker")
    one("epoch-maker", "CHAR-7", last, _third(linkage={"key_maker": "south", "epoch": 2}), "a new epoch by another maker")
    one("skips", "CHAR-3", last, _third(version=4), "a number is left out")
    one("repeats", "CHAR-3", last, _third(version=2), "the same number again")
    one("fork", "CHAR-3", last, _third(previous="00" * 32), "linked to another version")
    one("foreign", "CHAR-3", last, _third(consortium="00" * 32), "of another consortium")
    one("production", "CHAR-3", last, _third(kind="production"), "a rehearsal becomes production")
    one("taken", "CHAR-4", last, _third(roster=roster | {"south": south | {"root": world.key(52)}}), "a name passes to another root")
    handed = south | {"root": world.key(52), "succeeds": south["root"]}
    one("handed", "CHAR-4", last, _third(roster=roster | {"south": handed}), "a root hands over to its successor")
    gone = south | {"root": world.key(52), "succeeds": world.key(53)}
    one("handed-wrong", "CHAR-4", last, _third(roster=roster | {"south": gone}), "a successor of another root")
    crowned = {"operator": roster["operator"] | {"kind": "member"}, "north": north, "south": south | {"kind": "operator"}}
    one("crowned", "CHAR-4", last, _third(roster=crowned), "a member becomes the operator")
    one("epoch-down", "CHAR-5", last, _third(linkage=linkage | {"epoch": 0}), "the epoch goes back")
    one("epoch-none", "CHAR-5", last, _third(linkage=None), "the linkage terms are taken away")
    one("maker-same-epoch", "CHAR-5", last, _third(linkage={"key_maker": "south", "epoch": 1}), "another maker in the same epoch")


def add_chains(book):
    """SNAP-1, SNAP-2."""
    head = {"sequence": 5, "snapshot": "05" * 32}
    cases = [
        ("begins", None, 1, None, "full"), ("begins-late", None, 4, "03" * 32, "full"), ("begins-delta", None, 1, None, "delta"),
        ("begins-0", None, 0, None, "full"), ("next-delta", head, 6, "05" * 32, "delta"), ("next-full", head, 6, "05" * 32, "full"),
        ("skips-full", head, 8, "07" * 32, "full"), ("skips-delta", head, 7, "05" * 32, "delta"),
        ("other-previous-full", head, 6, "04" * 32, "full"), ("other-previous-delta", head, 6, "04" * 32, "delta"),
        ("no-previous", head, 6, None, "full"), ("fork", head, 5, "04" * 32, "full"), ("fork-delta", head, 5, "04" * 32, "delta"),
        ("back", head, 4, "03" * 32, "full"), ("back-delta", head, 4, "03" * 32, "delta"),
    ]
    for name, last, sequence, previous, base in cases:
        manifest = world.manifest() | {"sequence": sequence, "previous": previous, "base": base}
        identity = world.digest("manifest", manifest)
        given = {"head": last, "manifest": manifest, "snapshot": identity}
        try:
            rules.check_continues(last and (last["sequence"], last["snapshot"]), manifest, identity)
            book.add("rule/chains", f"chain-{name}", "SNAP-1", "manifest-continues", given, expect=True, note="continues")
        except Refused as refused:
            requirement = "SNAP-2" if last and sequence <= 5 else "SNAP-1"
            book.add("rule/chains", f"chain-{name}", requirement, "manifest-continues", given, code=refused.code, note="does not")


def add_widenings(book):
    """SHARE-3."""
    last = world.share()
    table = last["content"]["table"]
    eid, name, age, los = table["columns"]

    def columns(*entries, linkage="token"):
        return {"content": {"table": {"columns": list(entries), "linkage": linkage}}}

    plain = last | columns(eid, name, age, los, linkage="none")
    cases = [
        ("same", last, last), ("narrower", last, last | columns(age, linkage="none") | {"consumers": [], "expires": 1, "landed_rows": "erase"}),
        ("pseudonym", last, last | columns(eid, age | {"treatment": "pseudonym"}, los)),
        ("plainer", last | columns(age | {"treatment": "pseudonym"}), last | columns(age)),
        ("returns", last, last | columns(eid, name | {"treatment": "pseudonym"}, age, los)),
        ("new-column", last | columns(age), last | columns(age, los)),
        ("new-dropped", last | columns(age), last | columns(age, name)),
        ("token", plain, last), ("no-token", last, plain),
        ("consumer", last | {"consumers": ["operator"]}, last), ("expiry", last, last | {"expires": last["expires"] + 1}),
        ("keep", last, last | {"landed_rows": "keep"}), ("purpose", last, last | {"purpose": "Another"}),
        ("dataset", last, last | {"dataset": "00" * 16}), ("form", last, last | {"form": "in-place-rows"}),
        ("files", last, last | {"content": "unchecked-files"}), ("schedule", last, last | {"schedule": "manual"}),
    ]
    for name, before, after in cases:
        book.add("rule/widenings", f"widening-{name}", "SHARE-3", "share-widens", {"last": before, "next": after},
                 expect=rules.widens(before, after), note="whether more leaves")
    now = world.NOW
    for name, change, shortens in (
        ("revoke", "revoke", True), ("reinstate", "reinstate", False), ("same", {"expires": now}, True),
        ("earlier", {"expires": now - 1}, True), ("later", {"expires": now + 1}, False), ("schedule", {"schedule": "manual"}, False),
    ):
        book.add("rule/widenings", f"restricts-{name}", "SHARE-4", "change-restricts", {"change": change, "expires": now},
                 expect=shortens, note="whether the change only takes away")
