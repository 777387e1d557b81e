//! Nothing that names a patient leaves its hospital: canaries stand wherever a value can hide in a source, and everything
//! that the operator holds is opened with its own keys and unpacked.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, Int32Array, ListArray, RecordBatch, StringArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::ipc::writer::FileWriter;
use cohortium_tests::real::network::{Network, Offer, Plan};
use cohortium_tests::real::opened::{Plain, stored};
use cohortium_tests::real::source::{CANARY, files_below};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::PROGRAM;
use crate::linkage::make_and_wrap;

const ROWS: usize = 300;

const MAPPING: &str = r#"
mapping = "north"
version = 1
schema = "omop-cdm-5.4"
patients = { source = "patients", id = "pid" }
[source.patients]
dataset = "patients"
identifiers = ["insurance"]
[source.visits]
dataset = "visits"
identifiers = ["vid"]
[codes.sex]
F = 8532
M = 8507
[[fact]]
table = "person"
from = "patients"
[fact.set]
person_id = "person(pid)"
gender_concept_id = { code = "sex", map = "sex" }
year_of_birth = "substr(day(dob, 'iso'), 1, 4)"
race_concept_id = 0
ethnicity_concept_id = 0
gender_source_value = "sex"
[[fact]]
table = "visit_occurrence"
from = "visits"
where = "kind <> 'test'"
[fact.set]
visit_occurrence_id = "surrogate('visit', vid)"
person_id = "person(pid)"
visit_concept_id = 9202
visit_start_date = "day(began, 'iso')"
visit_end_date = "day(began, 'iso')"
visit_type_concept_id = 32817
visit_source_value = "ward"
"#;

const POLICY: &str = r#"
[[filter]]
column = "state"
passes = { one-of = ["done"] }
[columns.lid]
role = "direct-identifier"
treatment = "pseudonym"
[columns.pid]
role = "direct-identifier"
treatment = "pseudonym"
[columns.state]
role = "quasi-identifier"
treatment = "keep"
[columns.place]
role = "quasi-identifier"
treatment = "keep"
[columns.method]
role = "quasi-identifier"
treatment = "keep"
[columns.value]
role = "measure"
treatment = { round = 0 }
"#;

/// A canary of its own for each place that a value can hide in.
fn canary(place: u32, row: usize) -> String {
    format!("{CANARY}{place:x}{row:03x}")
}

/// Names and numbers identify; one sex in 20 is a code that no map has.
fn patients(path: &Path) {
    let mut text = "pid,first,last,dob,sex,insurance,phone,note\n".to_owned();
    for row in 0..ROWS {
        let [pid, first, last, insurance, phone, code] = [0, 1, 2, 3, 4, 5].map(|place| canary(place, row));
        let sex = if row % 20 == 7 { &code } else { ["F", "M"][row % 2] };
        let born = 1930 + row % 70;
        writeln!(text, "{pid},{first},{last},{born}-03-04,{sex},{insurance},{phone},\"seen, {last} {insurance}\"")
            .unwrap();
    }
    fs::write(path, text).unwrap();
}

