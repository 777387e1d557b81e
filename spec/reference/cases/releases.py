"""Projects, requests, releases and their review (spec chapter 16)."""

import review
import world
from cases.book import refusal
from cases.documents import golden, refused
from codec import Refused
from world import NOW


def add_records(book):
    """REL-1 to REL-3."""
    for name, suffix, value in (
        ("project", "stays", world.project()), ("request", "microdata", world.request()), ("request", "counts", world.count_request()),
        ("request", "aggregate", world.aggregate_request()),
        ("release", "first", world.release()), ("withdrawal", "first", world.withdrawal()),
        ("announcement", "first", world.announcement()), ("objection", "first", world.objection()), ("debit", "first", world.debit()),
    ):
        golden(book, name, suffix, value, "CODEC-1", "bytes and JSON of one value")
    add_requests(book)
    project = world.project()
    for suffix, change, note in (
        ("version-0", {"version": 0}, "there is no version 0"), ("nobody", {"people": []}, "nobody may ask"),
        ("nothing", {"kinds": []}, "nothing may be asked for"), ("no-table", {"tables": {}}, "no table"),
        ("no-column", {"tables": {"person": []}}, "a table without a column"),
        ("many", {"people": [f"p{n}" for n in range(1001)]}, "1,001 people"),
    ):
        refused(book, "project", suffix, project | change, "REL-2", note)
    release = world.release()
    counts = {"counts": {"floor": 11, "cells": 3, "suppressed": 0}}
    low = {"microdata": release["done"]["microdata"] | {"k": 10}}
    a, b = world.body_file("a"), world.body_file("b")
    for suffix, change, note in (
        ("kind", {"done": counts}, "counts where rows were asked for"), ("floor", {"done": low}, "a smaller k than was asked for"),
        ("floor-counts", {"request": world.count_request(), "done": {"counts": counts["counts"] | {"floor": 10}}}, "a lower floor"),
        ("no-body", {"body": []}, "no file"), ("descending", {"body": [b, a]}, "descending paths"), ("twice", {"body": [a, a]}, "one path twice"),
        ("consortium", {"request": world.request(consortium="00" * 32)}, "a request of another consortium"),
    ):
        refused(book, "release", suffix, release | change, "REL-3", note)
    answer = release | {"request": world.aggregate_request(), "done": world.aggregate_done()}
    golden(book, "release", "aggregate", answer, "REL-3", "an answer with its noise")
    refused(book, "release", "cost", answer | {"done": world.aggregate_done(rho=2**29)}, "REL-3", "another cost than was asked")
    golden(book, "release", "larger-k", release | {"done": {"microdata": release["done"]["microdata"] | {"k": 12}}}, "REL-3", "a larger k was kept")


