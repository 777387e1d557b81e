//! Mappings: every row and fact is accounted for, patients are linked by token, and no rule sees an identifier.

use cohortium_schema::gate::Checks;
use cohortium_schema::schema::CommonSchema;
use cohortium_schema::vocabulary::Vocabulary;

use super::*;
use crate::mapping::{
    Before, MapFault, MapJob, MapReport, MapSinks, MapSource, Mapping, Reason, SourceCount, TableCount, map,
};

pub(super) const SCHEMA: &str = r#"
name = "stays"
version = "1"
[[table]]
name = "person"
field = [
  { name = "person_id", kind = "integer", required = true, primary_key = true, role = "quasi-identifier" },
  { name = "sex", kind = "integer", required = true, role = "quasi-identifier", concept = "Gender" },
  { name = "born", kind = "date", role = "quasi-identifier" },
]
[[table]]
name = "visit"
field = [
  { name = "visit_id", kind = "integer", required = true, primary_key = true, role = "quasi-identifier" },
  { name = "person_id", kind = "integer", required = true, references = "person.person_id", role = "quasi-identifier" },
  { name = "began", kind = "date", required = true, role = "quasi-identifier" },
  { name = "ward", kind = "text", length_max = 4, role = "quasi-identifier" },
  { name = "before", kind = "integer", references = "visit.visit_id", role = "quasi-identifier" },
]
[[table]]
name = "lab"
field = [
  { name = "lab_id", kind = "integer", required = true, primary_key = true, role = "quasi-identifier" },
  { name = "visit_id", kind = "integer", required = true, references = "visit.visit_id", role = "quasi-identifier" },
  { name = "value", kind = "float", required = true, role = "measure" },
  { name = "whole", kind = "integer", role = "measure" },
]
"#;

pub(super) const MAPPING: &str = r#"
mapping = "north"
version = 1
schema = "stays-1"
patients = { source = "patients", id = "pid" }
[source.patients]
dataset = "patients"
[source.visits]
dataset = "visits"
identifiers = ["vid", "prior"]
[source.labs]
dataset = "labs"
identifiers = ["vid"]
[codes.sex]
M = 8507
F = 8532
[[fact]]
table = "person"
from = "patients"
set.person_id = "person(pid)"
set.sex = { code = "sex", map = "sex" }
set.born = "day(dob, 'm/d/y')"
[[fact]]
table = "visit"
from = "visits"
set.visit_id = "surrogate('visit', vid)"
set.person_id = "person(pid)"
set.began = "day(began, 'iso')"
set.ward = { sql = "ward", default = "none" }
set.before = "surrogate('visit', prior)"
[[fact]]
table = "lab"
from = "labs"
where = "{what} is not null"
each = [{ what = "sodium" }, { what = "glucose" }]
set.lab_id = "surrogate('lab', vid, '{what}')"
set.visit_id = "surrogate('visit', vid)"
set.value = "{what}"
set.whole = "10 / cast(hours as bigint)"
"#;

const PATIENTS: &str =
    "pid,first,last,dob,sex\np1,Ada,Byron,12/10/1815,F\np2,Max,Born,12/11/1882,M\np3,Eva,Nil,1/1/1990,X\n";
const VISITS: &str = "vid,pid,began,ward,prior\nv1,p1,2024-01-02,A,\nv2,p1,2024-02-30,B,v1\nv3,p2,2024-03-01,,v4\n\
                      v4,p2,2024-02-01,C,\nv5,p9,2024-01-01,A,\nv6,p1,2024-01-01,TOOLONG,\nv1,p1,2024-01-02,A,\nv1,p1,2024-01-03,A,\n";
const LABS: &str = "vid,sodium,glucose,hours\nv1,140,5.5,2\nv1,low,5.5,2\nv3,138,,0\nv9,139,5,1\nv4,,,1\n";

