//! A mapping run: every source once, in bounded memory, into the tables of the common schema and the quarantine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::schema::{Column, Treatment};
use cohortium_protocol::record::share::{Linkage, TableTerms};
use cohortium_schema::drift::SourceShape;
use cohortium_schema::gate::{Checks, Concepts, Gates};
use cohortium_schema::schema::CommonSchema;
use cohortium_schema::vocabulary::Vocabulary;

use crate::batch::{SourceColumn, SourceFault};
use crate::cells::{NotHandled, text};
use crate::handle::Handle;
use crate::limits::Limits;
use crate::mapping::account::{Fate, Fates, MapReport, Reason, TableCount};
use crate::mapping::apply::{Applier, Made, Rows};
use crate::mapping::change::{Before, SourceChange};
use crate::mapping::fact::{self, Pending};
use crate::mapping::fault::{Inner, MapFault};
use crate::mapping::file::Mapping;
use crate::mapping::function::functions;
use crate::mapping::patients::{Enrolment, PATIENT_BYTES, Registry};
use crate::mapping::plan::{Compiler, columns_of, reading_order};
use crate::mapping::shape::{self, Shaper};
use crate::mapping::table::{Entry, Losses, Output, Quarantine};
use crate::policy::{Job, Policy, ROW_COLUMN};
use crate::row_fault::Tolerance;
use crate::sink::SinkFault;
use crate::source::{Format, SourceReader, for_each_batch, for_each_made};

/// What a mapping run reads and applies.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct MapJob<'a> {
    /// The mapping.
    pub mapping: &'a Mapping,
    /// The common schema.
    pub schema: &'a CommonSchema,
    /// Each of the mapping's sources, by its name there.
    pub sources: BTreeMap<String, MapSource<'a>>,
    /// The provider's key of row ids, pseudonyms and opt-outs.
    pub row_key: &'a Secret32,
    /// The linkage sub-key of the consortium's epoch; without it every patient is one of this member alone.
    pub linkage_key: Option<&'a Secret32>,
    /// The vocabulary that codes are mapped with, where one is loaded.
    pub vocabulary: Option<Arc<Vocabulary>>,
    /// What the sources were when the last set was made.
    pub before: Before,
    /// Tables that had rows in that set.
    pub had_rows: BTreeSet<String>,
    /// Tables that may come out empty all the same: a person said so.
    pub may_be_empty: BTreeSet<String>,
    /// What is checked of the tables as they are emitted.
    pub checks: Checks,
    /// Bounds.
    pub limits: Limits,
}

/// One source.
#[expect(missing_debug_implementations, reason = "it leads to rows")]
pub struct MapSource<'a> {
    /// What the node knows of it.
    pub dataset: &'a Dataset,
    /// Its bytes.
    pub handle: Handle,
    /// The patients who opted out.
    pub opt_outs: &'a std::collections::BTreeSet<[u8; 16]>,
}

/// Where a run writes.
#[expect(missing_debug_implementations, reason = "sinks take rows")]
pub struct MapSinks<'a> {
    /// One for each table that the mapping has a rule for.
    pub tables: BTreeMap<String, &'a mut (dyn Write + Send)>,
    /// The quarantine.
    pub quarantine: &'a mut (dyn Write + Send),
}

/// Maps.
///
/// # Errors
/// [`MapFault`]; what the sinks got by then is no set of tables.
pub fn map(job: &MapJob<'_>, sinks: MapSinks<'_>) -> Result<MapReport, MapFault> {
    let before: Vec<_> = job.sources.iter().map(|(name, source)| (name, source.handle.stamp())).collect();
    let mapped = map_as_they_are(job, sinks);
    for (name, stamp) in before {
        if job.sources.get(name).is_some_and(|source| source.handle.stamp() != stamp) {
            return Err(MapFault::Changed { source: name.clone() });
        }
    }
    mapped
}

