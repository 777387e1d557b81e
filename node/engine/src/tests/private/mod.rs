//! Private questions: what is answered and with what, what is refused, and what one patient can move.

mod answered;
mod neighbours;
mod refused;
mod tables;

use arrow::array::{Array, AsArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use cohortium_protocol::ident::Name;

use super::*;
use crate::private::{
    Ask, Bounded, Bounds, Catalogue, ColumnRule, Contribution, Declared, Domain, Edges, Kind, Origin, Plan,
    PrivateRows, PrivateTable, Question, Refusal, Room, SamplingKey, TableRule, Unanswered, Whose, bound, compile,
};

type Word = Option<&'static str>;
type Person = (i64, Word, Option<i64>);
type Visit = (i64, i64, Word, Option<i32>, Option<i32>, Option<f64>);
type Lab = (i64, Option<i64>, Word, Option<f64>, Option<i64>);

/// Made-up tables: people, their visits, what was measured during them, and a public list of codes.
#[derive(Clone, Default)]
struct World {
    /// Patient, sex, year of birth.
    people: Vec<Person>,
    /// Visit, patient, ward, first day, last day, cost.
    visits: Vec<Visit>,
    /// Patient, visit, code, value, count.
    labs: Vec<Lab>,
}

const TABLES: [(&str, &[(&str, Kind)]); 4] = [
    ("person", &[("person_id", Kind::Integer), ("sex", Kind::Text), ("born", Kind::Integer)]),
    (
        "visit",
        &[
            ("visit_id", Kind::Integer),
            ("person_id", Kind::Integer),
            ("ward", Kind::Text),
            ("first_day", Kind::Date),
            ("last_day", Kind::Date),
            ("cost", Kind::Float),
        ],
    ),
    (
        "lab",
        &[
            ("person_id", Kind::Integer),
            ("visit_id", Kind::Integer),
            ("code", Kind::Text),
            ("value", Kind::Float),
            ("count", Kind::Integer),
        ],
    ),
    ("concept", &[("code", Kind::Text), ("chapter", Kind::Text), ("weight", Kind::Integer)]),
];

fn standard() -> Origin {
    Origin::Standard("made up".to_owned())
}

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (table, columns) in TABLES {
        let whose = match table {
            "concept" => Whose::Public(standard()),
            _ => Whose::Patients("person_id".to_owned()),
        };
        let column = |(name, kind): &(&str, Kind)| ColumnRule {
            name: (*name).to_owned(),
            kind: *kind,
            bounds: None,
            domain: None,
        };
        let keys = if table == "visit" { BTreeSet::from(["visit_id".to_owned()]) } else { BTreeSet::new() };
        catalogue.insert(table, TableRule { whose, columns: columns.iter().map(column).collect() }, keys);
    }
    catalogue
}

fn days(text: &str) -> i32 {
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let array = arrow::compute::cast(&array, &arrow::datatypes::DataType::Date32).unwrap();
    array.as_primitive::<arrow::datatypes::Date32Type>().value(0)
}

fn batch_of(table: &str, columns: Vec<ArrayRef>) -> (SchemaRef, RecordBatch) {
    let named = TABLES.iter().find(|(name, _)| *name == table).unwrap().1;
    let fields = named
        .iter()
        .zip(&columns)
        .map(|((name, _), array)| arrow::datatypes::Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
    (Arc::clone(&schema), RecordBatch::try_new(schema, columns).unwrap())
}

/// A column of the rows.
fn of<R, T, A: FromIterator<T> + arrow::array::Array + 'static>(rows: &[R], cell: impl Fn(&R) -> T) -> ArrayRef {
    Arc::new(rows.iter().map(cell).collect::<A>())
}

impl World {
    fn without(&self, patient: i64) -> Self {
        let mut world = self.clone();
        world.people.retain(|row| row.0 != patient);
        world.visits.retain(|row| row.1 != patient);
        world.labs.retain(|row| row.0 != patient);
        world
    }

    /// The rows in another order, which makes no difference.
    fn shuffled(&self, random: &mut Random) -> Self {
        fn shuffle<T>(rows: &mut [T], random: &mut Random) {
            for place in (1..rows.len()).rev() {
                rows.swap(place, usize::try_from(random.below(place as u64 + 1)).unwrap());
            }
        }
        let mut world = self.clone();
        shuffle(&mut world.people, random);
        shuffle(&mut world.visits, random);
        shuffle(&mut world.labs, random);
        world
    }

    /// In the order of patients.
    fn sorted(&self) -> Self {
        let mut world = self.clone();
        world.people.sort_by_key(|row| row.0);
        world.visits.sort_by_key(|row| row.1);
        world.labs.sort_by_key(|row| row.0);
        world
    }

