//! What is answered, with which numbers.

use super::*;
use crate::private::{
    Counted, GroupBy, MeasureKind, Output, Request, RequestedMeasure, RequestedTop, Sensitivity, Top, What,
};

fn world() -> World {
    let day = |text: &str| Some(days(text));
    World {
        people: vec![(1, Some("f"), Some(1950)), (2, Some("m"), Some(1980)), (3, None, Some(2010))],
        visits: vec![
            (10, 1, Some("A"), day("2024-01-01"), day("2024-01-05"), Some(100.0)),
            (11, 1, Some("A"), day("2024-01-20"), day("2024-01-22"), Some(50.5)),
            (12, 1, Some("B"), day("2024-06-01"), day("2024-06-02"), Some(f64::NAN)),
            (20, 2, Some("A"), day("2024-01-07"), None, Some(1e300)),
            (30, 3, None, None, None, None),
        ],
        labs: vec![
            (1, Some(10), Some("a1"), Some(1.0), Some(1)),
            (1, Some(10), Some("a2"), Some(3.0), Some(i64::MAX)),
            (1, Some(11), Some("b1"), Some(-2.0), Some(i64::MAX)),
            (2, Some(20), Some("a1"), Some(5.0), None),
            // A visit of another patient: an error of the source.
            (2, Some(10), Some("a1"), Some(7.0), Some(0)),
            (3, None, Some("zz"), None, Some(5)),
        ],
    }
}

fn asked(text: &str, declared: Declared) -> Vec<String> {
    lines(text, declared, &world())
}

#[test]
fn counts_and_sums_are_those_of_the_rows() {
    let wide = || declared(9, 9);
    assert_eq!(asked("SELECT count(*) FROM visit", wide()), ["5"]);
    assert_eq!(asked("SELECT count(DISTINCT person_id) FROM visit", wide()), ["3"]);
    assert_eq!(asked("SELECT count(ward) FROM visit", wide()), ["4"]);
    // A NaN is no value, what is beyond the bounds counts as the bound.
    let costs = "SELECT count(cost) AS n, sum(cost) AS s FROM visit";
    let plan = planned(costs, wide().bounds("s", 0.0, 1000.0, 1));
    assert_eq!(plan.parts().iter().map(|part| part.counted).collect::<Vec<_>>(), [Counted::Sum, Counted::Values]);
    assert_eq!(asked(costs, wide().bounds("s", 0.0, 1000.0, 1)), ["11505,3"]);
    // The centre of 0 and 1000 is 500.
    assert_eq!(asked("SELECT avg(cost) AS m FROM visit", wide().bounds("m", 0.0, 1000.0, 0)), ["-349,3"]);
    let edges = wide().edges("q", &[0.0, 60.0, 200.0, 1e6]);
    assert_eq!(asked("SELECT median(cost) AS q FROM visit", edges), ["1,1,1"]);
}

// QUES-13
#[test]
fn every_public_key_is_answered_and_private_ones_show_how_many_units_they_have() {
    let text = "SELECT ward, count(*) AS n FROM visit GROUP BY ward";
    let public = declared(9, 9).key("ward", &[Some("A"), Some("C"), None]);
    assert_eq!(asked(text, public.clone()), ["-,1", "A,3", "C,0"]);
    assert!(!planned(text, public).has_private_keys());
    // Units first, then the count.
    assert_eq!(asked(text, declared(9, 9)), ["-,1,1", "A,2,3", "B,1,1"]);
    let bounded = ran(&planned(text, declared(9, 9)), &world().tables(false, 2)).unwrap();
    assert_eq!((bounded.shown_by, bounded.parts[0].counted), (Some(0), Counted::Patients));
    // What an expression can be stands in it.
    let bands = "SELECT CASE WHEN born < 1960 THEN 'old' WHEN born < 2000 THEN 'grown' ELSE 'young' END AS age, count(*) \
                 FROM person GROUP BY CASE WHEN born < 1960 THEN 'old' WHEN born < 2000 THEN 'grown' ELSE 'young' END";
    assert_eq!(asked(bands, declared(1, 1)), ["grown,1", "old,1", "young,1"]);
    let plan = planned(bands, declared(1, 1));
    assert!(plan.origins().contains(&("age".to_owned(), Origin::Expression)));
    // Without keys there is one group, also over no rows.
    assert_eq!(lines("SELECT count(*) FROM visit", declared(1, 1), &World::default()), ["0"]);
    assert_eq!(lines(text, declared(1, 1), &World::default()), [""; 0]);
}