fn map_as_they_are(job: &MapJob<'_>, sinks: MapSinks<'_>) -> Result<MapReport, MapFault> {
    check_vocabulary(job)?;
    check_columns(job)?;
    let registry = Arc::new(enrol(job)?);
    let mut run = Run::new(job, sinks)?;
    for source in reading_order(job.mapping, job.schema) {
        run.source(source, &registry)?;
    }
    run.finish()
}

/// Every vocabulary that the mapping names is there.
fn check_vocabulary(job: &MapJob<'_>) -> Result<(), MapFault> {
    let holds = |name: &&str| job.vocabulary.as_ref().is_some_and(|loaded| loaded.holds(name));
    let missing = job.mapping.vocabularies().into_iter().filter(|name| !holds(name));
    let names: Vec<String> = missing.map(str::to_owned).collect();
    if names.is_empty() { Ok(()) } else { Err(MapFault::NoVocabulary { names }) }
}

/// Columns and kinds are what they were, or the mapping was made for others: known before a row is mapped, so that a
/// column that is gone is told by its name and not by the expression that asks for it.
fn check_columns(job: &MapJob<'_>) -> Result<(), MapFault> {
    let mut changes = Vec::new();
    for name in job.before.shapes.keys().filter(|name| job.sources.contains_key(*name)) {
        let (_, reader) = read(job, name)?;
        changes.extend(job.before.bare_changes(name, &shape::columns(reader.columns())));
    }
    let refused = job.before.refused(&changes);
    if refused.is_empty() { Ok(()) } else { Err(MapFault::Drifted { changes: refused }) }
}

/// A source that is open, and its columns as the policy treats them.
struct Opened {
    reader: SourceReader,
    columns: Vec<Column>,
    linkage: Linkage,
}

fn read<'j, 's>(job: &'j MapJob<'s>, name: &str) -> Result<(&'j MapSource<'s>, SourceReader), MapFault> {
    let source = job.sources.get(name).ok_or_else(|| MapFault::NotGiven { name: name.to_owned() })?;
    let at = |fault: SourceFault| Inner::Source(fault).at(name);
    let format = Format::of(&source.dataset.source).ok_or_else(|| at(SourceFault::NotATable))?;
    let reader = SourceReader::open_with(&source.handle, format, &job.limits, Tolerance::SetAside).map_err(at)?;
    Ok((source, reader))
}

fn open(job: &MapJob<'_>, name: &str) -> Result<Opened, MapFault> {
    let rules = job.mapping.source.get(name).ok_or_else(|| MapFault::NotGiven { name: name.to_owned() })?;
    let (source, reader) = read(job, name)?;
    let lists_patients = name == job.mapping.patients.source;
    let patient = if lists_patients { Some(&job.mapping.patients.id) } else { source.dataset.patient.as_ref() };
    let columns = columns_of(name, rules, patient, source.dataset, reader.columns())?;
    let has_token = lists_patients && job.linkage_key.is_some() && source.dataset.linkage.is_some();
    Ok(Opened { reader, columns, linkage: if has_token { Linkage::Token } else { Linkage::None } })
}

/// The policy of a source under these terms.
fn policy<'a>(
    job: &'a MapJob<'_>,
    name: &str,
    table: &'a TableTerms,
    found: &[SourceColumn],
) -> Result<Policy<'a>, MapFault> {
    let source = job.sources.get(name).ok_or_else(|| MapFault::NotGiven { name: name.to_owned() })?;
    let terms = Job {
        table,
        dataset: source.dataset,
        row_key: job.row_key,
        linkage_key: job.linkage_key,
        opt_outs: source.opt_outs,
        limits: job.limits,
    };
    let policy = Policy::new(&terms, found).map_err(|fault| Inner::Policy(fault).at(name))?;
    Ok(policy.tolerating(crate::policy::Tolerance::SetAside))
}

