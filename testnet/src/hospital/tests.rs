//! The rules of the generator as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;

fn plan(seed: u64) -> Plan {
    Plan { seed, rows_per_site: 600, ..Plan::default() }
}

fn write(consortium: &Consortium, dir: &Path) {
    for site in &consortium.sites {
        fs::create_dir(dir.join(&site.name)).unwrap();
        site.write_to(&dir.join(&site.name)).unwrap();
    }
}

fn files(dir: &Path, site: &Site) -> BTreeMap<TableKind, Vec<u8>> {
    TableKind::ALL.into_iter().map(|k| (k, fs::read(dir.join(&site.name).join(k.file_name())).unwrap())).collect()
}

/// The rows of a written file, header left out, by an independent reading of the dialect's stated properties.
fn read_rows(site: &Site, bytes: &[u8]) -> Vec<Vec<String>> {
    let text = std::str::from_utf8(bytes).unwrap();
    let body = text.strip_suffix(site.dialect.line_end.text()).unwrap();
    body.split(site.dialect.line_end.text()).skip(1).map(|line| site.dialect.read_line(line)).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for (dir, seed) in dirs.iter().zip([7, 7, 8]) {
        write(&generate(&plan(seed)).unwrap(), dir.path());
    }
    for site in &generate(&plan(7)).unwrap().sites {
        let [first, again, other] = [0, 1, 2].map(|at| files(dirs[at].path(), site));
        assert!(first == again, "{}", site.name);
        assert!(TableKind::ALL.iter().all(|kind| first[kind] != other[kind]), "{}", site.name);
    }
}

#[test]
fn shares_of_patients_are_exactly_as_stated() {
    let consortium = generate(&plan(3)).unwrap();
    let truth = &consortium.truth;
    assert_eq!((truth.persons, truth.shared_persons, truth.faulty_persons), (1_500, 180, 27));
    let mut sites_of: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut faulty = BTreeSet::new();
    for link in truth.links() {
        assert!(sites_of.entry(link.person).or_default().insert(link.site), "a person is once at a site");
        if link.fault.is_some() {
            assert!(faulty.insert(link.person), "a person has one fault at one site");
        }
    }
    assert_eq!(sites_of.len(), 1_500);
    assert_eq!(sites_of.values().filter(|sites| sites.len() >= 2).count(), 180);
    assert_eq!(sites_of.values().filter(|sites| sites.len() >= 3).count(), 26);
    assert_eq!(faulty.len(), 27);
    assert!(faulty.iter().all(|person| sites_of[person].len() >= 2));
}

#[test]
fn shared_patients_agree_in_all_sites_but_the_faulty_one() {
    let consortium = generate(&plan(5)).unwrap();
    // Sites 0 and 4 write names, dates and sex alike.
    let mut rows: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for site in [&consortium.sites[0], &consortium.sites[4]] {
        let table = site.table(TableKind::Patients);
        let places = ["given", "family", "birth_date", "sex"].map(|m| table.position(m).unwrap());
        for row in site.rows(TableKind::Patients) {
            let cells: Vec<String> = row.cells().map(str::to_owned).collect();
            let linked = places.map(|place| cells[place].clone()).to_vec();
            rows.insert((site.name.clone(), cells[0].clone()), linked);
        }
    }
    let mut persons: BTreeMap<u64, Vec<Link>> = BTreeMap::new();
    for link in consortium.truth.links().filter(|l| rows.contains_key(&(l.site.clone(), l.patient.clone()))) {
        persons.entry(link.person).or_default().push(link);
    }
    let (mut agree, mut differ) = (0, 0);
    for links in persons.values().filter(|links| links.len() == 2) {
        let [a, b] = [0, 1].map(|at| &rows[&(links[at].site.clone(), links[at].patient.clone())]);
        let faulty = links.iter().any(|link| link.fault.is_some());
        assert_eq!(a != b, faulty);
        *(if faulty { &mut differ } else { &mut agree }) += 1;
    }
    assert!(agree > 10 && differ > 0, "{agree} {differ}");
}