// QUES-4
#[test]
fn joins_keep_the_patient_even_where_the_rows_do_not() {
    let wide = || declared(99, 99);
    let by_visit = "SELECT count(*) FROM visit v JOIN lab l ON v.visit_id = l.visit_id";
    // Patient 2's row for patient 1's visit joins nothing.
    assert_eq!(asked(by_visit, wide()), ["4"]);
    assert_eq!(asked("SELECT count(*) FROM visit v, lab l WHERE v.person_id = l.person_id", wide()), ["12"]);
    assert_eq!(asked("SELECT count(*) FROM visit JOIN lab USING (person_id)", wide()), ["12"]);
    let left = "SELECT count(*) AS n, count(l.value) AS v FROM visit v LEFT JOIN lab l ON v.visit_id = l.visit_id";
    assert_eq!(asked(left, wide()), ["6,4"]);
    let right = "SELECT count(*) FROM lab l RIGHT JOIN visit v ON v.visit_id = l.visit_id AND l.value > 2";
    assert_eq!(asked(right, wide()), ["5"]);
    let computed = "SELECT count(x) FROM visit v LEFT JOIN (SELECT visit_id, coalesce(value, 0) AS x FROM lab) l \
                    ON v.visit_id = l.visit_id";
    assert_eq!(asked(computed, wide()), ["4"]);
    let public = "SELECT c.chapter, count(*) FROM lab l JOIN concept c ON l.code = c.code GROUP BY c.chapter";
    assert_eq!(asked(public, wide().key("chapter", &[Some("a"), Some("b")])), ["a,4", "b,1"]);
    let chain = "SELECT count(*) FROM person p JOIN visit v ON p.person_id = v.person_id \
                 JOIN lab l ON v.visit_id = l.visit_id WHERE p.sex = 'f'";
    assert_eq!(asked(chain, wide()), ["3"]);
}

#[test]
fn subqueries_that_keep_the_patient_are_answered() {
    let wide = || declared(99, 99);
    let readmitted = "SELECT count(*) FROM visit v WHERE EXISTS (SELECT 1 FROM visit w WHERE w.person_id = v.person_id \
                      AND w.first_day > v.last_day AND w.first_day <= v.last_day + INTERVAL '30 days')";
    assert_eq!(asked(readmitted, wide()), ["1"]);
    let not = readmitted.replace("EXISTS", "NOT EXISTS");
    assert_eq!(asked(&not, wide()), ["4"]);
    assert_eq!(
        asked("SELECT count(*) FROM visit WHERE person_id IN (SELECT person_id FROM lab WHERE value > 4)", wide()),
        ["1"]
    );
    assert_eq!(
        asked("SELECT count(*) FROM visit WHERE person_id NOT IN (SELECT person_id FROM lab WHERE value > 4)", wide()),
        ["4"]
    );
    assert_eq!(asked("SELECT count(*) FROM visit WHERE visit_id IN (SELECT visit_id FROM lab)", wide()), ["3"]);
    assert_eq!(
        asked("SELECT count(*) FROM lab WHERE code IN (SELECT code FROM concept WHERE weight > 1)", wide()),
        ["2"]
    );
    let grouped = "SELECT n, count(*) FROM (SELECT person_id, count(*) AS n, max(cost) AS most FROM visit GROUP BY person_id) x \
                   GROUP BY n";
    assert_eq!(asked(grouped, wide().key("n", &[Some("1"), Some("2"), Some("3")])), ["1,2", "2,0", "3,1"]);
    let tops = "SELECT count(*) FROM visit v JOIN (SELECT person_id, max(cost) AS most FROM visit WHERE cost < 99999 \
                GROUP BY person_id) x ON v.person_id = x.person_id AND v.cost = x.most";
    assert_eq!(asked(tops, wide()), ["1"]);
    let distinct = "SELECT count(*) FROM (SELECT DISTINCT person_id, ward FROM visit) x";
    assert_eq!(asked(distinct, wide()), ["4"]);
    let cte = "WITH ill AS (SELECT person_id, sum(value) AS total, avg(value) AS mean FROM lab GROUP BY person_id) \
               SELECT count(*) FROM person JOIN ill USING (person_id) WHERE total > 0 AND mean < 3";
    assert_eq!(asked(cte, wide()), ["1"]);
}

