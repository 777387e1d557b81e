"""A golden vector for each record and message, and a refused one for each rule about fields (spec chapters 2 to 5, 8)."""

import codec
import messages
import records
import world
from cases.book import refusal
from world import DAY, NOW


def golden(book, name, suffix, value, requirement, note):
    """The bytes and the JSON of one record."""
    data = world.encode(name, value)
    assert codec.decode(records.RECORDS[name], data, 1 << 20) == value, name
    book.add(f"record/{name}", f"{name}-{suffix}", requirement, "decode-record", {"type": name, "hex": data.hex()},
             expect={"json": value}, note=note)


def add_golden(book):
    """One of each record, each command and each act."""
    plain = [
        ("charter", "first", world.charter()), ("charter", "second", world.charter_2()),
        ("node-record", "north", world.node_record()), ("person", "officer", world.person()),
        ("share", "table", world.share()), ("share", "unchecked", world.unchecked_share()),
        ("share", "safe-harbor", world.harbor_share()),
        ("invitation", "first", world.invitation()), ("invitation", "later", world.reinvitation()), ("acceptance", "accept", world.acceptance()),
        ("acceptance", "refuse", world.acceptance() | {"answer": "refuse"}), ("standing", "paused", world.standing()),
        ("manifest", "files", world.manifest() | {"label": "unchecked", "columns": [], "linkage": None}),
        ("manifest", "safe-harbor", world.manifest() | {"label": "safe-harbor", "columns": [], "linkage": None}),
        ("manifest", "full", world.manifest()), ("manifest", "delta", world.manifest_2()),
        ("linkage-wrap", "south", world.linkage_wrap()), ("export-heading", "north", world.export_heading()), ("listing", "two", world.listing()), ("listing", "none", []),
        ("site-notice", "three", world.site_notice()), ("site-notice", "nothing", world.site_notice() | {"departures": []}),
        ("pipeline", "landed", world.pipeline()), ("pipeline", "file", world.pipeline({"new-file": {"dataset": "d5" * 16}})),
        ("pipeline", "daily", world.pipeline({"schedule": {"daily": {"zone": "UTC", "minute": 125, "days": 31}}})),
        ("pipeline", "publish", world.pipeline() | {"steps": ["consolidate", {"publish": {"into": world.publish_place()}}]}),
        ("mapping", "two-sources", world.mapping()), ("origin", "person", world.origin()),
        ("vocabulary", "release", world.vocabulary()), ("allowance", "two", world.allowance()), ("common-schema", "registry", world.common_schema()),
        ("dataset", "csv", world.dataset()),
        ("dataset", "mapped", world.dataset() | {"source": {"mapped": {"mapping": "stays", "table": "person"}}, "patient": None, "linkage": None}),
        ("dataset", "files", world.dataset() | {"source": {"files": {"folder": "/data"}}, "key": [], "patient": None, "linkage": None}),
        ("dataset", "parquet", world.dataset() | {"source": {"parquet": {"path": "/data/a.parquet"}}}),
        ("dataset", "ndjson", world.dataset() | {"source": {"ndjson": {"path": "/data/a.ndjson"}}}),
        ("dataset", "json", world.dataset() | {"source": {"json": {"path": "/data/a.json"}}}),
        *((("dataset", kind, world.dataset() | {"source": source}) for kind, source in world.remote_sources())),
        ("share", "release", world.release_share()),
        ("dataset", "release", world.dataset() | {"source": {"release": {"release": world.RELEASE}}, "key": [], "patient": None, "linkage": None}),
        ("manifest", "release", world.manifest() | {"label": "release", "columns": [], "linkage": None}),
        ("dataset", "arrow-ipc", world.dataset() | {"source": {"arrow-ipc": {"path": "/data/a.arrow"}}}),
    ]
    plain += [("revocation", f"{index}", world.revocation(change)) for index, change in enumerate((
        "revoke", "reinstate", {"expires": NOW}, {"schedule": "manual"},
        {"schedule": {"every": {"zone": "UTC", "minutes": 1}}}))]
    outcomes = ({"landed": {"bytes": 0}}, {"refused": "chain-broken"}, "erased")
    plain += [("receipt", f"{index}", world.receipt(outcome)) for index, outcome in enumerate(outcomes)]
    plain += [("order", codec_name(command), world.order(command)) for command in world.commands()]
    plain += [("journal-entry", codec_name(act), {"at": NOW, "actor": actor, "act": act}) for actor, act in world.acts()]
    for name, suffix, value in plain:
        golden(book, name, suffix, value, "CODEC-1", "bytes and JSON of one value")
    wide = world.charter_2()
    wide["accounts"]["inpatients"] |= {"rho": str(2**80), "delta": str(2**127)}
    data = world.encode("charter", wide)
    book.add("record/charter", "charter-wide", "CODEC-1", "decode-record", {"type": "charter", "hex": data.hex()}, expect={},
             edge=True, note="a budget of rho = 1, too large for a JSON reader's numbers")
    odd = world.person() | {"ext": {"7": "01", "65535": ""}}
    golden(book, "person", "extension", odd, "DOC-6", "odd extensions are kept as they came")


