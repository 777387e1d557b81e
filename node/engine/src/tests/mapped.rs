//! What a mapping asks of a vocabulary, how changed sources and emptied tables are refused, and trials on fixtures.

use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_schema::drift::ChangeClass;
use cohortium_schema::schema::CommonSchema;
use cohortium_schema::vocabulary::{Loader, Vocabulary};

use super::mapping::{MAPPING, Mapped, Member, SCHEMA};
use super::*;
use crate::mapping::{
    Before, MapFault, Mapping, MappingFault, Reason, TrialJob, changed, diff, expected, try_out, unlike,
};

const CONCEPTS: &str = "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\t\
                        concept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n\
                        8507\tmale\tGender\tGender\tx\tS\tM\t19700101\t20991231\t\n\
                        8532\tfemale\tGender\tGender\tx\tS\tF\t19700101\t20991231\t\n\
                        1\tm\tGender\tLOCAL\tx\t\tm\t20200101\t20991231\t\n\
                        2\tf\tGender\tLOCAL\tx\t\tf\t20200101\t20991231\t\n\
                        3\tboth\tGender\tLOCAL\tx\t\tb\t20200101\t20991231\t\n";
const RELATIONSHIPS: &str = "concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n\
                             1\t8507\tMaps to\t20200101\t20991231\t\n2\t8532\tMaps to\t20200101\t20991231\t\n\
                             3\t8507\tMaps to\t20200101\t20991231\t\n3\t8532\tMaps to\t20200101\t20991231\t\n";
const VOCABULARIES: &str = "vocabulary_id\tvocabulary_name\tvocabulary_reference\tvocabulary_version\tvocabulary_concept_id\n\
                            None\tOMOP\tnowhere\tv5.0 01-JAN-26\t2\n";

fn vocabulary() -> Arc<Vocabulary> {
    let mut loader = Loader::new();
    loader.concepts(CONCEPTS.as_bytes()).unwrap();
    loader.relationships(RELATIONSHIPS.as_bytes()).unwrap();
    loader.vocabularies(VOCABULARIES.as_bytes()).unwrap();
    Arc::new(loader.finish().unwrap())
}

/// One table of patients whose sex is a code of a vocabulary.
fn coded(setting: &str) -> String {
    format!(
        r#"
mapping = "north"
version = 1
schema = "stays-1"
patients = {{ source = "patients", id = "pid" }}
source.patients = {{ dataset = "patients" }}
[[fact]]
table = "person"
from = "patients"
set.person_id = "{key}"
set.sex = {setting}
set.born = "day(dob, 'm/d/y')"
"#,
        key = if setting.contains("each") { "surrogate('person', pid, cohortium_concept)" } else { "person(pid)" }
    )
}

fn member(rows: &str) -> Member {
    let mut member = Member::new(5);
    member.vocabulary = Some(vocabulary());
    member.sources.retain(|source, _| source == "patients");
    member.sources.insert("patients".to_owned(), format!("pid,first,last,dob,sex\n{rows}"));
    member
}

const LOCAL: &str =
    "p1,A,B,12/10/2021,m\np2,C,D,12/11/2021,f\np3,E,F,1/1/2022,b\np4,G,H,1/1/2019,m\np5,I,J,1/1/2022,CANARY\n";

fn sexes(mapped: &Mapped) -> Vec<String> {
    let mut all: Vec<String> =
        mapped.rows("person").iter().map(|row| row.split(',').nth(1).unwrap().to_owned()).collect();
    all.sort();
    all
}

// MAP-9
#[test]
fn a_code_of_a_vocabulary_is_the_standard_concept_that_it_maps_to() {
    let member = member(LOCAL);
    let mapped = member.map(&coded("{ code = \"sex\", vocabulary = \"LOCAL\" }")).unwrap();
    assert_eq!(sexes(&mapped), ["8507", "8507", "8532"]);
    let entries = Mapped::lines(&mapped.quarantine);
    assert!(entries.contains(&"patients,4,person,sex,several".to_owned()), "{entries:?}");
    assert!(entries.contains(&"patients,6,person,sex,code".to_owned()), "{entries:?}");
    assert_eq!(mapped.report.unmapped[&("LOCAL".into(), "CANARY".into())].0, 1);
    assert_eq!(mapped.report.vocabulary.as_ref().unwrap().0, "v5.0 01-JAN-26");
    assert!(!entries.concat().contains("CANARY"));
    let lowest = member.map(&coded("{ code = \"sex\", vocabulary = \"LOCAL\", several = \"lowest\" }")).unwrap();
    assert_eq!(sexes(&lowest), ["8507", "8507", "8507", "8532"]);
    let default = member.map(&coded("{ code = \"sex\", vocabulary = \"LOCAL\", default = 0 }")).unwrap();
    assert_eq!(sexes(&default), ["0", "8507", "8507", "8532"]);
    assert_eq!(default.report.defaults["person.sex"].0, 1);
}