// QUES-8
#[test]
fn expressions_that_fail_are_null() {
    let wide = || declared(99, 99);
    let count = |of: &str| asked(&format!("SELECT count({of}) FROM lab"), wide());
    assert_eq!(count("1 / (value - 1)"), ["4"]);
    assert_eq!(count("\"count\" + 1"), ["3"]);
    assert_eq!(count("CAST(code AS BIGINT)"), ["0"]);
    assert_eq!(count("CAST(code AS DATE)"), ["0"]);
    assert_eq!(count("value / 0"), ["0"]);
    assert_eq!(count("value % 0"), ["0"]);
    assert_eq!(count("-\"count\" * 3"), ["3"]);
    let sums = "SELECT count(t) FROM (SELECT person_id, sum(\"count\") AS t FROM lab GROUP BY person_id) x";
    assert_eq!(asked(sums, wide()), ["2"]);
    assert_eq!(asked("SELECT count(days_between(last_day, first_day)) FROM visit", wide()), ["3"]);
    assert_eq!(asked("SELECT count(*) FROM visit WHERE date_part('month', first_day) = 1", wide()), ["3"]);
    assert_eq!(asked("SELECT count(*) FROM visit WHERE extract(year FROM first_day) = 2024", wide()), ["4"]);
    assert_eq!(
        asked("SELECT count(*) FROM visit WHERE first_day >= '2024-01-07' AND first_day < DATE '2024-02-01'", wide()),
        ["2"]
    );
    assert_eq!(
        asked(
            "SELECT date_trunc('month', first_day) AS m, count(*) FROM visit GROUP BY date_trunc('month', first_day)",
            wide().key("m", &[Some("2024-01-01"), Some("2024-02-01")])
        ),
        ["2024-01-01,3", "2024-02-01,0"]
    );
    assert_eq!(asked("SELECT count(*) FROM visit WHERE lower(ward) LIKE 'a%' AND length(ward) = 1", wide()), ["3"]);
}

// QUES-9
#[test]
fn a_unit_counts_in_no_more_groups_and_rows_than_declared() {
    let mut world = World::default();
    for row in 0..1_000 {
        world.visits.push((
            row,
            1,
            Some(["A", "B", "C", "D"][usize::try_from(row % 4).unwrap()]),
            None,
            None,
            Some(1.0),
        ));
    }
    world.visits.push((5_000, 2, Some("A"), None, None, Some(1.0)));
    let text = "SELECT ward, count(*) AS n, sum(cost) AS s FROM visit GROUP BY ward";
    let wards = [Some("A"), Some("B"), Some("C"), Some("D")];
    let of = |rows, groups| {
        let declared = declared(rows, groups).bounds("s", 0.0, 5.0, 0).key("ward", &wards);
        let plan = planned(text, declared);
        let cells = cells(&ran(&plan, &world.tables(false, 64)).unwrap());
        cells.values().fold((0, 0), |sums, cells| (sums.0 + cells[0], sums.1 + cells[1]))
    };
    assert_eq!(of(10, 2), (21, 21));
    assert_eq!(of(1_000, 4), (1_001, 1_001));
    assert_eq!(of(1, 1), (2, 2));
    let one = planned(text, declared(3, 9).bounds("s", -1.0, 5.0, 0).key("ward", &wards));
    assert_eq!(one.contribution().groups, 4);
    let sensitivity = one.parts().iter().map(|part| part.sensitivity).collect::<Vec<_>>();
    assert!(sensitivity.contains(&Sensitivity { l0: 4, l1: 60, l2_squared: 900, linf: 15 }));
}

