"""Every signed document and what it is made of, as lists of fields in the order they are written."""

import table
from codec import (
    AMOUNT, BYTES, I8, U8, U16, U32, U64, Checked, Enum, Fixed, Map, Option, Refused, Seq, Set, String, Struct, Tuple, decode)
from dsse import ENVELOPE as SIGNED
from dsse import KEY
from ident import COLUMN, MARK, NAME, PATH, TEXT
from terms import COLUMN_ENTRY, DAY, DECIMAL, FORMAT, LIMITS, TABLE, check_table, require

DIGEST, CONSORTIUM, SNAPSHOT, SEALING = Fixed(32), Fixed(32), Fixed(32), Fixed(32)
SHARE_ID, DATASET_ID, SUBSCRIPTION, NONCE, RELEASE_ID = Fixed(16), Fixed(16), Fixed(16), Fixed(16), Fixed(16)
MILLIS, SECONDS, SIZE = U64, U64, U64

EXTENSIONS_MAX, EXTENSION_MAX, PARTIES_MAX, COLUMNS_MAX = 32, 4096, 1000, 4096
MAPPING_MAX, MAPPING_SOURCES_MAX, MAPPING_TABLES_MAX = 256 * 1024, 64, 64
COMMON_SCHEMA_MAX = 512 * 1024
MARKS_MAX, SELECT_MAX, VIEW_MAX = 32, 64 * 1024, 256 * 1024
LISTING_ENTRIES_MAX, BLOB_MAX, K_FLOOR = 200_000, 1 << 40, 11
NODE_RECORD_MILLIS_MAX = 30 * 24 * 3600 * 1000


