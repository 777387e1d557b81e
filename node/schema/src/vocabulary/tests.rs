//! A made-up download, read and asked.

use super::*;
use crate::gate::Concepts;
use crate::limits::VOCABULARY_LINE_BYTES_MAX;

const VOCABULARIES: &str = "vocabulary_id\tvocabulary_name\tvocabulary_reference\tvocabulary_version\tvocabulary_concept_id\n\
                            MADE\tMade up\tnowhere\t2026\t1\nNone\tOMOP\tnowhere\tv5.0 01-JAN-26\t2\n";
const CONCEPTS: &str = "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\t\
                        concept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n\
                        30\tA \"quoted\" name\tCondition\tMADE\tx\tS\tA\"1\t20200101\t20991231\t\n\
                        10\tsource\tCondition\tLOCAL\tx\t\tA1\t20200101\t20991231\t\n\
                        20\tgone\tDrug\tMADE\tx\tS\tB2\t20200101\t20210101\tD\n\
                        21\treplaced\tDrug\tMADE\tx\tS\tB3\t20200101\t20210101\tU\n\
                        40\tnew\tDrug\tMADE\tx\tS\tB2\t20210101\t20991231\t\n\
                        50\tclass\tDrug\tMADE\tx\tC\tC\t20210101\t20991231\t\n";
const RELATIONSHIPS: &str = "concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n\
     10\t40\tMaps to\t20200101\t20991231\t\n10\t30\tMaps to\t20200101\t20991231\t\n\
     10\t20\tMaps to\t20200101\t20991231\t\n10\t50\tMaps to\t20200101\t20991231\t\n\
     10\t99\tMaps to\t20200101\t20991231\t\n10\t21\tMaps to\t20200101\t20210101\tD\n\
     30\t10\tMapped from\t20200101\t20991231\t\n30\t30\tMaps to\t20200101\t20991231\t\n";

fn load(vocabularies: &str, concepts: &str, relationships: &str) -> Result<Vocabulary, LoadFault> {
    let mut loader = Loader::new();
    loader.relationships(relationships.as_bytes())?;
    loader.concepts(concepts.as_bytes())?;
    loader.vocabularies(vocabularies.as_bytes())?;
    loader.finish()
}

fn made_up() -> Vocabulary {
    load(VOCABULARIES, CONCEPTS, RELATIONSHIPS).unwrap()
}

#[test]
fn a_download_is_read_with_its_release_and_quotes_are_letters() {
    let vocabulary = made_up();
    assert_eq!((vocabulary.release(), vocabulary.len()), ("v5.0 01-JAN-26", 6));
    let quoted = vocabulary.lookup("MADE", "A\"1").unwrap();
    assert_eq!((quoted.id, quoted.domain, quoted.standard, quoted.validity), (30, "Condition", true, Validity::Valid));
    assert_eq!(vocabulary.entry(20).map(|entry| (entry.code, entry.validity)), Some(("B2", Validity::Deleted)));
    assert_eq!(vocabulary.entry(21).map(|entry| entry.validity), Some(Validity::Replaced));
    assert_eq!(vocabulary.lookup("MADE", "B2").map(|entry| entry.id), Some(40), "a valid one before a deleted one");
    assert_eq!(vocabulary.lookup("MADE", "B3").map(|entry| entry.id), Some(21));
    assert_eq!(vocabulary.lookup("MADE", "A1"), None, "a code belongs to its vocabulary");
    assert_eq!(vocabulary.lookup("OTHER", "A1"), None);
    assert_eq!((vocabulary.entry(11), vocabulary.entry(-1), vocabulary.entry(i64::MAX)), (None, None, None));
    assert_eq!(vocabulary.concept(50).map(|concept| (concept.standard, concept.valid)), Some((false, true)));
    assert!(!format!("{vocabulary:?}").contains("B2"));
}

