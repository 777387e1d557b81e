//! Each model on both sides of its bound, and that it is asked at all.

use std::sync::Arc;

use crate::hierarchy::Hierarchy;
use crate::model::{Closeness, Distance, Diversity, DiversityKind, Judge, ModelFault, Models, Recipients};
use crate::table::{Quasi, Sensitive, Table};

fn table(values: &[u32], tree: Option<&str>) -> Table {
    let hierarchy = Arc::new(Hierarchy::from_table("a;*", ';').unwrap());
    let quasi = Quasi::new("q", hierarchy, vec![0; values.len()]).unwrap();
    let tree = tree.map(|text| Arc::new(Hierarchy::from_table(text, ';').unwrap()));
    Table::new(vec![quasi]).unwrap().with_sensitive(Sensitive::new("s", values.to_vec(), tree)).unwrap()
}

fn diverse(kind: DiversityKind) -> Models {
    Models { diversity: vec![Diversity { column: "s".to_owned(), kind }], ..Models::k(1) }
}

fn close(t: f64, distance: Distance) -> Models {
    Models { closeness: vec![Closeness { column: "s".to_owned(), t, distance }], ..Models::k(1) }
}

fn holds(table: &Table, models: &Models, rows: &[u32]) -> bool {
    Judge::new(table, models).unwrap().holds(rows)
}

// ANON-2
#[test]
fn k_counts_patients_and_not_rows() {
    let rows = table(&[0; 6], None).with_patients(&[7, 7, 7, 9, 9, 4]).unwrap();
    assert!(holds(&rows, &Models::k(3), &[0, 1, 2, 3, 4, 5]));
    assert!(!holds(&rows, &Models::k(4), &[0, 1, 2, 3, 4, 5]));
    assert!(!holds(&rows, &Models::k(2), &[0, 1, 2]));
    assert!(holds(&rows, &Models::k(2), &[0, 5]));
    assert!(!holds(&rows, &Models::k(1), &[]), "no rows are no class");
}

// ANON-3
#[test]
fn diversity_is_distinct_values_or_entropy() {
    let rows = table(&[0, 0, 1, 2, 2, 2], None);
    assert!(holds(&rows, &diverse(DiversityKind::Distinct(2)), &[0, 1, 2]));
    assert!(!holds(&rows, &diverse(DiversityKind::Distinct(3)), &[0, 1, 2]));
    assert!(holds(&rows, &diverse(DiversityKind::Entropy(2.0)), &[0, 3]), "two equal shares are just 2");
    assert!(!holds(&rows, &diverse(DiversityKind::Entropy(2.0)), &[0, 1, 2]));
    assert!(holds(&rows, &diverse(DiversityKind::Entropy(1.85)), &[0, 1, 2]));
    // One patient with two values is still one patient for each.
    let twice = table(&[0, 0, 0, 1], None).with_patients(&[1, 1, 1, 2]).unwrap();
    assert!(holds(&twice, &diverse(DiversityKind::Entropy(2.0)), &[0, 1, 2, 3]));
}

// ANON-4
#[test]
fn closeness_has_three_distances() {
    let rows = table(&[0, 1, 2, 3], Some("a;x;*\nb;x;*\nc;y;*\nd;y;*"));
    // The class {a, b} of a b c d: half of the mass moves.
    for (distance, exact) in [(Distance::Equal, 0.5), (Distance::Ordered, 1.0 / 3.0), (Distance::Hierarchical, 0.5)] {
        assert!(holds(&rows, &close(exact, distance), &[0, 1]), "{distance:?}");
        assert!(!holds(&rows, &close(exact - 0.01, distance), &[0, 1]), "{distance:?}");
    }
    // The class {a, c}: within each half.
    for (distance, exact) in [(Distance::Equal, 0.5), (Distance::Ordered, 1.0 / 6.0), (Distance::Hierarchical, 0.25)] {
        assert!(holds(&rows, &close(exact, distance), &[0, 2]), "{distance:?}");
        assert!(!holds(&rows, &close(exact - 0.01, distance), &[0, 2]), "{distance:?}");
    }
}

// ANON-5
#[test]
fn a_recipient_without_its_own_patients_finds_nobody_or_k() {
    let rows = table(&[0; 6], None).with_members(&[0, 0, 1, 1, 1, 2]).unwrap();
    let models =
        |members: &[u32]| Models { recipients: Some(Recipients { members: members.to_vec() }), ..Models::k(3) };
    assert!(holds(&rows, &models(&[0]), &[0, 1, 2, 3, 4]), "member 0 finds three others");
    assert!(!holds(&rows, &models(&[1]), &[0, 1, 2, 3, 4]), "member 1 finds two others");
    assert!(holds(&rows, &models(&[1]), &[2, 3, 4]), "member 1 finds nobody");
    assert!(!holds(&rows, &models(&[0, 1]), &[0, 2, 3, 4]), "member 1 finds one");
    assert!(holds(&rows, &Models::k(3), &[0, 1, 2, 3, 4]), "who does not receive does not matter");
}

// ANON-6
#[test]
fn a_row_that_combines_what_two_members_know_needs_k_without_both() {
    // Patient 1 was at members 0 and 1; the others at one each.
    let members = [0, 1, 2, 2, 2, 3];
    let rows = table(&[0; 6], None).with_patients(&[1, 1, 2, 3, 4, 5]).unwrap().with_members(&members).unwrap();
    let models = Models { recipients: Some(Recipients { members: vec![0] }), ..Models::k(4) };
    assert!(holds(&rows, &models, &[0, 1, 2, 3, 4, 5]), "four others");
    let rows =
        table(&[0; 6], None).with_patients(&[1, 1, 2, 3, 4, 5]).unwrap().with_members(&[0, 1, 1, 2, 2, 3]).unwrap();
    assert!(!holds(&rows, &models, &[0, 1, 2, 3, 4, 5]), "patient 2 is known to member 1 too");
}

#[test]
fn models_that_a_table_cannot_answer_are_refused() {
    let rows = table(&[0, 1], None);
    let fault = |models: Models| Judge::new(&rows, &models).err();
    let column = || "s".to_owned();
    assert_eq!(fault(Models::k(0)), Some(ModelFault::K));
    assert_eq!(fault(diverse(DiversityKind::Distinct(0))), Some(ModelFault::L { column: column() }));
    assert_eq!(fault(diverse(DiversityKind::Entropy(f64::NAN))), Some(ModelFault::L { column: column() }));
    assert_eq!(fault(close(1.1, Distance::Equal)), Some(ModelFault::T { column: column() }));
    assert_eq!(fault(close(f64::NAN, Distance::Equal)), Some(ModelFault::T { column: column() }));
    assert_eq!(fault(close(0.5, Distance::Hierarchical)), Some(ModelFault::NoTree { column: column() }));
    let recipients = Some(Recipients { members: vec![0] });
    assert_eq!(fault(Models { recipients, ..Models::k(2) }), Some(ModelFault::NoMembers));
    let mut absent = diverse(DiversityKind::Distinct(2));
    absent.diversity[0].column = "gone".to_owned();
    assert_eq!(fault(absent), Some(ModelFault::NoColumn { column: "gone".to_owned() }));
}