pub(super) struct Member {
    pub(super) vocabulary: Option<Arc<Vocabulary>>,
    pub(super) before: Before,
    pub(super) had_rows: BTreeSet<String>,
    pub(super) may_be_empty: BTreeSet<String>,
    schema: CommonSchema,
    datasets: BTreeMap<String, Dataset>,
    pub(super) sources: BTreeMap<String, String>,
    opt_outs: BTreeSet<[u8; 16]>,
    row_key: Secret32,
    linkage_key: Option<Secret32>,
}

impl Member {
    pub(super) fn new(row_key: u8) -> Self {
        let dataset = |named: &str| Dataset {
            dataset: DatasetId([1; 16]),
            name: named.parse().unwrap(),
            source: Source::Csv { path: "unused".parse().unwrap(), form: TextForm::default() },
            key: Vec::new(),
            patient: None,
            linkage: None,
        };
        let mut datasets: BTreeMap<String, Dataset> =
            ["patients", "visits", "labs"].into_iter().map(|named| (named.to_owned(), dataset(named))).collect();
        let linkage = LinkageColumns {
            given: name("first"),
            family: name("last"),
            birth: name("dob"),
            birth_format: DateFormat::MonthDayYearSlashes,
        };
        datasets.get_mut("patients").unwrap().linkage = Some(linkage);
        for named in ["patients", "visits"] {
            datasets.get_mut(named).unwrap().patient = Some(name("pid"));
        }
        let sources = [("patients", PATIENTS), ("visits", VISITS), ("labs", LABS)];
        Self {
            schema: CommonSchema::parse(SCHEMA).unwrap(),
            datasets,
            sources: sources.into_iter().map(|(named, text)| (named.to_owned(), text.to_owned())).collect(),
            opt_outs: BTreeSet::new(),
            vocabulary: None,
            before: Before::default(),
            had_rows: BTreeSet::new(),
            may_be_empty: BTreeSet::new(),
            row_key: Secret32::new([row_key; 32]),
            linkage_key: Some(Secret32::new([6; 32])),
        }
    }

    pub(super) fn map(&self, mapping: &str) -> Result<Mapped, MapFault> {
        let mapping = Mapping::parse(mapping, &self.schema).unwrap();
        let none = BTreeSet::new();
        let source = |(named, text): (&String, &String)| {
            let dataset = &self.datasets[named];
            let opt_outs = if dataset.patient.is_some() { &self.opt_outs } else { &none };
            (named.clone(), MapSource { dataset, handle: handle(text.clone()), opt_outs })
        };
        let job = MapJob {
            mapping: &mapping,
            schema: &self.schema,
            sources: self.sources.iter().map(source).collect(),
            row_key: &self.row_key,
            linkage_key: self.linkage_key.as_ref(),
            vocabulary: self.vocabulary.clone(),
            before: self.before.clone(),
            had_rows: self.had_rows.clone(),
            may_be_empty: self.may_be_empty.clone(),
            checks: Checks::declared(&self.schema),
            limits: Limits::default(),
        };
        let mut tables: BTreeMap<String, Vec<u8>> =
            mapping.fact.iter().map(|fact| (fact.table.clone(), Vec::new())).collect();
        let mut quarantine = Vec::new();
        let sinks = tables.iter_mut().map(|(named, sink)| (named.clone(), sink as &mut (dyn std::io::Write + Send)));
        let sinks = MapSinks { tables: sinks.collect(), quarantine: &mut quarantine };
        let report = map(&job, sinks)?;
        Ok(Mapped { report, tables, quarantine })
    }
}

pub(super) struct Mapped {
    pub(super) report: MapReport,
    tables: BTreeMap<String, Vec<u8>>,
    pub(super) quarantine: Vec<u8>,
}