/// Who the patients are: one pass over their source's id and what tokens are made of.
fn enrol(job: &MapJob<'_>) -> Result<Registry, MapFault> {
    let name = &job.mapping.patients.source;
    let id = &job.mapping.patients.id;
    if id.as_str() == ROW_COLUMN {
        return Ok(Registry::default());
    }
    let mut opened = open(job, name)?;
    let terms = TableTerms::of(only(&opened.columns, id), opened.linkage);
    let policy = policy(job, name, &terms, opened.reader.columns())?;
    opened.reader.project(policy.needed());
    let patients_max = job.limits.rows_max.min(job.limits.mapped_bytes_max / PATIENT_BYTES);
    let mut enrolment =
        Enrolment { row_key: job.row_key, linkage_key: job.linkage_key, registry: Registry::default(), patients_max };
    for_each_batch(opened.reader, job.limits.rows_streamed_max, |batch| {
        let prepared = policy.prepare(&batch)?;
        let rows = policy.outgoing(&prepared, &prepared.staying())?;
        let too_many = |_| Inner::Whole(MapFault::TooMany { max: patients_max });
        enrolment.take_in(&rows, id.as_str()).map_err(too_many)
    })
    .map_err(|fault: Inner| fault.at(name))?;
    Ok(enrolment.registry)
}

/// The same columns with all but one dropped.
fn only(columns: &[Column], kept: &ColumnName) -> Vec<Column> {
    let mut columns = columns.to_vec();
    for column in columns.iter_mut().filter(|column| &column.name != kept) {
        column.treatment = Treatment::Drop;
    }
    columns
}

/// Everything a run keeps.
pub(crate) struct Run<'a, 's> {
    job: &'a MapJob<'a>,
    /// In the schema's order.
    pub(crate) outputs: Vec<Output<'s>>,
    pub(crate) quarantine: Quarantine<'s>,
    pub(crate) fates: BTreeMap<String, Fates>,
    /// Rows of each source as its reader counted them.
    read: BTreeMap<String, u64>,
    registry_bytes: u64,
    pub(crate) losses: Losses,
    pub(crate) pending: Vec<Pending>,
    pub(crate) pending_rows: u64,
    pub(crate) pending_bytes: u64,
    pub(crate) gates: Gates,
    defaults: BTreeMap<String, cohortium_protocol::quantity::Rows>,
    shapes: BTreeMap<String, SourceShape>,
    changes: Vec<SourceChange>,
}

impl<'a, 's> Run<'a, 's> {
    fn new(job: &'a MapJob<'a>, mut sinks: MapSinks<'s>) -> Result<Self, MapFault> {
        let mut outputs = Vec::new();
        for table in job.schema.in_order() {
            if job.mapping.fact.iter().any(|fact| fact.table == table.name) {
                let not_given = || MapFault::NotGiven { name: table.name.clone() };
                let sink = sinks.tables.remove(&table.name).ok_or_else(not_given)?;
                outputs.push(Output::new(table, sink, &job.limits)?);
            }
        }
        Ok(Self {
            job,
            outputs,
            quarantine: Quarantine::new(sinks.quarantine, &job.limits)?,
            fates: BTreeMap::new(),
            read: BTreeMap::new(),
            registry_bytes: 0,
            losses: Losses::default(),
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            gates: Gates::new(job.schema, &job.checks),
            defaults: BTreeMap::new(),
            shapes: BTreeMap::new(),
            changes: Vec::new(),
        })
    }

