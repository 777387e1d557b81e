//! A request for a release as a person writes it: TOML, with hierarchies in it or as CSV files beside it.

use std::path::{Path, PathBuf};

use cohortium_engine::private::Declared;
use cohortium_protocol::ident::{ColumnName, Name, Nonce, Text};
use cohortium_protocol::quantity::{AnonymityK, Millionths};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::hierarchy::{DateLevel, HierarchyForm};
use cohortium_protocol::record::literal::{Day, Decimal};
use cohortium_protocol::record::request::{
    AggregateTerms, Asked, Closeness, CountRounding, CountTerms, Distance, Diversity, MicrodataTerms, PatientIds,
    Recoding, ReleaseColumn, ReleaseRole, Request, RequestFields,
};
use cohortium_store::seal;
use serde::Deserialize;

use crate::cli::account_file;
use crate::cli::exit::CliFault;
use crate::control::View;
use crate::home;

/// The longest request file, and the longest file of a hierarchy.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    project: Name,
    #[serde(default)]
    recipients: Vec<Name>,
    patient: ColumnName,
    member: ColumnName,
    question: String,
    microdata: Option<Microdata>,
    counts: Option<Counts>,
    aggregate: Option<Aggregate>,
}

/// Differentially private answers: what is spent, and what is declared beside the question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Aggregate {
    rho: f64,
    #[serde(default)]
    delta: f64,
    declared: Declared,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Microdata {
    k: u32,
    #[serde(default)]
    recoding: Way,
    /// For full-domain recoding: the largest share of rows that may be suppressed.
    suppression: Option<f64>,
    #[serde(default)]
    ids: Ids,
    columns: Vec<Column>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    #[default]
    Resistant,
    Local,
    FullDomain,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ids {
    #[default]
    None,
    Random,
}

/// A column with its role. What a role does not have is refused.
#[derive(Debug, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case", deny_unknown_fields)]
enum Column {
    Quasi { name: ColumnName, hierarchy: Hierarchy, missing: Option<Text> },
    Sensitive { name: ColumnName, distinct: Option<u32>, entropy: Option<f64>, t: Option<f64>, distance: Option<Far> },
    Measure { name: ColumnName, digits: i8 },
}

/// How far values are apart.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Far {
    Equal,
    Ordered,
    Hierarchy(Hierarchy),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    floor: u32,
    rounding: Option<u32>,
    dimensions: Vec<Dimension>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dimension {
    name: ColumnName,
    hierarchy: Hierarchy,
}

/// A hierarchy in one of its forms, told apart by its keys.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Hierarchy {
    Csv {
        csv: PathBuf,
        separator: Option<char>,
    },
    Table {
        table: Vec<Vec<Text>>,
    },
    Intervals {
        lower: Decimal,
        upper: Decimal,
        unit: Decimal,
        #[serde(default)]
        steps: Vec<u32>,
    },
    Dates {
        first: Day,
        last: Day,
        levels: Vec<DateLevel>,
    },
    Prefixes {
        codes: Vec<Text>,
        keep: Vec<u8>,
    },
    Tree {
        tree: Vec<(Text, Text)>,
    },
}

/// Reads a request.
pub(crate) fn read(view: &View, path: &Path) -> Result<Request, CliFault> {
    let bytes = home::read_bounded(path, FILE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| CliFault::usage("the request is not UTF-8 text"))?;
    let written: Written =
        toml::from_str(&text).map_err(|fault| CliFault::usage(format!("{}: {fault}", path.display())))?;
    request(view, written, path.parent().unwrap_or(Path::new(".")))
}