#[test]
fn each_concept_of_a_code_makes_a_fact_of_its_own() {
    let mapped = member(LOCAL).map(&coded("{ code = \"sex\", vocabulary = \"LOCAL\", several = \"each\" }")).unwrap();
    assert_eq!(sexes(&mapped), ["8507", "8507", "8507", "8532", "8532"]);
    let count = &mapped.report.tables["person"];
    assert_eq!((count.due.0, count.emitted.0, count.quarantined.0), (6, 5, 1));
    assert_eq!(mapped.report.quarantine[&("person".into(), "sex".into(), Reason::Code)].0, 1);
}

#[test]
fn a_code_holds_on_the_day_that_the_mapping_names() {
    let on = "{ code = \"sex\", vocabulary = \"LOCAL\", several = \"lowest\", on = \"day(dob, 'm/d/y')\" }";
    let mapped = member(LOCAL).map(&coded(on)).unwrap();
    assert_eq!(sexes(&mapped), ["8507", "8507", "8532"], "p4 is of 2019, before the code held");
    let no_day = member("p1,A,B,,m\np2,C,D,12/11/2021,f\n").map(&coded(on)).unwrap();
    assert_eq!(no_day.report.quarantine[&("person".into(), "sex".into(), Reason::Missing)].0, 1);
}

// MAP-9
#[test]
fn a_vocabulary_that_is_not_loaded_is_named_before_a_row_is_read() {
    let mapping = coded("{ code = \"sex\", vocabulary = \"ICD10CM\" }");
    let fault = member("never closed\"").map(&mapping).err().unwrap();
    assert_eq!(fault, MapFault::NoVocabulary { names: vec!["ICD10CM".to_owned()] });
    assert_eq!(RunFault::from(&fault), RunFault::NoVocabulary);
    let mut none = member(LOCAL);
    none.vocabulary = None;
    let fault = none.map(&coded("{ code = \"sex\", vocabulary = \"LOCAL\" }")).err().unwrap();
    assert!(fault.to_string().contains("LOCAL"), "{fault}");
    assert!(none.map(MAPPING).is_err_and(|fault| !matches!(fault, MapFault::NoVocabulary { .. })));
}

const MAP_ROWS: &str = "source_code,source_concept_id,source_vocabulary_id,source_code_description,target_concept_id,\
                        target_vocabulary_id,valid_start_date,valid_end_date,invalid_reason\n\
                        m,0,sex,man,8507,Gender,2020-01-01,2099-12-31,\nf,0,sex,woman,8532,Gender,,,\n";

#[test]
fn a_code_map_may_be_rows_of_a_file_that_becomes_part_of_the_mapping() {
    let text = coded("{ code = \"sex\", map = \"sex\", on = \"day(dob, 'm/d/y')\" }");
    let text = format!("{text}\n[map.sex]\nfile = \"sex.csv\"\nvocabulary = \"sex\"\n");
    let schema = CommonSchema::parse(SCHEMA).unwrap();
    let parse = |text: &str| Mapping::parse(text, &schema);
    assert_eq!(parse(&text), Err(MappingFault::NoFile { file: "sex.csv".to_owned() }));
    assert_eq!(Mapping::files_wanted(&text).unwrap(), BTreeSet::from(["sex.csv".to_owned()]));
    let with = |rows: &str| Mapping::with_files(&text, &BTreeMap::from([("sex.csv".to_owned(), rows.to_owned())]));
    let whole = with(MAP_ROWS);
    assert!(Mapping::files_wanted(&whole).unwrap().is_empty());
    let mapped = member(LOCAL).map(&whole).unwrap();
    assert_eq!(sexes(&mapped), ["8507", "8532"], "p4 is of 2019, before the row holds");
    let wrong = parse(&with(&MAP_ROWS.replace("8507", "CANARY"))).unwrap_err();
    assert_eq!(wrong.to_string(), "the file sex.csv: the code map's row 1: not a row of source_to_concept_map");
    let other = parse(&with(&MAP_ROWS.replace(",sex,", ",ward,"))).unwrap_err();
    assert!(matches!(other, MappingFault::NoRows { .. }), "{other}");
    let rows = "'''\"\\ quoted in every way\"'''";
    let odd = Mapping::with_files("", &BTreeMap::from([("a".to_owned(), rows.to_owned())]));
    let read: toml::Value = toml::from_str(&odd).unwrap();
    assert_eq!(read["files"]["a"].as_str(), Some(rows));
}