def add_requests(book):
    """REL-1."""
    request = world.request()
    microdata = request["asked"]["microdata"]
    born, gender, cause, days = microdata["columns"]

    def rows(**changes):
        return {"asked": {"microdata": microdata | changes}}

    def sensitive(diversity, t=0, distance="equal"):
        return rows(columns=[born, cause | {"role": {"sensitive": {"diversity": diversity, "closeness": {"t": t, "distance": distance}}}}])

    def of(form):
        return rows(columns=[world.released_column("x", world.quasi(form))])

    def counted(**changes):
        return {"asked": {"counts": {"dimensions": [["gender", world.hierarchies()[0]]], "floor": 11, "rounding": "none"} | changes}}

    full = [["a", "b"]] * 65_537
    cases = [
        ("no-question", {"question": ""}, "no question"), ("long-question", {"question": "x" * 65_537}, "a byte more than allowed"),
        ("no-column", rows(columns=[]), "no column"), ("no-quasi", rows(columns=[days]), "nothing to generalise"),
        ("many", rows(columns=[world.released_column(f"x{n}", days["role"]) for n in range(65)]), "65 columns"),
        ("twice", rows(columns=[born, gender, born]), "one name twice"),
        ("numbered", rows(columns=[world.released_column("patient", born["role"])]), "the name that patients' numbers have"),
        ("identifier", rows(columns=[world.released_column("person_id", born["role"])]), "the patient's own column"),
        ("member", rows(columns=[born, world.released_column("cohortium_member", days["role"])]), "the member as a measure"),
        ("k-1", rows(k=1), "a class of one"), ("suppression", rows(recoding={"full-domain": {"suppression_max": 1_000_001}}), "more than all"),
        ("digits", rows(columns=[born, world.released_column("x", {"measure": {"digits": 13}})]), "more digits than a number has"),
        ("l-0", sensitive({"distinct": 0}), "no value"), ("l-entropy", sensitive({"entropy": 999_999}), "less than one value"),
        ("t", sensitive(None, t=1_000_001), "farther than far"), ("t-form", sensitive(None, distance={"hierarchical": {"tree": []}}), "no line"),
        ("lines-0", of({"table": []}), "no line"), ("levels-33", of({"table": [["x"] * 33]}), "33 levels"),
        ("dates-33", of({"dates": {"first": "2020-01-01", "last": "2020-01-02", "levels": ["month"] * 31}}), "33 levels"),
        ("floor-1", counted(floor=1), "counts of one person"), ("rounding-1", counted(rounding={"to": 1}), "rounded to nothing"),
        ("free", {"asked": {"aggregate": {"declared": "{}", "rho": 0, "delta": 0}}}, "an answer for nothing"),
        ("certain", {"asked": {"aggregate": {"declared": "{}", "rho": 1, "delta": str(2**100)}}}, "a delta of one"),
        ("declared", {"asked": {"aggregate": {"declared": "x" * 65_537, "rho": 1, "delta": 0}}}, "a byte more than allowed"),
        ("no-dimension", counted(dimensions=[]), "no dimension"), ("dimension-form", counted(dimensions=[["gender", {"tree": []}]]), "no line"),
    ]
    for suffix, change, note in cases:
        refused(book, "request", suffix, request | change, "REL-1", note)
    for index, form in enumerate(world.hierarchies()):
        golden(book, "request", f"form-{index}", request | of(form), "REL-1", "one of each form of hierarchy")
    for suffix, change in (
        ("full-domain", rows(recoding={"full-domain": {"suppression_max": 1_000_000}}, ids="none")), ("local", rows(recoding="local")),
        ("k-2", rows(k=2)), ("entropy", sensitive({"entropy": 1_000_000}, t=1_000_000, distance="ordered")),
        ("member-quasi", rows(columns=[world.released_column("cohortium_member", gender["role"])])), ("floor-2", counted(floor=2)),
        ("levels-32", of({"table": [["x"] * 32]})),
    ):
        golden(book, "request", suffix, request | change, "REL-1", "just within bounds")
    assert refusal(world.records.REQUEST.check, request | of({"table": full})) == "hierarchy"


def asking(**changes):
    """A request as it was planned."""
    def person(column):
        return [["person", column]]

    columns = {
        "person_id": person("person_id"), "cohortium_member": [], "born": person("year_of_birth"),
        "gender": person("gender_concept_id"), "cause": person("gender_concept_id"), "days": []}
    return {
        "now": NOW, "person": "d.weber", "request": world.request(), "question": "9e" * 32,
        "reads": {"person": ["gender_concept_id", "person_id", "year_of_birth"]}, "columns": columns,
    } | changes


def known(**changes):
    """What the operator knows when it decides."""
    nothing = {"rho": 0, "delta": 0}
    return {
        "charter": world.charter_2(), "project": world.project(), "tables": world.consolidation(),
        "accepted": ["north", "south"], "account": nothing, "project_spent": nothing, "earlier": [],
    } | changes