/// Parquet with dictionaries and statistics: keys are canaries, some dates are, and so is the ward of rows that no rule takes.
fn visits(path: &Path) {
    let rows = 0..ROWS;
    let text = |cell: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(
            rows.clone().map(cell).collect::<Vec<_>>().iter().map(|cell| Some(cell.as_str())).collect::<StringArray>(),
        )
    };
    let columns: [(&str, ArrayRef); 5] = [
        ("vid", text(&|row| canary(6, row))),
        ("pid", text(&|row| canary(0, row))),
        ("began", text(&|row| if row % 25 == 3 { canary(7, row) } else { format!("2024-01-{:02}", 1 + row % 28) })),
        ("kind", text(&|row| ["stay", "test"][usize::from(row % 10 == 4)].to_owned())),
        ("ward", text(&|row| if row % 10 == 4 { canary(8, row) } else { "icu".to_owned() })),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(vec![parquet::file::metadata::KeyValue::new("owner".to_owned(), canary(9, 0))]));
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Arrow with values under nulls, dictionary values that no row has, and lists, in columns that leave as they are.
fn labs(path: &Path) {
    let rows = 0..ROWS;
    let text = |place: u32| -> ArrayRef {
        Arc::new(rows.clone().map(|row| Some(canary(place, row))).collect::<StringArray>())
    };
    let state: ArrayRef =
        Arc::new(rows.clone().map(|row| Some(if row % 9 == 5 { "open" } else { "done" })).collect::<StringArray>());
    // Rows that the filter holds back, and what lies under nulls.
    let place =
        rows.clone().map(|row| if row % 9 == 5 || row % 4 == 0 { canary(10, row) } else { "left arm".to_owned() });
    let place: Vec<String> = place.collect();
    let place: StringArray = place.iter().map(|cell| Some(cell.as_str())).collect();
    let nulls = rows.clone().map(|row| row % 4 != 0).collect::<NullBuffer>();
    let place = make_array(place.into_data().into_builder().nulls(Some(nulls)).build().unwrap());
    assert_eq!(place.null_count(), ROWS.div_ceil(4));
    let values: StringArray = ["enzymatic", "optic"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..40).map(|row| canary(11, row)))
        .map(Some)
        .collect();
    let keys: Int32Array = rows.clone().map(|row| Some(i32::try_from(row % 2).unwrap())).collect();
    let method: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values)).unwrap());
    let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let lists =
        ListArray::new(item, arrow::buffer::OffsetBuffer::from_lengths(rows.clone().map(|_| 1)), text(12), None);
    let value: ArrayRef = Arc::new(
        rows.clone()
            .map(|row| Some(4.25 + f64::from(u32::try_from(row).unwrap())))
            .collect::<arrow::array::Float64Array>(),
    );
    let columns: [(&str, ArrayRef); 7] = [
        ("lid", text(13)),
        ("pid", text(0)),
        ("state", state),
        ("place", place),
        ("method", method),
        ("parts", Arc::new(lists)),
        ("value", value),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let mut writer = FileWriter::try_new(File::create(path).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
}

/// The bytes themselves, and if they are Parquet every page of every column, unpacked.
fn everything_in(bytes: &[u8]) -> Vec<u8> {
    let mut all = bytes.to_vec();
    if bytes.starts_with(b"PAR1") {
        let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).unwrap();
            for column in 0..group.num_columns() {
                let mut pages = group.get_column_page_reader(column).unwrap();
                while let Some(page) = pages.get_next_page().unwrap() {
                    all.extend_from_slice(page.buffer());
                }
            }
        }
    }
    all
}