fn request(view: &View, written: Written, beside: &Path) -> Result<Request, CliFault> {
    let asked = match (written.microdata, written.counts, written.aggregate) {
        (Some(asked), None, None) => Asked::Microdata(microdata(asked, beside)?),
        (None, Some(asked), None) => Asked::Counts(counts(asked, beside)?),
        (None, None, Some(asked)) => Asked::Aggregate(aggregate(&asked)?),
        _ => return Err(CliFault::usage("a request asks for one of [microdata], [counts] and [aggregate]")),
    };
    let fields = RequestFields {
        consortium: view.consortium,
        project: written.project,
        salt: Nonce(seal::random()),
        question: written.question,
        patient: written.patient,
        member: written.member,
        asked,
        recipients: written.recipients.into_iter().collect(),
        ext: Extensions::default(),
    };
    Request::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))
}

fn aggregate(asked: &Aggregate) -> Result<AggregateTerms, CliFault> {
    let declared = serde_json::to_string(&asked.declared)
        .map_err(|_| CliFault::usage("what is declared holds a number that is none"))?;
    Ok(AggregateTerms { declared, rho: account_file::rho(asked.rho)?, delta: account_file::delta(asked.delta)? })
}

fn microdata(asked: Microdata, beside: &Path) -> Result<MicrodataTerms, CliFault> {
    let recoding = match (asked.recoding, asked.suppression) {
        (Way::FullDomain, share) => {
            Recoding::FullDomain { suppression_max: millionths("suppression", share.unwrap_or(1.0))? }
        }
        (Way::Resistant | Way::Local, Some(_)) => {
            return Err(CliFault::usage("only full-domain recoding has a limit of suppression"));
        }
        (Way::Resistant, None) => Recoding::Resistant,
        (Way::Local, None) => Recoding::Local,
    };
    let ids = match asked.ids {
        Ids::None => PatientIds::None,
        Ids::Random => PatientIds::Random,
    };
    let columns = asked.columns.into_iter().map(|column| self::column(column, beside)).collect::<Result<_, _>>()?;
    Ok(MicrodataTerms { k: AnonymityK(asked.k), recoding, columns, ids })
}

fn column(written: Column, beside: &Path) -> Result<ReleaseColumn, CliFault> {
    Ok(match written {
        Column::Quasi { name, hierarchy, missing } => {
            ReleaseColumn { name, role: ReleaseRole::Quasi { hierarchy: form(hierarchy, beside)?, missing } }
        }
        Column::Measure { name, digits } => ReleaseColumn { name, role: ReleaseRole::Measure { digits } },
        Column::Sensitive { name, distinct, entropy, t, distance } => {
            let diversity = match (distinct, entropy) {
                (None, None) => None,
                (Some(l), None) => Some(Diversity::Distinct(l)),
                (None, Some(l)) => Some(Diversity::Entropy(millionths("entropy", l)?)),
                (Some(_), Some(_)) => {
                    return Err(CliFault::usage(format!("column {name}: distinct or entropy, not both")));
                }
            };
            let closeness = match (t, distance) {
                (None, None) => None,
                (None, Some(_)) => return Err(CliFault::usage(format!("column {name}: a distance without t"))),
                (Some(t), distance) => {
                    let distance = match distance {
                        None | Some(Far::Equal) => Distance::Equal,
                        Some(Far::Ordered) => Distance::Ordered,
                        Some(Far::Hierarchy(written)) => Distance::Hierarchical(form(written, beside)?),
                    };
                    Some(Closeness { t: millionths("t", t)?, distance })
                }
            };
            ReleaseColumn { name, role: ReleaseRole::Sensitive { diversity, closeness } }
        }
    })
}

fn counts(asked: Counts, beside: &Path) -> Result<CountTerms, CliFault> {
    let one = |dimension: Dimension| Ok((dimension.name, form(dimension.hierarchy, beside)?));
    let dimensions = asked.dimensions.into_iter().map(one).collect::<Result<_, CliFault>>()?;
    let rounding = asked.rounding.map_or(CountRounding::None, CountRounding::To);
    Ok(CountTerms { dimensions, floor: asked.floor, rounding })
}