#[test]
fn what_a_mapping_leaves_out_and_bears_is_of_the_schema_and_its_checks() {
    let schema = CommonSchema::parse(SCHEMA).unwrap();
    let stated =
        |words: &str| Mapping::parse(&MAPPING.replacen("\nversion", &format!("\n{words}\nversion"), 1), &schema);
    let fault = |words: &str| stated(words).unwrap_err();
    let left_out = |table: &str| MappingFault::LeavesOut { table: table.parse().unwrap() };
    assert_eq!(fault("leaves_out = [\"nowhere\"]"), left_out("nowhere"));
    let made = stated("").unwrap().fact[0].table.clone();
    assert_eq!(fault(&format!("leaves_out = [\"{made}\"]")), left_out(&made), "a rule makes it");
    let unknown = fault("thresholds = { isRequried = 1 }").to_string();
    assert_eq!(unknown, "threshold of \"isRequried\": there is no such check");
    for wrong in ["100.1", "-1", "0.05"] {
        let fault = fault(&format!("thresholds = {{ isRequired = {wrong} }}"));
        assert!(matches!(fault, MappingFault::Threshold(_)), "{wrong}: {fault}");
    }
    let borne = stated("thresholds = { isRequired = 0.5, cdmTable = 100 }").unwrap();
    let borne = borne.allowance(&schema).unwrap();
    assert_eq!(borne.thresholds.values().copied().collect::<Vec<_>>(), [1_000, 5]);
}

#[test]
fn a_code_is_looked_up_in_one_place() {
    let schema = CommonSchema::parse(SCHEMA).unwrap();
    let fault = |setting: &str| Mapping::parse(&coded(setting), &schema).unwrap_err();
    let nowhere = MappingFault::MapOrVocabulary { rule: 1, column: "sex".to_owned() };
    assert_eq!(fault("{ code = \"sex\" }"), nowhere);
    assert_eq!(fault("{ code = \"sex\", map = \"x\", vocabulary = \"y\" }"), nowhere);
    assert_eq!(fault("{ code = \"sex\", map = \"x\" }"), MappingFault::NoMap { rule: 1, map: "x".to_owned() });
}

/// The shapes of one run, as the next one gets them.
fn before(mapped: &Mapped, accepted: bool) -> Before {
    Before { shapes: mapped.report.shapes.clone(), accepted }
}

fn with_source(of: &str, change: impl Fn(&str) -> String) -> Member {
    let mut member = Member::new(5);
    let text = change(&member.sources[of]);
    member.sources.insert(of.to_owned(), text);
    member
}

// MAP-13
#[test]
fn what_a_mapping_was_not_made_for_is_refused_with_every_change_named_until_a_new_version_accepts_it() {
    let first = Member::new(5).map(MAPPING).unwrap();
    let run = |mut member: Member, accepted: bool| {
        member.before = before(&first, accepted);
        member.map(MAPPING)
    };
    assert!(run(Member::new(5), false).unwrap().report.changes.is_empty());
    let class = |mapped: &Mapped| mapped.report.changes.iter().map(|change| change.change.class).collect::<Vec<_>>();
    let ragged = with_source("labs", |text| text.replace('\n', ",A\n").replacen(",A\n", ",ward\n", 1));
    assert_eq!(class(&run(ragged, false).unwrap()), [ChangeClass::Additive]);
    let widened = with_source("patients", |text| text.replace(",X\n", ",CANARY\n"));
    let widened = run(widened, false).unwrap();
    assert_eq!(class(&widened), [ChangeClass::Widening]);
    assert!(!widened.report.to_json()["drift"].to_string().contains("CANARY"));
    // Another column for the one that was there, and another way to write every code.
    let recoded = |text: &str| text.replace(",F\n", ",2\n").replace(",M\n", ",1\n").replace(",X\n", ",CANARY\n");
    let fault = run(with_source("patients", recoded), false).err().unwrap();
    let text = fault.to_string();
    assert!(text.contains("source patients: column sex has 3 new codes and 3 fewer (breaking)"), "{text}");
    assert!(!text.contains("CANARY") && RunFault::from(&fault) == RunFault::Drifted);
    let renamed = |text: &str| text.replace("ward,prior", "station,prior");
    let fault = run(with_source("visits", renamed), false).err().unwrap();
    assert!(fault.to_string().contains("column ward is called station now (breaking)"), "{fault}");
    // A new version is made for what it finds: only its own rules can say no.
    let accepted = run(with_source("patients", recoded), true);
    assert!(matches!(accepted, Err(MapFault::EmptyTable { .. })), "no code is known");
    let renamed = run(with_source("visits", renamed), true).err().unwrap();
    assert!(matches!(renamed, MapFault::Plan(_)), "{renamed}");
}