def codec_name(value):
    """The variant's name."""
    return value if isinstance(value, str) else next(iter(value))


def refused(book, name, suffix, value, requirement, note):
    """Fields that do not fit together: malformed as bytes, and a finer fault from the fields."""
    kind = records.RECORDS[name]
    data = codec.encode(kind, value)
    assert refusal(codec.decode, kind, data, 1 << 20) == "malformed"
    book.add(f"record/{name}", f"{name}-{suffix}", requirement, "refuse-record",
             {"type": name, "hex": data.hex(), "fields": value}, code=refusal(kind.check, value), note=note)


def add_charters(book):
    """CHAR-1, CHAR-2."""
    first, second = world.charter(), world.charter_2()
    two_operators = second["roster"] | {"south": second["roster"]["south"] | {"kind": "operator"}}
    shared = second["roster"] | {"south": second["roster"]["south"] | {"root": second["roster"]["north"]["root"]}}
    former = second["roster"] | {"south": second["roster"]["south"] | {"succeeds": second["roster"]["north"]["root"]}}
    production = {"kind": "production"}
    cases = [
        ("version-0", first, {"version": 0}, "there is no version 0"),
        ("first-linked", first, {"consortium": "00" * 32}, "version 1 links to nothing"),
        ("second-unlinked", first, {"version": 2}, "every later version links to its consortium and predecessor"),
        ("second-half-linked", second, {"previous": None}, "both links are needed"),
        ("no-operator", first, {"roster": {}}, "nobody is the operator"),
        ("two-operators", second, {"roster": two_operators}, "two operators"),
        ("root-shared", second, {"roster": shared}, "two parties with one root key"),
        ("root-former", second, {"roster": former}, "a former root that is another party's root"),
        ("threshold", second, {"threshold": 0}, "a change would need no signature"),
        ("cells-0", first, {"policy": {"anonymity_k_min": 2, "small_cell_min": 0}}, "a floor of zero"),
        ("maker-operator", second, {"linkage": {"key_maker": "operator", "epoch": 1}}, "the operator never makes the key"),
        ("maker-nobody", second, {"linkage": {"key_maker": "east", "epoch": 1}}, "the key maker is on no roster"),
    ]
    for suffix, base, change, note in cases:
        refused(book, "charter", suffix, base | change, "CHAR-1", note)
    for suffix, policy in (("k", {"anonymity_k_min": 10, "small_cell_min": 11}), ("cell", {"anonymity_k_min": 11, "small_cell_min": 10})):
        refused(book, "charter", f"floor-{suffix}", first | production | {"policy": policy}, "CHAR-2", "10 where 11 is the floor")
        golden(book, "charter", f"rehearsal-{suffix}", first | {"policy": policy}, "CHAR-2", "a rehearsal may go below the floor")
    golden(book, "charter", "production", first | production, "CHAR-2", "exactly the floor")
    said = world.safeguards()
    golden(book, "safeguards", "day", said, "CHAR-11", "a day to object in, answers after half a minute, one account renewed")
    for suffix, change, note in (
        ("wait", {"objection_wait": 7_776_001}, "a second more than 90 days"), ("answer-0", {"answer_time": 0}, "answers at once"),
        ("answer", {"answer_time": 86_401}, "a second more than a day"),
        ("long", {"renewed": {f"a{n}": {"version": 1, "unit": "x" * 2000} for n in range(3)}}, "longer than an extension"),
    ):
        refused(book, "safeguards", suffix, said | change, "CHAR-11", note)
    golden(book, "charter", "safeguards", second | {"ext": {"7": world.encode("safeguards", said).hex()}}, "CHAR-11", "in its extension")
    for suffix, change, note in (
        ("version", {"renewed": {"inpatients": {"version": 3, "unit": "patient-year"}}}, "a version that is still to come"),
        ("account", {"renewed": {"outpatients": {"version": 2, "unit": "patient-year"}}}, "an account that there is not"),
    ):
        ext = {"7": world.encode("safeguards", said | change).hex()}
        refused(book, "charter", f"renewed-{suffix}", second | {"ext": ext}, "CHAR-11", note)
    refused(book, "charter", "safeguards-broken", second | {"ext": {"7": "ff"}}, "CHAR-11", "no safeguards")