fn form(written: Hierarchy, beside: &Path) -> Result<HierarchyForm, CliFault> {
    Ok(match written {
        Hierarchy::Csv { csv, separator } => HierarchyForm::Table(lines(&beside.join(csv), separator.unwrap_or(';'))?),
        Hierarchy::Table { table } => HierarchyForm::Table(table),
        Hierarchy::Intervals { lower, upper, unit, steps } => HierarchyForm::Intervals { lower, upper, unit, steps },
        Hierarchy::Dates { first, last, levels } => HierarchyForm::Dates { first, last, levels },
        Hierarchy::Prefixes { codes, keep } => HierarchyForm::Prefixes { codes, keep },
        Hierarchy::Tree { tree } => HierarchyForm::Tree(tree),
    })
}

/// Lines of a table of levels, the leaf first, as ARX writes them.
fn lines(path: &Path, separator: char) -> Result<Vec<Vec<Text>>, CliFault> {
    let bytes = home::read_bounded(path, FILE_BYTES_MAX)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliFault::usage(format!("{} is not UTF-8 text", path.display())))?;
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim_end).enumerate().filter(|(_, line)| !line.is_empty());
    let line = |(number, line): (usize, &str)| {
        let levels = line.split(separator).map(str::parse::<Text>);
        levels
            .collect::<Result<Vec<_>, _>>()
            .map_err(|fault| CliFault::usage(format!("{} line {}: a level {fault}", path.display(), number + 1)))
    };
    lines.map(line).collect()
}

/// A number from 0 on, in millionths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be small and not negative")]
fn millionths(what: &str, number: f64) -> Result<Millionths, CliFault> {
    if (0.0..=1e9).contains(&number) {
        Ok(Millionths((number * 1e6).round() as u64))
    } else {
        Err(CliFault::usage(format!("{what} is no number from 0 on")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;

    const REQUEST: &str = r#"
        project = "stays"
        recipients = ["north"]
        patient = "person_id"
        member = "site"
        question = "SELECT 1"
        [microdata]
        k = 11
        [[microdata.columns]]
        role = "quasi"
        name = "age"
        hierarchy = { lower = "0", upper = "110", unit = "5", steps = [2, 4] }
        [[microdata.columns]]
        role = "quasi"
        name = "site"
        hierarchy = { csv = "site.csv" }
        missing = "north"
        [[microdata.columns]]
        role = "sensitive"
        name = "diagnosis"
        distinct = 3
        t = 0.25
        distance = { hierarchy = { tree = [["I21", "I"], ["J18", "J"]] } }
        [[microdata.columns]]
        role = "measure"
        name = "cost"
        digits = -2
    "#;

    #[test]
    fn a_request_is_read_with_its_hierarchies_and_a_wrong_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("site.csv"), "north;all\nsouth;all\n").unwrap();
        let read = |text: &str| {
            let written: Written = toml::from_str(text).map_err(|fault| CliFault::usage(fault.to_string()))?;
            request(&world::operator(), written, dir.path())
        };
        let asked = read(REQUEST).unwrap();
        let Asked::Microdata(asked) = &asked.asked else { unreachable!("{asked:?}") };
        assert_eq!(
            (asked.k, asked.recoding, asked.ids, asked.columns.len()),
            (AnonymityK(11), Recoding::Resistant, PatientIds::None, 4)
        );
        let ReleaseRole::Quasi { hierarchy: HierarchyForm::Table(lines), .. } = &asked.columns[1].role else {
            unreachable!("{:?}", asked.columns[1])
        };
        assert_eq!(lines.len(), 2);
        for (from, to) in [
            ("k = 11", "k = 11\nkk = 1"),
            ("k = 11", "k = 11\nsuppression = 0.5"),
            ("distinct = 3", "distinct = 3\nentropy = 2.0"),
            ("t = 0.25", ""),
            ("digits = -2", "digits = -2\nhierarchy = { csv = \"x\" }"),
            ("[microdata]", "[micro]"),
            ("k = 11", "k = 1"),
            ("site.csv", "gone.csv"),
        ] {
            assert!(read(&REQUEST.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
