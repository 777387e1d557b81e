"""A small consortium whose documents the vectors are about: an operator and two hospitals, all keys from fixed seeds."""

import hashlib

import codec
import dsse
import ed25519
import records
import sealing
import table


def seed(number):
    """The seed of a test key: one byte, 32 times."""
    return bytes([number]) * 32


def key(number):
    """The public key of that seed, as hexadecimal digits."""
    return ed25519.public_key(seed(number)).hex()


# Root, TLS, signing and sealing seed of each party.
OPERATOR, NORTH, SOUTH = (1, 2, 3, 4), (11, 12, 13, 14), (21, 22, 23, 24)
PARTIES = {"operator": OPERATOR, "north": NORTH, "south": SOUTH}
OFFICER = 31
NOW = 1_800_000_000_000
DAY = 24 * 3600 * 1000
LABEL = records.label


def encode(name, value):
    """The payload of a document."""
    return codec.encode(records.RECORDS[name], value)


def signed(name, value, *seeds):
    """The envelope of a document, signed with the keys of these seeds."""
    return dsse.envelope(LABEL(name), encode(name, value), [seed(number) for number in seeds])


def digest(name, value):
    """A document's name."""
    return dsse.digest(LABEL(name), encode(name, value)).hex()


def envelope_bytes(envelope):
    """An envelope as it travels."""
    return codec.encode(dsse.ENVELOPE, envelope)


def party(kind, title, seeds):
    return {"kind": kind, "title": title, "root": key(seeds[0]), "succeeds": None}


def charter():
    """Version 1: the operator alone founds the consortium."""
    return {
        "consortium": None, "version": 1, "previous": None, "title": "Stays", "kind": "rehearsal", "at": NOW,
        "roster": {"operator": party("operator", "Stays office", OPERATOR)}, "threshold": 1, "schema": None,
        "policy": {"anonymity_k_min": 11, "small_cell_min": 11}, "accounts": {},
        "terms": {"landed_rows": "exclude", "share_validity_max": 31_536_000, "contract": None}, "linkage": None, "ext": {},
    }


CONSORTIUM = digest("charter", charter())


def charter_2():
    """Version 2: two hospitals, an account, a key maker."""
    first = charter()
    return first | {
        "consortium": CONSORTIUM, "version": 2, "previous": digest("charter", first), "at": NOW + 1000,
        "roster": first["roster"] | {
            "north": party("member", "Klinikum Nord, Köln", NORTH), "south": party("member", "South Hospital", SOUTH)},
        "threshold": 2,
        "accounts": {"inpatients": {
            "population": "Inpatients of the member hospitals since 2020", "rho": 2**60, "delta": 2**50,
            "tokens_per_person_max": 3, "patients_max": 1_000_000}},
        "terms": {"landed_rows": "exclude", "share_validity_max": 31_536_000, "contract": "c0" * 32},
        "linkage": {"key_maker": "north", "epoch": 1},
    }


def node_record(name="north"):
    root, tls, signing, sealing_seed = PARTIES[name]
    return {
        "consortium": CONSORTIUM, "party": name, "root": key(root), "sequence": 7, "tls": key(tls), "signing": key(signing),
        "sealing": sealing.sealing_key(seed(sealing_seed)).hex(), "not_before": NOW, "not_after": NOW + 30 * DAY, "ext": {},
    }


def person():
    return {
        "consortium": CONSORTIUM, "party": "north", "person": "a.meyer", "key": key(OFFICER),
        "roles": ["data-steward", "privacy-officer"], "not_after": NOW + 365 * DAY, "ext": {},
    }


def column(name, kind, role, treatment, **more):
    entry = {"name": name, "kind": kind, "role": role, "class": None, "owner": None, "treatment": treatment, "reason": None}
    return entry | more


def table_terms(*columns, **more):
    """Terms of these columns: all rows, no token, no standard."""
    return {"columns": list(columns), "linkage": "none", "filter": [], "small_areas": [], "standard": "none"} | more