// QUES-7, QUES-10
#[test]
fn which_rows_count_depends_neither_on_their_order_nor_on_other_units_nor_on_how_they_come() {
    let mut random = Random(3);
    let mut world = World::default();
    for row in 0..400 {
        let patient = i64::try_from(random.below(12)).unwrap();
        let ward = ["A", "B", "C", "D", "E", "F"][usize::try_from(random.below(6)).unwrap()];
        let cost = f64::from(u32::try_from(random.below(40)).unwrap());
        world.visits.push((row, patient, Some(ward), None, None, Some(cost)));
    }
    let text = "SELECT ward, count(*) AS n, sum(cost) AS s FROM visit GROUP BY ward";
    let plan = planned(text, declared(2, 3).bounds("s", 0.0, 40.0, 0));
    let whole = cells(&ran(&plan, &world.tables(false, 7)).unwrap());
    for seed in 0..5 {
        let shuffled = world.shuffled(&mut Random(seed));
        assert_eq!(cells(&ran(&plan, &shuffled.tables(false, 64)).unwrap()), whole);
        let sorted = shuffled.sorted();
        for batch_rows in [1, 5, 10_000] {
            assert_eq!(cells(&ran(&plan, &sorted.tables(true, batch_rows)).unwrap()), whole);
        }
    }
    // Each patient by itself: the answer is the sum of what each contributes.
    let mut sum: BTreeMap<Vec<String>, Vec<i64>> = BTreeMap::new();
    for patient in 0..12 {
        let mut alone = world.clone();
        alone.visits.retain(|row| row.1 == patient);
        for (key, cells) in cells(&ran(&plan, &alone.tables(false, 9)).unwrap()) {
            let into = sum.entry(key).or_insert_with(|| vec![0; cells.len()]);
            into.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
        }
    }
    assert_eq!(sum, whole);
    // Another key takes others.
    let other = bound(&plan, &catalogue(), &world.tables(false, 7), SamplingKey([1; 16]), &room()).unwrap();
    assert_ne!(cells(&other), whole);
}

// QUES-10
#[test]
fn rows_of_one_value_each_have_their_own_chance() {
    let mut fives = 0;
    for patient in 0..600 {
        let mut world = World::default();
        for row in 0..6 {
            world.visits.push((row, patient, None, None, None, Some(if row == 0 { 9.0 } else { 5.0 })));
        }
        let plan = planned("SELECT sum(cost) AS s FROM visit", declared(1, 1).bounds("s", 0.0, 9.0, 0));
        let found = cells(&ran(&plan, &world.tables(false, 9)).unwrap());
        fives += i32::from(found[&vec![]] == [5]);
    }
    // 500 are expected; six deviations of 9.1.
    assert!((445..=555).contains(&fives), "{fives}");
}

#[test]
fn rows_that_are_not_in_the_order_that_is_said_are_not_answered() {
    let plan = planned("SELECT count(*) FROM visit", declared(1, 1));
    let mut turned = world();
    turned.visits.reverse();
    assert_eq!(ran(&plan, &turned.tables(true, 2)).err(), Some(Unanswered));
    assert!(ran(&plan, &world().sorted().tables(true, 2)).is_ok());
}

#[test]
fn consolidated_tables_are_asked_as_they_stand() {
    let tables = crate::tests::query::tables();
    let shapes: Vec<_> = tables.iter().map(|table| table.shape.clone()).collect();
    let catalogue = Catalogue::of(&shapes);
    let ask =
        |text: &str, declared: Declared| compile(&Question { ask: Ask::Sql(text.to_owned()), declared }, &catalogue);
    let text = "SELECT cohortium_member AS member, count(*) AS n, sum(value) AS s, count(DISTINCT person_id) AS p FROM visit \
                GROUP BY cohortium_member";
    let members = [Some("east"), Some("north"), Some("south")];
    let plan = ask(text, declared(5, 5).bounds("s", 0.0, 10.0, 1).key("member", &members)).unwrap();
    let rows = tables.into_iter().map(|table| PrivateTable {
        name: table.shape.table().clone(),
        rows: PrivateRows::Consolidated(Box::new(table)),
    });
    let bounded = bound(&plan, &catalogue, &rows.collect::<Vec<_>>(), KEY, &room()).unwrap();
    let found: Vec<_> = cells(&bounded).into_values().collect();
    // Of the visit that both state, the row of the first member stands. Patients, rows, the sum in tenths.
    assert_eq!(found, [[0, 0, 0], [2, 2, 5], [1, 1, 15]]);
    for lineage in ["cohortium_row", "cohortium_origin", "cohortium_snapshot", "cohortium_source"] {
        assert!(ask(&format!("SELECT count({lineage}) FROM visit"), declared(1, 1)).is_err());
    }
    assert!(ask("SELECT count(*) FROM visit WHERE visit_id = 3", declared(1, 1)).is_err());
}

