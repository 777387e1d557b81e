//! What a hospital would ask of everybody's tables: each question with what is declared beside its words.

/// Spent on each: a power of two, so that sums of it are exact.
pub(super) const RHO: f64 = 0.0625;

/// A question that is answered with differential privacy.
pub(super) struct Question {
    pub(super) name: &'static str,
    /// With one group key first, where there is one, and one measure; of a study the columns of its table.
    pub(super) sql: String,
    /// The same for the plain engine, where that writes it in another way.
    pub(super) plain: Option<String>,
    /// The table that it needs beside stays and persons.
    pub(super) needs: Option<&'static str>,
    /// Whether its keys are not known beforehand, which takes some delta.
    pub(super) private_keys: bool,
    /// Declared: contributions, keys, bounds, edges.
    declared: String,
    /// What is made of its rows, in place of a measure.
    pub(super) study: Option<&'static str>,
}

impl Question {
    fn new(name: &'static str, sql: &str) -> Self {
        let sql = sql.to_owned();
        Self { name, sql, plain: None, needs: None, private_keys: false, declared: String::new(), study: None }
    }

    fn plain(mut self, sql: &str) -> Self {
        self.plain = Some(sql.to_owned());
        self
    }

    fn needs(mut self, table: &'static str) -> Self {
        self.needs = Some(table);
        self
    }

    fn study(mut self, study: &'static str) -> Self {
        self.study = Some(study);
        self
    }

    fn declare(mut self, text: &str) -> Self {
        self.declared.push_str(text);
        self
    }

    /// How often one patient counts.
    fn counts(self, rows: u32, groups: u32) -> Self {
        self.declare(&format!(
            "[aggregate.declared.contribution]\nrows = {rows}\ngroups = {groups}\nsource = {{ person = \"petra\" }}\n"
        ))
    }

    fn private_keys(mut self) -> Self {
        self.private_keys = true;
        self
    }

    fn keys(self, column: &str, values: &[String], standard: &str) -> Self {
        let values: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        self.declare(&format!(
            "[aggregate.declared.keys.{column}]\nvalues = [{}]\nsource = {{ standard = \"{standard}\" }}\n",
            values.join(", ")
        ))
    }

    fn bounds(self, measure: &str, lower: f64, upper: f64) -> Self {
        self.declare(&format!(
            "[aggregate.declared.bounds.{measure}]\nlower = {lower:?}\nupper = {upper:?}\nsource = {{ person = \"petra\" }}\n"
        ))
    }

    fn edges(self, measure: &str, at: &[f64]) -> Self {
        self.declare(&format!("[aggregate.declared.edges.{measure}]\nat = {at:?}\nsource = {{ person = \"petra\" }}\n"))
    }

    /// The request, for one recipient.
    pub(super) fn request(&self, recipient: &str) -> String {
        let delta = if self.private_keys { "delta = 1e-8\n" } else { "" };
        let study = self.study.map_or_else(String::new, |study| format!("[aggregate.declared]\nstudy = {study}\n"));
        format!(
            "project = \"answers\"\nrecipients = [\"{recipient}\"]\npatient = \"person_id\"\nmember = \"cohortium_member\"\n\
             question = \"{}\"\n[aggregate]\nrho = {RHO}\n{delta}{study}{}",
            self.sql, self.declared
        )
    }
}

const BORN: &str = "CASE WHEN p.year_of_birth > 1980 THEN 'after 1980' WHEN p.year_of_birth > 1950 THEN '1951 to 1980' ELSE 'until 1950' END";
const DAYS: &str = "days_between(visit_end_date, visit_start_date)";
const PLAIN_DAYS: &str = "CAST(visit_end_date AS INT) - CAST(visit_start_date AS INT)";
/// Creatinine in blood, in mg/dL once it is mapped.
const CREATININE: u32 = 3_016_723;

