"""Charter succession, manifest chains, widenings (spec chapters 3 to 5)."""

import records
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

    account = last["accounts"]["inpatients"]
    larger = {"accounts": {"inpatients": account | {"rho": str(int(account["rho"]) + 1)}}}
    smaller = {"accounts": {"inpatients": account | {"rho": str(int(account["rho"]) - 1)}}}

    def said(version, unit="patient-year"):
        value = world.safeguards() | {"renewed": {"inpatients": {"version": version, "unit": unit}}}
        return {"ext": {"7": world.encode("safeguards", value).hex()}}

    one("account-up", "CHAR-12", last, _third(**larger), "an account grants more, for nobody knows which unit")
    one("account-up-before", "CHAR-12", last, _third(**larger, **said(2)), "the unit is that of an earlier version")
    one("account-up-named", "CHAR-12", last, _third(**larger, **said(3)), "the members sign for the unit")
    one("account-down", "CHAR-12", last, _third(**smaller), "an account grants less")
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
    one("epoch-jump", "CHAR-5", last, _third(linkage=linkage | {"epoch": 3}), "an epoch is left out")
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
        return {"content": {"table": table | {"columns": list(entries), "linkage": linkage}}}

    def terms(**changes):
        return last | {"content": {"table": table | changes}}

    def treated(treatment):
        return last | columns(age | {"kind": "text", "treatment": treatment}, los)

    def year(floor, form="iso"):
        return {"year": {"format": form, "floor": floor}}

    def test(passes, of="age"):
        return {"column": of, "passes": passes}

    month, shift = {"month": {"format": "iso"}}, {"shift-dates": {"format": "iso", "days_max": 30}}
    adults, elders = {"at-least": {"number": "18"}}, {"at-least": {"number": "65.5"}}
    since = {"at-least": {"day": {"day": "2024-01-01", "format": "iso"}}}
    treatments = {
        "keep": "keep", "pseudonym": "pseudonym", "month": month, "year": year(None), "year-1930": year(1930), "year-1940": year(1940),
        "year-dots": year(None, "day-month-year-dots"), "zip3": "zip3", "age90": "age90", "shift-30": shift,
        "shift-31": {"shift-dates": {"format": "iso", "days_max": 31}}, "round-1": {"round": 1}, "round-down": {"round": -1}}
    plain = last | columns(eid, name, age, los, linkage="none")
    cases = [
        ("same", last, last), ("narrower", last, last | columns(age, linkage="none") | {"consumers": [], "expires": 1, "landed_rows": "erase"}),
        ("pseudonym", last, last | columns(eid, age | {"kind": "text", "treatment": "pseudonym"}, los)),
        ("plainer", last | columns(age | {"kind": "text", "treatment": "pseudonym"}), last | columns(age)),
        ("returns", last, last | columns(eid, name | {"treatment": "pseudonym"}, age, los)),
        ("new-column", last | columns(age), last | columns(age, los)),
        ("new-dropped", last | columns(age), last | columns(age, name)),
        ("token", plain, last), ("no-token", last, plain),
        ("consumer", last | {"consumers": ["operator"]}, last), ("expiry", last, last | {"expires": last["expires"] + 1}),
        ("keep", last, last | {"landed_rows": "keep"}), ("purpose", last, last | {"purpose": "Another"}),
        ("dataset", last, last | {"dataset": "00" * 16}), ("form", last, last | {"form": "in-place-rows"}),
        ("files", last, last | {"content": "unchecked-files"}), ("schedule", last, last | {"schedule": "manual"}),
        ("filter-gone", terms(filter=[test(adults)]), last), ("filter-new", last, terms(filter=[test(adults)])),
        ("filter-stricter", terms(filter=[test(adults)]), terms(filter=[test(elders)])),
        ("filter-looser", terms(filter=[test(elders)]), terms(filter=[test(adults)])),
        ("filter-other-column", terms(filter=[test("present")]), terms(filter=[test("present", "eid")])),
        ("filter-present", terms(filter=[test("present")]), terms(filter=[test(adults)])),
        ("filter-kind", terms(filter=[test(adults)]), terms(filter=[test(since)])),
        ("filter-fewer-texts", terms(filter=[test({"one-of": ["a", "b"]})]), terms(filter=[test({"one-of": ["b"]})])),
        ("filter-more-texts", terms(filter=[test({"one-of": ["b"]})]), terms(filter=[test({"one-of": ["a", "b"]})])),
        ("areas-fewer", terms(small_areas=["036", "059"]), terms(small_areas=["036"])),
        ("areas-more", terms(small_areas=["036"]), terms(small_areas=["036", "059"])),
        ("class", last, last | columns(eid, name, age | {"class": None, "owner": None}, los)),
        ("standard-gone", world.harbor_share(), world.harbor_share() | {"content": {"table": world.harbor_share()["content"]["table"] | {"standard": "none"}}}),
    ]
    cases += [(f"{one}-to-{other}", treated(before), treated(after)) for one, before in treatments.items()
              for other, after in treatments.items() if one != other]
    for name, before, after in cases:
        records.SHARE.check(before)
        records.SHARE.check(after)
        book.add("rule/widenings", f"widening-{name}", "SHARE-3", "share-widens", {"last": before, "next": after},
                 expect=rules.widens(before, after), note="whether more leaves")
    now = world.NOW
    for name, change, shortens in (
        ("revoke", "revoke", True), ("reinstate", "reinstate", False), ("same", {"expires": now}, True),
        ("earlier", {"expires": now - 1}, True), ("later", {"expires": now + 1}, False), ("schedule", {"schedule": "manual"}, False),
    ):
        book.add("rule/widenings", f"restricts-{name}", "SHARE-4", "change-restricts", {"change": change, "expires": now},
                 expect=shortens, note="whether the change only takes away")