// QUES-15
#[test]
fn running_out_of_memory_is_the_one_error() {
    let mut world = World::default();
    for row in 0..50_000 {
        world.visits.push((row, row % 3, Some("A"), None, None, Some(1.0)));
        world.labs.push((row % 3, Some(row), Some("a1"), None, None));
    }
    let tight = Room { memory_bytes: 100_000, limits: Limits::default() };
    let run = |text: &str| {
        let plan = planned(text, declared(1, 1));
        bound(&plan, &catalogue(), &world.tables(false, 1_000), KEY, &tight).err()
    };
    assert_eq!(run("SELECT count(*) FROM visit"), Some(Unanswered));
    assert_eq!(run("SELECT count(*) FROM visit v JOIN lab l ON v.visit_id = l.visit_id"), Some(Unanswered));
}

// QUES-2
#[test]
fn one_question_has_one_text_whatever_its_spelling() {
    let digest = |text: &str| planned(text, declared(2, 2)).digest();
    let alike = [
        vec![
            "SELECT ward, count(*) AS n FROM visit WHERE cost > 3 AND ward <> 'B' GROUP BY ward",
            "select v.ward as w, COUNT(1) from visit as v where 'B' <> v.ward and 3 < v.cost group by v.ward",
            "SELECT count(*), x.ward FROM (SELECT ward, cost FROM visit WHERE NOT ward = 'B') x WHERE x.cost > 3.0 GROUP BY x.ward",
            "WITH c AS (SELECT * FROM visit) SELECT ward, count(*) FROM c WHERE (cost > 3) AND (ward != 'B') AND cost > 3 GROUP BY 1",
        ],
        vec![
            "SELECT count(*) FROM visit v JOIN person p ON v.person_id = p.person_id WHERE p.sex = 'f'",
            "SELECT count(*) FROM person p, visit v WHERE p.person_id = v.person_id AND 'f' = p.sex",
            "SELECT count(*) FROM person JOIN visit USING (person_id) WHERE sex IN ('f')",
            "SELECT count(*) FROM visit v JOIN (SELECT * FROM person WHERE sex = 'f') p ON p.person_id = v.person_id",
        ],
        vec![
            "SELECT count(*) FROM visit a JOIN visit b ON a.person_id = b.person_id AND a.last_day < b.first_day WHERE a.ward = 'A'",
            "SELECT count(*) FROM visit b JOIN visit a ON a.person_id = b.person_id AND b.last_day < a.first_day WHERE b.ward = 'A'",
        ],
        vec![
            "SELECT count(*) FROM visit",
            // The order of rows within a question means nothing, and the planner leaves it out.
            "SELECT count(*) FROM (SELECT * FROM visit ORDER BY cost) x",
        ],
        vec![
            "SELECT count(*) FROM visit WHERE cost BETWEEN 1 AND 2 OR ward IN ('A', 'B')",
            "SELECT count(*) FROM visit WHERE ward IN ('B', 'A', 'B') OR (cost <= 2 AND cost >= 1)",
        ],
        vec![
            "SELECT count(*) FROM visit v WHERE EXISTS (SELECT 1 FROM lab l WHERE l.person_id = v.person_id AND l.value > 1)",
            "SELECT count(*) FROM visit v WHERE v.person_id IN (SELECT person_id FROM lab WHERE 1 < value)",
        ],
    ];
    let mut seen = BTreeSet::new();
    for group in alike {
        let first = digest(group[0]);
        for text in &group {
            assert_eq!(
                digest(text),
                first,
                "{text}\n{}\n{}",
                planned(text, declared(2, 2)).text(),
                planned(group[0], declared(2, 2)).text()
            );
        }
        assert!(seen.insert(first));
    }
    let other = [
        "SELECT ward, count(*) AS n FROM visit WHERE cost >= 3 AND ward <> 'B' GROUP BY ward",
        "SELECT ward, count(cost) AS n FROM visit WHERE cost > 3 AND ward <> 'B' GROUP BY ward",
        "SELECT count(*) FROM visit v LEFT JOIN person p ON v.person_id = p.person_id WHERE p.sex = 'f'",
    ];
    for text in other {
        assert!(seen.insert(digest(text)), "{text}");
    }
    let text = "SELECT count(*) FROM visit";
    let of = |rows, groups| planned(text, declared(rows, groups)).digest();
    assert_eq!(of(1, 1), of(1, 7), "there is one group");
    assert_ne!(of(1, 1), of(2, 1));
}