def harbor_share():
    """A share under Safe Harbor with one column of each kind that may leave."""
    place, date, quasi = {"class": "place"}, {"class": "date"}, "quasi-identifier"
    year = {"year": {"format": "iso", "floor": None}}
    born = {"year": {"format": "day-month-year-dots", "floor": 1938}}
    columns = (
        column("mrn", "text", "direct-identifier", "drop", **{"class": "medical-record"}),
        column("zip", "text", quasi, "zip3", **place), column("admitted", "text", quasi, year, **date),
        column("dob", "text", quasi, born, owner="registry", **{"class": "birth-date"}),
        column("age", "integer", quasi, "age90", **date), column("sodium", "float", "measure", {"round": 0}),
        column("note", "text", "free-text", "drop"),
        column("time_to_needle", "text", "measure", {"round": -1}, reason="Minutes, no time of day"))
    terms = table_terms(*columns, small_areas=["036", "893"], standard="hipaa-safe-harbor")
    return share() | {"share": "5c" * 16, "name": "harbor", "content": {"table": terms}, "expires": NOW + 90 * DAY}


def share():
    return {
        "consortium": CONSORTIUM, "provider": "north", "share": "5a" * 16, "name": "stays", "version": 1, "dataset": "d5" * 16,
        "form": "snapshot",
        "content": {"table": table_terms(
            column("eid", "text", "direct-identifier", "pseudonym"), column("name", "text", "direct-identifier", "drop"),
            column("age", "integer", "quasi-identifier", "keep", owner="a.meyer", **{"class": "date"}),
            column("length of stay", "float", "measure", {"round": 1}), linkage="token")},
        "purpose": "Length of stay", "consumers": ["operator", "south"], "expires": NOW + 90 * DAY, "landed_rows": "exclude",
        "schedule": {"daily": {"zone": "Europe/Berlin", "minute": 125, "days": 31}}, "ext": {},
    }


def unchecked_share():
    return share() | {
        "share": "5b" * 16, "name": "scans", "content": "unchecked-files", "schedule": "manual", "landed_rows": "erase"}


SUBSCRIPTION = "50" * 16


def invitation():
    return {
        "consortium": CONSORTIUM, "subscription": SUBSCRIPTION, "consumer": "operator", "share": share(), "at": NOW,
        "answer_by": NOW + 14 * DAY, "accepted": None, "ext": {},
    }


def reinvitation():
    """Later terms, after the first were accepted."""
    return invitation() | {"share": share() | {"version": 2}, "at": NOW + 2 * DAY, "accepted": digest("invitation", invitation())}


def acceptance():
    return {
        "consortium": CONSORTIUM, "subscription": SUBSCRIPTION, "invitation": digest("invitation", invitation()),
        "consumer": "operator", "answer": "accept", "at": NOW + DAY, "ext": {},
    }


def standing():
    return {
        "consortium": CONSORTIUM, "subscription": SUBSCRIPTION, "consumer": "operator", "sequence": 1, "state": "paused",
        "at": NOW + 2 * DAY, "ext": {},
    }


def revocation(change="revoke", sequence=1):
    return {
        "consortium": CONSORTIUM, "subscription": SUBSCRIPTION, "provider": "north", "sequence": sequence, "change": change,
        "reason": "The study has ended.", "at": NOW + 3 * DAY, "ext": {},
    }


def entry(path, role="file", rows=0, size=1000):
    return {"path": path, "role": role, "blob": ["b1" * 32, size], "rows": rows}


def listing():
    return [entry("deletes/part-0.parquet", "deletes", 12), entry("rows/part-0.parquet", "rows", 10_000, 1 << 33)]


def manifest():
    return {
        "consortium": CONSORTIUM, "provider": "north", "share": "5a" * 16, "terms": digest("share", share()), "sequence": 1,
        "previous": None, "base": "full", "taken": NOW + DAY, "listing": ["11" * 32, 135], "bytes": (1 << 33) + 1000,
        "label": "pseudonymised",
        "columns": [entry for entry in share()["content"]["table"]["columns"] if entry["treatment"] != "drop"],
        "linkage": {"epoch": 1, "key": "1d" * 16, "normaliser": 1, "check": "c4" * 16}, "ext": {},
    }


def manifest_2():
    return manifest() | {"sequence": 2, "previous": digest("manifest", manifest()), "base": "delta", "taken": NOW + 2 * DAY}


def receipt(outcome=None):
    return {
        "consortium": CONSORTIUM, "subscription": SUBSCRIPTION, "snapshot": digest("manifest", manifest()),
        "consumer": "operator", "outcome": outcome or {"landed": {"bytes": (1 << 33) + 1135}}, "at": NOW + DAY, "ext": {},
    }