    fn tables(&self, ordered: bool, batch_rows: usize) -> Vec<PrivateTable> {
        let batches = [
            (
                "person",
                vec![
                    of::<_, _, Int64Array>(&self.people, |row| row.0),
                    of::<_, _, StringArray>(&self.people, |row| row.1),
                    of::<_, _, Int64Array>(&self.people, |row| row.2),
                ],
            ),
            (
                "visit",
                vec![
                    of::<_, _, Int64Array>(&self.visits, |row| row.0),
                    of::<_, _, Int64Array>(&self.visits, |row| row.1),
                    of::<_, _, StringArray>(&self.visits, |row| row.2),
                    of::<_, _, Date32Array>(&self.visits, |row| row.3),
                    of::<_, _, Date32Array>(&self.visits, |row| row.4),
                    of::<_, _, Float64Array>(&self.visits, |row| row.5),
                ],
            ),
            (
                "lab",
                vec![
                    of::<_, _, Int64Array>(&self.labs, |row| row.0),
                    of::<_, _, Int64Array>(&self.labs, |row| row.1),
                    of::<_, _, StringArray>(&self.labs, |row| row.2),
                    of::<_, _, Float64Array>(&self.labs, |row| row.3),
                    of::<_, _, Int64Array>(&self.labs, |row| row.4),
                ],
            ),
            (
                "concept",
                vec![
                    Arc::new(StringArray::from(vec!["a1", "a2", "b1"])) as ArrayRef,
                    Arc::new(StringArray::from(vec!["a", "a", "b"])),
                    Arc::new(Int64Array::from(vec![1, 2, 3])),
                ],
            ),
        ];
        let table = |(table, columns): (&str, Vec<ArrayRef>)| {
            let (schema, batch) = batch_of(table, columns);
            let begins = (0..batch.num_rows()).step_by(batch_rows.max(1));
            let batches = begins.map(|begin| batch.slice(begin, batch_rows.min(batch.num_rows() - begin))).collect();
            let ordered_by = (ordered && table != "concept").then(|| "person_id".to_owned());
            PrivateTable { name: table.parse().unwrap(), rows: PrivateRows::Batches { schema, batches, ordered_by } }
        };
        batches.into_iter().map(table).collect()
    }
}

fn declared(rows: u64, groups: u64) -> Declared {
    let contribution = Contribution { rows, groups, source: standard() };
    Declared {
        contribution,
        bounds: BTreeMap::new(),
        edges: BTreeMap::new(),
        keys: BTreeMap::new(),
        wish: None,
        study: None,
    }
}

impl Declared {
    fn bounds(mut self, output: &str, lower: f64, upper: f64, decimals: u8) -> Self {
        self.bounds.insert(output.to_owned(), Bounds { lower, upper, decimals, source: standard() });
        self
    }

    fn edges(mut self, output: &str, at: &[f64]) -> Self {
        self.edges.insert(output.to_owned(), Edges { at: at.to_vec(), source: standard() });
        self
    }

    fn key(mut self, output: &str, values: &[Option<&str>]) -> Self {
        let values = values.iter().map(|value| value.map(str::to_owned)).collect();
        self.keys.insert(output.to_owned(), Domain { values, source: standard() });
        self
    }
}

fn sql(text: &str, declared: Declared) -> Result<Plan, Refusal> {
    compile(&Question { ask: Ask::Sql(text.to_owned()), declared }, &catalogue())
}

fn planned(text: &str, declared: Declared) -> Plan {
    sql(text, declared).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

const KEY: SamplingKey = SamplingKey([9; 16]);

fn room() -> Room {
    Room { memory_bytes: 64 << 20, limits: Limits::default() }
}

fn ran(plan: &Plan, tables: &[PrivateTable]) -> Result<Bounded, Unanswered> {
    bound(plan, &catalogue(), tables, KEY, &room())
}

/// The cells of each group by its keys, nulls as `-`.
fn cells(bounded: &Bounded) -> BTreeMap<Vec<String>, Vec<i64>> {
    let columns = bounded.batch.columns();
    let keys: Vec<StringArray> = columns[..bounded.keys].iter().map(|key| crate::cells::text(key).unwrap()).collect();
    let value = |row: usize, column: &ArrayRef| column.as_primitive::<Int64Type>().value(row);
    let row = |row: usize| {
        let key = keys.iter().map(|key| if key.is_null(row) { "-".to_owned() } else { key.value(row).to_owned() });
        (key.collect(), columns[bounded.keys..].iter().map(|column| value(row, column)).collect())
    };
    (0..bounded.batch.num_rows()).map(row).collect()
}

/// The answer in lines: keys, then cells.
fn lines(text: &str, declared: Declared, world: &World) -> Vec<String> {
    let plan = planned(text, declared);
    let bounded = ran(&plan, &world.tables(false, 3)).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let line = |(keys, cells): (Vec<String>, Vec<i64>)| {
        keys.into_iter().chain(cells.into_iter().map(|cell| cell.to_string())).collect::<Vec<_>>().join(",")
    };
    cells(&bounded).into_iter().map(line).collect()
}

fn name_of(text: &str) -> Name {
    text.parse().unwrap()
}