fn request() -> Request {
    let measure = |name: &str, measure, of: Option<&str>| RequestedMeasure {
        name: name.to_owned(),
        measure,
        of: of.map(str::to_owned),
    };
    Request {
        table: "visit".to_owned(),
        filter: Some("cost > 10 OR ward = 'B'".to_owned()),
        group_by: vec![GroupBy { name: "ward".to_owned(), by: "ward".to_owned() }],
        measures: vec![
            measure("n", MeasureKind::Count, None),
            measure("people", MeasureKind::Patients, None),
            measure("mean", MeasureKind::Mean, Some("cost")),
        ],
        top: None,
    }
}

fn parts(request: Request, declared: Declared) -> Result<Plan, Refusal> {
    compile(&Question { ask: Ask::Parts(request), declared }, &catalogue())
}

// QUES-2
#[test]
fn a_request_in_parts_is_the_question_that_sql_asks() {
    let all = || declared(2, 2).bounds("mean", 0.0, 1000.0, 0);
    let plan = parts(request(), all()).unwrap();
    let text = "SELECT ward, avg(cost) AS mean, count(DISTINCT person_id) AS people, count(*) AS n FROM visit \
                WHERE ward = 'B' OR cost > 10 GROUP BY ward";
    let same = planned(text, all());
    assert_eq!((plan.digest(), plan.text()), (same.digest(), same.text()));
    assert_eq!(
        plan.outputs().iter().map(|output| output.0.as_str()).collect::<Vec<_>>(),
        ["ward", "n", "people", "mean"]
    );
    let mut most = request();
    most.top = Some(RequestedTop { groups: 2, by: "n".to_owned() });
    let plan = parts(most.clone(), all()).unwrap();
    let sql = planned(&format!("{text} ORDER BY n DESC LIMIT 2"), all());
    assert_eq!((plan.digest(), plan.top()), (sql.digest(), sql.top()));
    let Some(Top { groups: 2, measure }) = plan.top() else { panic!("two groups") };
    assert!(plan.outputs().contains(&("n".to_owned(), Output::Measure(measure))));
    assert_eq!(plan.recipes()[measure].what, What::Rows);
    most.top = Some(RequestedTop { groups: 2, by: "mean".to_owned() });
    assert!(parts(most, all()).is_err());
    let mut kinds = request();
    kinds.measures = vec![
        RequestedMeasure { name: "v".into(), measure: MeasureKind::Variance, of: Some("cost".into()) },
        RequestedMeasure { name: "h".into(), measure: MeasureKind::Histogram, of: Some("cost".into()) },
        RequestedMeasure { name: "q".into(), measure: MeasureKind::Quantiles(vec![0.1, 0.9]), of: Some("cost".into()) },
        RequestedMeasure { name: "s".into(), measure: MeasureKind::Sum, of: Some("cost".into()) },
    ];
    let edges = [0.0, 50.0, 100.0];
    let of = declared(2, 2).bounds("v", 0.0, 10.0, 0).bounds("s", 0.0, 10.0, 0).edges("h", &edges).edges("q", &edges);
    let plan = parts(kinds, of).unwrap();
    // Patients, sum less the centre, squares, values, bins once, sum.
    assert_eq!(plan.parts().len(), 6);
    assert!(ran(&plan, &world().tables(false, 2)).is_ok());
}