    pub(crate) fn output(&mut self, table: &str) -> Option<&mut Output<'s>> {
        self.outputs.iter_mut().find(|output| output.name == table)
    }

    fn source(&mut self, name: &str, registry: &Arc<Registry>) -> Result<(), MapFault> {
        let mut opened = open(self.job, name)?;
        let terms = TableTerms::of(opened.columns.clone(), opened.linkage);
        let policy = policy(self.job, name, &terms, opened.reader.columns())?;
        opened.reader.project(policy.needed());
        self.registry_bytes = registry.held_bytes();
        let mut applier = self.applier(name, &policy, opened.reader.columns(), registry)?;
        let rows_max = self.job.limits.rows_streamed_max;
        let read = for_each_made(
            opened.reader,
            rows_max,
            |batch, give| applier.batch(batch, give),
            |made| self.take_in(name, made),
        );
        let Applier { shaper, losses, .. } = applier;
        self.losses = losses;
        self.read.insert(name.to_owned(), read.map_err(|fault| fault.at(name))?);
        let shape = shaper.finish(self.job.row_key);
        self.changes.extend(self.job.before.changes(name, &shape));
        self.shapes.insert(name.to_owned(), shape);
        Ok(())
    }

    /// The rules of a source, compiled over its columns as its policy treats them. It takes the losses along.
    fn applier<'p>(
        &mut self,
        name: &'p str,
        policy: &'p Policy<'p>,
        found: &[SourceColumn],
        registry: &Arc<Registry>,
    ) -> Result<Applier<'p>, MapFault> {
        let functions = functions(self.job.row_key, registry);
        let compiler = Compiler::new(&seen_schema(policy.schema()), functions, self.job.mapping, self.job.schema);
        let rules = compiler.with(self.job.vocabulary.clone()).rules(name)?;
        self.fates.insert(name.to_owned(), Fates::default());
        Ok(Applier {
            source: name,
            policy,
            is_text_table: self.job.sources.get(name).is_some_and(|s| matches!(s.dataset.source, Source::Csv { .. })),
            shaper: Shaper::new(found, &rules),
            rules,
            tables: self.outputs.iter().map(|output| (output.name.clone(), Arc::clone(&output.schema))).collect(),
            losses: std::mem::take(&mut self.losses),
        })
    }

    /// Takes in what the rules of a source have made, in the order in which they did.
    fn take_in(&mut self, name: &str, made: Made) -> Result<(), Inner> {
        match made {
            Made::Rows(rows) => Ok(self.rows(name, &rows)?),
            Made::Facts(facts) => {
                fact::take_in(self, name, facts).map_err(Inner::Whole)?;
                // One batch may be due as many facts as there are entries of `each`.
                self.check_room()
            }
        }
    }

    /// What became of each row of a batch before the rules.
    fn rows(&mut self, name: &str, rows: &Rows) -> Result<(), SinkFault> {
        let fates = self.fates.entry(name.to_owned()).or_default();
        fates.reach(rows.end);
        // By its own count of who opted out: a row that is gone for another reason, or none, is lost, and told so.
        if rows.gone.len() as u64 == rows.opted_out {
            rows.gone.iter().for_each(|number| fates.mark(*number, Fate::OPTED_OUT));
        }
        rows.seen.iter().for_each(|number| fates.mark(*number, Fate::SEEN));
        for (number, place, column) in &rows.refused {
            let entry = Entry { source: name, place: *place, table: "", column: column.as_str(), reason: Reason::Row };
            self.set_aside(&entry, *number)?;
        }
        // Rows that could not be read at all: no fact of theirs can be named, so the entry names none.
        for row in &rows.unread {
            let column = row.column.as_ref().map_or("", ColumnName::as_str);
            let entry = Entry { source: name, place: row.place, table: "", column, reason: Reason::Row };
            self.set_aside(&entry, row.row - 1)?;
        }
        Ok(())
    }

    pub(crate) fn defaults_used(&mut self, table: &str, used: Vec<(String, u64)>) {
        for (column, used) in used {
            self.defaults.entry(format!("{table}.{column}")).or_default().0 += used;
        }
    }

    /// Neither more facts nor more memory than the limits.
    fn check_room(&self) -> Result<(), Inner> {
        let held = self.outputs.iter().map(Output::held_bytes).sum::<u64>()
            + self.fates.values().map(Fates::held_bytes).sum::<u64>()
            + self.pending_bytes
            + self.registry_bytes;
        let max = self.job.limits.mapped_bytes_max;
        if held > max {
            return Err(Inner::Whole(MapFault::TooManyBytes { max }));
        }
        let facts: u64 = self.outputs.iter().map(Output::facts).sum::<u64>() + self.pending_rows;
        let max = self.job.limits.rows_streamed_max.min(self.job.limits.rows_max.saturating_mul(4));
        if facts > max { Err(Inner::Whole(MapFault::TooMany { max })) } else { Ok(()) }
    }

    pub(crate) fn set_aside(&mut self, entry: &Entry<'_>, row: u64) -> Result<(), SinkFault> {
        if let Some(fates) = self.fates.get_mut(entry.source) {
            fates.mark(row, Fate::QUARANTINED);
        }
        self.quarantine.add(entry)
    }

    fn finish(mut self) -> Result<MapReport, MapFault> {
        let refused = self.job.before.refused(&self.changes);
        if !refused.is_empty() {
            return Err(MapFault::Drifted { changes: refused });
        }
        fact::settle(&mut self)?;
        let read = |name: &String| self.read.get(name).copied().unwrap_or_default();
        let sources = self.fates.iter().map(|(name, fates)| (name.clone(), fates.count(read(name)))).collect();
        let mut tables = BTreeMap::new();
        for output in self.outputs {
            let name = output.name.clone();
            // A table that is there and empty is told to the gates, too.
            let none = RecordBatch::new_empty(Arc::clone(&output.schema));
            self.gates.see(&name, &none).map_err(|_| MapFault::NotGiven { name: name.clone() })?;
            let count = output.finish()?;
            check_empty(self.job, &name, &count)?;
            tables.insert(name, count);
        }
        let report = MapReport {
            sources,
            tables,
            quarantine: self.quarantine.finish()?,
            defaults: self.defaults,
            unmapped: self.losses.unmapped,
            unmapped_more: self.losses.unmapped_more,
            unmapped_unlisted: self.losses.unmapped_unlisted,
            quality: self.gates.finish(self.job.vocabulary.as_deref().map(|loaded| loaded as &dyn Concepts)),
            shapes: self.shapes,
            changes: self.changes,
            accepted: self.job.before.accepted,
            vocabulary: self.job.vocabulary.as_ref().map(|loaded| (loaded.release().to_owned(), loaded.digest())),
        };
        match report.unbalanced() {
            Some(name) => Err(MapFault::Unaccounted { name: name.to_owned() }),
            None => Ok(report),
        }
    }
}