#[test]
fn only_standard_and_valid_concepts_stand_for_another_and_the_rest_is_named() {
    let vocabulary = made_up();
    let found = vocabulary.maps_to(10);
    let ids = |entries: &[Entry<'_>]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(&found.standard), [30, 40]);
    assert_eq!(ids(&found.stale), [20, 50]);
    assert_eq!(found.absent, [99]);
    assert_eq!(ids(&vocabulary.maps_to(30).standard), [30]);
    assert_eq!(ids(&vocabulary.maps_to(30).stale), [0; 0], "other relationships than this are none of it");
    let twice = load(VOCABULARIES, CONCEPTS, &format!("{RELATIONSHIPS}10\t40\tMaps to\t1\t2\t\n")).unwrap();
    assert_eq!(ids(&twice.maps_to(10).standard), [30, 40], "said twice it is one");
    assert_eq!(vocabulary.maps_to(40), MapsTo::default());
    assert_eq!(vocabulary.maps_to(-1), MapsTo::default());
}

#[test]
fn a_code_stands_for_the_standard_concepts_of_its_day() {
    let vocabulary = made_up();
    assert_eq!(vocabulary.standard("LOCAL", "A1", None), [30, 40]);
    assert_eq!(vocabulary.standard("MADE", "A\"1", None), [30]);
    assert_eq!(vocabulary.standard("MADE", "B2", None), [40], "a standard concept stands for itself");
    assert_eq!(vocabulary.standard("MADE", "B3", None), [0; 0], "one that was replaced does not");
    assert_eq!(vocabulary.standard("MADE", "C", None), [0; 0], "a class is no standard concept");
    let days = [20_191_231, 20_200_101, 20_991_231, 21_000_101];
    assert_eq!(days.map(|day| vocabulary.standard("LOCAL", "A1", Some(day)).len()), [0, 2, 2, 0]);
    // The code was used for concept 20 until it was given to 40.
    let on = |day| vocabulary.lookup_on("MADE", "B2", Some(day)).map(|entry| entry.id);
    assert_eq!((on(20_201_231), on(20_210_101), on(20_210_102)), (Some(20), Some(40), Some(40)));
    assert_eq!(["MADE", "LOCAL", "Condition", "OTHER"].map(|name| vocabulary.holds(name)), [true, true, false, false]);
}

#[test]
fn the_digest_is_of_the_files() {
    let digest = made_up().digest();
    assert_eq!(made_up().digest(), digest);
    let other = load(VOCABULARIES, CONCEPTS, &RELATIONSHIPS.replace("Mapped from", "Mapped_from")).unwrap();
    assert_ne!(other.digest(), digest, "also of what is not kept");
    let windows = load(VOCABULARIES, &CONCEPTS.replace('\n', "\r\n"), RELATIONSHIPS).unwrap();
    assert_eq!(windows.entry(40), made_up().entry(40));
    assert_ne!(windows.digest(), digest);
}

#[test]
fn an_index_opens_as_it_was_and_damage_is_refused() {
    let vocabulary = made_up();
    let bytes = vocabulary.to_bytes();
    assert_eq!(Vocabulary::from_bytes(&bytes), Ok(vocabulary.clone()));
    for length in 0..bytes.len() {
        assert_eq!(Vocabulary::from_bytes(&bytes[..length]), Err(NotAnIndex), "cut at {length}");
    }
    assert_eq!(Vocabulary::from_bytes(&[&bytes[..], b"x"].concat()), Err(NotAnIndex));
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            // Either refused, or another vocabulary that can be asked: it never panics. Seals find what remains.
            if let Ok(other) = Vocabulary::from_bytes(&damaged) {
                other.lookup("MADE", "B2");
                other.maps_to(10);
            }
        }
    }
}

#[test]
fn a_fault_names_file_and_line_and_no_cell() {
    let text = |result: Result<Vocabulary, LoadFault>| {
        let text = result.unwrap_err().to_string();
        assert!(!text.contains("CANARY"), "{text}");
        text
    };
    let concepts = |from: &str, to: &str| text(load(VOCABULARIES, &CONCEPTS.replacen(from, to, 1), RELATIONSHIPS));
    assert_eq!(concepts("10\tsource", "CANARY\tsource"), "CONCEPT.csv, line 3: column concept_id holds no id");
    assert_eq!(concepts("10\tsource", "10\tCANARY\tx"), "CONCEPT.csv, line 3: not 10 columns as in the header");
    assert_eq!(concepts("invalid_reason", "CANARY"), "CONCEPT.csv, line 1: the header has no column invalid_reason");
    assert_eq!(
        concepts("20200101\t20991231\t\n10", "20201301\t20991231\t\n10"),
        "CONCEPT.csv, line 2: column valid_start_date or valid_end_date holds no day"
    );
    assert_eq!(concepts("10\tsource", "30\tsource"), "CONCEPT.csv has concept 30 twice");
    assert_eq!(text(load(VOCABULARIES, "", RELATIONSHIPS)), "CONCEPT.csv, line 1: there is no header");
    let none = VOCABULARIES.replace("None", "CANARY");
    assert_eq!(text(load(&none, CONCEPTS, RELATIONSHIPS)), "VOCABULARY.csv has no row None, which names the release");
    let related = RELATIONSHIPS.replacen("10\t40", "10\tCANARY", 1);
    assert!(text(load(VOCABULARIES, CONCEPTS, &related)).starts_with("CONCEPT_RELATIONSHIP.csv, line 2"));
    let mut loader = Loader::new();
    let latin = [CONCEPTS.as_bytes(), b"60\tCANARY\xe4\tDrug\tMADE\tx\tS\tD\t1\t2\t\n"].concat();
    assert_eq!(loader.concepts(&latin[..]).unwrap_err().to_string(), "CONCEPT.csv, line 8: not UTF-8");
    assert_eq!(Loader::new().finish(), Err(LoadFault::NoFile { file: "VOCABULARY.csv" }));
}

