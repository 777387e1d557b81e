"""The review of a request, the budget filter, and whether a project fits a charter (spec chapter 16)."""

from terms import require


def leaving(asked):
    """The columns that leave."""
    (kind, said), = asked.items()
    return [column["name"] for column in said["columns"]] if kind == "microdata" else [name for name, _ in said["dimensions"]]


def check_recipients(recipients, charter):
    """Members of the roster, nobody else."""
    kinds = {name: party["kind"] for name, party in charter["roster"].items()}
    require(all(kinds.get(name) == "member" for name in recipients), "recipients")


def check_asked(a, project):
    """REL-4, the rows about project, person, kind and columns."""
    request = a["request"]
    require(request["consortium"] == project["consortium"] and request["project"] == project["name"], "question")
    require(a["now"] < project["expires"], "expired")
    require(a["person"] in project["people"], "person")
    (kind, _), = request["asked"].items()
    require(kind in project["kinds"], "kind")
    require(a["reads"], "question")
    require(all(set(columns) <= set(project["tables"].get(table, [])) for table, columns in a["reads"].items()), "columns")
    if "aggregate" in request["asked"]:
        return
    made_of = a["columns"]
    require(request["patient"] in made_of, "question")
    require(request["member"] in made_of, "question")
    patient = {column for _, column in made_of[request["patient"]]}
    for name in leaving(request["asked"]):
        require(name in made_of, "question")
        require(not patient & {column for _, column in made_of[name]}, "identifier")


def review(a, known):
    """REL-4 to REL-6: a permit, or ("same", release); refuses with the row's word."""
    charter, project = known["charter"], known["project"]
    require(charter is not None, "charter")
    require(project is not None, "project")
    check_asked(a, project)
    request = a["request"]
    require(set(request["recipients"]) <= set(project["recipients"]), "recipients")
    check_recipients(request["recipients"], charter)
    (kind, asked), = request["asked"].items()
    floor, charge = 0, "uncovered"
    if kind == "aggregate":
        charge = {"private": {part: asked[part] for part in ("rho", "delta")}}
    else:
        floor = asked["k"] if kind == "microdata" else asked["floor"]
        require(floor >= charter["policy"]["anonymity_k_min" if kind == "microdata" else "small_cell_min"], "floor")
    require(project["account"] in charter["accounts"], "account")
    require(known["tables"] is not None, "tables")
    present = known["tables"]["tables"]
    require(all(table in present for table in a["reads"]), "tables")
    versions = {table: present[table]["version"] for table in a["reads"]}
    members = sorted({m for table in a["reads"] for m in present[table]["parts"]} & set(known["accepted"]))
    require(members, "members")
    for earlier in known["earlier"]:
        same = (earlier["question"], earlier["kind"], earlier["tables"], sorted(earlier["members"]))
        if same == (a["question"], kind, versions, members) and covers(earlier["charge"], charge) and set(request["recipients"]) <= set(earlier["recipients"]):
            return {"same": earlier["release"]}
    account = charter["accounts"][project["account"]]
    require(affords(known["account"], charge, account) and affords(known["project_spent"], charge, project["budget"]), "budget")
    return {"permit": {"charge": charge, "floor": floor, "tables": versions, "members": members}}


def covers(earlier, charge):
    """REL-5: whether an answer at one charge is at least as exact as one at the other."""
    if charge == "uncovered" or earlier == "uncovered":
        return charge == earlier
    return all(earlier["private"][part] >= charge["private"][part] for part in ("rho", "delta"))


def affords(spent, charge, limit):
    """REL-6, in integers without a bound."""
    if charge == "uncovered":
        return True
    private = charge["private"]
    return all(spent[part] + private[part] <= limit[part] for part in ("rho", "delta"))


def check_project(project, charter):
    """REL-7."""
    operator, = (name for name, party in charter["roster"].items() if party["kind"] == "operator")
    require(project["operator"] == operator, "operator")
    require(project["account"] in charter["accounts"], "account")
    check_recipients(project["recipients"], charter)
    account = charter["accounts"][project["account"]]
    require(all(project["budget"][part] <= account[part] for part in ("rho", "delta")), "budget")