/// A table without rows is what its sources come to, or what nobody meant (spec MAP-6, MAP-10).
fn check_empty(job: &MapJob<'_>, table: &str, count: &TableCount) -> Result<(), MapFault> {
    if count.emitted.0 > 0 || job.may_be_empty.contains(table) {
        return Ok(());
    }
    let table = || table.to_owned();
    if count.due.0 > 0 {
        return Err(MapFault::EmptyTable { table: table() });
    }
    if job.had_rows.contains(&table()) {
        return Err(MapFault::Emptied { table: table() });
    }
    Ok(())
}

/// A batch as rules see it.
pub(crate) fn as_seen(batch: &RecordBatch, is_blank_none: impl Fn(&str) -> bool) -> RecordBatch {
    let clean = |(array, field): (&ArrayRef, &Arc<Field>)| -> ArrayRef {
        if array.data_type() == &DataType::FixedSizeBinary(16) {
            return text(array).map_or_else(|NotHandled| Arc::clone(array), |ids| Arc::new(ids));
        }
        let Some(texts) = array.as_string_opt::<i32>().filter(|_| is_blank_none(field.name())) else {
            return Arc::clone(array);
        };
        if texts.offsets().lengths().all(|length| length > 0) {
            return Arc::clone(array);
        }
        let empty: arrow::array::BooleanArray = texts.iter().map(|text| Some(text == Some(""))).collect();
        nullif(array, &empty).unwrap_or_else(|_| Arc::clone(array))
    };
    let schema = batch.schema();
    let columns = batch.columns().iter().zip(schema.fields()).map(clean).collect();
    RecordBatch::try_new(seen_schema(&schema), columns).expect("the same columns, ids as text")
}