def add_identity(book):
    """NODE-1, NODE-2, DOC-6."""
    record = world.node_record()
    refused(book, "node-record", "empty", record | {"not_after": NOW}, "NODE-1", "it ends when it begins")
    refused(book, "node-record", "long", record | {"not_after": NOW + 30 * DAY + 1}, "NODE-1", "a millisecond over 30 days")
    for one, other in (("tls", "signing"), ("root", "tls"), ("root", "signing")):
        refused(book, "node-record", f"{one}-is-{other}", record | {other: record[one]}, "NODE-2", "one key for two purposes")
    person, kind = world.person(), records.PERSON
    cases = [
        ("critical", {"8": "01"}, "critical-unknown", "an even id that this version does not know"),
        ("critical-0", {"0": ""}, "critical-unknown", "0 is even"),
        ("long", {"7": "00" * 4097}, "too-large", "a byte more than allowed"),
        ("many", {str(2 * n + 1): "" for n in range(33)}, "too-large", "33 entries"),
    ]
    for suffix, ext, code, note in cases:
        assert refusal(records.EXT.check, ext) == code
        data = codec.encode(kind, person | {"ext": ext})
        assert refusal(codec.decode, kind, data, 1 << 20) == "malformed"
        book.add("record/extension", f"extension-{suffix}", "DOC-6", "refuse-record",
                 {"type": "person", "hex": data.hex(), "ext": ext}, code=code, note=note)
    golden(book, "person", "extension-most", person | {"ext": {str(2 * n + 1): "" for n in range(32)}}, "DOC-6", "32 entries")


def add_shares(book):
    """SHARE-1, SHARE-2, SHARE-6."""
    share = world.share()
    table = share["content"]["table"]

    def columns(*entries):
        return {"content": {"table": table | {"columns": list(entries)}}}

    eid, name, age, los = table["columns"]
    cases = [
        ("SHARE-1", "identifier", columns(eid | {"treatment": "keep"}, age), "a direct identifier as it is"),
        ("SHARE-2", "version-0", {"version": 0}, "there is no version 0"),
        ("SHARE-2", "no-column", columns(), "no column"),
        ("SHARE-2", "none-leaves", columns(name), "every column is dropped"),
        ("SHARE-2", "column-twice", columns(age, age), "one name twice"),
        ("SHARE-2", "own-consumer", {"consumers": ["north"]}, "the provider consumes its own share"),
        ("SHARE-2", "files-in-place", {"content": "unchecked-files", "form": "in-place-rows"}, "unchecked files in place"),
    ]
    for requirement, suffix, change, note in cases:
        refused(book, "share", suffix, share | change, requirement, note)
    add_terms(book)
    zone = "Europe/Berlin"
    wrong = [({"every": {"zone": zone, "minutes": n}}, "interval") for n in (0, 1441)]
    wrong += [({"daily": {"zone": zone, "minute": m, "days": d}}, code) for m, d, code in (
        (1440, 1, "minute"), (0, 0, "days"), (0, 128, "days"))]
    for index, (schedule, code) in enumerate(wrong):
        assert refusal(records.SCHEDULE.check, schedule) == code
        data = codec.encode(records.SCHEDULE, schedule)
        book.add("record/schedule", f"schedule-bad-{index}", "SHARE-6", "refuse-record",
                 {"type": "schedule", "hex": data.hex(), "fields": schedule}, code=code, note="no such minute or day")
    right = ["manual", {"every": {"zone": zone, "minutes": 1}}, {"every": {"zone": zone, "minutes": 1440}},
             {"daily": {"zone": zone, "minute": 1439, "days": 127}}]
    for index, schedule in enumerate(right):
        golden(book, "share", f"schedule-{index}", share | {"schedule": schedule}, "SHARE-6", "a schedule within bounds")