impl Mapped {
    pub(super) fn lines(bytes: &[u8]) -> Vec<String> {
        let mut text = Vec::new();
        crate::plain::to_csv(&handle(bytes), &mut text, &Limits::default()).unwrap();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    /// The rows of a table without their source and origin.
    pub(super) fn rows(&self, table: &str) -> Vec<String> {
        let lines = Self::lines(&self.tables[table]).into_iter().skip(1);
        lines.map(|line| line.rsplitn(3, ',').last().unwrap().to_owned()).collect()
    }

    fn persons(&self) -> BTreeSet<String> {
        self.rows("person").iter().map(|row| row.split(',').next().unwrap().to_owned()).collect()
    }
}

fn counts(count: &TableCount) -> [u64; 4] {
    [count.due.0, count.emitted.0, count.quarantined.0, count.repeated.0]
}

fn fates(count: &SourceCount) -> [u64; 5] {
    [count.rows.0, count.accepted.0, count.partial.0, count.quarantined.0, count.opted_out.0]
}

// MAP-4, MAP-5
#[test]
fn every_row_and_every_fact_is_in_a_table_or_in_quarantine_with_its_reason() {
    let mapped = Member::new(5).map(MAPPING).unwrap();
    let report = &mapped.report;
    assert!(report.balances());
    assert_eq!(counts(&report.tables["person"]), [3, 2, 1, 0]);
    assert_eq!(counts(&report.tables["visit"]), [7, 3, 4, 1], "v1 twice the same, once otherwise");
    assert_eq!(counts(&report.tables["lab"]), [6, 2, 4, 1]);
    assert_eq!(fates(&report.sources["patients"]), [3, 2, 0, 1, 0]);
    assert_eq!(fates(&report.sources["visits"]), [8, 4, 0, 4, 0]);
    assert_eq!(fates(&report.sources["labs"]), [5, 2, 1, 2, 0]);
    assert_eq!(report.sources["labs"].idle.0, 1);
    assert_eq!(report.defaults["visit.ward"].0, 1);
    let entries = Mapped::lines(&mapped.quarantine);
    let expected = [
        "source,place,table,column,reason",
        "patients,4,person,sex,code",
        "visits,3,visit,began,cast",
        "visits,7,visit,ward,length",
        "visits,9,visit,,conflict",
        "labs,3,lab,value,cast",
        "labs,4,lab,whole,expression",
        "labs,5,lab,visit_id,reference",
        "labs,5,lab,visit_id,reference",
        "visits,6,visit,person_id,missing",
    ];
    let sorted = |lines: &mut Vec<String>| lines.sort();
    let (mut entries, mut expected) = (entries, expected.map(str::to_owned).to_vec());
    sorted(&mut entries);
    sorted(&mut expected);
    assert_eq!(entries, expected);
    assert_eq!(report.quarantine[&("lab".into(), "visit_id".into(), Reason::Reference)].0, 2);
    assert_eq!(report.unmapped[&("sex".into(), "X".into())].0, 1);
}

#[test]
fn a_fact_may_refer_to_one_that_comes_later_in_its_source() {
    let mapped = Member::new(5).map(MAPPING).unwrap();
    let visits = mapped.rows("visit");
    let ids: BTreeSet<&str> = visits.iter().map(|row| row.split(',').next().unwrap()).collect();
    let before: Vec<&str> =
        visits.iter().filter_map(|row| row.rsplit(',').next()).filter(|id| !id.is_empty()).collect();
    assert_eq!(before.len(), 1, "v3 came before v4: {visits:?}");
    assert!(ids.contains(before[0]));
}

// MAP-7
#[test]
fn a_patient_has_one_person_id_at_every_member_and_none_without_the_key() {
    let (north, south) = (Member::new(5), Member::new(9));
    let persons = |member: &Member| member.map(MAPPING).unwrap().persons();
    assert_eq!(persons(&north), persons(&south));
    let unlinked = |mut member: Member| {
        member.linkage_key = None;
        persons(&member)
    };
    assert!(unlinked(Member::new(5)).is_disjoint(&unlinked(Member::new(9))));
    let mut other = Member::new(5);
    other.linkage_key = Some(Secret32::new([7; 32]));
    assert!(persons(&other).is_disjoint(&persons(&north)));
}

// LAW-1
#[test]
fn no_identifier_and_no_row_of_somebody_who_opted_out_is_in_what_a_run_writes() {
    let mut member = Member::new(5);
    member.opt_outs = BTreeSet::from([opt_out_id(&member.row_key, "p2")]);
    // A rule that would show an identifier shows its pseudonym.
    let telling = MAPPING
        .replace("default = \"none\" }", "default = \"none\" }\n#")
        .replace("{ sql = \"ward\"", "{ sql = \"substr(pid, 1, 4)\"");
    let mapped = member.map(&telling).unwrap();
    assert!(mapped.report.balances());
    assert_eq!(mapped.report.sources["patients"].opted_out.0, 1);
    assert_eq!(mapped.report.sources["visits"].opted_out.0, 2);
    let all: Vec<u8> =
        mapped.tables.values().chain([&mapped.quarantine]).flat_map(|bytes| everything_in(bytes)).collect();
    for canary in ["Ada", "Byron", "Born", "p1,", "p2", "v1,", "12/10/1815"] {
        assert!(!contains(&all, canary), "{canary}");
    }
}

#[test]
fn a_rule_cannot_name_free_text_or_a_dropped_column() {
    let mut member = Member::new(5);
    member.sources.insert("visits".into(), VISITS.replace(",ward,", ",note,"));
    let fault = member.map(&MAPPING.replace("sql = \"ward\"", "sql = \"note\"")).err().unwrap();
    assert!(matches!(fault, MapFault::Plan(_)), "{fault}");
    assert!(fault.to_string().contains("rule 2, ward"), "{fault}");
}

// MAP-6
#[test]
fn a_run_that_would_leave_a_table_empty_makes_nothing() {
    let fault = Member::new(5).map(&MAPPING.replace("'m/d/y'", "'iso'")).err();
    assert_eq!(fault, Some(MapFault::EmptyTable { table: "person".into() }));
}

#[test]
fn a_file_that_is_no_mapping_is_told_by_line_or_rule() {
    let schema = CommonSchema::parse(SCHEMA).unwrap();
    let told = |from: &str, to: &str| {
        assert!(MAPPING.contains(from), "{from}");
        Mapping::parse(&MAPPING.replacen(from, to, 1), &schema).err().map(|fault| fault.to_string()).unwrap_or_default()
    };
    assert!(told("version = 1", "version = 1\nwhat = 2").contains("line "));
    assert!(told("table = \"visit\"", "table = \"stay\"").contains("rule 2: the schema has no table stay"));
    assert!(told("set.ward", "set.bed").contains("rule 2: the table has no column bed"));
    assert!(told("set.began = \"day(began, 'iso')\"\n", "").contains("required column began"));
    assert!(told("from = \"labs\"", "from = \"labor\"").contains("[source.labor]"));
    assert!(told("map = \"sex\"", "map = \"gender\"").contains("[codes.gender]"));
    assert!(told("schema = \"stays-1\"", "schema = \"stays-2\"").contains("stays-2"));
}

/// Two thousand corruptions: whatever is done to a source, a run ends with a fault that names it or accounts for all.
#[test]
fn whatever_is_done_to_a_source_a_run_accounts_for_all_of_it_or_makes_nothing() {
    let (mut mapped, mut refused) = (0, 0);
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let mut member = Member::new(5);
        let names = ["patients", "visits", "labs"];
        let named = names[usize::try_from(random.below(3)).unwrap()];
        let mut bytes = member.sources[named].clone().into_bytes();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            match random.below(4) {
                0 if bytes.len() > 1 => drop(bytes.remove(at)),
                0 | 1 => bytes.insert(at, b',' + u8::try_from(random.below(60)).unwrap()),
                2 => bytes[at] = u8::try_from(random.below(128)).unwrap(),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        member.sources.insert(named.to_owned(), text);
        match member.map(MAPPING) {
            Ok(done) => {
                mapped += 1;
                assert!(done.report.balances(), "seed {seed}");
                for (table, count) in &done.report.tables {
                    assert_eq!(done.rows(table).len() as u64, count.emitted.0, "seed {seed}, {table}");
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(mapped > 300 && refused > 100, "{mapped} mapped, {refused} refused");
}
