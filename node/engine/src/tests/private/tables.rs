//! Tables of bounded rows: what one patient can put into them, which rows count, and what is refused.

use super::*;
use crate::private::{Study, TablePlan, compile_table, take_rows};

const TEXT: &str = "SELECT p.sex, v.ward, v.cost FROM visit v JOIN person p ON v.person_id = p.person_id";

fn study(study: Study, rows: u64) -> Declared {
    let mut declared = declared(rows, 1)
        .key("sex", &[Some("f"), Some("m")])
        .key("ward", &[Some("A"), Some("B"), None])
        .edges("cost", &[0.0, 10.0, 100.0]);
    declared.study = Some(study);
    declared
}

fn table(text: &str, declared: &Declared) -> TablePlan {
    compile_table(text, declared, &catalogue()).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

fn rows(plan: &TablePlan, tables: &[PrivateTable]) -> BTreeMap<Vec<Option<i64>>, i64> {
    let mut rows = BTreeMap::new();
    let mut take = |row: &[Option<i64>]| *rows.entry(row.to_vec()).or_insert(0) += 1;
    take_rows(plan, &catalogue(), tables, KEY, &room(), &mut take).unwrap();
    rows
}

fn nth<T: Copy>(of: &[T], place: i64) -> T {
    of[usize::try_from(place).unwrap() % of.len()]
}

fn world() -> World {
    let mut world = World::default();
    for patient in 0..40 {
        world.people.push((patient, nth(&[Some("f"), Some("m"), Some("x"), None], patient), None));
        let extremes = [f64::NAN, f64::INFINITY, -1e300, 5.0, 10.0, 99.0];
        for visit in 0..patient % 7 {
            let cost = Some(nth(&extremes, patient + visit));
            let ward = nth(&[Some("A"), None, Some("Z")], visit);
            world.visits.push((patient * 10 + visit, patient, ward, None, None, cost));
        }
    }
    world
}

// QUES-16
#[test]
fn no_patient_puts_more_rows_into_a_table_than_are_declared_whatever_their_order() {
    for most in [1, 2, 4] {
        let plan = table(TEXT, &study(Study::Margins { ways: 2 }, most));
        let all = rows(&plan, &world().sorted().tables(true, 7));
        assert_eq!(all, rows(&plan, &world().tables(false, 3)), "the order of rows makes no difference");
        assert!(all.values().sum::<i64>() > 10);
        for patient in 0..40 {
            let without = rows(&plan, &world().without(patient).tables(false, 5));
            let keys: BTreeSet<_> = all.keys().chain(without.keys()).collect();
            let of = |rows: &BTreeMap<_, i64>, key| rows.get(key).copied().unwrap_or(0);
            let moved: i64 = keys.into_iter().map(|key| (of(&all, key) - of(&without, key)).abs()).sum();
            assert!(moved <= i64::try_from(most).unwrap(), "patient {patient} moves {moved} rows, not {most}");
        }
    }
}

// QUES-16
#[test]
fn a_row_counts_in_margins_where_every_column_has_a_public_value_and_in_a_model_always() {
    let margins = rows(&table(TEXT, &study(Study::Margins { ways: 1 }, 9)), &world().tables(false, 4));
    let inside = |row: &Vec<Option<i64>>| match row.as_slice() {
        [Some(sex), Some(ward), Some(cost)] => (0..2).contains(sex) && (0..3).contains(ward) && (0..2).contains(cost),
        _ => false,
    };
    assert!(!margins.is_empty() && margins.keys().all(inside), "{margins:?}");
    let mut declared = study(Study::Linear { outcome: "cost".to_owned() }, 9).bounds("cost", 0.0, 50.0, 1);
    declared.edges.clear();
    let model = rows(&table(TEXT, &declared), &world().tables(false, 4));
    assert_eq!(model.values().sum::<i64>(), i64::try_from(world().visits.len()).unwrap());
    // Clipped and scaled; what is no number is none.
    let costs: BTreeSet<Option<i64>> = model.keys().map(|row| row[2]).collect();
    assert_eq!(costs, BTreeSet::from([None, Some(0), Some(50), Some(100), Some(500)]));
}

// QUES-16
#[test]
fn what_has_no_public_values_names_a_patient_or_fits_no_study_is_refused() {
    let refused =
        |text: &str, declared: &Declared| compile_table(text, declared, &catalogue()).err().map(|r| r.to_string());
    let margins = || study(Study::Margins { ways: 2 }, 1);
    let text = "SELECT v.person_id, v.ward FROM visit v";
    assert!(refused(text, &margins()).unwrap().contains("names a patient"));
    let mut open = margins();
    open.keys.remove("ward");
    assert_eq!(refused(TEXT, &open).as_deref(), Some("ward has no values, edges or bounds"));
    let mut bounds = margins().bounds("cost", 0.0, 1.0, 0);
    bounds.edges.clear();
    assert_eq!(refused(TEXT, &bounds).as_deref(), Some("cost has no values or edges"));
    for (bad, text) in [
        (study(Study::Margins { ways: 0 }, 1), TEXT),
        (study(Study::Margins { ways: 4 }, 1), TEXT),
        (study(Study::Linear { outcome: "other".to_owned() }, 1), TEXT),
        (
            margins(),
            "SELECT p.sex, v.ward, v.cost, random() AS r FROM visit v JOIN person p ON v.person_id = p.person_id",
        ),
        (margins(), "SELECT v.ward, count(*) AS sex, sum(v.cost) AS cost FROM visit v GROUP BY v.ward"),
        (declared(1, 1), TEXT),
    ] {
        assert!(refused(text, &bad).is_some(), "{text}");
    }
    // A question of groups may not declare a study.
    assert!(sql("SELECT count(*) AS n FROM visit", study(Study::Synthetic {}, 1)).is_err());
    // Names of aliases make no other question; another bound does.
    let spelt = "SELECT q.sex, w.ward, w.cost FROM person q JOIN visit w ON q.person_id = w.person_id";
    assert_eq!(table(TEXT, &margins()).digest(), table(spelt, &margins()).digest());
    assert_ne!(table(TEXT, &margins()).digest(), table(TEXT, &study(Study::Margins { ways: 2 }, 2)).digest());
}
