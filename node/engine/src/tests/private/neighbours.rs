//! Differencing: a question with and without one patient, over random tables and random questions. The two answers differ by no
//! more than is declared, in every measure of distance.

use super::*;
use crate::private::Part;

const WARDS: [Option<&str>; 5] = [Some("A"), Some("B"), Some("C"), Some(""), None];
const CODES: [Option<&str>; 5] = [Some("a1"), Some("a2"), Some("b1"), Some("zz"), None];
const VALUES: [f64; 10] =
    [0.0, -0.0, 1.5, -7.25, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 3.0];
const COUNTS: [Option<i64>; 6] = [Some(0), Some(1), Some(i64::MAX), Some(i64::MIN), None, Some(-5)];

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[usize::try_from(random.below(from.len() as u64)).unwrap()]
}

fn maybe<T>(random: &mut Random, value: T) -> Option<T> {
    (random.below(5) > 0).then_some(value)
}

/// Patients with few or many rows, rows that repeat, values of every kind, ids that name other patients' visits.
fn random_world(random: &mut Random) -> World {
    let mut world = World::default();
    let patients = i64::try_from(2 + random.below(6)).unwrap();
    let mut visit = 0;
    for patient in 0..patients {
        for _ in 0..=random.below(2) {
            let born = 1900 + i64::try_from(random.below(120)).unwrap();
            let born = maybe(random, born);
            world.people.push((patient, pick(random, &[Some("f"), Some("m"), None]), born));
        }
        let many = if random.below(4) == 0 { 30 } else { 4 };
        for _ in 0..random.below(many) {
            visit += 1;
            let first = 19_000 + i32::try_from(random.below(60)).unwrap();
            let last = first + i32::try_from(random.below(9)).unwrap();
            let (first, last) = (maybe(random, first), maybe(random, last));
            let value = pick(random, &VALUES);
            let row = (visit, patient, pick(random, &WARDS), first, last, maybe(random, value));
            for _ in 0..=random.below(2) {
                world.visits.push(row);
            }
        }
    }
    for _ in 0..random.below(50) {
        let patient = i64::try_from(random.below(patients.unsigned_abs())).unwrap();
        let named = i64::try_from(1 + random.below(30)).unwrap();
        let (named, value) = (maybe(random, named), pick(random, &VALUES));
        let value = maybe(random, value);
        world.labs.push((patient, named, pick(random, &CODES), value, pick(random, &COUNTS)));
    }
    world
}

/// What is joined; `v` is always a visit. The last are those in which there is more than visits.
const FROM: [&str; 16] = [
    "visit v",
    "visit v JOIN person p ON v.person_id = p.person_id",
    "visit v JOIN lab l ON v.visit_id = l.visit_id",
    "visit v JOIN lab l ON l.person_id = v.person_id AND l.value < v.cost",
    "visit v LEFT JOIN lab l ON v.visit_id = l.visit_id",
    "visit v LEFT JOIN (SELECT visit_id, coalesce(value, 3) AS x FROM lab WHERE value > 0) l ON v.visit_id = l.visit_id",
    "person p RIGHT JOIN visit v ON p.person_id = v.person_id AND p.sex = 'f'",
    "visit v JOIN visit w ON v.person_id = w.person_id AND v.first_day < w.first_day",
    "visit v JOIN (SELECT person_id, count(*) AS n, sum(value) AS t, max(code) AS c FROM lab GROUP BY person_id) x \
     ON x.person_id = v.person_id AND x.n > 1",
    "visit v JOIN (SELECT DISTINCT person_id, code FROM lab) x ON x.person_id = v.person_id",
    "visit v JOIN concept c ON v.ward < c.code",
    "visit v JOIN lab l ON v.visit_id = l.visit_id JOIN concept c ON c.code = l.code",
    "(SELECT * FROM visit WHERE cost > 0) v",
    "visit v LEFT JOIN person p ON v.person_id = p.person_id LEFT JOIN lab l ON v.visit_id = l.visit_id AND l.code = p.sex",
    "person p, visit v, lab l",
    "visit v JOIN lab l ON v.visit_id = l.visit_id AND l.\"count\" + 1 > 0",
];