fn tells(bytes: &[u8]) -> bool {
    everything_in(bytes).windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

fn telling(stored: &[Plain]) -> Vec<&Plain> {
    stored.iter().filter(|plain| tells(&plain.bytes)).collect()
}

/// A member that maps and shares everything there is to share, and an operator that consolidates and writes it out.
fn flow() -> (Network, u64) {
    let plan = Plan { members: &["north", "south"], key_maker: Some("north"), ..Plan::relayed(PROGRAM) };
    let net = Network::new(plan);
    make_and_wrap(&net, 1);
    let north = net.north();
    patients(&net.path("patients.csv"));
    visits(&net.path("visits.parquet"));
    labs(&net.path("labs.arrow"));
    let link = ["--link-given", "first", "--link-family", "last", "--link-birth", "dob"];
    let patients =
        ["dataset", "add", "patients", "--csv", &net.text("patients.csv"), "--key", "pid", "--patient", "pid"];
    north.tell(&[&patients[..], &link].concat());
    north.tell(&[
        "dataset",
        "add",
        "visits",
        "--parquet",
        &net.text("visits.parquet"),
        "--key",
        "vid",
        "--patient",
        "pid",
    ]);
    for row in [11, 12] {
        for dataset in ["patients", "visits"] {
            north.tell(&["optout", "add", dataset, &canary(0, row)]);
        }
    }
    fs::write(net.path("mapping.toml"), MAPPING).unwrap();
    north.tell(&["mapping", "define", &net.text("mapping.toml")]);
    north.tell(&["mapping", "run", "north"]);
    let report = north.tell(&["mapping", "report", "north"]);
    let aside = report["quarantine"].as_array().unwrap().iter().map(|entry| entry["entries"].as_u64().unwrap()).sum();
    north.tell(&["mapping", "offer", "north", "--to", "op", "--purpose", "Test", "--days", "30"]);
    for table in ["person", "visit_occurrence"] {
        let share = format!("north.{table}");
        let preview = north.tell(&["share", "preview", &share, "--rows", "20"]).to_string();
        assert!(!preview.contains(CANARY), "{share}");
        north.tell(&["share", "approve", &share]);
        north.tell(&["share", "invite", &share, "--to", "op"]);
        net.op.tell_soon(&["subscription", "accept", &share]);
        north.until_state(&share, "active");
        north.tell(&["share", "take", &share]);
        net.op.until_landed(&share, 1);
    }
    fs::write(net.path("labs.toml"), POLICY).unwrap();
    net.offer(&Offer {
        from: north,
        to: &net.op,
        name: "labs",
        source: &["--arrow", &net.text("labs.arrow"), "--key", "lid", "--patient", "pid"],
        define: &["--policy", &net.text("labs.toml")],
        approve: &[],
    });
    north.tell(&["optout", "add", "labs", &canary(0, 13)]);
    north.tell(&["share", "take", "labs"]);
    net.op.until_landed("labs", 1);
    net.op.tell(&["consolidate", "run"]);
    (net, aside)
}

// LAW-1, LAW-8
#[test]
fn no_identifier_is_in_anything_that_reaches_the_operator_wherever_it_hid() {
    let (mut net, aside) = flow();
    assert!(aside > 20, "some rows are in quarantine: {aside}");
    let labs = net.op.tell(&["subscription", "count", "labs"])["rows"].as_u64().unwrap();
    assert!(labs > 200, "most rows have landed: {labs}");
    // What people write out: at the operator, and by hand at the member for others.
    fs::create_dir(net.path("written")).unwrap();
    for share in ["north.person", "north.visit_occurrence", "labs"] {
        net.op.tell(&["subscription", "checkout", share, &net.text(&format!("written/{share}.csv"))]);
        net.op.tell(&["subscription", "checkout", share, &net.text(&format!("written/{share}.parquet"))]);
        net.north().tell(&["share", "export", share, &net.text(&format!("written/{share}.export"))]);
    }
    net.north().tell(&["history", "--documents", &net.text("written/documents")]);
    // The member's own account of what could not be mapped holds places and no cells.
    net.north().tell(&["mapping", "quarantine", "north", &net.text("written/quarantine.csv")]);
    net.op.tell(&["consolidate", "lineage"]);
    let mut files = 0;
    for path in files_below(&net.path("written")) {
        assert!(!tells(&fs::read(&path).unwrap()), "{}", path.display());
        files += 1;
    }
    // As they are, sealed or not.
    for home in ["op", "north"] {
        for path in files_below(&net.path(home)) {
            assert!(!tells(&fs::read(&path).unwrap_or_default()), "{}", path.display());
            files += 1;
        }
    }
    let wire = net.relay().kept();
    assert!(wire.len() > 20_000 && !tells(&wire));

    net.op.down();
    net.north_mut().down();
    let [operator, member] = ["op", "north"].map(|name| stored(&net.path(name), &net.path(&format!("{name}.key"))));
    // Everything that was in a frame is here: documents in the journal, blobs in the store.
    assert_eq!(telling(&operator), Vec::<&Plain>::new());
    // The same look does find what may stay at the member: codes that no map has, in its own report, and nothing else.
    let own = telling(&member);
    assert!(!own.is_empty(), "the look finds what is there");
    for plain in own {
        let text = String::from_utf8_lossy(&plain.bytes);
        let is_report = text.contains("\"unmapped\"") || plain.name.starts_with("journal");
        assert!(is_report, "{plain:?} tells");
        assert!(!plain.bytes.starts_with(b"PAR1"), "{plain:?} is a table");
    }
    // Neither the quarantine nor a report is at the operator.
    let ours: BTreeSet<&str> =
        operator.iter().map(|plain| plain.name.as_str()).filter(|name| name.starts_with("blob")).collect();
    let theirs = |what: &dyn Fn(&Plain) -> bool| {
        member.iter().filter(|plain| what(plain)).map(|plain| plain.name.as_str()).collect::<Vec<_>>()
    };
    let quarantine =
        theirs(&|plain| plain.bytes.starts_with(b"PAR1") && has_columns(&plain.bytes, &["source", "place", "reason"]));
    let reports = theirs(&|plain| String::from_utf8_lossy(&plain.bytes).contains("\"unmapped\""));
    assert!(!quarantine.is_empty() && !reports.is_empty());
    assert!(quarantine.iter().chain(&reports).all(|name| !ours.contains(name)));
    let tables = operator.iter().filter(|plain| plain.bytes.starts_with(b"PAR1")).count();
    assert!(tables >= 5, "{tables} tables were unpacked");
    eprintln!(
        "no canary in {} blobs and entries of the operator ({tables} tables unpacked), {files} files, {} bytes of the wire",
        operator.len(),
        wire.len()
    );
}

fn has_columns(bytes: &[u8], names: &[&str]) -> bool {
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let found: Vec<&str> = schema.columns().iter().map(|column| column.name()).collect();
    names.iter().all(|name| found.contains(name))
}
