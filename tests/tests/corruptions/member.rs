//! A member without a node: its tables, its mapping, one run in memory, and what came out as lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use cohortium_engine::handle::Handle;
use cohortium_engine::limits::Limits;
use cohortium_engine::mapping::{Before, MapFault, MapJob, MapReport, MapSinks, MapSource, Mapping, map};
use cohortium_engine::plain::to_csv;
use cohortium_engine::policy::opt_out_id;
use cohortium_protocol::digest::keyed_id;
use cohortium_protocol::ident::DatasetId;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, DateFormat, LinkageColumns, Source};
use cohortium_protocol::record::text_form::{TextForm, TextFormFields};
use cohortium_schema::gate::Checks;
use cohortium_schema::omop::omop_5_4;
use cohortium_schema::schema::CommonSchema;
use cohortium_testnet::hospital::mapping::mapping_of;
use cohortium_testnet::hospital::{Class, DateStyle, LinkageField, Plan, Site, SiteTable, TableKind, generate};

use crate::write::{Form, Table};

const ROW_KEY: [u8; 32] = [5; 32];
/// The longest cell that is read here.
pub(crate) const CELL_BYTES_MAX: usize = 4 << 10;
/// The longest record that is read here.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 10;
/// The longest part of a binary file that is read whole.
pub(crate) const PART_BYTES_MAX: usize = 8 << 20;

/// A member, with the mapping of its files.
pub(crate) struct Member {
    pub(crate) site: Site,
    schema: CommonSchema,
    mapping: Mapping,
    opt_outs: BTreeSet<[u8; 16]>,
}

/// What a run came to.
pub(crate) struct Mapped {
    pub(crate) report: MapReport,
    /// Every fact, as `table,cell,cell,...,source,origin`, sorted.
    pub(crate) facts: Vec<String>,
    /// Every entry of the quarantine, as `source,place,table,column,reason`.
    pub(crate) quarantine: Vec<String>,
}

/// Clean hospitals in the five dialects.
pub(crate) fn sites(rows_per_site: u64) -> Vec<Site> {
    let plan = Plan { seed: 41, rows_per_site, dirty_per_mille: 0, ..Plan::default() };
    generate(&plan).unwrap().sites
}

/// The name of a table's source.
pub(crate) fn source_of(kind: TableKind) -> &'static str {
    kind.file_name().trim_end_matches(".csv")
}