fn seen_schema(outgoing: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::FixedSizeBinary(16) => Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable())),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(outgoing.fields().iter().map(field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::ident::DatasetId;
    use cohortium_protocol::record::row_filter::{Passes, RowTest};
    use cohortium_protocol::record::text_form::TextForm;

    use super::*;

    const SCHEMA: &str = r#"
name = "few"
version = "1"
[[table]]
name = "person"
field = [
  { name = "person_id", kind = "integer", required = true, primary_key = true, role = "quasi-identifier" },
  { name = "sex", kind = "text", role = "quasi-identifier" },
]
"#;
    const MAPPING: &str = r#"
mapping = "north"
version = 1
schema = "few-1"
patients = { source = "patients", id = "pid" }
source.patients = { dataset = "patients" }
[[fact]]
table = "person"
from = "patients"
set = { person_id = "surrogate('person', pid)", sex = "sex" }
"#;

    /// What goes wrong on the way from the source to the rules.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Loss {
        Nothing,
        /// The policy takes a row out and does not say so.
        Policy,
        /// The reader has counted a row that is in no batch.
        Row,
        /// A row's number is in no batch, and was not counted.
        Number,
    }

    fn mapped(loss: Loss) -> Result<MapReport, MapFault> {
        let schema = CommonSchema::parse(SCHEMA).unwrap();
        let mapping = Mapping::parse(MAPPING, &schema).unwrap();
        let dataset = Dataset {
            dataset: DatasetId([1; 16]),
            name: "patients".parse().unwrap(),
            source: Source::Csv { path: "unused".parse().unwrap(), form: TextForm::default() },
            key: Vec::new(),
            patient: None,
            linkage: None,
        };
        let (none, handle) = (BTreeSet::new(), Arc::new(b"pid,sex\n1,F\n2,\n3,M\n".to_vec()));
        let source = MapSource { dataset: &dataset, handle, opt_outs: &none };
        let job = MapJob {
            mapping: &mapping,
            schema: &schema,
            sources: [("patients".to_owned(), source)].into(),
            row_key: &Secret32::new([5; 32]),
            linkage_key: None,
            vocabulary: None,
            before: Before::default(),
            had_rows: BTreeSet::new(),
            may_be_empty: BTreeSet::new(),
            checks: Checks::declared(&schema),
            limits: Limits::default(),
        };
        let (mut table, mut aside) = (Vec::new(), Vec::new());
        let tables = [("person".to_owned(), &mut table as &mut (dyn Write + Send))].into();
        let mut run = Run::new(&job, MapSinks { tables, quarantine: &mut aside })?;
        let mut opened = open(&job, "patients")?;
        let mut terms = TableTerms::of(opened.columns.clone(), Linkage::None);
        if loss == Loss::Policy {
            terms.filter = vec![RowTest { column: "sex".parse().unwrap(), passes: Passes::Present }];
        }
        let policy = policy(&job, "patients", &terms, opened.reader.columns())?;
        let registry = Arc::default();
        let mut applier = run.applier("patients", &policy, opened.reader.columns(), &registry)?;
        let mut read = 0;
        while let Some(mut batch) = opened.reader.next_batch().unwrap() {
            read += batch.places.len() as u64;
            if loss == Loss::Row {
                batch.places.pop();
                batch.columns.iter_mut().flatten().for_each(|column| *column = column.slice(0, column.len() - 1));
            }
            batch.first_row += u64::from(loss == Loss::Number);
            let mapped = applier.batch(batch, &mut |made| run.take_in("patients", made));
            mapped.map_err(|fault| fault.at("patients"))?;
        }
        run.read.insert("patients".to_owned(), read);
        run.finish()
    }

    // MAP-4, MAP-5
    #[test]
    fn a_run_in_which_a_row_is_lost_on_the_way_to_the_rules_makes_nothing() {
        assert_eq!(mapped(Loss::Nothing).map(|report| report.sources["patients"].accepted.0), Ok(3));
        for loss in [Loss::Policy, Loss::Row, Loss::Number] {
            let lost = MapFault::Unaccounted { name: "patients".to_owned() };
            assert_eq!(mapped(loss).map(|_| ()), Err(lost), "{loss:?}");
        }
    }
}