#[test]
fn a_header_has_a_mark_before_it_or_other_letters_and_its_columns_stand_anywhere() {
    let marked = load(&format!("\u{feff}{VOCABULARIES}"), &format!("\u{feff}{CONCEPTS}"), RELATIONSHIPS).unwrap();
    assert_eq!((marked.release(), marked.entry(40)), ("v5.0 01-JAN-26", made_up().entry(40)));
    let upper = CONCEPTS.replacen("concept_id", "CONCEPT_ID", 1);
    assert_eq!(load(VOCABULARIES, &upper, RELATIONSHIPS).unwrap().entry(40), made_up().entry(40));
    let turned: String =
        CONCEPTS.lines().map(|line| line.split('\t').rev().collect::<Vec<_>>().join("\t") + "\n").collect();
    assert_eq!(load(VOCABULARIES, &turned, RELATIONSHIPS).unwrap().entry(40), made_up().entry(40));
}

#[test]
fn names_are_bounded_on_both_sides() {
    use crate::limits::NAMES_MAX;
    let header = CONCEPTS.lines().next().unwrap();
    // The vocabulary's own name is one of them.
    let concepts = |names: usize| {
        let line = |place| format!("{}\tn\tD{place}\tV\tx\tS\tc\t20200101\t20991231\t\n", place + 1);
        format!("{header}\n{}", (0..names - 1).map(line).collect::<String>())
    };
    assert!(load(VOCABULARIES, &concepts(NAMES_MAX), RELATIONSHIPS).is_ok());
    let fault = load(VOCABULARIES, &concepts(NAMES_MAX + 1), RELATIONSHIPS).unwrap_err();
    assert_eq!(fault, LoadFault::TooMany { what: "names of domains and vocabularies", max: NAMES_MAX });
}

#[test]
fn a_line_is_bounded_on_both_sides() {
    let max = usize::try_from(VOCABULARY_LINE_BYTES_MAX).unwrap();
    let line = |bytes: usize| {
        let end = "\tDrug\tMADE\tx\tS\tD\t20200101\t20991231\t\n";
        format!("{CONCEPTS}60\t{}{end}", "n".repeat(bytes - 3 - end.len()))
    };
    assert!(load(VOCABULARIES, &line(max), RELATIONSHIPS).is_ok());
    let fault = load(VOCABULARIES, &line(max + 1), RELATIONSHIPS).unwrap_err();
    assert_eq!(fault, LoadFault::Line { file: "CONCEPT.csv", line: 8, wrong: Wrong::TooLong });
}

#[test]
fn many_concepts_are_all_found_by_id_and_code() {
    use std::fmt::Write;
    let mut concepts = CONCEPTS.lines().next().unwrap().to_owned() + "\n";
    let mut relationships = RELATIONSHIPS.lines().next().unwrap().to_owned() + "\n";
    let id = |place: u32| (place * 7_919) % 20_011 + 1;
    for place in 0..20_000 {
        let (id, standard) = (id(place), if place % 2 == 0 { "S" } else { "" });
        writeln!(concepts, "{id}\tn\tDrug\tV{}\tx\t{standard}\tc{place}\t20200101\t20991231\t", place % 3).unwrap();
        writeln!(relationships, "{id}\t{}\tMaps to\t1\t2\t", (place - place % 2) * 7_919 % 20_011 + 1).unwrap();
    }
    let vocabulary = load(VOCABULARIES, &concepts, &relationships).unwrap();
    for place in 0..20_000 {
        let entry = vocabulary.lookup(&format!("V{}", place % 3), &format!("c{place}")).unwrap();
        assert_eq!(entry.id, i64::from(id(place)));
        let to = vocabulary.maps_to(entry.id);
        assert_eq!((to.standard.len(), to.stale.len(), to.standard[0].id), (1, 0, i64::from(id(place - place % 2))));
    }
    assert!(vocabulary.to_bytes().len() < 20_000 * 40, "compact");
}