def part(member, number, mapping=None):
    """What a member states in a table of persons."""
    vocabulary = {"release": "v5.0 27-FEB-26", "digest": "0c" * 32} if mapping else None
    rows = [table.row_digest([["integer", number + row]]) for row in range(3)]
    return {"share": f"{number:02x}" * 16, "snapshot": f"{number:02x}" * 32, "mapping": mapping, "vocabulary": vocabulary,
            "digest": table.part_digest("person", member, rows).hex(), "blobs": [["b2" * 32, 1000]]}


def consolidation():
    """One table of two members."""
    parts, schema = {"north": part("north", 1, "0b" * 32), "south": part("south", 2)}, "5c" * 32
    version = table.version_id("person", schema, {member: stated["digest"] for member, stated in parts.items()}).hex()
    return {"consortium": CONSORTIUM, "operator": "operator", "sequence": 1, "previous": None, "schema": schema,
            "tables": {"person": {"version": version, "parts": parts}}, "left_out": {"west": "malformed"}, "software": "cohortium 0.1.0", "at": NOW, "ext": {}}


def consolidation_2():
    """The one after it, without tables."""
    return consolidation() | {"sequence": 2, "previous": digest("consolidation", consolidation()), "tables": {}, "at": NOW + DAY}


def site_notice():
    """What a comparison found about one member."""
    quantity = {"table": "measurement", "field": "value_as_number", "concept": 3019550}
    return {
        "consortium": CONSORTIUM, "operator": "operator", "member": "north",
        "consolidation": digest("consolidation", consolidation()), "sites": 5,
        "departures": [
            {"missing": {"table": "measurement", "field": "visit_occurrence_id", "here": 60, "elsewhere": None}},
            {"units": {"of": quantity, "units": [0, 8840], "here": 100}},
            {"distribution": {"of": quantity | {"concept": 0}, "unit": 8753, "distance": 97}}],
        "at": NOW + DAY, "ext": {},
    }


def pipeline(trigger=None):
    """Check, share, consolidate."""
    return {
        "consortium": CONSORTIUM, "party": "north", "name": "nightly", "trigger": trigger or {"landed": {"subscription": None}},
        "steps": [{"check": {"mapping": "stays", "thresholds": {"cdmTable": 1000}}}, {"share": {"share": "5a" * 16}}, "consolidate"], "attempts": 5, "wait": 60,
        "ext": {},
    }


def publish_place():
    return {"place": database_place(), "schema": "cdm", "absent": "create", "ids": "numbered"}


def query_digest(domain, salt, text):
    """SQL-1: a question or reason as an order names it."""
    preamble = b"cohortium/1 " + len(domain).to_bytes(8, "little") + domain.encode()
    return hashlib.sha256(preamble + salt + text.encode()).hexdigest()


def query(salt, question, reason):
    """The command of a question."""
    return {"query": {
        "question": query_digest("query question", salt, question), "reason": query_digest("query reason", salt, reason)}}


def linkage_wrap():
    context = b"example"
    ephemeral, ciphertext = sealing.wrap(seed(9), seed(41), sealing.sealing_key(seed(SOUTH[3])), context)
    return {
        "consortium": CONSORTIUM, "epoch": 1, "key": "1d" * 16, "maker": "north", "recipient": "south",
        "sealing": sealing.sealing_key(seed(SOUTH[3])).hex(), "ephemeral": ephemeral.hex(), "ciphertext": ciphertext.hex(),
        "at": NOW + DAY, "ext": {},
    }


def export_heading():
    return {
        "consortium": CONSORTIUM, "provider": "north", "consumer": "operator", "subscription": SUBSCRIPTION,
        "documents": "d0" * 32, "at": NOW + DAY, "ext": {},
    }


def text_form():
    return {"delimiter": 59, "encoding": "utf-8", "missing": [], "heading": "line"}


def dataset():
    return {
        "dataset": "d5" * 16, "name": "stays", "source": {"csv": {"path": "/data/stays.csv", "form": text_form()}},
        "key": ["eid", "vdate"], "patient": "eid",
        "linkage": {"given": "First", "family": "Last", "birth": "dob", "birth_format": "month-day-year-slashes"},
    }


def mapping():
    return {
        "consortium": CONSORTIUM, "party": "north", "name": "stays", "version": 1, "schema": "5c" * 32,
        "text": 'mapping = "stays"\n', "sources": {"labs": "d6" * 16, "stays": "d5" * 16}, "patients": "stays",
        "tables": ["measurement", "person"], "ext": {},
    }