def add_mappings(book):
    """MAP-1, MAP-3."""
    mapping = world.mapping()
    cases = [
        ("version-0", {"version": 0}, "there is no version 0"),
        ("long", {"text": "x" * (256 * 1024 + 1)}, "a byte more than allowed"),
        ("no-source", {"sources": {}}, "no source"),
        ("no-patients", {"patients": "visits"}, "the patients' source is none of them"),
        ("no-table", {"tables": []}, "no table"),
        ("many-tables", {"tables": sorted(f"t{n:02}" for n in range(65))}, "65 tables"),
    ]
    for suffix, change, note in cases:
        refused(book, "mapping", suffix, mapping | change, "MAP-1", note)
    manifest = world.manifest()
    origin = world.encode("origin", world.origin())
    golden(book, "manifest", "of-mapped-table", manifest | {"ext": {"1": origin.hex()}}, "MAP-3", "a manifest that says where its rows come from")
    vocabulary = world.encode("vocabulary", world.vocabulary())
    golden(book, "manifest", "with-vocabulary", manifest | {"ext": {"1": origin.hex(), "3": vocabulary.hex()}}, "MAP-14",
           "and with which vocabulary its codes were mapped")
    allowance = world.allowance()
    stated = world.encode("allowance", allowance)
    golden(book, "manifest", "with-allowance", manifest | {"ext": {"1": origin.hex(), "5": stated.hex()}}, "MAP-23",
           "and what its mapping leaves out on purpose and bears")
    refused(book, "allowance", "over", allowance | {"thresholds": {"cdmTable": 1001}}, "MAP-22", "more than all rows are borne")
    refused(book, "allowance", "many-tables", allowance | {"left_out": sorted(f"t{n:02}" for n in range(65))}, "MAP-22", "65 tables")
    refused(book, "allowance", "many", allowance | {"thresholds": {f"c{n:03}": 1 for n in range(257)}}, "MAP-22", "257 thresholds")
    refused(book, "allowance", "long", allowance | {"thresholds": {"c" * 99 + f"{n:03}": 1 for n in range(40)}}, "MAP-22", "longer than an extension")
    schema = world.common_schema()
    refused(book, "common-schema", "empty", schema | {"text": ""}, "MAP-11", "no text")


def add_pipelines(book):
    """PIPE-1, QUAL-4."""
    pipeline, steps = world.pipeline(), world.pipeline()["steps"]
    cases = [
        ("no-step", {"steps": []}, "no step"), ("many-steps", {"steps": steps * 11}, "33 steps"),
        ("no-attempt", {"attempts": 0}, "never tried"), ("many-attempts", {"attempts": 21}, "21 attempts"),
        ("no-wait", {"wait": 0}, "without a rest"), ("long-wait", {"wait": 86_401}, "a second over a day"),
        ("threshold-1001", {"steps": [{"check": {"mapping": "stays", "thresholds": {"cdmTable": 1001}}}]}, "more than all"),
        ("many-thresholds", {"steps": [{"check": {"mapping": "stays", "thresholds": {f"t{n:03}": 0 for n in range(257)}}}]}, "257 thresholds"),
        ("manual", {"trigger": {"schedule": "manual"}}, "a schedule that never comes"),
    ]
    for suffix, change, note in cases:
        refused(book, "pipeline", suffix, pipeline | change, "PIPE-1", note)
    most = {"steps": ["consolidate"] * 32, "attempts": 20, "wait": 86_400}
    golden(book, "pipeline", "most", pipeline | most, "PIPE-1", "exactly the bounds")
    notice = world.site_notice()
    missing, units, far = notice["departures"]
    cases = [
        ("four-sites", {"sites": 4}, "four sites are not compared"),
        ("share-101", {"departures": [{"missing": missing["missing"] | {"here": 101}}]}, "more than all"),
        ("elsewhere-101", {"departures": [{"missing": missing["missing"] | {"elsewhere": 101}}]}, "more than all"),
        ("distance-101", {"departures": [{"distribution": far["distribution"] | {"distance": 101}}]}, "farther than far"),
        ("many-units", {"departures": [{"units": units["units"] | {"units": [1] * 101}}]}, "101 units"),
        ("many", {"departures": [missing] * 2001}, "2,001 departures"),
    ]
    for suffix, change, note in cases:
        refused(book, "site-notice", suffix, notice | change, "QUAL-4", note)
    for name, salt, question, reason in (
            ("one", b"\5" * 16, "SELECT 1", "A test"), ("salted", b"\6" * 16, "SELECT 1", "A test"), ("umlaut", bytes(16), "SELECT 'ü'", "")):
        given = {"salt": salt.hex(), "question": question, "reason": reason}
        book.add("record/query", f"query-{name}", "SQL-1", "query-digests", given, expect=world.query(salt, question, reason)["query"],
                 note="how an order names a question and its reason")


