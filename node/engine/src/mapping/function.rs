//! The functions that a mapping's expressions have beside SQL's own. They are total: what they cannot make is null, or a
//! text that no date can be cast from, and so ends in quarantine and not in silence.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::DateFormat;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::linkage;
use crate::mapping::patients::Registry;
use crate::packed::Labelled;

/// What `day` and `moment` make of a text that is none: it has no cast to a date.
const UNREADABLE: &str = "unreadable";

type Body = Arc<dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync>;

/// One function: a name, what it takes and gives, and what it does with whole columns.
#[derive(Clone)]
struct Function {
    name: &'static str,
    signature: Signature,
    gives: DataType,
    body: Body,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.gives.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        (self.body)(&arrays, rows).map(ColumnarValue::Array)
    }
}

fn texts(arguments: usize) -> Signature {
    Signature::exact(vec![DataType::Utf8; arguments], Volatility::Immutable)
}

/// All of them, for one node and consortium.
pub(crate) fn functions(row_key: &Secret32, registry: &Arc<Registry>) -> Vec<ScalarUDF> {
    let key = Arc::new(Secret32::new(*row_key.as_bytes()));
    let registry = Arc::clone(registry);
    let all = [
        Function { name: "day", signature: texts(2), gives: DataType::Utf8, body: Arc::new(|args, _| day(args)) },
        Function {
            name: "person",
            signature: texts(1),
            gives: DataType::Int64,
            body: Arc::new(move |args, _| Ok(person(&registry, args))),
        },
        Function {
            name: "surrogate",
            signature: Signature::one_of(
                (2..=8).map(|count| TypeSignature::Exact(vec![DataType::Utf8; count])).collect(),
                Volatility::Immutable,
            ),
            gives: DataType::Int64,
            body: Arc::new(move |args, rows| Ok(surrogates(&key, args, rows))),
        },
    ];
    all.into_iter().map(ScalarUDF::from).collect()
}

/// `day(text, format)`: a day as ISO 8601, from text written as `iso`, `d.m.y`, `m/d/y` or `compact`.
fn day(args: &[ArrayRef]) -> Result<ArrayRef> {
    let [texts, formats] = args else { return exec_err!("day takes a text and a format") };
    let (texts, formats) = (texts.as_string::<i32>(), formats.as_string::<i32>());
    let mut built = StringBuilder::with_capacity(texts.len(), texts.len() * 10);
    for (text, format) in texts.iter().zip(formats) {
        let format = match format {
            Some("iso") => DateFormat::Iso,
            Some("d.m.y") => DateFormat::DayMonthYearDots,
            Some("m/d/y") => DateFormat::MonthDayYearSlashes,
            Some("compact") => DateFormat::Compact,
            _ => return exec_err!("day: the format is none of iso, d.m.y, m/d/y, compact"),
        };
        match text {
            None => built.append_null(),
            Some(text) => match linkage::day(text, format) {
                Some(day) => {
                    built.write_str(&day[..4])?;
                    for part in [&day[4..6], &day[6..]] {
                        built.write_char('-')?;
                        built.write_str(part)?;
                    }
                    built.append_value("");
                }
                None => built.append_value(UNREADABLE),
            },
        }
    }
    Ok(Arc::new(built.finish()))
}

/// `person(id)`: the person id of a patient by the local identifier; null for one whom the patients' source does not list.
fn person(registry: &Registry, args: &[ArrayRef]) -> ArrayRef {
    let mut built = Int64Builder::new();
    if let Some(ids) = args.first() {
        // Rows of one patient mostly follow each other.
        let mut last = None;
        for id in ids.as_string::<i32>() {
            if last.is_none_or(|(before, _)| before != id) {
                last = Some((id, id.and_then(|id| registry.person(id))));
            }
            built.append_option(last.and_then(|(_, person)| person));
        }
    }
    Arc::new(built.finish())
}

/// `surrogate(kind, part, ...)`: 63 bits of a keyed hash of the parts: the same parts, the same id, at this node alone.
/// Null where a part is.
fn surrogates(key: &Secret32, args: &[ArrayRef], rows: usize) -> ArrayRef {
    let parts: Vec<&StringArray> = args.iter().map(arrow::array::AsArray::as_string::<i32>).collect();
    let mut hash = Labelled::new(key, b"surrogate");
    let mut built = Int64Builder::with_capacity(rows);
    // Facts of one visit mostly follow each other.
    let mut last: Option<(usize, i64)> = None;
    for row in 0..rows {
        if parts.iter().any(|part| part.is_null(row)) {
            built.append_null();
            continue;
        }
        let same = |before: &usize| parts.iter().all(|part| part.value(*before) == part.value(row));
        let id = match last.filter(|(before, _)| same(before)) {
            Some((_, id)) => id,
            None => positive(
                &hash.hash(|message| parts.iter().for_each(|part| message.put_framed(part.value(row).as_bytes()))),
            ),
        };
        last = Some((row, id));
        built.append_value(id);
    }
    Arc::new(built.finish())
}

/// The first 63 bits of a hash.
pub(crate) fn positive(hash: &[u8]) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first) & i64::MAX
}