def origin():
    return {
        "mapping": digest("mapping", mapping()), "schema": "5c" * 32, "set": "b5" * 32, "table": "person",
        "software": "cohortium-0.1.0",
    }


def vocabulary():
    return {"release": "v5.0 27-FEB-26", "digest": "0c" * 32}


def allowance():
    return {"left_out": ["death", "drug_exposure"], "thresholds": {"cdmTable": 1000, "isRequired": 15}}


def common_schema():
    """A schema of one table with one field, in its canonical form."""
    field = ('{"name":"patient_id","kind":"integer","length_max":null,"required":true,"primary_key":true,"reference":"none",'
             '"role":"quasi-identifier","description":""}')
    text = '{"name":"registry","version":"1","tables":[{"name":"patient","description":"","fields":[' + field + "]}]}"
    return {"consortium": CONSORTIUM, "text": text, "ext": {}}


RELEASE = "4e" * 16


def project():
    return {
        "consortium": CONSORTIUM, "operator": "operator", "name": "stays", "version": 1, "purpose": "Length of stay",
        "permit": "EK 12/3", "account": "inpatients", "people": ["d.weber"], "kinds": ["microdata", "counts"],
        "tables": {"person": ["gender_concept_id", "person_id", "year_of_birth"]}, "recipients": ["north", "south"],
        "budget": {"rho": 2**40, "delta": 2**40}, "expires": NOW + 60 * DAY, "ext": {},
    }


def hierarchies():
    """One of each form."""
    return [
        {"table": [["8507", "any"], ["8532", "any"]]},
        {"intervals": {"lower": "1900", "upper": "2030", "unit": "1", "steps": [5, 10]}},
        {"dates": {"first": "2020-01-01", "last": "2026-12-31", "levels": ["month", "quarter", "year", "decade"]}},
        {"prefixes": {"codes": ["I10", "I11"], "keep": [2, 1]}},
        {"tree": [["I10", "I"], ["I11", "I"]]},
    ]


def released_column(name, role):
    return {"name": name, "role": role}


def quasi(form, missing=None):
    return {"quasi": {"hierarchy": form, "missing": missing}}


def request(**changes):
    """Microdata: two quasi-identifiers, one sensitive column, one measure."""
    gender, born = hierarchies()[:2]
    closeness = {"t": 200_000, "distance": {"hierarchical": gender}}
    columns = [
        released_column("born", quasi(born, "1900")), released_column("gender", quasi(gender)),
        released_column("cause", {"sensitive": {"diversity": {"distinct": 3}, "closeness": closeness}}),
        released_column("days", {"measure": {"digits": 0}})]
    asked = {"microdata": {"k": 11, "recoding": "resistant", "columns": columns, "ids": "random"}}
    return {
        "consortium": CONSORTIUM, "project": "stays", "salt": "5a" * 16, "question": "SELECT * FROM person",
        "patient": "person_id", "member": "cohortium_member", "asked": asked, "recipients": ["north"], "ext": {},
    } | changes


def count_request(**changes):
    """A table of counts by gender."""
    asked = {"counts": {"dimensions": [["gender", hierarchies()[0]]], "floor": 11, "rounding": {"to": 5}}}
    return request(asked=asked) | changes


def aggregate_request(rho=2**30, **changes):
    """A differentially private answer."""
    return request(asked={"aggregate": {"declared": "{}", "rho": rho, "delta": 0}}) | changes


def aggregate_done(**changes):
    line = {"what": "patients", "noise": "gaussian-threshold", "scale": 4_000_000, "half_width": 8_000_000}
    return {"aggregate": {
        "rho": 2**30, "delta": 0, "epsilon": 400_000, "epsilon_person": 900_000, "tokens": 2, "at": 2**60, "noise": [line],
        "threshold": 40, "origins": [["contribution", "fixed by d.weber"]], "uncovered": [RELEASE]} | changes}


def table_versions():
    return {name: of["version"] for name, of in consolidation()["tables"].items()}


def reservation(**changes):
    return {
        "release": RELEASE, "kind": "microdata", "request": digest("request", request()), "question": "9e" * 32,
        "charter": digest("charter", charter_2()), "project": digest("project", project()), "account": "inpatients",
        "consolidation": digest("consolidation", consolidation()), "tables": table_versions(), "members": ["north", "south"],
        "recipients": ["north"], "charge": "uncovered",
    } | changes