#[test]
fn a_shape_is_kept_under_the_members_key_and_holds_no_value() {
    let shapes = |row_key: u8| {
        let mut member = Member::new(row_key);
        let text = member.sources["patients"].replace(",X\n", ",CANARY\n");
        member.sources.insert("patients".to_owned(), text);
        member.map(MAPPING).unwrap().report.shapes
    };
    let (north, south) = (shapes(5), shapes(9));
    let bytes = cohortium_protocol::wire::codec::encode(&north);
    assert!(!bytes.windows(6).any(|window| window == b"CANARY"));
    let sex = name("sex");
    assert_eq!(north["patients"].columns[&sex].codes.len(), 3);
    assert_ne!(north["patients"].columns[&sex].codes, south["patients"].columns[&sex].codes);
    assert_eq!(
        cohortium_protocol::wire::codec::decode::<BTreeMap<String, cohortium_schema::drift::SourceShape>>(
            &bytes,
            1 << 20
        ),
        Ok(north)
    );
}

// MAP-10
#[test]
fn a_table_that_had_rows_does_not_become_empty_unless_a_person_says_so() {
    let no_labs = || with_source("labs", |text| text.lines().next().unwrap().to_owned() + "\n");
    let mut had = no_labs();
    assert!(had.map(MAPPING).is_ok(), "nothing to compare with");
    had.had_rows = BTreeSet::from(["lab".to_owned()]);
    let fault = had.map(MAPPING).err().unwrap();
    assert_eq!(fault, MapFault::Emptied { table: "lab".to_owned() });
    assert_eq!(RunFault::from(&fault), RunFault::Emptied);
    had.may_be_empty = BTreeSet::from(["visit".to_owned()]);
    assert!(had.map(MAPPING).is_err(), "another table's word");
    had.may_be_empty = BTreeSet::from(["lab".to_owned()]);
    assert_eq!(had.map(MAPPING).unwrap().report.tables["lab"].emitted.0, 0);
    let mut still = Member::new(5);
    still.had_rows = BTreeSet::from(["lab".to_owned()]);
    assert!(still.map(MAPPING).is_ok());
}

// MAP-6
#[test]
fn a_table_all_of_whose_facts_fail_is_kept_only_where_a_person_says_so() {
    let mut member = with_source("labs", |_| "vid,sodium,glucose,hours\nv1,low,low,2\n".to_owned());
    assert_eq!(member.map(MAPPING).err(), Some(MapFault::EmptyTable { table: "lab".to_owned() }));
    member.may_be_empty = BTreeSet::from(["lab".to_owned()]);
    assert_eq!(member.map(MAPPING).unwrap().report.tables["lab"].quarantined.0, 2);
}

#[test]
fn unmapped_codes_are_listed_by_the_records_they_cost() {
    let rows = "p1,A,B,1/1/2021,x\np2,C,D,1/1/2021,y\np3,E,F,1/1/2021,y\np4,G,H,1/1/2021,m\n";
    let mapped = member(rows).map(&coded("{ code = \"sex\", vocabulary = \"LOCAL\" }")).unwrap();
    let json = mapped.report.to_json();
    let listed: Vec<_> = json["unmapped"].as_array().unwrap().iter().map(|code| code["code"].clone()).collect();
    assert_eq!(listed, ["y", "x"]);
}