def add_terms(book):
    """SHARE-1, SHARE-11 to SHARE-15: what a column may leave as."""
    share, iso = world.share(), {"format": "iso"}
    year, month, shift = {"year": iso | {"floor": None}}, {"month": iso}, {"shift-dates": iso | {"days_max": 30}}
    los = world.column("los", "text", "measure", {"round": 0})

    def of(*columns, base=share, **more):
        return base | {"content": {"table": world.table_terms(*columns, los, **more)}}

    def x(treatment, role="quasi-identifier", kind="text", name="x", **more):
        return world.column(name, kind, role, treatment, **more)

    everything = ("keep", "pseudonym", month, year, "zip3", "age90", shift, {"round": 1})
    for treatment in everything:
        word = codec_name(treatment)
        if word != "pseudonym":
            refused(book, "share", f"identifier-{word}", of(x(treatment, "direct-identifier")), "SHARE-1", "a direct identifier that leaves readable")
        refused(book, "share", f"free-text-{word}", of(x(treatment, "free-text")), "SHARE-11", "free text without a reason")
        golden(book, "share", f"quasi-{word}", of(x(treatment)), "SHARE-14", "a quasi-identifier, treated in every way")
    golden(book, "share", "free-text-reason", of(x("keep", "free-text", reason="Read by two people")), "SHARE-11", "with a reason")
    for kind in ("text", "integer", "float", "date", "timestamp", "other"):
        refused(book, "share", f"measure-{kind}", of(x("keep", "measure", kind)), "SHARE-12", "as finely as it was measured")
    golden(book, "share", "measure-boolean", of(x("keep", "measure", "boolean")), "SHARE-12", "a truth value has one precision")
    for name in ("mrn", "patientId", "e-mail", "FIRST_NM", "encounterId"):
        refused(book, "share", f"suspected-{name}", of(x("keep", name=name)), "SHARE-13", "by its name a direct identifier")
    golden(book, "share", "suspected-reason", of(x("keep", name="test_name", reason="The test's")), "SHARE-13", "with a reason")
    golden(book, "share", "suspected-pseudonym", of(x("pseudonym", name="mrn")), "SHARE-13", "as a pseudonym")
    unfit = [
        ("zip3-integer", x("zip3", kind="integer")), ("year-date", x(year, kind="date")), ("age-float", x("age90", kind="float")),
        ("pseudonym-integer", x("pseudonym", kind="integer")), ("round-boolean", x({"round": 0}, kind="boolean")),
        ("round-13", x({"round": 13})), ("round-minus-13", x({"round": -13})), ("floor-0", x({"year": iso | {"floor": 0}})),
        ("floor-10000", x({"year": iso | {"floor": 10000}})), ("shift-0", x({"shift-dates": iso | {"days_max": 0}})),
        ("shift-long", x({"shift-dates": iso | {"days_max": 3651}})), ("shift-integer", x(shift, kind="integer")),
    ]
    for suffix, column in unfit:
        refused(book, "share", suffix, of(column), "SHARE-14", "a treatment that cannot make this, or a number out of bounds")
    for suffix, column in (("round-12", x({"round": 12})), ("round-minus-12", x({"round": -12})),
                           ("shift-longest", x({"shift-dates": iso | {"days_max": 3650}}, kind="date"))):
        golden(book, "share", suffix, of(column), "SHARE-14", "just within bounds")
    other = {"shift-dates": iso | {"days_max": 31}}
    refused(book, "share", "shift-bounds", of(x(shift), x(other, name="y")), "SHARE-14", "two bounds in one table")
    test = {"column": "los", "passes": "present"}
    refused(book, "share", "filter-column", of(filter=[test | {"column": "gone"}]), "SHARE-14", "a column that is not listed")
    refused(book, "share", "filter-long", of(filter=[test] * 65), "SHARE-14", "65 tests")
    refused(book, "share", "filter-no-text", of(filter=[test | {"passes": {"one-of": []}}]), "SHARE-14", "a test that nothing passes")
    tests = [{"one-of": ["a", "b"]}, {"at-least": {"number": "-18.5"}}, {"at-most": {"day": {"day": "2024-02-29", "format": "compact"}}}]
    golden(book, "share", "filter", of(filter=[test] + [test | {"passes": passes} for passes in tests]), "SHARE-14", "one of each test")
    told = test | {"passes": {"one-of": ["1234567"]}}
    refused(book, "share", "filter-tells", of(x("drop", name="mrn"), filter=[told | {"column": "mrn"}]), "SHARE-23", "identifiers in the terms")
    golden(book, "share", "filter-mrn-present", of(x("drop", name="mrn"), filter=[test | {"column": "mrn"}]), "SHARE-23", "whether there is one")
    harbor, terms = world.harbor_share(), world.harbor_share()["content"]["table"]

    def held(*columns, **more):
        return harbor | {"content": {"table": terms | {"columns": list(columns)} | more}}

    place, date, birth = {"class": "place"}, {"class": "date"}, {"class": "birth-date"}
    for suffix, column, note in (
        ("role", x("pseudonym", "direct-identifier"), "an identifier, though a pseudonym"),
        ("free-text", x("keep", "free-text", reason="Read"), "free text, though with a reason"),
        ("pseudonym", x("pseudonym"), "a pseudonym"), ("month", x(month, **date), "a month"), ("shift", x(shift, **date), "shifted"),
        ("day", x("keep", kind="date"), "a day as it is"), ("zip", x("keep", **place), "a place as it is"),
        ("mrn", x("keep", **{"class": "medical-record"}), "an identifier of the list"), ("date", x("keep", **date), "a date as it is"),
        ("born", x(year, **birth), "a year of birth without a floor"),
        ("born-early", x({"year": iso | {"floor": 1937}}, **birth), "a floor a year too early"),
        ("named", x("keep", name="zip"), "a name that says place"), ("named-other", x(year, name="dob", **date), "another class than its name says"),
    ):
        refused(book, "share", f"harbor-{suffix}", held(column), "SHARE-15", note)
    refused(book, "share", "harbor-tokens", harbor | {"content": {"table": terms | {"linkage": "token"}}}, "SHARE-15", "linkage tokens")
    for suffix, of_class, passes, fits in (
        ("place", "place", {"one-of": ["Ithaca"]}, False), ("age", "date", {"at-least": {"number": "89"}}, True),
        ("old", "date", {"at-least": {"number": "90"}}, False), ("plain", None, {"one-of": ["a"]}, True),
        ("year", "date", {"at-least": {"day": {"day": "2024-01-01", "format": "iso"}}}, True),
        ("day", "date", {"at-most": {"day": {"day": "2024-03-01", "format": "iso"}}}, False),
        ("born", "birth-date", {"at-most": {"day": {"day": "1938-12-31", "format": "iso"}}}, True),
        ("born-early", "birth-date", {"at-most": {"day": {"day": "1937-12-31", "format": "iso"}}}, False),
    ):
        value = held(x("drop", name="y", **{"class": of_class}), x(year, **date), filter=[{"column": "y", "passes": passes}])
        put = golden if fits else refused
        put(book, "share", f"harbor-filter-{suffix}", value, "SHARE-24", "what a filter tells of every row")
    refused(book, "share", "harbor-no-areas", held(x("zip3", **place), small_areas=[]), "SHARE-15", "no small area at all")
    golden(book, "share", "harbor-born-last", held(x({"year": iso | {"floor": 1938}}, **birth)), "SHARE-15", "just late enough a floor")
    golden(book, "share", "harbor-named-reason", held(x("keep", name="zip", reason="A file format")), "SHARE-15", "a name with a reason")
    for suffix, area in (("short", "36"), ("letters", "03x")):
        data = codec.encode(records.SHARE, held(x("zip3", **place), small_areas=[area]))
        assert refusal(codec.decode, records.SHARE, data, 1 << 20) == "malformed"
        book.add("record/share", f"share-area-{suffix}", "SHARE-14", "refuse-record", {"type": "share", "hex": data.hex()},
                 code="malformed", note="no three digits")