/// All of them; `sites` are the members.
pub(super) fn questions(sites: &[String]) -> Vec<Question> {
    let [sexes, visits, months, often] =
        [&["8507", "8532"][..], &["9201", "9202", "9203"], &MONTHS, &["1", "2", "3", "4", "5"]]
            .map(|keys| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
    let roster = "the charter's roster";
    let mut all = of_patients(sites, &sexes, roster);
    let readmitted = format!(
        "SELECT {BORN} AS born, count(*) AS stays FROM visit_occurrence v JOIN person p ON v.person_id = p.person_id \
         WHERE EXISTS (SELECT 1 FROM visit_occurrence w WHERE w.person_id = v.person_id AND w.visit_start_date > v.visit_end_date \
         AND w.visit_start_date <= v.visit_end_date + INTERVAL '30 days') GROUP BY {BORN}"
    );
    let median = |days: &str| {
        format!(
            "SELECT cohortium_member AS site, median({days}) AS days FROM visit_occurrence GROUP BY cohortium_member"
        )
    };
    let total = |days: &str| {
        format!("SELECT visit_concept_id AS kind, sum({days}) AS days FROM visit_occurrence GROUP BY visit_concept_id")
    };
    all.extend([
        Question::new("stays followed by another within 30 days, by year of birth", &readmitted).counts(5, 1),
        Question::new("median days of a stay, by hospital", &median(DAYS))
            .plain(&median(PLAIN_DAYS))
            .counts(5, 2)
            .keys("site", sites, roster)
            .edges("days", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0]),
        Question::new("days in hospital, by kind of visit", &total(DAYS))
            .plain(&total(PLAIN_DAYS))
            .counts(5, 2)
            .keys("kind", &visits, "OMOP visits")
            .bounds("days", 0.0, 60.0),
        Question::new(
            "kinds of visit with the most stays",
            "SELECT visit_concept_id AS kind, count(*) AS stays FROM visit_occurrence GROUP BY visit_concept_id ORDER BY stays DESC LIMIT 2",
        )
        .plain("SELECT visit_concept_id AS kind, count(*) AS stays FROM visit_occurrence GROUP BY visit_concept_id")
        .counts(5, 2)
        .keys("kind", &visits, "OMOP visits"),
        Question::new(
            "patients by their number of stays",
            "SELECT n, count(*) AS patients FROM (SELECT person_id, count(*) AS n FROM visit_occurrence GROUP BY person_id) x GROUP BY n",
        )
        .counts(1, 1)
        .keys("n", &often, "one to five"),
        Question::new(
            "hospitals with at least a hundred stays",
            "SELECT cohortium_member AS site, count(*) AS stays FROM visit_occurrence GROUP BY cohortium_member HAVING count(*) >= 100",
        )
        .plain("SELECT cohortium_member AS site, count(*) AS stays FROM visit_occurrence GROUP BY cohortium_member")
        .counts(5, 2)
        .keys("site", sites, roster),
        Question::new(
            "creatinine above 1.3 mg/dL, by month",
            &format!(
                "SELECT date_part('month', measurement_date) AS month, count(*) AS labs FROM measurement \
                 WHERE measurement_concept_id = {CREATININE} AND value_as_number > 1.3 GROUP BY date_part('month', measurement_date)"
            ),
        )
        .needs("measurement")
        .counts(2, 3)
        .keys("month", &months, "the calendar"),
        Question::new(
            "patients by diagnosis, codes not known beforehand",
            "SELECT condition_concept_id AS diagnosis, count(DISTINCT person_id) AS patients FROM condition_occurrence GROUP BY condition_concept_id",
        )
        .needs("condition_occurrence")
        .counts(1, 12)
        .private_keys(),
    ]);
    all.extend(studies(sites, &sexes, &visits));
    all
}

const MONTHS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

fn of_patients(sites: &[String], sexes: &[String], roster: &str) -> Vec<Question> {
    vec![
        Question::new(
            "patients by hospital",
            "SELECT cohortium_member AS site, count(DISTINCT person_id) AS patients FROM visit_occurrence GROUP BY cohortium_member",
        )
        .counts(1, 2)
        .keys("site", sites, roster),
        Question::new(
            "stays by sex",
            "SELECT p.gender_concept_id AS sex, count(*) AS stays FROM visit_occurrence v JOIN person p ON v.person_id = p.person_id \
             GROUP BY p.gender_concept_id",
        )
        .counts(20, 1)
        .keys("sex", sexes, "OMOP gender"),
        Question::new("mean year of birth", "SELECT avg(year_of_birth) AS born FROM person")
            .counts(1, 1)
            .bounds("born", 1900.0, 2026.0),
        Question::new("spread of the year of birth", "SELECT stddev(year_of_birth) AS born FROM person")
            .counts(1, 1)
            .bounds("born", 1900.0, 2026.0),
    ]
}

fn studies(sites: &[String], sexes: &[String], visits: &[String]) -> Vec<Question> {
    let stays = "SELECT v.cohortium_member AS site, v.visit_concept_id AS kind, p.gender_concept_id AS sex \
                 FROM visit_occurrence v JOIN person p ON v.person_id = p.person_id";
    let keyed = |question: Question| {
        question.counts(5, 1).keys("site", sites, "the charter's roster").keys("kind", visits, "OMOP visits").keys(
            "sex",
            sexes,
            "OMOP gender",
        )
    };
    let model = format!(
        "SELECT {DAYS} AS days, 2026 - p.year_of_birth AS age, v.visit_concept_id AS kind \
         FROM visit_occurrence v JOIN person p ON v.person_id = p.person_id"
    );
    vec![
        keyed(Question::new("stays by all pairs of hospital, kind and sex", stays).study("{ margins = { ways = 2 } }")),
        Question::new("days of a stay, by a linear model", &model)
            .study("{ linear = { outcome = \"days\" } }")
            .counts(5, 1)
            .keys("kind", visits, "OMOP visits")
            .bounds("age", 0.0, 110.0)
            .bounds("days", 0.0, 30.0),
        keyed(Question::new("synthetic stays", stays).study("{ synthetic = {} }")),
    ]
}