def add_review(book):
    """REL-4, REL-5."""
    charter, project, request = world.charter_2(), world.project(), world.request()
    roster = {name: party for name, party in charter["roster"].items() if name != "north"}
    columns = asking()["columns"]
    cells = request["asked"]["microdata"]

    def one(name, a, k, note, requirement="REL-4"):
        given = {"asking": a, "known": k}
        try:
            book.add("rule/review", f"review-{name}", requirement, "review", given, expect=review.review(a, k), note=note)
        except Refused as refused_by:
            book.add("rule/review", f"review-{name}", requirement, "review", given, code=refused_by.code, note=note)

    one("permit", asking(), known(), "everything fits")
    one("counts", asking(request=world.count_request()), known(), "a table of counts")
    private = {"charge": {"private": {"rho": 2**30, "delta": 0}}}
    project_2 = project | {"kinds": ["aggregate"]}
    answer = asking(request=world.aggregate_request())
    one("aggregate", answer, known(project=project_2), "a private answer, paid for with all that it asks to spend", "REL-22")
    one("aggregate-kind", answer, known(), "the project allows none")
    one("aggregate-budget", answer, known(project=project_2, project_spent={"rho": 2**40 - 2**30 + 1, "delta": 0}), "one more than is left", "REL-6")
    one("aggregate-last", answer, known(project=project_2, project_spent={"rho": 2**40 - 2**30, "delta": 0}), "all that is left", "REL-6")
    before = world.reservation(kind="aggregate") | private
    one("aggregate-same", answer, known(project=project_2, earlier=[before]), "the same answer is free", "REL-5")
    one("aggregate-exact", asking(request=world.aggregate_request(rho=2**30 + 1)), known(project=project_2, earlier=[before]),
        "a more exact answer is another one", "REL-5")
    one("no-charter", asking(), known(charter=None), "no charter binds the operator")
    one("no-project", asking(), known(project=None), "no such project is approved")
    one("other-project", asking(request=world.request(project="other")), known(), "another project's request")
    one("foreign", asking(request=world.request(consortium="00" * 32)), known(), "of another consortium")
    one("last", asking(now=project["expires"] - 1), known(), "the last moment")
    one("expired", asking(now=project["expires"]), known(), "the project is over")
    one("person", asking(person="a.meyer"), known(), "somebody else")
    one("kind", asking(request=world.count_request()), known(project=project | {"kinds": ["microdata"]}), "another kind")
    one("table", asking(reads={"death": ["person_id"]}), known(), "a table that is not the project's")
    one("column", asking(reads={"person": ["race_concept_id"]}), known(), "a column that is not the project's")
    one("nothing", asking(reads={}), known(), "a question that reads nothing")
    one("no-patient", asking(columns={name: of for name, of in columns.items() if name != "person_id"}), known(), "an answer without patients")
    one("no-member", asking(columns={name: of for name, of in columns.items() if name != "cohortium_member"}), known(), "an answer without members")
    one("no-born", asking(columns={name: of for name, of in columns.items() if name != "born"}), known(), "an answer without a column that leaves")
    one("identifier", asking(columns=columns | {"days": [["person", "person_id"]]}), known(), "the patient under another name")
    one("joined", asking(columns=columns | {"days": [["death", "person_id"]]}), known(), "the patient of another table")
    one("recipient", asking(), known(project=project | {"recipients": ["south"]}), "a recipient that is not the project's")
    one("gone", asking(), known(charter=charter | {"roster": roster, "linkage": None}), "a recipient that has left")
    one("operator", asking(request=world.request(recipients=["operator"])), known(project=project | {"recipients": ["operator"]}), "the operator is no recipient")
    one("nobody", asking(request=world.request(recipients=[])), known(), "for no member")
    low = {"asked": {"microdata": cells | {"k": 10}}}
    one("k", asking(request=request | low), known(), "a k below the charter's")
    one("k-charter", asking(), known(charter=charter | {"policy": {"anonymity_k_min": 12, "small_cell_min": 11}}), "the charter asks for more")
    one("cell-charter", asking(request=world.count_request()), known(charter=charter | {"policy": {"anonymity_k_min": 11, "small_cell_min": 12}}),
        "the charter asks for more")
    one("account", asking(), known(charter=charter | {"accounts": {}}), "the account is gone")
    one("no-tables", asking(), known(tables=None), "nothing is consolidated, or its rows may not be used")
    one("no-such-table", asking(), known(tables=world.consolidation() | {"tables": {}}), "the table has no version")
    one("some-members", asking(), known(accepted=["south"]), "north has not accepted the charter")
    one("no-members", asking(), known(accepted=[]), "nobody has")
    earlier = world.reservation()

    def again(name, note, a=None, **changes):
        one(name, a or asking(), known(earlier=[earlier | changes]), note, "REL-5")

    again("same", "the same question of the same rows")
    again("same-salt", "whatever its salt is", a=asking(request=world.request(salt="00" * 16)))
    again("question", "another question", question="9f" * 32)
    again("version", "another version of the table", tables={"person": "00" * 32})
    again("fewer", "rows of fewer members", members=["south"])
    again("wider", "for more than one recipient", recipients=["north", "south"])
    again("narrower", "for another recipient", recipients=["south"])
    again("other-kind", "another kind", kind="counts")
    again("allowed", "whoever asks must be allowed to", a=asking(person="a.meyer"))