def add_sources(book):
    """SRC-1, SRC-2."""
    for kind in ("select", "view"):
        for index, (text, note) in enumerate((("", "nothing"), ("a\0b", "a zero byte"))):
            refused(book, kind, f"bad-{index}", text, "SRC-2", note)
        golden(book, kind, "good", "SELECT 1\n-- é", "SRC-2", "lines are kept as they are written")
    refused(book, "select", "long", "é" * 32_768 + "x", "SRC-2", "bytes count, not characters")
    form = world.text_form()

    def named(names):
        return {"heading": {"names": names}}

    wrong = [({"delimiter": code}, "no character between cells") for code in (0x22, 0x0A, 0x0D, 0x80)]
    wrong += [
        ({"missing": [f"-{n}" for n in range(33)]}, "33 marks"), (named([]), "no name"), (named(["age", "sex", "age"]), "a name twice"),
        (named([f"c{n}" for n in range(4097)]), "4,097 names")]
    for index, (change, note) in enumerate(wrong):
        refused(book, "text-form", f"bad-{index}", form | change, "SRC-1", note)
    right = [{"delimiter": 1}, {"delimiter": 0x7F}, {"missing": sorted(f"-{n}" for n in range(32))}, {"missing": ["", "?", "NULL", "—"]},
             named(["age"]), named([f"c{n}" for n in range(4096)])]
    right += [{"encoding": name} for name in ("utf-8", "utf-16", "utf-16le", "utf-16be", "windows-1252")]
    for index, change in enumerate(right):
        golden(book, "text-form", f"good-{index}", form | change, "SRC-1", "a form within bounds")


