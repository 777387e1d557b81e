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
    limits: Limits,
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
            limits: Limits::default(),
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
            limits: self.limits,
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

// MAP-20
#[test]
fn what_names_a_patient_or_a_row_is_a_keyed_id_or_the_mapping_is_refused() {
    let told = |from: &str, to: &str| {
        assert!(MAPPING.contains(from), "{from}");
        match Member::new(5).map(&MAPPING.replace(from, to)) {
            Err(MapFault::Plan(fault)) => fault.to_string(),
            Err(fault) => panic!("{fault}"),
            Ok(_) => String::new(),
        }
    };
    let person = "set.person_id = \"person(pid)\"\nset.sex";
    for raw in ["'1234'", "person(pid) + 0", "coalesce(person(pid), 7)", "length(sex)"] {
        assert!(told(person, &format!("set.person_id = \"{raw}\"\nset.sex")).contains("rule 1, person_id"), "{raw}");
    }
    assert!(told(person, "set.person_id = 7\nset.sex").contains("rule 1, person_id"));
    assert!(told(person, "set.person_id = { default = 7 }\nset.sex").contains("rule 1, person_id"));
    let visit = "set.person_id = \"person(pid)\"\nset.began";
    assert!(told(visit, "set.person_id = \"length(pid)\"\nset.began").contains("rule 2, person_id"));
    let id = "set.visit_id = \"surrogate('visit', vid)\"\nset.person_id";
    assert!(told(id, "set.visit_id = \"person(pid)\"\nset.person_id").contains("rule 2, visit_id"));
    assert!(
        told("set.before = \"surrogate('visit', prior)\"", "set.before = \"length(prior)\"").contains("rule 2, before")
    );
    assert!(told("set.lab_id = \"surrogate('lab', vid, '{what}')\"", "set.lab_id = 1").contains("rule 3, lab_id"));
    assert_eq!(told("person(pid)", "surrogate('person', pid)"), "");
}

// MAP-21
#[test]
fn an_expression_asks_neither_chance_nor_the_clock() {
    let told = |sql: &str| {
        let (from, to) = ("\"10 / cast(hours as bigint)\"", format!("\"{sql}\""));
        Member::new(5).map(&MAPPING.replace(from, &to)).err().map(|fault| fault.to_string()).unwrap_or_default()
    };
    for moving in [
        "cast(random() * 9 as bigint)",
        "length(uuid())",
        "date_part('year', now())",
        "date_part('year', current_date())",
    ] {
        let fault = told(moving);
        assert!(fault.contains("rule 3, whole") && fault.contains("chance or the clock"), "{moving}: {fault}");
    }
    let filter =
        Member::new(5).map(&MAPPING.replace("where = \"{what} is not null\"", "where = \"random() < 0.5\"")).err();
    assert!(filter.is_some_and(|fault| fault.to_string().contains("rule 3, where")));
    assert_eq!(told("1 + 1"), "");
}

#[test]
fn a_dataset_s_own_word_of_who_its_rows_are_about_stands_over_a_mapping_that_says_nothing() {
    let mut member = Member::new(5);
    let declared =
        "who,vorne,hinten,geburt,sex,stay\nCANARY1,Ada,Byron,12/10/1815,F,s1\nCANARY2,Max,Born,12/11/1882,M,s2\n";
    member.sources.insert("patients".into(), declared.to_owned());
    let dataset = member.datasets.get_mut("patients").unwrap();
    dataset.patient = Some(name("who"));
    dataset.key = vec![name("stay")];
    dataset.linkage = Some(LinkageColumns {
        given: name("vorne"),
        family: name("hinten"),
        birth: name("geburt"),
        birth_format: DateFormat::MonthDayYearSlashes,
    });
    let mapping = |born: &str, plain: &str| {
        let people = MAPPING.replace("id = \"pid\"", "id = \"stay\"").replace(
            "[source.patients]\ndataset = \"patients\"",
            &format!("[source.patients]\ndataset = \"patients\"\nplain = [{plain}]"),
        );
        people.replace("\"person(pid)\"\nset.sex", "\"person(stay)\"\nset.sex").replace("\"day(dob, 'm/d/y')\"", born)
    };
    // The columns' names say nothing; what the dataset declares does.
    for dropped in ["vorne", "hinten"] {
        let fault = member.map(&mapping(&format!("\"day({dropped}, 'iso')\""), "")).err();
        assert!(fault.as_ref().is_some_and(|fault| fault.to_string().contains("rule 1, born")), "{dropped} {fault:?}");
    }
    let ward = |column: &str, plain: &str| {
        let from = "table = \"visit\"\nfrom = \"visits\"";
        assert!(MAPPING.contains(from));
        let visits = "table = \"visit\"\nfrom = \"patients\"";
        let mapping = mapping("\"day(geburt, 'm/d/y')\"", plain).replace(from, visits);
        let mapping = mapping.replace(
            "\"surrogate('visit', vid)\"\nset.person_id = \"person(pid)\"\nset.began = \"day(began, 'iso')\"",
            "\"surrogate('visit', stay)\"\nset.person_id = \"person(stay)\"\nset.began = \"day(geburt, 'm/d/y')\"",
        );
        let mapping = mapping
            .replace("{ sql = \"ward\", default = \"none\" }", &format!("\"substr({column}, 1, 2)\""))
            .replace("set.before = \"surrogate('visit', prior)\"\n", "");
        let mapping = &mapping[..mapping.rfind("[[fact]]").unwrap()];
        member.map(mapping).unwrap().rows("visit")
    };
    assert!(ward("sex", "").iter().any(|row| row.contains(",F")));
    for (column, plain) in [("who", ""), ("stay", ""), ("who", "\"who\"")] {
        let rows = ward(column, plain);
        assert!(
            rows.len() == 2 && rows.iter().all(|row| !row.contains("CA") && !row.contains(",s1")),
            "{column}: {rows:?}"
        );
    }
}