def add_documents(book):
    """CHAR-4, CHAR-8, CHAR-9: who must have signed a charter, who may have a name, which signatures are carried on."""
    operator, north, south = world.OPERATOR[0], world.NORTH[0], world.SOUTH[0]
    first, second = world.charter(), world.charter_2()
    new_operator = second["roster"] | {"operator": second["roster"]["operator"] | {
        "root": world.key(52), "succeeds": world.key(operator)}}
    handed = second | {"roster": new_operator}

    def one(name, chain, charter, seeds, note, requirement="CHAR-8"):
        data = world.envelope_bytes(world.signed("charter", charter, *seeds))
        signers_of = [(operator,) if earlier["version"] == 1 else (operator, north, south) for earlier in chain]
        envelopes = [world.envelope_bytes(world.signed("charter", *both)).hex() for both in
                     ((earlier, *seeds) for earlier, seeds in zip(chain, signers_of))]
        given = {"consortium": CONSORTIUM, "operator_root": world.key(operator), "chain": envelopes, "hex": data.hex()}
        try:
            digest, signers = rules.check_charter_document(
                CONSORTIUM, world.key(operator), [(c, world.digest("charter", c)) for c in chain], data)
            book.add("rule/charters", f"charter-{name}", requirement, "charter-check", given, note=note,
                     expect={"digest": digest, "signers": sorted(signers), "carried": sorted(signers)})
        except Refused as refused:
            book.add("rule/charters", f"charter-{name}", requirement, "charter-check", given, code=refused.code, note=note)

    one("first", [], first, (operator,), "the operator founds the consortium")
    one("first-by-other", [], first, (52,), "signed by somebody else")
    one("first-unsigned", [], first, (), "not signed")
    one("other-first", [], first | {"title": "Other"}, (operator,), "version 1 of another consortium")
    one("second-first", [], second, (operator,), "version 1 is missing")
    one("second", [first], second, (operator, north, south), "the operator and both founding members")
    one("second-operator", [first], second, (operator,), "a proposal: the operator alone")
    one("second-members", [first], second, (north, south), "the operator has not signed")
    one("second-signing-key", [first], second, (world.OPERATOR[2],), "the operator's signing key is not its root")
    one("second-fork", [first], second | {"previous": "00" * 32}, (operator,), "of another chain")
    one("handed", [first], handed, (operator, 52), "the former root names its successor")
    one("handed-itself", [first], handed, (52,), "the new root alone")
    one("stranger", [first], second, (operator, 52, 53), "signatures of keys that may not sign go no further", "CHAR-9")
    one("signing-keys", [first], second, (operator, world.NORTH[2], north), "a member's signing key is not its root", "CHAR-9")
    third = _third(roster={name: party for name, party in second["roster"].items() if name != "south"})

    def fourth(**changes):
        party = second["roster"]["south"] | changes
        return third | {"version": 4, "previous": world.digest("charter", third), "roster": second["roster"] | {"south": party}}

    gone = [first, second, third]
    one("returns", gone, fourth(), (operator,), "a party that was gone comes back", "CHAR-4")
    one("returns-handed", gone, fourth(root=world.key(52), succeeds=world.key(south)), (operator,),
        "it comes back with a root that names the former one", "CHAR-4")
    one("returns-taken", gone, fourth(root=world.key(52)), (operator,), "its name is given to another root", "CHAR-4")
    one("returns-other", gone, fourth(root=world.key(52), succeeds=world.key(53)), (operator,),
        "its name is given to the successor of another root", "CHAR-4")