def add_listings(book):
    """SNAP-3, SNAP-4."""
    entry = world.entry
    cases = [
        ("descending", [entry("b"), entry("a")], "descending paths"),
        ("twice", [entry("a"), entry("a")], "one path twice"),
        ("case", [entry("A.csv"), entry("a.csv")], "one file on a system that ignores case"),
        ("umlaut-case", [entry("Ä"), entry("ä")], "case beyond ASCII"),
        ("folder", [entry("a"), entry("a/b")], "a file that is a folder"),
        ("folder-case", [entry("A"), entry("a/b")], "a file that is a folder where case is ignored"),
        ("folder-deep", [entry("a/b"), entry("a/b/c/d")], "a file that is a folder further down"),
    ]
    for suffix, entries, note in cases:
        refused(book, "listing", suffix, entries, "SNAP-3", note)
    golden(book, "listing", "neighbours", [entry("a"), entry("a.b"), entry("b/a"), entry("b/c"), entry("ab/a")][:4], "SNAP-3",
           "paths that begin alike")
    golden(book, "listing", "largest", [entry("a", size=1 << 40)], "SNAP-4", "a blob of exactly 1 TiB")
    refused_path = codec.encode(records.LISTING, [entry("../a")])
    assert refusal(codec.decode, records.LISTING, refused_path, 1 << 20) == "malformed"
    book.add("record/listing", "listing-escapes", "NAME-3", "refuse-record", {"type": "listing", "hex": refused_path.hex()},
             code="malformed", note="a path that leaves its folder")
    long = codec.encode(records.LISTING, [entry("a", size=(1 << 40) + 1)])
    assert refusal(codec.decode, records.LISTING, long, 1 << 20) == "malformed"
    book.add("record/listing", "listing-blob-long", "SNAP-4", "refuse-record", {"type": "listing", "hex": long.hex()},
             code="malformed", note="a blob a byte longer than 1 TiB")