// MAP-5
#[test]
fn a_fact_that_leaves_another_column_empty_is_a_conflict_and_not_a_repetition() {
    let mut member = Member::new(5);
    member.sources.insert("visits".into(), "vid,pid,began,ward,prior,a,b\nv1,p1,2024-01-02,A,,5,\n".to_owned());
    member.sources.insert("labs".into(), "vid,sodium,glucose,hours\nv1,1,,5\nv1,1,5,\n".to_owned());
    let mapping =
        MAPPING.replace("each = [{ what = \"sodium\" }, { what = \"glucose\" }]", "each = [{ what = \"sodium\" }]");
    let mapping = mapping.replace("\"10 / cast(hours as bigint)\"", "\"hours\"");
    let mapping = mapping.replace("set.value = \"{what}\"", "set.value = 1.0\nset.other = \"glucose\"");
    member.schema = CommonSchema::parse(&SCHEMA.replace(
        "  { name = \"whole\", kind = \"integer\", role = \"measure\" },\n",
        "  { name = \"whole\", kind = \"integer\", role = \"measure\" },\n  { name = \"other\", kind = \"integer\", role = \"measure\" },\n",
    ))
    .unwrap();
    let mapped = member.map(&mapping).unwrap();
    assert_eq!(counts(&mapped.report.tables["lab"]), [2, 1, 1, 0]);
    assert_eq!(mapped.report.quarantine[&("lab".into(), String::new(), Reason::Conflict)].0, 1);
}

#[test]
fn whole_numbers_do_not_wrap() {
    let mut member = Member::new(5);
    let labs = format!("vid,sodium,glucose,hours\nv1,1,,{}\nv4,1,,{}\nv3,1,,1\n", 1_i64 << 62, i64::MIN);
    member.sources.insert("labs".into(), labs);
    let sums =
        [("cast(hours as bigint) * 4", 2), ("cast(hours as bigint) + {max}", 2), ("-(cast(hours as bigint))", 1)];
    for (sql, failing) in sums {
        let sql = sql.replace("{max}", &i64::MAX.to_string());
        let mapped = member.map(&MAPPING.replace("10 / cast(hours as bigint)", &sql));
        let mapped = mapped.unwrap_or_else(|fault| panic!("{sql}: {fault}"));
        let reason = mapped.report.quarantine.get(&("lab".into(), "whole".into(), Reason::Expression));
        assert_eq!(reason.map(|rows| rows.0), Some(failing), "{sql}");
    }
}

#[test]
fn a_value_that_a_unit_makes_infinite_is_in_quarantine() {
    let mut member = Member::new(5);
    member.sources.insert("labs".into(), "vid,sodium,glucose,hours\nv1,1e308,,1\nv4,inf,,1\nv3,2,,1\n".to_owned());
    let value = "set.value = { value = \"{what}\", unit = \"'km'\", to = \"mm\" }";
    let mapped = member.map(&MAPPING.replace("set.value = \"{what}\"", value)).unwrap();
    let entries = |reason| mapped.report.quarantine.get(&("lab".into(), "value".into(), reason)).map(|rows| rows.0);
    assert_eq!((entries(Reason::Unit), entries(Reason::Cast)), (Some(1), Some(1)));
}

#[test]
fn an_empty_cell_is_no_value_in_a_text_table_and_one_where_values_have_types() {
    let mut member = Member::new(5);
    let rows = [
        "{\"vid\":\"v1\",\"pid\":\"p1\",\"began\":\"2024-01-02\",\"ward\":\"\",\"prior\":null}",
        "{\"vid\":\"v2\",\"pid\":\"\",\"began\":\"2024-01-02\",\"ward\":null,\"prior\":\"\"}",
    ];
    member.sources.insert("visits".into(), rows.join("\n"));
    member.datasets.get_mut("visits").unwrap().source = Source::Ndjson { path: "unused".parse().unwrap() };
    let mapped = member.map(MAPPING).unwrap();
    let visits = mapped.rows("visit");
    assert_eq!(visits.len(), 1, "the row of nobody is in quarantine: {visits:?}");
    assert!(!visits[0].contains("none"), "an empty text is not the recorded default: {visits:?}");
    assert_eq!(mapped.report.defaults.get("visit.ward").map(|rows| rows.0), Some(1), "the null of the other row");
}

#[test]
fn what_a_run_holds_is_bounded_by_its_memory_and_the_fault_says_so() {
    let member = Member::new(5);
    assert_eq!(member.limits, Limits::default());
    for (bytes, expected) in [(200, MapFault::TooMany { max: 1 }), (700, MapFault::TooManyBytes { max: 700 })] {
        let limits = Limits { mapped_bytes_max: bytes, ..Limits::default() };
        let member = Member { limits, ..Member::new(5) };
        assert_eq!(member.map(MAPPING).err(), Some(expected));
    }
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