const WHERE: [&str; 10] = [
    "true",
    "v.cost > 1 OR v.ward = 'A'",
    "v.cost / (v.cost - 1.5) > 0",
    "EXISTS (SELECT 1 FROM lab q WHERE q.person_id = v.person_id AND q.value > v.cost)",
    "NOT EXISTS (SELECT 1 FROM visit q WHERE q.person_id = v.person_id AND q.first_day > v.last_day)",
    "v.person_id IN (SELECT person_id FROM person WHERE born > 1950)",
    "v.person_id NOT IN (SELECT person_id FROM lab WHERE code = 'a1')",
    "v.visit_id IN (SELECT visit_id FROM lab)",
    "v.first_day + INTERVAL '1 month' > v.last_day AND v.ward IS NOT NULL",
    "v.ward IN (SELECT code FROM concept) OR true",
];

const KEYS: [&str; 5] = [
    "v.ward",
    "CASE WHEN v.cost < 1 THEN 'low' WHEN v.cost < 2 THEN 'mid' END",
    "date_part('month', v.first_day)",
    "date_trunc('week', v.first_day)",
    "v.cost > 1",
];

fn question(random: &mut Random) -> (String, Declared) {
    let from = pick(random, &FROM);
    let mut condition = pick(random, &WHERE).to_owned();
    if from == "person p, visit v, lab l" {
        condition = format!("p.person_id = v.person_id AND l.visit_id = v.visit_id AND ({condition})");
        if condition.contains("(SELECT") {
            condition = "p.person_id = v.person_id AND l.visit_id = v.visit_id".to_owned();
        }
    }
    if condition.ends_with("OR true") {
        condition = "v.ward IN (SELECT code FROM concept)".to_owned();
    }
    let mut keys: Vec<&str> = KEYS.to_vec();
    keys.retain(|_| random.below(3) == 0);
    keys.truncate(3);
    let mut declared = declared(1 + random.below(4), 1 + random.below(4));
    for (place, key) in keys.iter().enumerate() {
        if *key == "v.ward" && random.below(2) == 0 {
            declared = declared.key(&format!("k{place}"), &[Some("A"), Some("B"), Some("never"), None]);
        }
    }
    let decimals = u8::try_from(random.below(4)).unwrap();
    let (low, high) = pick(random, &[(-10.0, 10.0), (0.0, 3.0), (2.0, 50.0), (-9.5, -1.0)]);
    let edges = pick(random, &[[0.0, 1.0, 2.0, 100.0], [-1e9, -1.0, 0.0, 1e9]]);
    declared = declared.bounds("s", low, high, decimals).bounds("m", low, high, decimals);
    declared = declared.bounds("d", low, high, decimals).edges("q", &edges);
    let measures = "count(*) AS n, count(DISTINCT v.person_id) AS p, sum(v.cost) AS s, avg(v.cost * 2) AS m, \
                    stddev(v.cost) AS d, median(v.cost) AS q, count(v.ward) AS w, avg(CASE WHEN v.cost > 0 THEN 1 ELSE 0 END) AS r";
    let selected = keys.iter().enumerate().map(|(place, key)| format!("{key} AS k{place}"));
    let selected: Vec<String> = selected.chain([measures.to_owned()]).collect();
    let grouped = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
    (format!("SELECT {} FROM {from} WHERE {condition}{grouped}", selected.join(", ")), declared)
}

/// By how much of what is declared two answers differ, at most over all distances of a part.
fn used(part: &Part, with: &BTreeMap<Vec<String>, Vec<i64>>, without: &BTreeMap<Vec<String>, Vec<i64>>) -> f64 {
    let zeros = vec![0; part.columns.end];
    let keys: BTreeSet<_> = with.keys().chain(without.keys()).collect();
    let (mut l0, mut l1, mut l2, mut linf) = (0_u64, 0_u128, 0_u128, 0_u64);
    for key in keys {
        let [one, other] = [with, without].map(|cells| cells.get(key).unwrap_or(&zeros));
        for column in part.columns.clone() {
            let change = one[column].abs_diff(other[column]);
            l0 += u64::from(change > 0);
            l1 += u128::from(change);
            l2 += u128::from(change) * u128::from(change);
            linf = linf.max(change);
        }
    }
    let declared = part.sensitivity;
    let within = l0 <= declared.l0 && l1 <= declared.l1 && l2 <= declared.l2_squared && linf <= declared.linf;
    assert!(within, "{:?}: {l0} {l1} {l2} {linf} of {declared:?}", part.counted);
    #[expect(clippy::cast_precision_loss, reason = "a share that is only looked at")]
    let share = l2 as f64 / declared.l2_squared.max(1) as f64;
    share
}