def add_flow(book):
    """XFER-1, SHARE-8, SHARE-9: when bytes may leave under a subscription."""
    invitation = world.invitation()
    end = invitation["share"]["expires"]
    accept, refuse = {"answer": "accept"}, {"answer": "refuse"}
    pause, active, ended = {"standing": "paused"}, {"standing": "active"}, {"standing": "ended"}
    revoke, reinstate = {"change": "revoke"}, {"change": "reinstate"}

    def expires(at):
        return {"change": {"expires": at}}

    cases = [
        ("invited", [], world.NOW), ("refused", [refuse], world.NOW), ("accepted", [accept], world.NOW), ("last", [accept], end - 1),
        ("expired", [accept], end), ("paused", [accept, pause], world.NOW), ("resumed", [accept, pause, active], world.NOW),
        ("ended", [accept, ended], world.NOW), ("revoked", [accept, revoke], world.NOW), ("reinstated", [accept, revoke, reinstate], world.NOW),
        ("revoked-paused", [accept, pause, revoke], world.NOW), ("revoked-ended", [accept, ended, revoke], world.NOW),
        ("revoked-invited", [revoke], world.NOW), ("shortened", [accept, expires(world.NOW)], world.NOW),
        ("prolonged", [accept, expires(end + 1)], end), ("rescheduled", [accept, {"change": {"schedule": "manual"}}], world.NOW),
    ]
    first = rules.invitation_digest(invitation)

    def anew_until(at, held, version=2):
        share = invitation["share"] | {"version": version, "expires": at}
        return {"invitation": invitation | {"share": share, "accepted": held}}

    later, earlier, never, crossed = (anew_until(end + 10, first), anew_until(end - 10, first), anew_until(end + 10, None),
                                      anew_until(end - 10, None))
    third = anew_until(end - 20, first, 3)
    anew = [
        ("anew-open", [accept, earlier], end - 1), ("anew-refused", [accept, earlier, refuse], end - 1),
        ("anew-accepted", [accept, earlier, accept], end - 1), ("anew-accepted-last", [accept, earlier, accept], end - 11),
        ("anew-longer-open", [accept, later], end), ("anew-longer-refused", [accept, later, refuse], end),
        ("anew-longer-accepted", [accept, later, accept], end), ("anew-never-accepted", [refuse, never], world.NOW),
    ]
    held = [
        ("crossed", [accept, crossed], world.NOW), ("crossed-accepted", [accept, crossed, accept], world.NOW),
        ("crossed-back", [accept, later, accept, third], end - 1), ("crossed-back-over", [accept, later, accept, third], end),
        ("not-taken", [refuse, later], world.NOW),
    ]
    named = (("XFER-1", cases), ("SHARE-8", anew), ("SHARE-9", held))
    for requirement, name, events, now in [(requirement, *case) for requirement, some in named for case in some]:
        given = {"invitation": invitation, "events": events, "now": now}
        try:
            rules.may_flow(invitation, events, now)
            book.add("rule/flow", f"flow-{name}", requirement, "may-flow", given, expect=True, note="bytes may leave")
        except Refused as refused:
            book.add("rule/flow", f"flow-{name}", requirement, "may-flow", given, code=refused.code, note="no byte leaves")