def attack_run():
    return {"attack": "homogeneity", "column": "cause", "assumes": "A file with names", "threshold": 10_000}


def body_file(path="body.parquet"):
    return {"path": path, "bytes": 4096, "digest": "b0" * 32, "sha256": "5b" * 32, "rows": 1000}


def done():
    measures = {
        "rows": 1000, "suppressed": 7, "classes": 12, "loss": 75_000, "columns": {"born": 150_000, "gender": 0},
        "class_size": 82_750_000, "discernibility": 1_000_000, "entropy": 12}
    return {"microdata": {"k": 11, "measures": measures}}


def made_release():
    return {
        "body": [body_file()], "report": ["4b" * 32, 900], "memory": ["4c" * 32, 901], "done": done(),
        "attacks": [attack_run()], "together_with": ["4d" * 16], "not_covered": ["Who sees the table"], "verdict": "stood"}


def release():
    parts = consolidation()["tables"]["person"]["parts"]
    fields = ("share", "snapshot", "mapping", "vocabulary")
    north = {name: parts["north"][name] for name in fields}
    made, paid = made_release(), reservation(members=["north"])
    return {
        "consortium": CONSORTIUM, "operator": "operator", "release": RELEASE, "charter": paid["charter"],
        "project": paid["project"], "account": "inpatients", "request": request(), "reserved": 77,
        "consolidation": paid["consolidation"], "tables": paid["tables"], "inputs": {"person": {"north": north}},
        "excluded": ["south"], "done": made["done"], "attacks": made["attacks"], "together_with": made["together_with"],
        "not_covered": made["not_covered"], "body": made["body"], "software": "cohortium 0.1.0", "at": NOW + DAY, "ext": {},
    }


def withdrawal():
    return {
        "consortium": CONSORTIUM, "operator": "operator", "release": RELEASE, "statement": digest("release", release()),
        "reason": "A column was wrong", "at": NOW + 2 * DAY, "ext": {},
    }


def announcement():
    return {
        "consortium": CONSORTIUM, "operator": "operator", "release": RELEASE, "kind": "aggregate",
        "charter": digest("charter", charter_2()), "project": digest("project", project()), "account": "inpatients",
        "members": ["north"], "recipients": ["north", "south"], "charge": {"private": {"rho": 2**30, "delta": 0}},
        "until": NOW + DAY, "at": NOW, "ext": {},
    }


def objection():
    return {
        "consortium": CONSORTIUM, "member": "north", "release": RELEASE, "announcement": digest("announcement", announcement()),
        "reason": "Too much for our patients", "at": NOW + 1, "ext": {},
    }


def debit():
    told = announcement()
    fields = ("consortium", "operator", "release", "kind", "charter", "project", "account", "members", "charge", "ext")
    return {name: told[name] for name in fields} | {
        "reserved": 77, "sequence": 1, "spent": {"rho": 2**30, "delta": 0}, "at": NOW + DAY}


def safeguards():
    return {"objection_wait": 86_400, "answer_time": 30, "renewed": {"inpatients": {"version": 2, "unit": "patient-year"}}}


def release_share():
    """The release's folder for one of its recipients."""
    return share() | {
        "provider": "operator", "share": "5d" * 16, "name": "released", "content": {"release": {"release": RELEASE}},
        "consumers": ["north"], "schedule": "manual"}


def order(command):
    return {
        "consortium": CONSORTIUM, "party": "north", "person": "a.meyer", "nonce": "0e" * 16, "at": NOW, "command": command,
        "ext": {},
    }


def database_place():
    return {
        "address": {"network": {"host": "db.north.example", "port": 5432}},
        "privacy": {"tls": {"roots": "/etc/roots.pem", "name": "db.north.example"}},
        "database": "ward", "user": "reader", "password": "/keys/reader", "statement_seconds": 300,
    }