def add_messages(book):
    """One of each message."""
    operator = world.signed("node-record", world.node_record("operator"), world.OPERATOR[0])
    north = world.signed("node-record", world.node_record(), world.NORTH[0])
    consortium, snapshot = world.CONSORTIUM, world.digest("manifest", world.manifest())
    asked = {"subscription": world.SUBSCRIPTION, "snapshot": snapshot, "blob": "b1" * 32}
    values = [
        ("hello", "", {"versions": {"oldest": 1, "newest": 1}, "consortium": consortium, "record": north, "clock": NOW,
                       "held": {"documents": 3, "head": messages.mail_head([bytes([n]) * 32 for n in (1, 2, 3)]).hex()}}),
        ("hello-ack", "", {"version": 1, "record": operator, "clock": NOW + 5, "held": {"documents": 0, "head": "00" * 32}}),
        ("refused", "", {"code": 10}), ("refused", "-unknown", {"code": 65535}),
        ("outboard-get", "", asked), ("range-get", "", asked | {"offset": 8 << 20}), ("bulk-begin", "", {"bytes": 4 << 20}),
        ("log-offer", "", {"old": 5, "checkpoint": "cohortium/00/north\n9\nroot\n\n— cohortium/00/north c2ln\n",
                           "path": ["0a" * 32, "0b" * 32]}),
        ("log-answer", "-cosigned", {"cosigned": "cohortium/00/north\n9\nroot\n"}), ("log-answer", "-prove-from", {"prove-from": 300}),
        ("join-token", "", {"consortium": consortium, "party": "north", "operator": world.key(1), "tls": world.key(2),
                            "address": "stays.example.org:7443", "secret": "0123456789abcdef" * 2, "expires": NOW + DAY}),
        ("join", "", {"consortium": consortium, "secret": "5e" * 32, "proof": "9f" * 32, "record": north}),
        ("join-ack", "", {"charter": world.signed("charter", world.charter(), world.OPERATOR[0], world.OPERATOR[2]), "record": operator}),
    ]
    documents = {
        "charter": world.charter_2(), "node-record": world.node_record("operator"), "invitation": world.invitation(),
        "acceptance": world.acceptance(), "standing": world.standing(), "revocation": world.revocation(),
        "manifest": world.manifest(), "receipt": world.receipt(), "linkage-wrap": world.linkage_wrap(),
        "site-notice": world.site_notice(), "common-schema": world.common_schema(), "project": world.project(),
        "withdrawal": world.withdrawal(), "announcement": world.announcement(), "objection": world.objection(), "debit": world.debit(),
    }
    for index, (name, document) in enumerate(documents.items()):
        seeds = (world.OPERATOR[0],) if name == "node-record" else (world.NORTH[2],) if name == "objection" else (world.OPERATOR[2],)
        values.append(("document", f"-{name}", {"index": index, "document": {name: world.signed(name, document, *seeds)}}))
    for name, suffix, value in values:
        data = codec.encode(messages.MESSAGES[name], value)
        assert codec.decode(messages.MESSAGES[name], data, 1 << 20) == value
        requirement = "ERR-2" if suffix == "-unknown" else "ERR-1" if name == "refused" else "CODEC-1"
        book.add(f"message/{name}", f"{name}{suffix}", requirement, "decode-record", {"type": name, "hex": data.hex()},
                 expect={"json": value}, note="bytes and JSON of one message")
    heads = [("none", [], "no document"), ("one", [1], "one document"), ("two", [1, 2], "two documents"),
             ("turned", [2, 1], "the same two in the other order")]
    for name, numbers, note in heads:
        names = [bytes([number]) * 32 for number in numbers]
        book.add("message/mail", f"head-{name}", "MAIL-3", "mail-head", {"documents": [name.hex() for name in names]},
                 expect=messages.mail_head(names).hex(), note=note)