/// The origin that facts of the row with this primary key have.
pub(crate) fn origin(key: &str) -> String {
    let id = keyed_id(&ROW_KEY, [b"row".as_slice(), key.as_bytes()]);
    id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

impl Member {
    /// With all its tables, or only the patients; every 50th patient has opted out.
    pub(crate) fn new(site: Site, tables: &[TableKind]) -> Self {
        let schema = omop_5_4();
        let text = mapping_of(&site);
        let (head, facts) = text.split_once("[[fact]]").unwrap();
        let named = |fact: &&str| tables.iter().any(|kind| fact.contains(&format!("from = \"{}\"", source_of(*kind))));
        let facts: Vec<_> = facts.split("[[fact]]").filter(named).map(|fact| format!("[[fact]]{fact}")).collect();
        let facts = facts.concat();
        let mapping = Mapping::parse(&format!("{head}{facts}"), &schema).unwrap();
        let row_key = Secret32::new(ROW_KEY);
        let out = opted_out(&site).into_iter().map(|patient| opt_out_id(&row_key, &patient)).collect();
        Self { site, schema, mapping, opt_outs: out }
    }

    /// Maps these files.
    pub(crate) fn map(&self, files: &BTreeMap<TableKind, (Form, Vec<u8>)>) -> Result<Mapped, MapFault> {
        let (row_key, linkage_key) = (Secret32::new(ROW_KEY), Secret32::new([6; 32]));
        let dataset = |(kind, (form, _)): (&TableKind, &(Form, Vec<u8>))| (*kind, dataset_of(&self.site, *kind, *form));
        let datasets: BTreeMap<TableKind, Dataset> = files.iter().map(dataset).collect();
        let source = |(kind, (_, bytes)): (&TableKind, &(Form, Vec<u8>))| {
            let handle: Handle = Arc::new(bytes.clone());
            (source_of(*kind).to_owned(), MapSource { dataset: &datasets[kind], handle, opt_outs: &self.opt_outs })
        };
        let limits = Limits {
            cell_bytes_max: CELL_BYTES_MAX,
            line_bytes_max: RECORD_BYTES_MAX,
            part_bytes_max: PART_BYTES_MAX,
            batch_rows: 500,
            ..Limits::default()
        };
        let job = MapJob {
            mapping: &self.mapping,
            schema: &self.schema,
            sources: files.iter().map(source).collect(),
            row_key: &row_key,
            linkage_key: Some(&linkage_key),
            vocabulary: None,
            before: Before::default(),
            had_rows: BTreeSet::new(),
            may_be_empty: BTreeSet::new(),
            checks: Checks::declared(&self.schema),
            limits,
        };
        let mut tables: BTreeMap<String, Vec<u8>> =
            self.mapping.fact.iter().map(|fact| (fact.table.clone(), Vec::new())).collect();
        let mut quarantine = Vec::new();
        let sinks = tables.iter_mut().map(|(named, sink)| (named.clone(), sink as &mut (dyn Write + Send)));
        let sinks = MapSinks { tables: sinks.collect(), quarantine: &mut quarantine };
        let report = map(&job, sinks)?;
        let mut facts = Vec::new();
        for (table, bytes) in tables {
            let lines = lines(bytes);
            assert_eq!(lines.len() as u64, report.tables[&table].emitted.0, "{table}: rows that are there");
            facts.extend(lines.into_iter().map(|line| format!("{table},{line}")));
        }
        facts.sort();
        let mapped = Mapped { report, facts, quarantine: lines(quarantine) };
        mapped.accounts();
        Ok(mapped)
    }
}

impl Mapped {
    /// Every row and every fact is somewhere, and once.
    fn accounts(&self) {
        for (source, count) in &self.report.sources {
            let sum = count.accepted.0 + count.partial.0 + count.quarantined.0 + count.opted_out.0;
            assert_eq!(sum, count.rows.0, "{source}: accepted + partial + quarantined + opted out = rows");
        }
        for (table, count) in &self.report.tables {
            assert_eq!(count.emitted.0 + count.quarantined.0, count.due.0, "{table}: emitted + quarantined = due");
        }
        let entries: u64 = self.report.quarantine.values().map(|entries| entries.0).sum();
        assert_eq!(entries, self.quarantine.len() as u64, "entries that are there");
    }

    /// The facts of rows that are none of these.
    pub(crate) fn facts_beside(&self, origins: &BTreeSet<String>) -> Vec<&str> {
        let of = |fact: &&str| !origins.contains(fact.rsplit(',').next().unwrap());
        self.facts.iter().map(String::as_str).filter(of).collect()
    }

    /// The reasons for which a row of a source is in quarantine.
    pub(crate) fn reasons(&self) -> BTreeMap<(&str, u64), BTreeSet<&str>> {
        let mut reasons: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for entry in &self.quarantine {
            let cells: Vec<&str> = entry.split(',').collect();
            reasons.entry((cells[0], cells[1].parse().unwrap())).or_default().insert(cells[4]);
        }
        reasons
    }
}

/// Patients who have opted out.
pub(crate) fn opted_out(site: &Site) -> Vec<String> {
    let key = |row: cohortium_testnet::hospital::Row| row.cells().next().unwrap().to_owned();
    site.rows(TableKind::Patients).step_by(50).map(key).collect()
}

/// The rows of a blob, without its header.
fn lines(blob: Vec<u8>) -> Vec<String> {
    let (handle, mut text): (Handle, _) = (Arc::new(blob), Vec::new());
    to_csv(&handle, &mut text, &Limits::default()).unwrap();
    String::from_utf8(text).unwrap().lines().skip(1).map(str::to_owned).collect()
}

fn dataset_of(site: &Site, kind: TableKind, form: Form) -> Dataset {
    let table = site.table(kind);
    let path = "unused".parse().unwrap();
    let source = match form {
        Form::Csv => {
            let delimiter = u8::try_from(site.dialect.delimiter).unwrap();
            let fields = TextFormFields { delimiter, ..TextForm::default().into() };
            Source::Csv { path, form: TextForm::try_from(fields).unwrap() }
        }
        Form::Ndjson => Source::Ndjson { path },
        Form::Json => Source::Json { path },
        Form::Parquet => Source::Parquet { path },
        Form::ArrowIpc => Source::ArrowIpc { path },
    };
    let patient = match kind {
        TableKind::Patients => Some(table.primary_key()),
        _ => table.columns.iter().find(|column| column.class == Class::PatientKey).map(|column| column.name.as_str()),
    };
    Dataset {
        dataset: DatasetId([1; 16]),
        name: source_of(kind).parse().unwrap(),
        source,
        key: vec![table.primary_key().parse().unwrap()],
        patient: patient.map(|name| name.parse().unwrap()),
        linkage: linkage(site, &table),
    }
}

fn linkage(site: &Site, table: &SiteTable) -> Option<LinkageColumns> {
    let of = |field| table.columns.iter().find(|column| column.linkage == Some(field));
    let name = |field| Some(of(field)?.name.parse().unwrap());
    let birth_format = match site.dialect.date {
        DateStyle::Iso => DateFormat::Iso,
        DateStyle::DayDot => DateFormat::DayMonthYearDots,
        DateStyle::MonthSlash => DateFormat::MonthDayYearSlashes,
        DateStyle::Digits => DateFormat::Compact,
    };
    Some(LinkageColumns {
        given: name(LinkageField::Given)?,
        family: name(LinkageField::Family)?,
        birth: name(LinkageField::BirthDate)?,
        birth_format,
    })
}

/// The tables of a site as it writes them, clean.
pub(crate) fn tables(site: &Site, kinds: &[TableKind]) -> BTreeMap<TableKind, Table> {
    kinds.iter().map(|kind| (*kind, Table::of(site, *kind))).collect()
}