def remote_sources():
    """Sources that are no file of rows, by name."""
    local = database_place() | {
        "address": {"socket": {"path": "/run/db.sock"}}, "privacy": "within-machine", "password": None}
    table = {"place": local, "rows": {"table": {"schema": "public", "table": "stays"}}, "rows_per_second": None}
    select = {"place": database_place(), "rows": {"select": "SELECT 1\n"}, "rows_per_second": 1000}
    place = {
        "endpoint": "https://s3.north.example", "region": "eu", "bucket": "ward", "key": "a/stays.csv", "roots": None,
        "credentials": "/keys/s3", "form": {"csv": text_form()}}
    forms = ("parquet", "ndjson", "json", "arrow-ipc")
    return [
        ("fhir", {"fhir": {"path": "/data/a.ndjson", "view": "{}"}}),
        ("postgres", {"postgres": table}), ("postgres-select", {"postgres": select}),
        ("maria", {"maria": table | {"rows": {"table": {"schema": None, "table": "stays"}}}}),
        ("s3", {"s3": place}),
        *((f"s3-{form}", {"s3": place | {"endpoint": None, "credentials": None, "form": form}}) for form in forms),
    ]


def commands():
    """One of each command."""
    return [
        {"enrol-person": signed("person", person(), NORTH[0])},
        {"issue-join-token": {"secret": "5e" * 32, "party": "south", "title": "South Hospital", "expires": NOW + DAY}},
        {"propose-charter": charter_2()},
        {"sign-charter": digest("charter", charter_2())},
        {"confirm-root": {"party": "south", "root": key(SOUTH[0])}},
        {"make-linkage-key": {"epoch": 1}},
        {"wrap-linkage-key": {"epoch": 300}},
        {"define-dataset": dataset()},
        {"define-share": share()},
        {"approve-share": {"share": "5a" * 16, "terms": digest("share", share()), "unchecked": "no"}},
        {"invite": {"share": "5a" * 16, "consumer": "operator", "subscription": SUBSCRIPTION, "answer_by": NOW + 14 * DAY}},
        {"answer-invitation": {
            "subscription": SUBSCRIPTION, "invitation": digest("invitation", invitation()), "answer": "accept"}},
        {"set-standing": {"subscription": SUBSCRIPTION, "state": "ended"}},
        {"change-subscription": {"subscription": SUBSCRIPTION, "change": {"expires": NOW + DAY}, "reason": None}},
        {"take-snapshot": {"share": "5a" * 16}},
        {"opt-out": {"dataset": "d5" * 16, "entry": "0a" * 16, "choice": "out"}},
        {"roll-back": {"subscription": SUBSCRIPTION, "snapshot": digest("manifest", manifest())}},
        {"prune": {"subscription": SUBSCRIPTION, "keep": 3}},
        {"preview": {"share": "5a" * 16}},
        {"read-landed": {"subscription": SUBSCRIPTION}},
        "stop",
        "start",
        {"export": {"subscription": SUBSCRIPTION}},
        {"import": {"provider": "south"}},
        "profile",
        {"define-mapping": mapping()},
        {"run-mapping": {"mapping": "stays"}},
        {"read-mapped": {"mapping": "stays"}},
        "consolidate",
        {"use-tables": {"consolidation": "b5" * 32}},
        {"read-tables": {"consolidation": "b5" * 32}},
        {"publish": {"consolidation": "b5" * 32, "into": publish_place()}},
        {"check-mapping": {"mapping": "stays"}},
        {"check-tables": {"member": "north"}},
        "compare-sites",
        query(b"\5" * 16, "SELECT 1", "A test"),
        {"define-pipeline": pipeline()},
        {"change-pipeline": {"pipeline": "nightly", "change": "park"}},
        {"run-mapping-despite": {"mapping": "stays", "empty": ["measurement"]}},
        {"load-vocabulary": {"folder": "/data/athena"}},
        {"state-schema": {"text": common_schema()["text"]}},
        {"define-project": project()},
        {"approve-project": {"project": digest("project", project())}},
        {"request-release": {"release": RELEASE, "request": ["4a" * 32, 700]}},
        {"sign-release": {"release": RELEASE, "statement": digest("release", release())}},
        {"refuse-release": {"release": RELEASE}},
        {"withdraw-release": {"release": RELEASE, "reason": "A column was wrong"}},
        {"object": {"release": RELEASE, "reason": "Too much for our patients"}},
        {"cap": {"cap": {"rho": 2**40, "delta": 0}}},
    ]