def add_budget(book):
    """REL-6."""
    most = 2**128 - 1
    limit = {"rho": 10, "delta": 5}
    cases = [
        ("nothing", (0, 0), (0, 0), limit, "nothing"), ("all", (0, 0), (10, 5), limit, "all of it"),
        ("rho", (0, 0), (11, 0), limit, "one more rho"), ("delta", (0, 0), (0, 6), limit, "one more delta"),
        ("last", (9, 4), (1, 1), limit, "the last of it"), ("over", (9, 5), (2, 0), limit, "over the last of it"),
        ("spent", (10, 5), (0, 0), limit, "nothing of nothing"), ("wraps", (most, 0), (1, 0), {"rho": most, "delta": 0}, "more than a number holds"),
        ("largest", (most - 1, 0), (1, 0), {"rho": most, "delta": 0}, "the largest number"),
    ]
    for name, spent, charge, within, note in cases:
        parts = ("rho", "delta")
        spent, charge = dict(zip(parts, spent)), {"private": dict(zip(parts, charge))}
        # Too large for a JSON reader's numbers: as digits.
        given = {"spent": digits(spent), "charge": {"private": digits(charge["private"])}, "limit": digits(within)}
        book.add("rule/budget", f"budget-{name}", "REL-6", "affords", given, expect=review.affords(spent, charge, within), note=note)
    book.add("rule/budget", "budget-uncovered", "REL-6", "affords", {"spent": digits(limit), "charge": "uncovered", "limit": digits({"rho": 0, "delta": 0})},
             expect=True, note="what epsilon does not cover is listed and not counted")


def digits(budget):
    return {part: str(value) for part, value in budget.items()}


def add_projects(book):
    """REL-7."""
    project, charter = world.project(), world.charter_2()
    account = charter["accounts"]["inpatients"]
    for name, change, note in (
        ("fits", {}, "a project that fits"), ("operator", {"operator": "north"}, "a member's project"),
        ("account", {"account": "outpatients"}, "no such account"), ("recipient", {"recipients": ["east"]}, "a recipient that is no member"),
        ("to-operator", {"recipients": ["operator"]}, "nor is the operator"), ("nobody", {"recipients": []}, "for nobody"),
        ("all", {"budget": {"rho": account["rho"], "delta": account["delta"]}}, "all of the account"),
        ("rho", {"budget": {"rho": account["rho"] + 1, "delta": 0}}, "more rho than the account has"),
        ("delta", {"budget": {"rho": 0, "delta": account["delta"] + 1}}, "more delta than the account has"),
    ):
        given = {"project": project | change, "charter": charter}
        try:
            review.check_project(project | change, charter)
            book.add("rule/projects", f"project-{name}", "REL-7", "project-fits", given, expect=True, note=note)
        except Refused as refused_by:
            book.add("rule/projects", f"project-{name}", "REL-7", "project-fits", given, code=refused_by.code, note=note)
