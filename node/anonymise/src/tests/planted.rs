//! Holes that are planted in tables of 200 to 2,000 rows, each of which its attack must find, and find nothing elsewhere.

use std::sync::Arc;

use crate::attack::{Attack, Auxiliary, background, greedy_choices, homogeneity, linkage, minimality, skewness};
use crate::hierarchy::{Hierarchy, Node};
use crate::model::{Diversity, DiversityKind, Judge, Models};
use crate::recoding::Recoding;
use crate::table::{Quasi, Sensitive, Table};

const CLASSES: u32 = 40;

/// Forty classes of ten rows, each with all values of a sensitive column but those of `hole`.
fn planted(hole: u32, values: impl Fn(u32) -> u32) -> (Table, Recoding) {
    let paths = (0..CLASSES * 2).map(|leaf| vec![format!("{leaf}"), format!("c{}", leaf / 2), "*".to_owned()]);
    let hierarchy = Arc::new(Hierarchy::from_paths(paths.collect()).unwrap());
    let rows = CLASSES * 10;
    let leaves = (0..rows).map(|row| row / 10 * 2 + row % 2).collect();
    let sensitive = (0..rows).map(|row| if row / 10 == hole { values(row % 10) } else { row % 5 }).collect();
    let table = Table::new(vec![Quasi::new("q", hierarchy, leaves).unwrap()]).unwrap();
    let table = table.with_sensitive(Sensitive::new("s", sensitive, None)).unwrap();
    let nodes: Vec<Node> = (0..CLASSES).map(|index| Node { level: 1, index }).collect();
    let recoding = Recoding::new((0..rows).map(|row| row / 10).collect(), &nodes, 1);
    (table, recoding)
}

#[test]
fn homogeneity_skewness_and_background_find_their_hole_and_no_other() {
    for hole in 0..CLASSES {
        let (table, recoding) = planted(hole, |_| 3);
        assert_eq!(homogeneity(&table, &recoding, 0).held, 10);
        let (table, recoding) = planted(hole, |row| if row < 7 { 2 } else { row - 7 });
        assert_eq!(homogeneity(&table, &recoding, 0).held, 0);
        assert_eq!(skewness(&table, &recoding, 0, 3.0).held, 10);
        let (table, recoding) = planted(hole, |row| row % 2);
        assert_eq!(skewness(&table, &recoding, 0, 3.0).held, 0);
        assert_eq!(background(&table, &recoding, 0, 1).held, 10);
        assert_eq!(background(&table, &recoding, 0, 0).held, 0);
    }
}

#[test]
fn minimality_finds_the_class_that_was_widened_for_diversity() {
    let diversity = vec![Diversity { column: "s".to_owned(), kind: DiversityKind::Distinct(2) }];
    let models = Models { diversity, ..Models::k(5) };
    for hole in 0..CLASSES {
        // Rows with even numbers share one value: alone they would not be diverse.
        let (table, recoding) = planted(hole, |row| if row % 2 == 0 { 4 } else { row % 5 });
        let judge = Judge::new(&table, &models).unwrap();
        let found = minimality(&table, &recoding, &judge, 0);
        assert_eq!((found.attack, found.held), (Attack::Minimality, 5));
    }
    let (table, recoding) = planted(CLASSES, |_| 0);
    let judge = Judge::new(&table, &models).unwrap();
    assert_eq!(minimality(&table, &recoding, &judge, 0).held, 0);
}

#[test]
fn linkage_finds_people_in_small_classes_and_nobody_else() {
    let (table, _) = planted(0, |_| 0);
    // One class of two rows is planted: rows 0 and 1 leave theirs.
    let mut class_of: Vec<u32> = (0..table.rows() as u32).map(|row| row / 10).collect();
    (class_of[0], class_of[2]) = (CLASSES, CLASSES);
    let mut nodes: Vec<Node> = (0..CLASSES).map(|index| Node { level: 1, index }).collect();
    nodes.push(Node { level: 0, index: 0 });
    let recoding = Recoding::new(class_of, &nodes, 1);
    let people = |rows: std::ops::Range<u32>| Auxiliary {
        columns: vec![0],
        people: rows.clone().map(|row| vec![table.quasi()[0].leaves()[row as usize]]).collect(),
        truth: rows.map(Some).collect(),
    };
    assert_eq!(linkage(&table, &recoding, &people(10..400), 5).claimed, 0);
    // Who is even in the first class could be one of the two, or of the eight: ten in all.
    assert_eq!(linkage(&table, &recoding, &people(0..10), 5).claimed, 0);
    let only: Vec<bool> =
        (0..=CLASSES).map(|class| recoding.written(class)[0] == Node { level: 1, index: 0 }).collect();
    let without = recoding.without(&only);
    let found = linkage(&table, &without, &people(0..10), 5);
    assert_eq!((found.claimed, found.held), (5, 2), "five people are even, two of them are released");
}

#[test]
fn greedy_choices_find_the_rest_that_a_split_left() {
    // Value 0 went its own way, the rest is written as the value above: nobody in it is 0.
    let hierarchy = Arc::new(Hierarchy::from_table("a;x;*\nb;x;*\nc;y;*", ';').unwrap());
    for rest in 5..20_u32 {
        let leaves: Vec<u32> = (0..200 + rest).map(|row| u32::from(row >= 200)).collect();
        let table = Table::new(vec![Quasi::new("q", Arc::clone(&hierarchy), leaves).unwrap()]).unwrap();
        let nodes = [Node { level: 0, index: 0 }, Node { level: 1, index: 0 }];
        let class_of = (0..200 + rest).map(|row| u32::from(row >= 200)).collect();
        let found = greedy_choices(&table, &Recoding::new(class_of, &nodes, 1));
        assert_eq!((found.claimed, found.held, found.of), (rest as usize, rest as usize, rest as usize));
        assert!(found.refined() > 0.99);
        // With one row of the value left behind nothing is known of all rows any more.
        let class_of = (0..200 + rest).map(|row| u32::from(row >= 199)).collect();
        let blurred = greedy_choices(&table, &Recoding::new(class_of, &nodes, 1));
        assert!(blurred.refined() < 0.6, "{}", blurred.refined());
    }
}