#[test]
fn tables_have_stated_rows_unique_keys_and_references_that_resolve() {
    let consortium = generate(&plan(4)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(&consortium, dir.path());
    for site in &consortium.sites {
        let bytes = files(dir.path(), site);
        check_references(site, &bytes);
        assert_eq!(read_rows(site, &bytes[&TableKind::Encounters]).len(), 600);
        assert_eq!(read_rows(site, &bytes[&TableKind::Patients]).len() as u64, site.patients());
        assert!(site.patients() > 300, "visitors come on top");
    }
}

fn check_references(site: &Site, bytes: &BTreeMap<TableKind, Vec<u8>>) {
    let mut keys: BTreeMap<Class, BTreeSet<String>> = BTreeMap::new();
    let planted = site.dirty_cells().filter(|cell| cell.dirt == Dirt::DanglingReference);
    let dangling: BTreeSet<(TableKind, String)> = planted.map(|cell| (cell.table, cell.key)).collect();
    for kind in TableKind::ALL {
        let table = site.table(kind);
        let mut own = BTreeSet::new();
        for cells in read_rows(site, &bytes[&kind]) {
            assert_eq!(cells.len(), table.columns.len());
            let dangles = dangling.contains(&(kind, cells[0].clone()));
            for (cell, column) in cells.iter().zip(&table.columns) {
                match column.class {
                    Class::PrimaryKey => assert!(own.insert(cell.clone()), "{} repeats", table.file_name),
                    Class::PatientKey => assert!(keys[&column.class].contains(cell)),
                    Class::EncounterKey => assert_eq!(keys[&column.class].contains(cell), !dangles),
                    Class::DirectIdentifier | Class::QuasiIdentifier | Class::FreeText | Class::Plain => {}
                }
            }
        }
        match kind {
            TableKind::Patients => drop(keys.insert(Class::PatientKey, own)),
            TableKind::Encounters => drop(keys.insert(Class::EncounterKey, own)),
            TableKind::Labs | TableKind::Vitals | TableKind::Diagnoses => {}
        }
    }
}

#[test]
fn files_show_each_sites_dialect() {
    let consortium = generate(&plan(6)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(&consortium, dir.path());
    let bytes: Vec<_> = consortium.sites.iter().map(|site| files(dir.path(), site)).collect();
    let marked = bytes.iter().map(|f| f[&TableKind::Patients].starts_with(b"\xef\xbb\xbf")).collect::<Vec<_>>();
    assert_eq!(marked, [false, false, true, false, false]);
    let texts: Vec<String> = bytes.iter().map(|f| String::from_utf8(f[&TableKind::Vitals].clone()).unwrap()).collect();
    assert_eq!(texts.iter().map(|t| t.contains("\r\n")).collect::<Vec<_>>(), [false, true, false, false, false]);
    let columns: BTreeSet<String> =
        texts.iter().map(|t| t.lines().next().unwrap().trim_start_matches('\u{feff}').to_owned()).collect();
    assert_eq!(columns.len(), 5, "five headers");
    for (site, missing) in consortium.sites.iter().zip(["", "NA", "?", "\\N", "-99"]) {
        let place = site.table(TableKind::Vitals).position("respiration").unwrap();
        let count = site.rows(TableKind::Vitals).filter(|row| row.cells().nth(place) == Some(missing)).count();
        assert!(count > 10, "{} writes {missing:?}", site.name);
    }
    for (site, (low, high)) in consortium.sites.iter().zip([(0, 9), (20, 999), (0, 9), (20, 999), (0, 9)]) {
        let values = cells_where(site, TableKind::Labs, "name", "Creatinine", "value");
        assert!(!values.is_empty());
        for value in values {
            let whole: u64 = value.split(site.dialect.decimal).next().unwrap().parse().unwrap();
            assert!((low..=high).contains(&whole), "{}: {value}", site.name);
        }
    }
}

fn cells_where(site: &Site, kind: TableKind, column: &str, equals: &str, wanted: &str) -> Vec<String> {
    let table = site.table(kind);
    let [from, to] = [column, wanted].map(|meaning| table.position(meaning).unwrap());
    let rows = site.rows(kind).map(|row| row.cells().map(str::to_owned).collect::<Vec<_>>());
    rows.filter(|cells| cells[from] == equals).map(|cells| cells[to].clone()).collect()
}

#[test]
fn every_direct_identifier_is_unique_or_stands_beside_a_canary() {
    let consortium = generate(&plan(2)).unwrap();
    let canaries: Vec<String> = consortium.canaries().collect();
    let patients: u64 = consortium.sites.iter().map(Site::patients).sum();
    assert_eq!(canaries.len() as u64, 2 * patients);
    assert_eq!(canaries.iter().collect::<BTreeSet<_>>().len(), canaries.len(), "no two alike");
    for site in &consortium.sites {
        let table = site.table(TableKind::Patients);
        let place = |meaning| table.position(meaning).unwrap();
        let own: Vec<String> = site.canaries().collect();
        for (row, pair) in site.rows(TableKind::Patients).zip(own.chunks(2)) {
            let cells: Vec<&str> = row.cells().collect();
            assert_eq!(cells[place("insurance")], format!("CNRY-{}", pair[0]));
            assert_eq!(cells[place("email")], format!("cnry{}@example.org", pair[0]));
            assert!(cells[place("street")].ends_with(&pair[0]));
            assert_eq!(cells[place("phone")], pair[1]);
        }
    }
}

#[test]
fn canaries_and_names_are_in_direct_identifiers_and_notes_only() {
    let consortium = generate(&plan(2)).unwrap();
    for site in &consortium.sites {
        let canaries: BTreeSet<String> = site.canaries().collect();
        let mut notes_with_names = 0;
        for table in site.tables() {
            for row in site.rows(table.kind) {
                for (cell, column) in row.cells().zip(&table.columns) {
                    let marked = cell.contains("cnry") || cell.contains("CNRY") || canaries.contains(cell);
                    let may = matches!(column.class, Class::DirectIdentifier | Class::FreeText);
                    assert!(!marked || may, "{} {}", table.file_name, column.name);
                    notes_with_names += u64::from(column.class == Class::FreeText);
                }
            }
        }
        let notes = site.dialect.notes == Notes::Present;
        assert_eq!(notes_with_names, if notes { site.encounters() } else { 0 });
    }
}

#[test]
fn linkage_columns_are_named_at_every_site() {
    let consortium = generate(&plan(1)).unwrap();
    for site in &consortium.sites {
        let columns = site.table(TableKind::Patients).columns;
        let parts: Vec<LinkageField> = columns.iter().filter_map(|column| column.linkage).collect();
        assert_eq!(parts, [LinkageField::Given, LinkageField::Family, LinkageField::BirthDate, LinkageField::Sex]);
        for kind in TableKind::ALL {
            let table = site.table(kind);
            assert_eq!(table.columns.iter().filter(|c| c.class == Class::PrimaryKey).count(), 1);
            assert_eq!(table.columns[0].class, Class::PrimaryKey);
            let names: BTreeSet<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(names.len(), table.columns.len(), "no header twice");
        }
    }
}

/// All dirty cells that a reader finds in rows: impossible dates, missing and unknown units, unknown codes, and diagnoses
/// whose key and encounter disagree.
fn dirt_found(site: &Site, kind: TableKind, rows: &[Vec<String>]) -> BTreeSet<(TableKind, String, String, Dirt)> {
    let columns = site.table(kind).columns;
    let bad = |cell: &str| match site.dialect.date {
        DateStyle::Iso => cell.get(4..10) == Some("-02-31"),
        DateStyle::DayDot => cell.starts_with("31.02."),
        DateStyle::MonthSlash => cell.starts_with("02/31/"),
        DateStyle::Digits => cell.len() == 14 && &cell[4..8] == "0231",
    };
    let mut found = BTreeSet::new();
    for cells in rows {
        for (cell, column) in cells.iter().zip(&columns) {
            let dirt = match column.meaning.as_str() {
                "unit" if cell == "zorks" => Some(Dirt::UnknownUnit),
                "unit" => (cell == site.dialect.missing).then_some(Dirt::UnitMissing),
                "encounter" if kind == TableKind::Diagnoses => {
                    (!cells[0].starts_with(&format!("{cell}-"))).then_some(Dirt::DanglingReference)
                }
                "code" | "type" | "language" => {
                    ["qqq", "ZZ", "XX-0000", "ZZZ.9"].contains(&cell.as_str()).then_some(Dirt::UnknownCode)
                }
                _ => bad(cell).then_some(Dirt::BadDate),
            };
            found.extend(dirt.map(|dirt| (kind, cells[0].clone(), column.meaning.clone(), dirt)));
        }
    }
    found
}

#[test]
fn dirty_cells_are_exactly_those_the_truth_names() {
    let consortium = generate(&Plan { dirty_per_mille: 20, ..plan(11) }).unwrap();
    for site in &consortium.sites {
        let mut found = BTreeSet::new();
        for kind in TableKind::ALL {
            let rows: Vec<Vec<String>> = site.rows(kind).map(|r| r.cells().map(str::to_owned).collect()).collect();
            found.extend(dirt_found(site, kind, &rows));
        }
        let truth: BTreeSet<_> = site.dirty_cells().map(|c| (c.table, c.key, c.column.to_owned(), c.dirt)).collect();
        assert!(found == truth, "{}", site.name);
        assert_eq!(site.dirty_counts().values().sum::<u64>(), truth.len() as u64);
        assert_eq!(site.dirty_counts()[&(TableKind::Labs, "unit", Dirt::UnitMissing)], 3);
        for kind in [TableKind::Encounters, TableKind::Labs, TableKind::Vitals, TableKind::Diagnoses] {
            assert_eq!(truth.iter().filter(|(table, ..)| *table == kind).count(), 12);
        }
    }
}

#[test]
fn laboratory_values_move_together_as_in_patients() {
    let consortium = generate(&plan(1)).unwrap();
    let site = &consortium.sites[0];
    let tenths = |name| -> Vec<i64> {
        let cells = cells_where(site, TableKind::Labs, "name", name, "value");
        cells.iter().map(|cell| cell.replace('.', "").parse().unwrap()).collect()
    };
    let (hemoglobin, hematocrit) = (tenths("Hemoglobin"), tenths("Hematocrit"));
    assert_eq!(hemoglobin.len(), hematocrit.len());
    let close = hemoglobin.iter().zip(&hematocrit).filter(|(hb, hct)| (*hb * 3 - *hct).abs() < 30).count();
    assert!(close * 100 > hemoglobin.len() * 98);
    let stays = |ages: std::ops::Range<u64>| -> u64 {
        let table = site.table(TableKind::Encounters);
        let [kind, age, stay] = ["type", "age", "stay_days"].map(|meaning| table.position(meaning).unwrap());
        let mut days = Vec::new();
        for row in site.rows(TableKind::Encounters) {
            let cells: Vec<&str> = row.cells().collect();
            if cells[kind] == "inpatient" && ages.contains(&cells[age].parse().unwrap()) {
                days.push(cells[stay].parse::<u64>().unwrap());
            }
        }
        days.iter().sum::<u64>() * 100 / days.len() as u64
    };
    assert!(stays(65..110) > stays(0..50), "the old stay longer");
}

/// Rows by primary key.
fn by_key(site: &Site, bytes: &[u8]) -> BTreeMap<String, Vec<String>> {
    read_rows(site, bytes).into_iter().map(|cells| (cells[0].clone(), cells)).collect()
}

#[test]
fn days_of_change_do_exactly_what_they_report() {
    let consortium = generate(&plan(9)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(&consortium, dir.path());
    for site in &consortium.sites {
        for day in 0..2 {
            let before = files(dir.path(), site);
            let report = site.mutate(&dir.path().join(&site.name), 40 + day, 5).unwrap();
            let after = files(dir.path(), site);
            check_references(site, &after);
            for kind in TableKind::ALL {
                let (old, new) = (by_key(site, &before[&kind]), by_key(site, &after[&kind]));
                let counted = TableChange {
                    before: old.len() as u64,
                    changed: old.iter().filter(|(key, row)| new.get(*key).is_some_and(|n| n != *row)).count() as u64,
                    added: new.keys().filter(|key| !old.contains_key(*key)).count() as u64,
                    deleted: old.keys().filter(|key| !new.contains_key(*key)).count() as u64,
                    after: new.len() as u64,
                };
                assert_eq!(report[&kind], counted, "{} {kind:?}", site.name);
                assert_eq!(counted.changed, (counted.before - counted.deleted) * 5 / 100);
                assert!(counted.added > 0);
                let rows: Vec<Vec<String>> = new.into_values().collect();
                assert_eq!(dirt_found(site, kind, &rows).len() as u64, site.dirty_subjects(kind), "dirt stays");
            }
        }
    }
}

#[test]
fn canaries_cover_patients_that_a_day_adds_and_a_day_repeats() {
    let consortium = generate(&plan(9)).unwrap();
    let site = &consortium.sites[1];
    let mut ends = Vec::new();
    for _ in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        site.write_to(dir.path()).unwrap();
        let report = site.mutate(dir.path(), 3, 10).unwrap();
        let bytes = fs::read(dir.path().join("patients.csv")).unwrap();
        let place = site.table(TableKind::Patients).position("phone").unwrap();
        let canaries: BTreeSet<String> = site.canaries_of(report[&TableKind::Patients].after).collect();
        assert!(read_rows(site, &bytes).iter().all(|cells| canaries.contains(&cells[place])));
        ends.push(bytes);
    }
    assert!(ends[0] == ends[1], "the same seed, the same bytes");
    let dir = tempfile::tempdir().unwrap();
    let written = site.write_to(dir.path()).unwrap();
    let report = site.mutate(dir.path(), 3, 0).unwrap();
    for kind in TableKind::ALL {
        assert_eq!(report[&kind].after, written[&kind].rows, "nothing at 0 %");
    }
}

#[test]
fn a_day_of_change_refuses_a_file_that_the_site_did_not_write() {
    let site = &generate(&plan(9)).unwrap().sites[0];
    let dir = tempfile::tempdir().unwrap();
    site.write_to(dir.path()).unwrap();
    fs::write(dir.path().join("patients.csv"), "a,b\n1,2\n").unwrap();
    assert_eq!(site.mutate(dir.path(), 1, 100).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn rows_stream_so_that_large_sites_start_at_once() {
    // Two hundred thousand encounters, two million laboratory values: none is made before it is asked for.
    let large = Plan { rows_per_site: 200_000, shared_percent: 1, ..plan(1) };
    let consortium = generate(&large).unwrap();
    let site = &consortium.sites[2];
    assert_eq!(site.rows(TableKind::Labs).take(1_000).count(), 1_000);
    let rows = site.rows(TableKind::Encounters);
    assert!(std::mem::size_of_val(&rows) < 1_024, "an iterator holds one patient, no rows");
    assert_eq!(rows.count(), 200_000);
}

#[test]
fn truth_files_name_every_patient_and_dirty_cell() {
    let consortium = generate(&plan(1)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    consortium.truth.write_to(dir.path()).unwrap();
    let lines = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap().lines().count();
    assert_eq!(lines("links.csv"), 1 + consortium.truth.links().count());
    assert_eq!(lines("dirty.csv"), 1 + consortium.truth.dirty_cells().count());
}

#[test]
fn plans_outside_their_bounds_are_refused() {
    let base = plan(1);
    let cases = [
        (Plan { sites: 1, ..base }, Some(PlanError::Sites)),
        (Plan { sites: 2, ..base }, None),
        (Plan { sites: 12, ..base }, None),
        (Plan { sites: 501, ..base }, Some(PlanError::Sites)),
        (Plan { rows_per_site: 19, ..base }, Some(PlanError::RowsPerSite)),
        (Plan { rows_per_site: 20, ..base }, None),
        (Plan { sites: 500, rows_per_site: 40_000, shared_percent: 0, ..base }, None),
        (Plan { sites: 500, rows_per_site: 40_001, shared_percent: 0, ..base }, Some(PlanError::Population)),
        (Plan { shared_percent: 40, ..base }, None),
        (Plan { shared_percent: 41, ..base }, Some(PlanError::SharedPercent)),
        (Plan { faulty_percent: 101, ..base }, Some(PlanError::FaultyPercent)),
        (Plan { dirty_per_mille: 101, ..base }, Some(PlanError::DirtyPerMille)),
    ];
    for (plan, error) in cases {
        assert_eq!(plan.check().err(), error, "{plan:?}");
    }
    assert_eq!(generate(&Plan { sites: 1, ..base }).err(), Some(PlanError::Sites));
    let crowded = Plan { sites: 500, rows_per_site: 20, shared_percent: 40, ..base };
    assert!(matches!(generate(&crowded), Err(PlanError::MoreVisitorsThanRows { .. })));
}
