//! What is refused, each by name: a hundred questions and more that could tell of a patient, or that nobody can bound.

use super::*;
use crate::private::Reason;
use crate::query::QueryFault;

/// Begins a question of counts.
const COUNT: &str = "SELECT count(*) AS n FROM";

/// A name, the question, and a piece of the reason that is given.
type Case = (&'static str, &'static str, &'static str);

const SHAPES: [Case; 24] = [
    ("rows", "SELECT * FROM visit", "answer of rows"),
    ("rows of some columns", "SELECT ward, cost FROM visit", "answer of rows"),
    ("distinct rows", "SELECT DISTINCT ward FROM visit", "SELECT DISTINCT"),
    ("distinct of an answer", "SELECT DISTINCT count(*) FROM visit GROUP BY ward", "SELECT DISTINCT"),
    ("union of answers", "SELECT count(*) FROM visit UNION ALL SELECT count(*) FROM lab", "UNION"),
    ("union without repeats", "SELECT count(*) FROM visit UNION SELECT count(*) FROM lab", "SELECT DISTINCT"),
    ("intersection", "SELECT person_id FROM visit INTERSECT SELECT person_id FROM lab", ""),
    ("difference", "SELECT person_id FROM visit EXCEPT SELECT person_id FROM lab", ""),
    ("order", "SELECT ward, count(*) FROM visit GROUP BY ward ORDER BY ward", "ORDER BY"),
    ("limit", "SELECT ward, count(*) FROM visit GROUP BY ward LIMIT 3", "LIMIT"),
    ("offset", "SELECT ward, count(*) AS n FROM visit GROUP BY ward ORDER BY n DESC LIMIT 3 OFFSET 1", "LIMIT"),
    ("fewest", "SELECT ward, count(*) AS n FROM visit GROUP BY ward ORDER BY n LIMIT 3", "LIMIT"),
    ("most of a sum", "SELECT ward, sum(1) AS n FROM visit GROUP BY ward ORDER BY n DESC LIMIT 3", "LIMIT"),
    ("calculation", "SELECT count(*) + 1 FROM visit", "calculation with the answer"),
    ("ratio", "SELECT sum(1) / count(*) FROM visit", "calculation with the answer"),
    ("window over the answer", "SELECT rank() OVER (ORDER BY count(*)) FROM visit GROUP BY ward", "window function"),
    ("window over rows", "SELECT sum(cost) OVER (PARTITION BY ward) FROM visit", "window function"),
    ("grouping sets", "SELECT ward, count(*) FROM visit GROUP BY GROUPING SETS ((ward), ())", "GROUPING SETS"),
    ("rollup", "SELECT ward, count(*) FROM visit GROUP BY ROLLUP (ward)", "GROUPING SETS"),
    ("cube", "SELECT ward, count(*) FROM visit GROUP BY CUBE (ward)", "GROUPING SETS"),
    ("one name twice", "SELECT count(*) AS n, count(DISTINCT person_id) AS n FROM visit", ""),
    (
        "answer of an answer",
        "SELECT sum(n) FROM (SELECT ward, count(*) AS n FROM visit GROUP BY ward) x",
        "different patients",
    ),
    ("having of a key", "SELECT ward, count(*) FROM visit GROUP BY ward HAVING ward = 'A'", "condition in HAVING"),
    (
        "having of two measures",
        "SELECT ward, count(*) FROM visit GROUP BY ward HAVING count(*) > count(ward)",
        "condition in HAVING",
    ),
];

const STATEMENTS: [Case; 16] = [
    ("nothing", "", ""),
    ("no sql", "SELEC 1", "no SQL"),
    ("two questions", "SELECT 1; SELECT 2", ""),
    ("drop", "DROP TABLE visit", "not one SELECT"),
    ("insert", "INSERT INTO visit SELECT * FROM visit", "not one SELECT"),
    ("delete", "DELETE FROM visit", "not one SELECT"),
    ("update", "UPDATE visit SET ward = 'x'", "not one SELECT"),
    ("create", "CREATE TABLE x AS SELECT * FROM visit", "not one SELECT"),
    ("copy", "COPY (SELECT * FROM visit) TO '/tmp/x.csv'", "not one SELECT"),
    ("setting", "SET datafusion.execution.batch_size = 1", "not one SELECT"),
    ("explain", "EXPLAIN SELECT count(*) FROM visit", "not one SELECT"),
    ("explain analyze", "EXPLAIN ANALYZE SELECT count(*) FROM visit", "not one SELECT"),
    ("describe", "DESCRIBE visit", "not one SELECT"),
    ("prepared", "PREPARE x AS SELECT count(*) FROM visit", "not one SELECT"),
    ("into", "SELECT count(*) INTO x FROM visit", "such part of a plan"),
    (
        "recursion",
        "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x) SELECT count(*) FROM x",
        "recursion",
    ),
];

/// What follows `SELECT count(*) AS n FROM`.
const SOURCES: [Case; 31] = [
    ("no table", "gone", ""),
    ("a file", "'/etc/passwd'", ""),
    ("a schema", "information_schema.tables", ""),
    ("a series", "generate_series(1, 10)", ""),
    ("values", "(VALUES (1), (2)) v(x)", "VALUES"),
    ("public alone", "concept", "public tables only"),
    ("cross join", "visit, lab", "different patients"),
    ("cross join by word", "visit CROSS JOIN person", "different patients"),
    ("join on values", "visit v JOIN lab l ON v.ward = l.code", "different patients"),
    ("join on numbers", "visit v JOIN lab l ON v.cost < l.value", "different patients"),
    ("join of ids that are none", "visit v JOIN lab l ON v.visit_id = l.person_id", "patient or visit"),
    ("join on another's id", "visit v JOIN person p ON v.visit_id = p.person_id", "patient or visit"),
    ("join on OR", "visit v JOIN person p ON v.person_id = p.person_id OR p.sex = 'f'", "different patients"),
    ("join on a calculation", "visit v JOIN person p ON v.person_id + 1 = p.person_id", "patient or visit"),
    ("join on another patient", "visit v JOIN person p ON v.person_id <> p.person_id", "different patients"),
    ("join on later patients", "visit v JOIN person p ON v.person_id < p.person_id", "patient or visit"),
    (
        "three tables, one untied",
        "visit v JOIN lab l ON v.person_id = l.person_id JOIN person p ON p.born > 1900",
        "different patients",
    ),
    (
        "tied through a public table",
        "visit v JOIN concept c ON v.ward = c.code JOIN person p ON p.sex = c.chapter",
        "different patients",
    ),
    ("left join on values", "visit v LEFT JOIN lab l ON v.ward = l.code", "different patients"),
    ("left join from public", "concept c LEFT JOIN lab l ON c.code = l.code", "different patients"),
    ("full join", "visit v FULL JOIN person p ON v.person_id = p.person_id", "FULL JOIN"),
    ("public joined on nothing", "visit CROSS JOIN concept", "joined on nothing"),
    ("lateral", "person p, LATERAL (SELECT * FROM visit v WHERE v.person_id = p.person_id LIMIT 1) x", ""),
    ("limit within", "(SELECT * FROM visit LIMIT 10) x", "LIMIT"),
    ("order and limit within", "(SELECT * FROM visit ORDER BY cost DESC LIMIT 1) x", "LIMIT"),
    ("window within", "(SELECT row_number() OVER (ORDER BY cost) AS r FROM visit) x", "window function"),
    (
        "window by patient",
        "(SELECT row_number() OVER (PARTITION BY person_id ORDER BY cost) AS r FROM visit) x",
        "window function",
    ),
    ("union within", "(SELECT person_id FROM visit UNION ALL SELECT person_id FROM lab) x", "UNION"),
    ("distinct without patient", "(SELECT DISTINCT ward FROM visit) x", "different patients"),
    ("distinct on", "(SELECT DISTINCT ON (ward) * FROM visit) x", "DISTINCT ON"),
    ("groups without patient", "(SELECT ward, count(*) AS n FROM visit GROUP BY ward) x", "different patients"),
];

/// What follows `SELECT count(*) AS n FROM visit v WHERE`.
const CONDITIONS: [Case; 37] = [
    ("one patient", "person_id = 17", "patient or visit"),
    ("a text for a patient", "person_id = '17'", "do not go together"),
    ("some patients", "person_id IN (17, 18)", "patient or visit"),
    ("a range of patients", "person_id BETWEEN 17 AND 18", "patient or visit"),
    ("a share of patients", "person_id % 2 = 0", "patient or visit"),
    ("a visit", "visit_id = 4", "patient or visit"),
    ("a patient in CASE", "CASE WHEN person_id = 17 THEN true ELSE false END", "patient or visit"),
    ("a patient as text", "CAST(person_id AS VARCHAR) LIKE '1%'", "patient or visit"),
    ("a patient negated", "-person_id < 0", "patient or visit"),
    ("a patient coalesced", "coalesce(person_id, 0) = 17", "patient or visit"),
    ("greatest of all", "cost = (SELECT max(cost) FROM visit)", "stands for a value"),
    ("mean of all", "cost > (SELECT avg(cost) FROM visit)", "stands for a value"),
    (
        "a patient's own value",
        "cost > (SELECT avg(w.cost) FROM visit w WHERE w.person_id = v.person_id)",
        "stands for a value",
    ),
    ("among values of others", "ward IN (SELECT code FROM lab)", "different patients"),
    ("not among values of others", "ward NOT IN (SELECT code FROM lab)", "NOT IN"),
    ("not among visits", "visit_id NOT IN (SELECT visit_id FROM lab)", "NOT IN"),
    ("others exist", "EXISTS (SELECT 1 FROM lab l WHERE l.value > 3)", "says nothing of the row"),
    ("others exist by value", "EXISTS (SELECT 1 FROM lab l WHERE l.code = v.ward)", "different patients"),
    ("others do not exist", "NOT EXISTS (SELECT 1 FROM lab l WHERE l.code = v.ward)", "different patients"),
    (
        "exists under OR",
        "cost > 3 OR EXISTS (SELECT 1 FROM lab l WHERE l.person_id = v.person_id)",
        "within another condition",
    ),
    ("in under NOT and OR", "NOT (cost > 3 OR person_id IN (SELECT person_id FROM lab))", "within another condition"),
    ("exists in CASE", "CASE WHEN EXISTS (SELECT 1 FROM lab l WHERE l.person_id = v.person_id) THEN true END", ""),
    ("exists with limit", "EXISTS (SELECT 1 FROM lab l WHERE l.person_id = v.person_id LIMIT 1)", "LIMIT"),
    ("exists over groups", "EXISTS (SELECT code FROM lab l WHERE l.person_id = v.person_id GROUP BY code)", ""),
    (
        "further out",
        "EXISTS (SELECT 1 FROM lab l WHERE l.person_id = v.person_id AND EXISTS (SELECT 1 FROM person p WHERE p.person_id = l.person_id AND p.sex = v.ward))",
        "further out",
    ),
    ("greater than any", "cost > ANY (SELECT value FROM lab)", ""),
    ("greater than all", "cost > ALL (SELECT value FROM lab)", ""),
    ("random", "random() < 0.5", "random"),
    ("now", "now() > first_day", ""),
    ("today", "current_date > first_day", ""),
    ("version", "version() = 'x'", "version"),
    ("regular expression", "regexp_like(ward, '(a+)+$')", "regexp_like"),
    ("regular expression as a sign", "ward ~ '(a+)+$'", "operator"),
    ("similar to", "ward SIMILAR TO 'a'", ""),
    ("pattern of the rows", "ward LIKE ward", "LIKE with such a pattern"),
    ("memory", "length(repeat(ward, 1000000000)) > 1", "repeat"),
    ("parameter", "cost > $1", ""),
];

/// What is selected from `visit v`.
const MEASURES: [Case; 25] = [
    ("sum without bounds", "sum(cost) AS s", "no bounds"),
    ("mean without bounds", "avg(cost) AS s", "no bounds"),
    ("variance without bounds", "var_pop(cost) AS s", "no bounds"),
    ("deviation without bounds", "stddev(cost) AS s", "no bounds"),
    ("median without edges", "median(cost) AS s", "no edges"),
    ("least", "min(cost) AS s", "extreme"),
    ("greatest", "max(cost) AS s", "extreme"),
    ("distinct values", "count(DISTINCT ward) AS s", "distinct values"),
    ("distinct visits", "count(DISTINCT visit_id) AS s", "distinct values"),
    ("distinct sum", "sum(DISTINCT cost) AS s", "DISTINCT in a measure"),
    ("list", "array_agg(ward) AS s", "array_agg"),
    ("text of all", "string_agg(ward, ',') AS s", "string_agg"),
    ("first", "first_value(ward) AS s", "first_value"),
    ("first in order", "first_value(cost ORDER BY cost) AS s", "ORDER BY within"),
    ("correlation", "corr(cost, cost) AS s", ""),
    ("bits", "bit_xor(visit_id) AS s", ""),
    ("sum of patients", "sum(person_id) AS s", "patient or visit"),
    ("sum of visits", "sum(visit_id) AS s", "patient or visit"),
    ("mean of texts", "avg(length(ward)) AS s", "no bounds"),
    ("sum of days", "sum(first_day) AS s", ""),
    ("sum of a window", "sum(row_number() OVER ()) AS s", ""),
    ("share outside", "approx_percentile_cont(cost, 1.5) AS s", ""),
    ("sum of another's", "sum((SELECT max(value) FROM lab)) AS s", "stands for a value"),
    ("filter by patient", "count(*) FILTER (WHERE person_id = 3) AS s", "patient or visit"),
    ("nested", "sum(count(*)) AS s", ""),
];

/// What the answer is grouped by.
const KEYS: [Case; 12] = [
    ("patients", "person_id", "patient or visit"),
    ("visits", "visit_id", "patient or visit"),
    ("a share of patients", "person_id % 10", "patient or visit"),
    ("a patient as text", "CAST(person_id AS VARCHAR)", "patient or visit"),
    ("decimals", "cost", "decimals"),
    ("a time", "CAST(first_day AS TIMESTAMP)", "is a time"),
    ("a scalar subquery", "(SELECT max(value) FROM lab)", ""),
    ("a random number", "random()", ""),
    ("a hash", "md5(ward)", ""),
    ("a list", "make_array(ward)", ""),
    ("a struct", "struct(ward)", ""),
    ("the time", "now()", ""),
];

/// What is wrong with how a question is refused.
fn complaint(name: &str, text: &str, piece: &str) -> Option<String> {
    match sql(text, declared(1, 1)) {
        Ok(_) => Some(format!("{name} was answered: {text}")),
        Err(refusal) => (!refusal.to_string().contains(piece)).then(|| format!("{name}: {refusal}")),
    }
}

// QUES-1, QUES-4, QUES-5, QUES-6
#[test]
fn what_is_on_no_list_is_refused() {
    let mut names = BTreeSet::new();
    let (mut count, mut complaints) = (0, Vec::new());
    let mut check = |group: &str, name: &str, text: &str, piece: &str| {
        assert!(names.insert(format!("{group}: {name}")), "{name} is there twice");
        complaints.extend(complaint(name, text, piece));
        count += 1;
    };
    for (name, text, piece) in SHAPES.into_iter().chain(STATEMENTS) {
        check("whole", name, text, piece);
    }
    for (name, source, piece) in SOURCES {
        check("source", name, &format!("{COUNT} {source}"), piece);
    }
    for (name, condition, piece) in CONDITIONS {
        check("condition", name, &format!("{COUNT} visit v WHERE {condition}"), piece);
    }
    for (name, measure, piece) in MEASURES {
        check("measure", name, &format!("SELECT {measure} FROM visit v"), piece);
    }
    for (name, key, piece) in KEYS {
        check("key", name, &format!("SELECT {key} AS k, count(*) AS n FROM visit v GROUP BY {key}"), piece);
    }
    assert_eq!((count, complaints), (145, Vec::new()));
}

#[test]
fn a_refusal_says_what_can_be_asked_instead() {
    let nearest = |text: &str| sql(text, declared(1, 1)).err().and_then(|refusal| refusal.nearest);
    for text in [
        "SELECT * FROM visit",
        "SELECT max(cost) FROM visit",
        "SELECT count(*) FROM visit v, lab l",
        "SELECT count(*) FROM visit WHERE person_id = 4",
        "SELECT count(*) FROM visit WHERE cost > (SELECT avg(cost) FROM visit)",
        "SELECT count(*) FROM visit GROUP BY cost",
        "SELECT count(*) / 2 FROM visit",
    ] {
        assert!(nearest(text).is_some_and(|nearest| !nearest.is_empty()), "{text}");
    }
}

// QUES-3
#[test]
fn what_is_too_long_or_deep_is_refused_before_it_is_parsed() {
    let deep = format!("{COUNT} visit WHERE {}true{}", "(".repeat(30), ")".repeat(30));
    let chain = format!("{COUNT} visit WHERE cost > 0{}", "+1".repeat(300));
    let long = format!("{COUNT} visit WHERE ward = '{}'", "x".repeat(70_000));
    for text in [deep, chain, long] {
        let reason = sql(&text, declared(1, 1)).err().map(|refusal| refusal.reason);
        let guarded = matches!(
            reason,
            Some(Reason::Question(
                QueryFault::TooDeep { .. } | QueryFault::TooLong { .. } | QueryFault::TooWide { .. }
            ))
        );
        assert!(guarded, "{reason:?}");
    }
    let many =
        (0..17).map(|n| format!("JOIN visit v{n} ON v{n}.person_id = p.person_id")).collect::<Vec<_>>().join(" ");
    assert_eq!(complaint("many tables", &format!("{COUNT} person p {many}"), "more than 16 tables"), None);
}

// QUES-12, QUES-13
#[test]
fn declarations_that_do_not_fit_are_refused() {
    let text = "SELECT ward, sum(cost) AS s FROM visit GROUP BY ward";
    let good = || declared(1, 1).bounds("s", 0.0, 10.0, 2).key("ward", &[Some("A"), None]);
    assert!(sql(text, good()).is_ok());
    let refused = |declared: Declared, piece: &str| {
        let refusal = sql(text, declared).err().unwrap_or_else(|| panic!("{piece} was answered"));
        assert!(refusal.to_string().contains(piece), "{refusal}");
    };
    refused(good().bounds("other", 0.0, 1.0, 0), "declared for other");
    refused(good().bounds("ward", 0.0, 1.0, 0), "declared for ward");
    refused(good().edges("s", &[0.0, 1.0]), "declared for s");
    refused(good().key("s", &[None]), "declared for s");
    refused(good().key("ward", &[]), "between 1 and 100,000 values");
    refused(good().bounds("s", 1.0, 0.0, 0), "the lower one first");
    refused(good().bounds("s", 0.0, 1e12, 9), "50 bits");
    refused(Declared { contribution: declared(0, 1).contribution, ..good() }, "between 1 and 1,000,000");
    let many: Vec<String> = (0..400).map(|n| n.to_string()).collect();
    let many: Vec<Option<&str>> = many.iter().map(|value| Some(value.as_str())).collect();
    let text = "SELECT ward, sex, count(*) FROM visit JOIN person USING (person_id) GROUP BY ward, sex";
    let wide = declared(1, 1).key("ward", &many).key("sex", &many);
    assert!(sql(text, wide).err().unwrap().to_string().contains("more than 100000 groups"));
    let kinds = "SELECT first_day, count(*) FROM visit GROUP BY first_day";
    let wrong = declared(1, 1).key("first_day", &[Some("2024-02-30")]);
    assert!(sql(kinds, wrong).err().unwrap().to_string().contains("none of the key's kind"));
}

// QUES-15
#[test]
fn a_refusal_is_made_without_a_row() {
    // The one thing that reads rows is `bound`, and it has one error.
    let plan = planned("SELECT ward, count(*) AS n FROM visit GROUP BY ward", declared(1, 1));
    let nothing = ran(&plan, &[]).err();
    let mut broken = World::default().tables(false, 1);
    broken.retain(|table| table.name != name_of("visit"));
    assert_eq!((nothing, ran(&plan, &broken).err()), (Some(Unanswered), Some(Unanswered)));
    assert!(!Unanswered.to_string().contains("visit"));
}