fn trial(mapping: &str, sources: &BTreeMap<String, String>) -> crate::mapping::Tried {
    let schema = CommonSchema::parse(SCHEMA).unwrap();
    let mapping = Mapping::parse(mapping, &schema).unwrap();
    let sources = sources.iter().map(|(name, text)| (name.clone(), handle(text.clone()))).collect();
    try_out(&TrialJob { mapping: &mapping, schema: &schema, sources, vocabulary: Some(vocabulary()) }).unwrap()
}

#[test]
fn a_trial_is_compared_row_by_row_in_any_order_and_in_the_columns_that_are_expected() {
    let sources = BTreeMap::from([("patients".to_owned(), format!("pid,first,last,dob,sex\n{LOCAL}"))]);
    let mapping = coded("{ code = \"sex\", vocabulary = \"LOCAL\", several = \"lowest\" }");
    let made = trial(&mapping, &sources);
    assert_eq!(trial(&mapping, &sources).tables, made.tables, "keys of trials are the same for all");
    let person = &made.tables["person"];
    assert_eq!(person.header, ["person_id", "sex", "born", "cohortium_source"]);
    let known = BTreeSet::from(["person_id", "sex", "born"]);
    let compare = |text: &str| unlike(&expected(&handle(text.to_owned())).unwrap(), person, &known);
    let all = "born,sex\n2022-01-01,8507\n2021-12-10,8507\n2021-12-11,8532\n2019-01-01,8507\n";
    assert!(compare(all).unwrap().is_none());
    let fewer = compare("born,sex\n2022-01-01,8507\n2021-12-10,8507\n2021-12-11,8532\n").unwrap();
    assert_eq!((fewer.missing.len(), fewer.unexpected), (0, vec![vec!["2019-01-01".to_owned(), "8507".to_owned()]]));
    let twice = compare(&format!("{all}2022-01-01,8507\n")).unwrap();
    assert_eq!((twice.missing.len(), twice.unexpected.len()), (1, 0), "rows are counted");
    assert_eq!(compare("ward\nA\n").unwrap_err().column, "ward");
    let back = expected(&handle(person.to_csv())).unwrap();
    assert_eq!(&back, person, "what is accepted is what is expected from then on");
    assert_eq!(made.quarantine.rows, [["patients", "6", "person", "sex", "code"]]);
}

#[test]
fn two_mappings_differ_in_rules_columns_codes_and_in_the_facts_they_make() {
    let schema = CommonSchema::parse(SCHEMA).unwrap();
    let (old, new) =
        (MAPPING, MAPPING.replace("X = 0", "").replace("M = 8507", "M = 8521").replace("version = 1", "version = 2"));
    let new = new
        .replace("set.ward = { sql = \"ward\", default = \"none\" }", "set.ward = { sql = \"ward\", default = \"?\" }");
    let parse = |text: &str| Mapping::parse(text, &schema).unwrap();
    assert!(diff(&parse(old), &parse(old)).is_empty());
    let found = diff(&parse(old), &parse(&new));
    let told: Vec<_> = found.iter().map(|each| (each.what, each.place.as_str())).collect();
    assert_eq!(told, [("heading", "version"), ("code", "sex.M"), ("column", "visit from visits #1, ward")]);
    assert_eq!((found[1].old.as_deref(), found[1].new.as_deref()), (Some("8507"), Some("8521")));
    let fewer = new.split("[[fact]]\ntable = \"lab\"").next().unwrap();
    let gone = diff(&parse(&new), &parse(fewer));
    assert_eq!(gone.iter().map(|each| (each.what, each.new.is_none())).collect::<Vec<_>>(), [("rule", true)]);
    let sources = Member::new(5).sources;
    let (was, is) = (trial(old, &sources), trial(&new, &sources));
    let person = changed(Some("person_id"), &was.tables["person"], &is.tables["person"]);
    assert_eq!((person.come.len(), person.go.len(), person.change.len()), (0, 0, 1));
    assert_eq!(person.change[0].cells["sex"], ("8507".to_owned(), "8521".to_owned()));
    let none = crate::mapping::Table::default();
    let come = changed(Some("person_id"), &none, &is.tables["person"]);
    assert_eq!((come.come.len(), come.go.len()), (2, 0));
    assert!(changed(Some("lab_id"), &was.tables["lab"], &is.tables["lab"]).is_none());
}