def acts():
    """One of each act, with an actor."""
    snapshot = digest("manifest", manifest())
    by_person, node, peer = {"person": "a.meyer"}, "node", {"peer": "operator"}
    return [
        (node, {"began": {"party": "north"}}),
        (by_person, {"order": signed("order", order("stop"), OFFICER)}),
        (node, {"person": signed("person", person(), NORTH[0])}),
        (peer, {"charter": signed("charter", charter_2(), OPERATOR[2], NORTH[2], SOUTH[2])}),
        (node, {"node-record": signed("node-record", node_record(), NORTH[0])}),
        (peer, {"join-asked": {"secret": "5e" * 32, "record": signed("node-record", node_record("south"), SOUTH[0])}}),
        (by_person, {"invitation": signed("invitation", invitation(), NORTH[2])}),
        (peer, {"acceptance": signed("acceptance", acceptance(), OPERATOR[2])}),
        (peer, {"standing": signed("standing", standing(), OPERATOR[2])}),
        (by_person, {"revocation": signed("revocation", revocation(), NORTH[2])}),
        (node, {"manifest": signed("manifest", manifest(), NORTH[2])}),
        (node, {"snapshot-taken": {"share": "5a" * 16, "snapshot": snapshot, "index": ["1d" * 32, 77]}}),
        (node, {"snapshot-failed": {"share": "5a" * 16, "fault": "columns-differ"}}),
        (peer, {"receipt": signed("receipt", receipt(), OPERATOR[2])}),
        (node, {"linkage-wrap": signed("linkage-wrap", linkage_wrap(), NORTH[2])}),
        (node, {"linkage-key-held": {"epoch": 1, "key": "1d" * 16}}),
        (node, {"served": {"subscription": SUBSCRIPTION, "bytes": 4 << 20}}),
        (peer, {"peer-refused": {"peer": "operator", "code": "revoked"}}),
        (peer, {"document-refused": {"document": "d1" * 32, "code": "forked"}}),
        (node, {"erased": {"subscription": SUBSCRIPTION, "snapshot": snapshot}}),
        (peer, {"document-known": {"document": "d2" * 32}}),
        (node, {"snapshot-unwanted": {"subscription": SUBSCRIPTION, "snapshot": snapshot, "code": "chain-broken"}}),
        (node, {"mapped": {"mapping": digest("mapping", mapping()), "set": ["b5" * 32, 300], "linkage": None}}),
        (node, {"mapping-failed": {"mapping": digest("mapping", mapping()), "fault": "set-stale"}}),
        (node, {"consolidated": {"consolidation": signed("consolidation", consolidation(), OPERATOR[2]), "set": ["b6" * 32, 301]}}),
        (node, {"consolidation-failed": {"fault": "limit"}}),
        (peer, {"answer-refused": {
            "subscription": SUBSCRIPTION, "invitation": digest("invitation", invitation()), "code": "expired"}}),
        (node, {"published": {"consolidation": "b5" * 32}}),
        (node, {"publish-failed": {"consolidation": "b5" * 32, "fault": "unsettled"}}),
        (peer, {"site-notice": signed("site-notice", site_notice(), OPERATOR[2])}),
        (node, {"compared": {"consolidation": "b5" * 32}}),
        (node, {"pipeline-began": {"pipeline": "nightly", "order": "0d" * 32, "cause": "ca" * 32}}),
        (node, {"pipeline-step": {"pipeline": "nightly", "step": 1, "attempt": 2, "end": {"parked": {"run": "set-stale"}}}}),
        (node, {"vocabulary-loaded": {"vocabulary": vocabulary(), "index": ["b7" * 32, 302]}}),
        (peer, {"common-schema": signed("common-schema", common_schema(), OPERATOR[2])}),
        (node, {"vocabulary-failed": {"fault": "emptied"}}),
        (peer, {"project": signed("project", project(), OPERATOR[2])}),
        (node, {"release-refused": {"release": RELEASE, "refusal": "budget"}}),
        (node, {"release-same": {"release": "4f" * 16, "same": RELEASE}}),
        (node, {"release-reserved": reservation()}),
        (node, {"release-made": {"release": RELEASE, "made": made_release()}}),
        (node, {"release-failed": {"release": RELEASE, "fault": "worker-lost"}}),
        (node, {"release-stopped": {"release": RELEASE, "report": ["4b" * 32, 900]}}),
        (by_person, {"released": signed("release", release(), OPERATOR[2])}),
        (peer, {"withdrawal": signed("withdrawal", withdrawal(), OPERATOR[2])}),
        (peer, {"announcement": signed("announcement", announcement(), OPERATOR[2])}),
        (by_person, {"objection": signed("objection", objection(), NORTH[2])}),
        (peer, {"debit": signed("debit", debit(), OPERATOR[2])}),
    ]