// QUES-14
#[test]
fn one_patient_moves_an_answer_by_no_more_than_is_declared() {
    let (mut answered, mut most) = (0, 0.0_f64);
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let random = &mut Random(seed);
        let world = random_world(random);
        let (text, declared) = question(random);
        let plan = planned(&text, declared);
        seen.insert(plan.digest());
        let ordered = random.below(2) == 0;
        let run = |world: World, random: &mut Random| {
            let world = world.shuffled(random);
            let world = if ordered { world.sorted() } else { world };
            let batch_rows = usize::try_from(1 + random.below(40)).unwrap();
            ran(&plan, &world.tables(ordered, batch_rows)).unwrap_or_else(|_| panic!("seed {seed}: {text}"))
        };
        let with = run(world.clone(), random);
        let patient = pick(random, &world.people).0;
        let without = run(world.without(patient), random);
        let (one, other) = (cells(&with), cells(&without));
        if let Some(place) = with.shown_by {
            // Groups that are only there with the patient: no more than the groups that a unit may have.
            let hidden = one.keys().filter(|key| !other.contains_key(*key)).count() as u64;
            assert!(hidden <= with.parts[place].sensitivity.l0, "seed {seed}: {text}");
        }
        for part in &with.parts {
            most = most.max(used(part, &one, &other));
        }
        answered += u64::from(one.values().flatten().any(|cell| *cell != 0));
    }
    assert!(answered > 250 && seen.len() > 300, "{answered} answers, {} questions", seen.len());
    // The bounds are no idle ones: some patient uses all of them.
    assert!(most > 0.99, "{most}");
}

// QUES-14
#[test]
fn two_new_patients_and_one_question_cannot_meet() {
    // Whatever one patient's rows say, those of another count as they would alone.
    for seed in 1_000..1_150 {
        let random = &mut Random(seed);
        let world = random_world(random);
        let (text, declared) = question(random);
        let plan = planned(&text, declared);
        let tables = |world: &World| cells(&ran(&plan, &world.tables(false, 8)).unwrap());
        let whole = tables(&world);
        let mut sum: BTreeMap<Vec<String>, Vec<i64>> = BTreeMap::new();
        let patients: BTreeSet<i64> = world.people.iter().map(|row| row.0).collect();
        for patient in &patients {
            let alone = patients.iter().filter(|other| *other != patient);
            let alone = alone.fold(world.clone(), |world, other| world.without(*other));
            for (key, cells) in tables(&alone) {
                let into = sum.entry(key).or_insert_with(|| vec![0; cells.len()]);
                into.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
            }
        }
        assert_eq!(sum, whole, "seed {seed}: {text}\n{}", plan.text());
    }
}

// QUES-9, QUES-14
#[test]
fn a_patient_with_a_million_rows_is_one_patient() {
    let mut world = World::default();
    for row in 0..1_000_000 {
        let ward = WARDS[usize::try_from(row % 5).unwrap()];
        world.visits.push((row, 7, ward, None, None, Some(if row % 2 == 0 { f64::MAX } else { f64::NEG_INFINITY })));
    }
    let others = 0..100;
    world.visits.extend(others.map(|patient| (2_000_000 + patient, 100 + patient, Some("A"), None, None, Some(1.0))));
    let text = "SELECT ward, count(*) AS n, sum(cost) AS s FROM visit GROUP BY ward";
    let plan = planned(text, declared(3, 2).bounds("s", -5.0, 5.0, 3));
    let with = ran(&plan, &world.tables(false, 8_192)).unwrap();
    let without = cells(&ran(&plan, &world.without(7).tables(false, 8_192)).unwrap());
    let cells = cells(&with);
    for part in &with.parts {
        assert!(used(part, &cells, &without) > 0.0);
    }
    assert_eq!(without[&vec!["A".to_owned()]], [100, 100, 100_000]);
}

// QUES-14
#[test]
fn sums_beyond_64_bits_end_at_their_edge() {
    let mut world = World::default();
    for patient in 0..9_000 {
        world.labs.push((patient, None, None, None, Some(i64::MAX)));
    }
    let highest = 1_125_899_906_842_624.0;
    let plan = planned("SELECT sum(\"count\") AS s FROM lab", declared(1, 1).bounds("s", 0.0, highest, 0));
    let found = |world: &World| cells(&ran(&plan, &world.tables(false, 100)).unwrap())[&vec![]][0];
    assert_eq!(found(&world), i64::MAX);
    world.labs.truncate(8_000);
    assert_eq!(found(&world), 8_000 * (1 << 50));
}