#[test]
fn pieces_of_a_request_are_held_to_the_same_lists() {
    let change = |change: fn(&mut Request)| {
        let mut asked = request();
        change(&mut asked);
        parts(asked, declared(2, 2).bounds("mean", 0.0, 1000.0, 0)).err()
    };
    assert!(change(|_| ()).is_none());
    for refused in [
        change(|request| request.filter = Some("true) UNION SELECT * FROM visit WHERE (true".to_owned())),
        change(|request| request.filter = Some("person_id = 4".to_owned())),
        change(|request| request.filter = Some("cost > (SELECT max(cost) FROM visit)".to_owned())),
        change(|request| request.filter = Some("cost".to_owned())),
        change(|request| request.filter = Some("sum(cost) > 3".to_owned())),
        change(|request| request.table = "concept".to_owned()),
        change(|request| request.table = "gone".to_owned()),
        change(|request| request.table = "information_schema.tables".to_owned()),
        change(|request| request.group_by[0].by = "person_id".to_owned()),
        change(|request| request.group_by[0].by = "cost".to_owned()),
        change(|request| request.group_by[0].by = "row_number() OVER ()".to_owned()),
        change(|request| request.measures.clear()),
        change(|request| request.measures[2].of = None),
        change(|request| request.measures[2].of = Some("ward".to_owned())),
        change(|request| request.measures[2].of = Some("(".repeat(40))),
        change(|request| request.measures[0].name = "people".to_owned()),
        change(|request| request.measures[2].measure = MeasureKind::Quantiles(vec![f64::NAN])),
    ] {
        assert!(refused.is_some());
    }
}

// QUES-11
#[test]
fn having_is_over_values_with_noise() {
    let text = "SELECT ward, count(*) AS n FROM visit GROUP BY ward HAVING count(*) >= 2 AND NOT 9 < count(DISTINCT person_id)";
    let plan = planned(text, declared(2, 2));
    // The rows do not see it.
    assert_eq!(cells(&ran(&plan, &world().tables(false, 2)).unwrap()).len(), 3);
    let having = plan.having().unwrap();
    let rows = plan.recipes().iter().position(|recipe| recipe.what == What::Rows).unwrap();
    let holds = |count: f64, people: f64| having.holds(&|measure| Some(if measure == rows { count } else { people }));
    assert!(holds(2.0, 9.0) && holds(2.5, 0.0) && !holds(1.9, 0.0) && !holds(3.0, 9.1));
}

#[test]
fn questions_are_written_as_json_and_what_is_misspelled_is_refused() {
    let text = r#"{"ask": {"parts": {"table": "visit", "group_by": [{"name": "ward", "by": "ward"}],
        "measures": [{"name": "n", "measure": "count"}, {"name": "q", "measure": {"quantiles": [0.5]}, "of": "cost"}]}},
        "declared": {"contribution": {"rows": 3, "groups": 2, "source": {"person": "Dr A"}},
        "edges": {"q": {"at": [0, 10, 20], "source": {"standard": "UCUM"}}},
        "keys": {"ward": {"values": ["A", null], "source": "expression"}}, "wish": {"error": 5.0}}}"#;
    let question: Question = serde_json::from_str(text).unwrap();
    let plan = compile(&question, &catalogue()).unwrap();
    assert_eq!((plan.tables().len(), plan.wish().is_some(), plan.key_kinds()), (1, true, vec![Kind::Text]));
    assert!(plan.origins().contains(&("contribution".to_owned(), Origin::Person("Dr A".to_owned()))));
    assert!(serde_json::from_str::<Question>(&text.replace("\"groups\"", "\"grops\"")).is_err());
    let again: Question = serde_json::from_str(&serde_json::to_string(&question).unwrap()).unwrap();
    assert!(again == question);
}