def check_extensions(entries):
    """DOC-6."""
    require(len(entries) <= EXTENSIONS_MAX, "too-large")
    require(all(len(value) // 2 <= EXTENSION_MAX for value in entries.values()), "too-large")
    require(all(int(key) % 2 == 1 for key in entries), "critical-unknown")


EXT = Checked(Map(U16, BYTES), check_extensions)

ERROR_CODE = Enum(
    "version_unknown", "identity_refused", "consortium_unknown", "clock_skew", "malformed", "signature_invalid",
    "out_of_order", "charter_not_in_force", "not_found", "revoked", "expired", "chain_broken", "linkage_mismatch",
    "stopped", "busy", "unavailable", "forked", "token_refused", "digest_mismatch",
)

# --- charter

LANDED_ROWS = Enum("exclude", "keep", "erase")
PARTY = Struct(kind=Enum("operator", "member"), title=TEXT, root=KEY, succeeds=Option(KEY))


def check_safeguards(s):
    """CHAR-11."""
    answers = 1 <= s["answer_time"] <= LIMITS["ANSWER_TIME_MAX"]
    require(s["objection_wait"] <= LIMITS["OBJECTION_WAIT_MAX"] and answers, "time")
    require(len(SAFEGUARD_FIELDS.write(s)) <= EXTENSION_MAX, "too-large")


SAFEGUARD_FIELDS = Struct(objection_wait=SECONDS, answer_time=SECONDS, renewed=Map(NAME, Struct(version=U32, unit=TEXT)))
SAFEGUARDS = Checked(SAFEGUARD_FIELDS, check_safeguards)


def safeguards_of(c):
    """CHAR-11: extension 7 of a charter, or what holds without it."""
    if "7" not in c["ext"]:
        return {"objection_wait": 0, "answer_time": LIMITS["ANSWER_TIME"], "renewed": {}}
    try:
        return decode(SAFEGUARDS, bytes.fromhex(c["ext"]["7"]), EXTENSION_MAX)
    except Refused:
        raise Refused("safeguards") from None


def check_charter(c):
    """CHAR-1, CHAR-2."""
    links = (c["consortium"], c["previous"])
    linked, unlinked = None not in links, links == (None, None)
    require(c["version"] > 0 and (unlinked if c["version"] == 1 else linked), "link")
    kinds = [party["kind"] for party in c["roster"].values()]
    require(kinds.count("operator") == 1 and len(kinds) <= PARTIES_MAX, "roster")
    roots = [key for party in c["roster"].values() for key in (party["root"], party["succeeds"]) if key]
    require(len(roots) == len(set(roots)), "root-shared")
    require(c["threshold"] > 0, "threshold")
    floor = min(c["policy"]["anonymity_k_min"], c["policy"]["small_cell_min"])
    require(floor >= (K_FLOOR if c["kind"] == "production" else 1), "floor")
    if c["linkage"]:
        maker = c["roster"].get(c["linkage"]["key_maker"])
        require(maker is not None and maker["kind"] == "member", "key-maker")
    said = safeguards_of(c)
    stands = (name in c["accounts"] and 1 <= renewal["version"] <= c["version"] for name, renewal in said["renewed"].items())
    require(all(stands), "renewed")


CHARTER = Checked(Struct(
    consortium=Option(CONSORTIUM), version=U32, previous=Option(DIGEST), title=TEXT,
    kind=Enum("rehearsal", "production"), at=MILLIS, roster=Map(NAME, PARTY), threshold=U16, schema=Option(DIGEST),
    policy=Struct(anonymity_k_min=U32, small_cell_min=U32),
    accounts=Map(NAME, Struct(population=TEXT, rho=AMOUNT, delta=AMOUNT, tokens_per_person_max=U32, patients_max=U64)),
    terms=Struct(landed_rows=LANDED_ROWS, share_validity_max=SECONDS, contract=Option(DIGEST)),
    linkage=Option(Struct(key_maker=NAME, epoch=U32)), ext=EXT,
), check_charter)

# --- node record and person


def check_node_record(r):
    """NODE-1, NODE-2."""
    longest = min(r["not_before"] + NODE_RECORD_MILLIS_MAX, 2**64 - 1)
    require(r["not_before"] < r["not_after"] <= longest, "validity")
    require(len({r["root"], r["tls"], r["signing"]}) == 3, "key-shared")


NODE_RECORD = Checked(Struct(
    consortium=CONSORTIUM, party=NAME, root=KEY, sequence=U64, tls=KEY, signing=KEY, sealing=SEALING,
    not_before=MILLIS, not_after=MILLIS, ext=EXT,
), check_node_record)

ROLE = Enum("site_administrator", "data_steward", "privacy_officer", "data_scientist", "auditor")
PERSON = Struct(consortium=CONSORTIUM, party=NAME, person=NAME, key=KEY, roles=Set(ROLE), not_after=MILLIS, ext=EXT)

# --- shares


def check_schedule(s):
    """SHARE-6."""
    if s == "manual":
        return
    if "every" in s:
        require(1 <= s["every"]["minutes"] <= 1440, "interval")
    else:
        require(s["daily"]["minute"] <= 1439, "minute")
        require(0 < s["daily"]["days"] <= 0x7F, "days")


SCHEDULE = Checked(
    Enum("manual", every=Struct(zone=TEXT, minutes=U16), daily=Struct(zone=TEXT, minute=U16, days=U8)), check_schedule)

CONTENT = Enum(table=TABLE, unchecked_files=None, release=Struct(release=RELEASE_ID))


def check_share(s):
    """SHARE-1, SHARE-2, SHARE-11 to SHARE-15."""
    require(s["version"] > 0, "version")
    require(s["provider"] not in s["consumers"], "consumer-is-provider")
    if "table" in s["content"]:
        check_table(s["content"]["table"], s["expires"])
    else:
        require(s["form"] == "snapshot", "files-in-place")


SHARE = Checked(Struct(
    consortium=CONSORTIUM, provider=NAME, share=SHARE_ID, name=NAME, version=U32, dataset=DATASET_ID,
    form=Enum("snapshot", "in_place_rows", "in_place_private"), content=CONTENT, purpose=TEXT, consumers=Set(NAME),
    expires=MILLIS, landed_rows=LANDED_ROWS, schedule=SCHEDULE, ext=EXT,
), check_share)


def check_text_form(form):
    """SRC-1."""
    require(form["delimiter"] < 0x80 and chr(form["delimiter"]) not in '"\n\r', "delimiter")
    require(len(form["missing"]) <= MARKS_MAX, "marks")
    if form["heading"] != "line":
        names = form["heading"]["names"]
        require(1 <= len(names) <= COLUMNS_MAX, "names")
        require(len(names) == len(set(names)), "name-twice")


TEXT_FORM = Checked(Struct(
    delimiter=U8, encoding=Enum("utf_8", "utf_16", "utf_16le", "utf_16be", "windows_1252"), missing=Set(MARK),
    heading=Enum("line", names=Seq(COLUMN)),
), check_text_form)

def written(most):
    """SRC-2."""
    def check(text):
        length = len(text.encode())
        require(length > 0, "empty")
        require(length <= most, "too-long")
        require("\0" not in text, "zero")
    return Checked(String(), check)


DATABASE_PLACE = Struct(
    address=Enum(network=Struct(host=TEXT, port=U16), socket=Struct(path=TEXT)),
    privacy=Enum("within_machine", tls=Struct(roots=TEXT, name=TEXT)),
    database=TEXT, user=TEXT, password=Option(TEXT), statement_seconds=U32)
DATABASE_TABLE = Struct(
    place=DATABASE_PLACE, rows=Enum(table=Struct(schema=Option(TEXT), table=TEXT), select=written(SELECT_MAX)),
    rows_per_second=Option(U32))
OBJECT_PLACE = Struct(
    endpoint=Option(TEXT), region=TEXT, bucket=TEXT, key=TEXT, roots=Option(TEXT), credentials=Option(TEXT),
    form=Enum(csv=TEXT_FORM, parquet=None, ndjson=None, json=None, arrow_ipc=None))

DATASET = Struct(
    dataset=DATASET_ID, name=NAME,
    source=Enum(
        csv=Struct(path=TEXT, form=TEXT_FORM), parquet=Struct(path=TEXT), files=Struct(folder=TEXT), ndjson=Struct(path=TEXT),
        json=Struct(path=TEXT), arrow_ipc=Struct(path=TEXT), mapped=Struct(mapping=NAME, table=NAME),
        fhir=Struct(path=TEXT, view=written(VIEW_MAX)), postgres=DATABASE_TABLE, maria=DATABASE_TABLE, s3=OBJECT_PLACE,
        release=Struct(release=RELEASE_ID)),
    key=Seq(COLUMN), patient=Option(COLUMN),
    linkage=Option(Struct(
        given=COLUMN, family=COLUMN, birth=COLUMN,
        birth_format=FORMAT)),
)

INVITATION = Struct(
    consortium=CONSORTIUM, subscription=SUBSCRIPTION, consumer=NAME, share=SHARE, at=MILLIS, answer_by=MILLIS,
    accepted=Option(DIGEST), ext=EXT)
ANSWER = Enum("accept", "refuse")
ACCEPTANCE = Struct(
    consortium=CONSORTIUM, subscription=SUBSCRIPTION, invitation=DIGEST, consumer=NAME, answer=ANSWER, at=MILLIS, ext=EXT)
STANDING_STATE = Enum("active", "paused", "ended")
STANDING = Struct(
    consortium=CONSORTIUM, subscription=SUBSCRIPTION, consumer=NAME, sequence=U32, state=STANDING_STATE, at=MILLIS, ext=EXT)
CHANGE = Enum("revoke", "reinstate", expires=MILLIS, schedule=SCHEDULE)
REVOCATION = Struct(
    consortium=CONSORTIUM, subscription=SUBSCRIPTION, provider=NAME, sequence=U32, change=CHANGE, reason=Option(TEXT),
    at=MILLIS, ext=EXT)

# --- snapshots


def check_blob_ref(pair):
    """SNAP-4."""
    require(pair[1] <= BLOB_MAX, "blob-too-long")


BLOB_REF = Checked(Tuple(DIGEST, SIZE), check_blob_ref)
LISTING_ENTRY = Struct(path=PATH, role=Enum("rows", "deletes", "file"), blob=BLOB_REF, rows=U64)


def check_listing(entries):
    """SNAP-3."""
    require(len(entries) <= LISTING_ENTRIES_MAX, "too-many")
    paths = [entry["path"] for entry in entries]
    require(all(a.encode() < b.encode() for a, b in zip(paths, paths[1:])), "order")
    folded = [path.lower() for path in paths]
    require(len(set(folded)) == len(folded), "case-twin")
    for path in folded:
        folders = [path[:at] for at, character in enumerate(path) if character == "/"]
        require(not set(folders) & set(folded), "file-is-folder")


LISTING = Checked(Seq(LISTING_ENTRY), check_listing)
LINKAGE_KEY_ID, LINKAGE_CHECK = Fixed(16), Fixed(16)
LINKAGE_STATEMENT = Struct(epoch=U32, key=LINKAGE_KEY_ID, normaliser=U16, check=LINKAGE_CHECK)
MANIFEST = Struct(
    consortium=CONSORTIUM, provider=NAME, share=SHARE_ID, terms=DIGEST, sequence=U64, previous=Option(SNAPSHOT),
    base=Enum("full", "delta"), taken=MILLIS, listing=BLOB_REF, bytes=SIZE, label=Enum("pseudonymised", "unchecked", "safe_harbor", "release"),
    columns=Seq(COLUMN_ENTRY), linkage=Option(LINKAGE_STATEMENT), ext=EXT,
)
RECEIPT = Struct(
    consortium=CONSORTIUM, subscription=SUBSCRIPTION, snapshot=SNAPSHOT, consumer=NAME,
    outcome=Enum(landed=Struct(bytes=SIZE), refused=ERROR_CODE, erased=None), at=MILLIS, ext=EXT,
)
LINKAGE_WRAP = Struct(
    consortium=CONSORTIUM, epoch=U32, key=LINKAGE_KEY_ID, maker=NAME, recipient=NAME, sealing=SEALING,
    ephemeral=SEALING, ciphertext=BYTES, at=MILLIS, ext=EXT,
)
EXPORT_HEADING = Struct(
    consortium=CONSORTIUM, provider=NAME, consumer=NAME, subscription=SUBSCRIPTION, documents=DIGEST, at=MILLIS, ext=EXT)

# --- mappings


def check_mapping(m):
    """MAP-1."""
    require(m["version"] > 0, "version")
    require(len(m["text"].encode()) <= MAPPING_MAX, "too-long")
    counts = 1 <= len(m["sources"]) <= MAPPING_SOURCES_MAX and 1 <= len(m["tables"]) <= MAPPING_TABLES_MAX
    require(counts and m["patients"] in m["sources"], "sources")


MAPPING = Checked(Struct(
    consortium=CONSORTIUM, party=NAME, name=NAME, version=U32, schema=DIGEST, text=String(), sources=Map(NAME, DATASET_ID),
    patients=NAME, tables=Set(NAME), ext=EXT,
), check_mapping)
ORIGIN = Struct(mapping=DIGEST, schema=DIGEST, set=DIGEST, table=NAME, software=NAME)
VOCABULARY = Struct(release=TEXT, digest=DIGEST)
ALLOWANCE_FIELDS = Struct(left_out=Set(NAME), thresholds=Map(TEXT, U16))


def check_allowance(a):
    """MAP-22."""
    require(all(borne <= 1000 for borne in a["thresholds"].values()), "threshold")
    counts = len(a["left_out"]) <= MAPPING_TABLES_MAX and len(a["thresholds"]) <= PIPELINE_THRESHOLDS_MAX
    require(counts and len(ALLOWANCE_FIELDS.write(a)) <= EXTENSION_MAX, "too-large")


ALLOWANCE = Checked(ALLOWANCE_FIELDS, check_allowance)


def check_common_schema(s):
    """MAP-11."""
    require(1 <= len(s["text"].encode()) <= COMMON_SCHEMA_MAX, "length")


COMMON_SCHEMA = Checked(Struct(consortium=CONSORTIUM, text=String(), ext=EXT), check_common_schema)

# --- consolidation

PART_DIGEST, TABLE_VERSION = Fixed(32), Fixed(32)
CONSOLIDATED_PART = Struct(
    share=SHARE_ID, snapshot=SNAPSHOT, mapping=Option(DIGEST), vocabulary=Option(VOCABULARY), digest=PART_DIGEST,
    blobs=Seq(BLOB_REF))


def check_consolidation(c):
    """CONS-4."""
    require(c["sequence"] > 0 and (c["sequence"] == 1) == (c["previous"] is None), "link")
    for name, of in sorted(c["tables"].items()):
        require(len(of["parts"]) <= PARTIES_MAX, "parties")
        parts = {member: part["digest"] for member, part in of["parts"].items()}
        require(of["version"] == table.version_id(name, c["schema"], parts).hex(), "version")


RUN_FAULT = Enum(
    "unreadable", "changed", "malformed", "columns_differ", "key_twice", "limit", "no_linkage_key", "worker_lost",
    "set_stale", "unsettled", "no_vocabulary", "drifted", "emptied")

CONSOLIDATION = Checked(Struct(
    consortium=CONSORTIUM, operator=NAME, sequence=U64, previous=Option(DIGEST), schema=DIGEST,
    tables=Map(NAME, Struct(version=TABLE_VERSION, parts=Map(NAME, CONSOLIDATED_PART))), left_out=Map(NAME, RUN_FAULT),
    software=TEXT, at=MILLIS, ext=EXT,
), check_consolidation)

# --- notices about sites

SITES_MIN, DEPARTURES_MAX, UNITS_MAX = 5, 2000, 100
QUANTITY = Struct(table=NAME, field=NAME, concept=U64)
DEPARTURE = Enum(
    missing=Struct(table=NAME, field=NAME, here=Option(U8), elsewhere=Option(U8)),
    units=Struct(of=QUANTITY, units=Seq(U64), here=Option(U8)),
    distribution=Struct(of=QUANTITY, unit=U64, distance=U8),
)


def check_site_notice(n):
    """QUAL-4."""
    require(n["sites"] >= SITES_MIN, "sites")
    require(len(n["departures"]) <= DEPARTURES_MAX, "too-many")
    for departure in n["departures"]:
        (_, said), = departure.items()
        shares = [said.get(name) for name in ("here", "elsewhere", "distance")]
        require(all(share is None or share <= 100 for share in shares), "share")
        require(len(said.get("units", [])) <= UNITS_MAX, "share")


SITE_NOTICE = Checked(Struct(
    consortium=CONSORTIUM, operator=NAME, member=NAME, consolidation=DIGEST, sites=U32, departures=Seq(DEPARTURE), at=MILLIS, ext=EXT,
), check_site_notice)

# --- pipelines

PIPELINE_STEPS_MAX, PIPELINE_ATTEMPTS_MAX, PIPELINE_WAIT_MAX, PIPELINE_THRESHOLDS_MAX = 32, 20, 24 * 3600, 256


def check_pipeline(p):
    """PIPE-1."""
    require(1 <= len(p["steps"]) <= PIPELINE_STEPS_MAX, "steps")
    require(1 <= p["attempts"] <= PIPELINE_ATTEMPTS_MAX, "attempts")
    require(1 <= p["wait"] <= PIPELINE_WAIT_MAX, "wait")
    for step in p["steps"]:
        thresholds = step["check"]["thresholds"] if "check" in step else {}
        require(len(thresholds) <= PIPELINE_THRESHOLDS_MAX and all(borne <= 1000 for borne in thresholds.values()), "threshold")
    require(p["trigger"] != {"schedule": "manual"}, "manual")


PUBLISH_PLACE = Struct(
    place=DATABASE_PLACE, schema=Option(TEXT), absent=Enum("refuse", "create"), ids=Enum("whole", "numbered"))
PIPELINE = Checked(Struct(
    consortium=CONSORTIUM, party=NAME, name=NAME,
    trigger=Enum(landed=Struct(subscription=Option(SUBSCRIPTION)), new_file=Struct(dataset=DATASET_ID), schedule=SCHEDULE),
    steps=Seq(Enum(check=Struct(mapping=NAME, thresholds=Map(TEXT, U16)), share=Struct(share=SHARE_ID), consolidate=None,
                   publish=Struct(into=PUBLISH_PLACE))),
    attempts=U16, wait=SECONDS, ext=EXT,
), check_pipeline)

# --- projects and releases

RELEASE_KIND = Enum("microdata", "counts", "aggregate", "synthetic")
MILLIONTHS, WHOLE = U64, 1_000_000


def check_project(p):
    """REL-2."""
    require(p["version"] > 0, "version")
    require(p["people"] and p["kinds"], "empty")
    require(p["tables"] and all(1 <= len(columns) <= COLUMNS_MAX for columns in p["tables"].values()), "tables")
    require(max(len(p["people"]), len(p["recipients"]), len(p["tables"])) <= PARTIES_MAX, "too-many")


PROJECT = Checked(Struct(
    consortium=CONSORTIUM, operator=NAME, name=NAME, version=U32, purpose=TEXT, permit=TEXT, account=NAME, people=Set(NAME),
    kinds=Set(RELEASE_KIND), tables=Map(NAME, Set(NAME)), recipients=Set(NAME), budget=Struct(rho=AMOUNT, delta=AMOUNT),
    expires=MILLIS, ext=EXT,
), check_project)
HIERARCHY = Enum(
    table=Seq(Seq(TEXT)), intervals=Struct(lower=DECIMAL, upper=DECIMAL, unit=DECIMAL, steps=Seq(U32)),
    dates=Struct(first=DAY, last=DAY, levels=Seq(Enum("month", "quarter", "year", "decade"))),
    prefixes=Struct(codes=Seq(TEXT), keep=Seq(U8)), tree=Seq(Tuple(TEXT, TEXT)))
DIVERSITY = Enum(distinct=U32, entropy=MILLIONTHS)
CLOSENESS = Struct(t=MILLIONTHS, distance=Enum(equal=None, ordered=None, hierarchical=HIERARCHY))
RELEASE_ROLE = Enum(
    quasi=Struct(hierarchy=HIERARCHY, missing=Option(TEXT)),
    sensitive=Struct(diversity=Option(DIVERSITY), closeness=Option(CLOSENESS)), measure=Struct(digits=I8))
MICRODATA = Struct(
    k=U32, recoding=Enum(resistant=None, local=None, full_domain=Struct(suppression_max=MILLIONTHS)),
    columns=Seq(Struct(name=COLUMN, role=RELEASE_ROLE)), ids=Enum("none", "random"))
COUNTS = Struct(dimensions=Seq(Tuple(COLUMN, HIERARCHY)), floor=U32, rounding=Enum(none=None, to=U32))


def check_hierarchy(h):
    """REL-1: its bounds."""
    (form, said), = h.items()
    lines = len(said) if form in ("table", "tree") else len(said["codes"]) if form == "prefixes" else 1
    levels = {"table": lambda: max(map(len, said), default=0), "intervals": lambda: len(said["steps"]) + 2,
              "dates": lambda: len(said["levels"]) + 2, "prefixes": lambda: len(said["keep"]) + 2, "tree": lambda: 0}[form]()
    require(1 <= lines <= LIMITS["HIERARCHY_LINES_MAX"] and levels <= LIMITS["HIERARCHY_LEVELS_MAX"], "hierarchy")


def check_released_names(r, names, taken):
    """REL-1: the columns that leave."""
    seen = set(taken)
    for name in names:
        require(name != r["patient"], "identifier")
        require(name not in seen, "column-twice")
        seen.add(name)
    require(1 <= len(names) <= LIMITS["REQUEST_COLUMNS_MAX"], "columns")


def check_sensitive(role):
    """REL-1: what a sensitive column is held to."""
    diversity, closeness = role["diversity"], role["closeness"]
    if diversity is not None:
        (kind, l), = diversity.items()
        require(l >= (1 if kind == "distinct" else WHOLE), "number")
    if closeness is not None:
        require(closeness["t"] <= WHOLE, "number")
        if "hierarchical" in closeness["distance"]:
            check_hierarchy(closeness["distance"]["hierarchical"])


def check_microdata(r, m):
    """REL-1."""
    names = [column["name"] for column in m["columns"]]
    check_released_names(r, names, ["patient"] if m["ids"] == "random" else [])
    require(any("quasi" in column["role"] for column in m["columns"]), "columns")
    suppressed = m["recoding"]["full-domain"]["suppression_max"] if "full-domain" in m["recoding"] else 0
    require(m["k"] >= 2 and suppressed <= WHOLE, "floor")
    for column in m["columns"]:
        (role, said), = column["role"].items()
        require(column["name"] != r["member"] or role == "quasi", "member-column")
        if role == "quasi":
            check_hierarchy(said["hierarchy"])
        elif role == "measure":
            require(abs(said["digits"]) <= LIMITS["ROUND_DIGITS_MAX"], "number")
        else:
            check_sensitive(said)


def check_request(r):
    """REL-1."""
    require(1 <= len(r["question"].encode()) <= SELECT_MAX, "question")
    (kind, asked), = r["asked"].items()
    if kind == "microdata":
        return check_microdata(r, asked)
    if kind == "aggregate":
        spends = int(asked["rho"]) > 0 and int(asked["delta"]) < 1 << 100
        return require(spends and len(asked["declared"].encode()) <= SELECT_MAX, "budget")
    check_released_names(r, [name for name, _ in asked["dimensions"]], [])
    require(asked["floor"] >= 2 and (asked["rounding"] == "none" or asked["rounding"]["to"] >= 2), "floor")
    for _, hierarchy in asked["dimensions"]:
        check_hierarchy(hierarchy)


REQUEST = Checked(Struct(
    consortium=CONSORTIUM, project=NAME, salt=NONCE, question=String(), patient=COLUMN, member=COLUMN,
    asked=Enum(microdata=MICRODATA, counts=COUNTS, aggregate=Struct(declared=String(), rho=AMOUNT, delta=AMOUNT)),
    recipients=Set(NAME), ext=EXT,
), check_request)
RESERVATION = Struct(
    release=RELEASE_ID, kind=RELEASE_KIND, request=DIGEST, question=DIGEST, charter=DIGEST, project=DIGEST, account=NAME,
    consolidation=DIGEST, tables=Map(NAME, TABLE_VERSION), members=Set(NAME), recipients=Set(NAME),
    charge=Enum(uncovered=None, private=Struct(rho=AMOUNT, delta=AMOUNT)))
BODY_FILE = Struct(path=PATH, bytes=SIZE, digest=DIGEST, sha256=DIGEST, rows=U64)
ATTACK_RUN = Struct(
    attack=Enum("linkage", "homogeneity", "skewness", "background", "minimality", "downcoding", "greedy_choices",
                "intersection", "linear"),
    column=Option(COLUMN), assumes=TEXT, threshold=MILLIONTHS)
DONE = Enum(
    microdata=Struct(k=U32, measures=Struct(
        rows=U64, suppressed=U64, classes=U64, loss=MILLIONTHS, columns=Map(COLUMN, MILLIONTHS), class_size=MILLIONTHS,
        discernibility=U64, entropy=MILLIONTHS)),
    counts=Struct(floor=U32, cells=U64, suppressed=U64),
    aggregate=Struct(
        rho=AMOUNT, delta=AMOUNT, epsilon=MILLIONTHS, epsilon_person=MILLIONTHS, tokens=U32, at=AMOUNT,
        noise=Seq(Struct(
            what=TEXT, noise=Enum("laplace", "gaussian", "gaussian_threshold"), scale=MILLIONTHS, half_width=MILLIONTHS)),
        threshold=Option(U64), origins=Seq(Tuple(TEXT, TEXT)), uncovered=Set(RELEASE_ID)))
MADE_RELEASE = Struct(
    body=Seq(BODY_FILE), report=BLOB_REF, memory=Option(BLOB_REF), done=DONE, attacks=Seq(ATTACK_RUN),
    together_with=Set(RELEASE_ID), not_covered=Seq(TEXT), verdict=Enum("stood", "fell"))


def check_release(r):
    """REL-3."""
    (asked, terms), = r["request"]["asked"].items()
    (done, said), = r["done"].items()
    require(asked == done, "kind")
    if asked == "aggregate":
        require((int(said["rho"]), int(said["delta"])) == (int(terms["rho"]), int(terms["delta"])), "cost")
    else:
        floor = "k" if asked == "microdata" else "floor"
        require(said[floor] >= terms[floor], "floor")
    require(r["request"]["consortium"] == r["consortium"], "consortium")
    paths = [file["path"].encode() for file in r["body"]]
    ascending = all(a < b for a, b in zip(paths, paths[1:]))
    require(1 <= len(paths) <= LIMITS["BODY_FILES_MAX"] and ascending, "body")
    require(max([len(parts) for parts in r["inputs"].values()] + [len(r["excluded"])]) <= PARTIES_MAX, "parties")


RELEASE = Checked(Struct(
    consortium=CONSORTIUM, operator=NAME, release=RELEASE_ID, charter=DIGEST, project=DIGEST, account=NAME, request=REQUEST,
    reserved=U64, consolidation=DIGEST, tables=Map(NAME, TABLE_VERSION),
    inputs=Map(NAME, Map(NAME, Struct(
        share=SHARE_ID, snapshot=SNAPSHOT, mapping=Option(DIGEST), vocabulary=Option(VOCABULARY)))),
    excluded=Set(NAME), done=DONE, attacks=Seq(ATTACK_RUN), together_with=Set(RELEASE_ID), not_covered=Seq(TEXT),
    body=Seq(BODY_FILE), software=TEXT, at=MILLIS, ext=EXT,
), check_release)
WITHDRAWAL = Struct(
    consortium=CONSORTIUM, operator=NAME, release=RELEASE_ID, statement=DIGEST, reason=TEXT, at=MILLIS, ext=EXT)
CHARGE = Enum(uncovered=None, private=Struct(rho=AMOUNT, delta=AMOUNT))
ANNOUNCEMENT = Struct(
    consortium=CONSORTIUM, operator=NAME, release=RELEASE_ID, kind=RELEASE_KIND, charter=DIGEST, project=DIGEST, account=NAME,
    members=Set(NAME), recipients=Set(NAME), charge=CHARGE, until=MILLIS, at=MILLIS, ext=EXT)
OBJECTION = Struct(
    consortium=CONSORTIUM, member=NAME, release=RELEASE_ID, announcement=DIGEST, reason=TEXT, at=MILLIS, ext=EXT)
DEBIT = Struct(
    consortium=CONSORTIUM, operator=NAME, release=RELEASE_ID, kind=RELEASE_KIND, charter=DIGEST, project=DIGEST, account=NAME,
    members=Set(NAME), charge=CHARGE, reserved=U64, sequence=U64, spent=Struct(rho=AMOUNT, delta=AMOUNT), at=MILLIS, ext=EXT)
REFUSAL = Enum(
    "question", "charter", "project", "expired", "person", "kind", "columns", "identifier", "recipients", "floor", "account",
    "tables", "members", "budget")

# --- orders and the journal

COMMAND = Enum(
    enrol_person=SIGNED,
    issue_join_token=Struct(secret=DIGEST, party=NAME, title=TEXT, expires=MILLIS),
    propose_charter=CHARTER,
    sign_charter=DIGEST,
    confirm_root=Struct(party=NAME, root=KEY),
    make_linkage_key=Struct(epoch=U32),
    wrap_linkage_key=Struct(epoch=U32),
    define_dataset=DATASET,
    define_share=SHARE,
    approve_share=Struct(share=SHARE_ID, terms=DIGEST, unchecked=Enum("no", "acknowledged")),
    invite=Struct(share=SHARE_ID, consumer=NAME, subscription=SUBSCRIPTION, answer_by=MILLIS),
    answer_invitation=Struct(subscription=SUBSCRIPTION, invitation=DIGEST, answer=ANSWER),
    set_standing=Struct(subscription=SUBSCRIPTION, state=STANDING_STATE),
    change_subscription=Struct(subscription=SUBSCRIPTION, change=CHANGE, reason=Option(TEXT)),
    take_snapshot=Struct(share=SHARE_ID),
    opt_out=Struct(dataset=DATASET_ID, entry=Fixed(16), choice=Enum("out", "in")),
    roll_back=Struct(subscription=SUBSCRIPTION, snapshot=SNAPSHOT),
    prune=Struct(subscription=SUBSCRIPTION, keep=U32),
    preview=Struct(share=SHARE_ID),
    read_landed=Struct(subscription=SUBSCRIPTION),
    stop=None,
    start=None,
    export=Struct(subscription=SUBSCRIPTION),
    import_=Struct(provider=NAME),
    profile=None,
    define_mapping=MAPPING,
    run_mapping=Struct(mapping=NAME),
    read_mapped=Struct(mapping=NAME),
    consolidate=None,
    use_tables=Struct(consolidation=DIGEST),
    read_tables=Struct(consolidation=DIGEST),
    publish=Struct(consolidation=DIGEST, into=PUBLISH_PLACE),
    check_mapping=Struct(mapping=NAME),
    check_tables=Struct(member=NAME),
    compare_sites=None,
    query=Struct(question=DIGEST, reason=DIGEST),
    define_pipeline=PIPELINE,
    change_pipeline=Struct(pipeline=NAME, change=Enum("retry", "park", "remove")),
    run_mapping_despite=Struct(mapping=NAME, empty=Set(NAME)),
    load_vocabulary=Struct(folder=TEXT),
    state_schema=Struct(text=String()),
    define_project=PROJECT,
    approve_project=Struct(project=DIGEST),
    request_release=Struct(release=RELEASE_ID, request=BLOB_REF),
    sign_release=Struct(release=RELEASE_ID, statement=DIGEST),
    refuse_release=Struct(release=RELEASE_ID),
    withdraw_release=Struct(release=RELEASE_ID, reason=TEXT),
    object=Struct(release=RELEASE_ID, reason=TEXT),
    cap=Struct(cap=Option(Struct(rho=AMOUNT, delta=AMOUNT))),
)
ORDER = Struct(consortium=CONSORTIUM, party=NAME, person=NAME, nonce=NONCE, at=MILLIS, command=COMMAND, ext=EXT)

STEP_FAULT = Enum(
    run=RUN_FAULT, gates=None, role_missing=None, not_approved=None, not_found=None, out_of_order=None)
ACT = Enum(
    began=Struct(party=NAME), order=SIGNED, person=SIGNED, charter=SIGNED, node_record=SIGNED,
    join_asked=Struct(secret=DIGEST, record=SIGNED), invitation=SIGNED, acceptance=SIGNED, standing=SIGNED,
    revocation=SIGNED, manifest=SIGNED,
    snapshot_taken=Struct(share=SHARE_ID, snapshot=SNAPSHOT, index=Option(BLOB_REF)),
    snapshot_failed=Struct(share=SHARE_ID, fault=RUN_FAULT),
    receipt=SIGNED, linkage_wrap=SIGNED,
    linkage_key_held=Struct(epoch=U32, key=LINKAGE_KEY_ID),
    served=Struct(subscription=SUBSCRIPTION, bytes=SIZE),
    peer_refused=Struct(peer=Option(NAME), code=ERROR_CODE),
    document_refused=Struct(document=DIGEST, code=ERROR_CODE),
    erased=Struct(subscription=SUBSCRIPTION, snapshot=SNAPSHOT),
    document_known=Struct(document=DIGEST),
    snapshot_unwanted=Struct(subscription=SUBSCRIPTION, snapshot=SNAPSHOT, code=ERROR_CODE),
    mapped=Struct(mapping=DIGEST, set=BLOB_REF, linkage=Option(LINKAGE_STATEMENT)),
    mapping_failed=Struct(mapping=DIGEST, fault=RUN_FAULT),
    consolidated=Struct(consolidation=SIGNED, set=BLOB_REF),
    consolidation_failed=Struct(fault=RUN_FAULT),
    answer_refused=Struct(subscription=SUBSCRIPTION, invitation=DIGEST, code=ERROR_CODE),
    published=Struct(consolidation=DIGEST), publish_failed=Struct(consolidation=DIGEST, fault=RUN_FAULT),
    site_notice=SIGNED,
    compared=Struct(consolidation=DIGEST),
    pipeline_began=Struct(pipeline=NAME, order=DIGEST, cause=Option(DIGEST)),
    pipeline_step=Struct(
        pipeline=NAME, step=U16, attempt=U16, end=Enum(done=None, failed=STEP_FAULT, parked=STEP_FAULT)),
    vocabulary_loaded=Struct(vocabulary=VOCABULARY, index=BLOB_REF),
    common_schema=SIGNED,
    vocabulary_failed=Struct(fault=RUN_FAULT),
    project=SIGNED,
    release_refused=Struct(release=RELEASE_ID, refusal=REFUSAL),
    release_same=Struct(release=RELEASE_ID, same=RELEASE_ID),
    release_reserved=RESERVATION,
    release_made=Struct(release=RELEASE_ID, made=MADE_RELEASE),
    release_failed=Struct(release=RELEASE_ID, fault=RUN_FAULT),
    release_stopped=Struct(release=RELEASE_ID, report=BLOB_REF),
    released=SIGNED,
    withdrawal=SIGNED,
    announcement=SIGNED,
    objection=SIGNED,
    debit=SIGNED,
)
JOURNAL_ENTRY = Struct(at=MILLIS, actor=Enum(person=NAME, node=None, peer=NAME), act=ACT)

# --- by name: documents that are signed, with their labels, and records that are not

PREFIX = "application/vnd.cohortium.v1."
DOCUMENTS = {
    "charter": CHARTER, "node-record": NODE_RECORD, "person": PERSON, "share": SHARE, "invitation": INVITATION,
    "acceptance": ACCEPTANCE, "standing": STANDING, "revocation": REVOCATION, "manifest": MANIFEST, "receipt": RECEIPT,
    "linkage-wrap": LINKAGE_WRAP, "order": ORDER, "export-heading": EXPORT_HEADING, "mapping": MAPPING,
    "consolidation": CONSOLIDATION, "site-notice": SITE_NOTICE, "pipeline": PIPELINE, "common-schema": COMMON_SCHEMA,
    "project": PROJECT, "request": REQUEST, "release": RELEASE, "withdrawal": WITHDRAWAL, "announcement": ANNOUNCEMENT, "objection": OBJECTION,
    "debit": DEBIT,
}
RECORDS = DOCUMENTS | {
    "listing": LISTING, "journal-entry": JOURNAL_ENTRY, "dataset": DATASET, "origin": ORIGIN, "vocabulary": VOCABULARY, "allowance": ALLOWANCE, "safeguards": SAFEGUARDS, "text-form": TEXT_FORM,
    "select": written(SELECT_MAX), "view": written(VIEW_MAX),
}


def label(name):
    """DOC-2: the payload type of a document."""
    return f"{PREFIX}{name}.v1"
