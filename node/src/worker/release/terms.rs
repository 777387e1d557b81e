//! A request in the engine's terms: hierarchies, roles, models, the way of recoding.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use cohortium_anonymise::encode::{QuasiRole, Roles, SensitiveRole};
use cohortium_anonymise::hierarchy::{DateStep, Dates, Hierarchy, HierarchyFault, Intervals};
use cohortium_anonymise::lattice::FullDomain;
use cohortium_anonymise::local::{Local, Value};
use cohortium_anonymise::loss::Measure;
use cohortium_anonymise::model::{Closeness, Distance, Diversity, DiversityKind, Models, Recipients};
use cohortium_anonymise::release::Mode;
use cohortium_anonymise::resistant::Resistance;
use cohortium_anonymise::table::TableFault;
use cohortium_protocol::ident::{ColumnName, Text};
use cohortium_protocol::quantity::Millionths;
use cohortium_protocol::record::hierarchy::{DateLevel, HierarchyForm};
use cohortium_protocol::record::literal::{Day, Decimal};
use cohortium_protocol::record::request::{
    Distance as AskedDistance, Diversity as AskedDiversity, MicrodataTerms, Recoding, ReleaseRole, Request,
};

/// Nodes of a lattice that a full-domain search looks at before it takes the best so far.
const LATTICE_NODES_MAX: u64 = 1 << 20;

/// A share or a number of a request as the engine computes with it.
#[expect(clippy::cast_precision_loss, reason = "millionths of small numbers")]
pub(super) fn number(of: Millionths) -> f64 {
    of.0 as f64 / 1e6
}

/// The hierarchy of a column.
pub(super) fn hierarchy(column: &ColumnName, form: &HierarchyForm) -> Result<Arc<Hierarchy>, TableFault> {
    let built = match form {
        HierarchyForm::Table(lines) => {
            Hierarchy::from_paths(lines.iter().map(|line| line.iter().map(Text::to_string).collect()).collect())
        }
        HierarchyForm::Intervals { lower, upper, unit, steps } => Hierarchy::from_intervals(&Intervals {
            lower: decimal(lower),
            upper: decimal(upper),
            unit: decimal(unit),
            steps: steps.clone(),
        }),
        HierarchyForm::Dates { first, last, levels } => dates(first, last, levels),
        HierarchyForm::Prefixes { codes, keep } => {
            let codes: Vec<&str> = codes.iter().map(Text::as_str).collect();
            Hierarchy::from_prefixes(&codes, &keep.iter().map(|keep| usize::from(*keep)).collect::<Vec<_>>())
        }
        HierarchyForm::Tree(pairs) => Hierarchy::from_tree(
            &pairs.iter().map(|(value, above)| (value.as_str(), above.as_str())).collect::<Vec<_>>(),
        ),
    };
    built.map(Arc::new).map_err(|source| TableFault::Hierarchy { column: column.to_string(), source })
}

fn decimal(of: &Decimal) -> f64 {
    // A decimal number's one spelling is a float's, too.
    of.as_str().parse().unwrap_or(f64::NAN)
}

fn dates(first: &Day, last: &Day, levels: &[DateLevel]) -> Result<Hierarchy, HierarchyFault> {
    let step = |level: &DateLevel| match level {
        DateLevel::Month => DateStep::Month,
        DateLevel::Quarter => DateStep::Quarter,
        DateLevel::Year => DateStep::Year,
        DateLevel::Decade => DateStep::Decade,
    };
    let days = Dates { first: day(first)?, last: day(last)?, steps: levels.iter().map(step).collect() };
    Hierarchy::from_dates(&days)
}

/// Days from 1970-01-01. Source: H. Hinnant, `days_from_civil`.
fn day(of: &Day) -> Result<i32, HierarchyFault> {
    let mut parts = of.as_str().split('-').map(|part| part.parse::<i32>().map_err(|_| HierarchyFault::Range));
    let mut next = || parts.next().unwrap_or(Err(HierarchyFault::Range));
    let (year, month, of_month) = (next()?, next()?, next()?);
    let year = year - i32::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + of_month - 1;
    Ok(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// What each column of microdata is.
pub(super) fn roles(request: &Request, asked: &MicrodataTerms) -> Result<Roles, TableFault> {
    let mut roles = Roles {
        patient: Some(request.patient.to_string()),
        member: Some(request.member.to_string()),
        ..Roles::default()
    };
    for column in &asked.columns {
        let name = column.name.to_string();
        match &column.role {
            ReleaseRole::Quasi { hierarchy: form, missing } => roles.quasi.push(QuasiRole {
                column: name,
                hierarchy: hierarchy(&column.name, form)?,
                missing: missing.as_ref().map(Text::to_string),
            }),
            ReleaseRole::Sensitive { closeness, .. } => {
                let tree = match closeness.as_ref().map(|closeness| &closeness.distance) {
                    Some(AskedDistance::Hierarchical(form)) => Some(hierarchy(&column.name, form)?),
                    Some(AskedDistance::Equal | AskedDistance::Ordered) | None => None,
                };
                roles.sensitive.push(SensitiveRole { column: name, tree });
            }
            ReleaseRole::Measure { .. } => roles.measures.push(name),
        }
    }
    Ok(roles)
}

/// What every class must satisfy. `recipients` are numbers of members that will receive the release.
pub(super) fn models(asked: &MicrodataTerms, k: u32, recipients: Vec<u32>) -> Models {
    let (mut diversity, mut closeness) = (Vec::new(), Vec::new());
    for column in &asked.columns {
        let ReleaseRole::Sensitive { diversity: l, closeness: t } = &column.role else { continue };
        let column = column.name.to_string();
        diversity.extend(l.as_ref().map(|l| Diversity {
            column: column.clone(),
            kind: match l {
                AskedDiversity::Distinct(l) => DiversityKind::Distinct(*l),
                AskedDiversity::Entropy(l) => DiversityKind::Entropy(number(*l)),
            },
        }));
        closeness.extend(t.as_ref().map(|closeness| Closeness {
            column: column.clone(),
            t: number(closeness.t),
            distance: match closeness.distance {
                AskedDistance::Equal => Distance::Equal,
                AskedDistance::Ordered => Distance::Ordered,
                AskedDistance::Hierarchical(_) => Distance::Hierarchical,
            },
        }));
    }
    // Also where no member receives it: a row of a patient whom two members know needs k beside them (ANON-6).
    Models { k, diversity, closeness, recipients: Some(Recipients { members: recipients }) }
}

/// How the table is recoded.
pub(super) fn mode(recoding: Recoding, models: Models) -> Mode {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    match recoding {
        Recoding::Resistant => Mode::Resistant(models, Resistance::default()),
        Recoding::Local => Mode::Local(Local { models, values: vec![Value::Balanced], threads }),
        Recoding::FullDomain { suppression_max } => Mode::FullDomain(FullDomain {
            models,
            suppression_max: number(suppression_max),
            measure: Measure::Loss,
            nodes_max: LATTICE_NODES_MAX,
            stop: None,
            threads,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        let of = |text: &str| day(&text.parse().unwrap()).unwrap();
        assert_eq!(["1970-01-01", "1969-12-31", "2000-03-01", "2024-02-29"].map(of), [0, -1, 11_017, 19_782]);
    }

    #[test]
    fn every_form_of_hierarchy_is_built_and_a_fault_names_its_column() {
        let text = |text: &str| text.parse::<Text>().unwrap();
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        let forms = [
            HierarchyForm::Table(vec![vec![text("a"), text("x")], vec![text("b"), text("x")]]),
            HierarchyForm::Intervals {
                lower: decimal("0"),
                upper: decimal("100"),
                unit: decimal("1"),
                steps: vec![10],
            },
            HierarchyForm::Dates {
                first: "2020-01-01".parse().unwrap(),
                last: "2020-12-31".parse().unwrap(),
                levels: vec![DateLevel::Month, DateLevel::Year],
            },
            HierarchyForm::Prefixes { codes: vec![text("I10"), text("I21")], keep: vec![2, 1] },
            HierarchyForm::Tree(vec![(text("a"), text("x")), (text("b"), text("x"))]),
        ];
        let column: ColumnName = "q".parse().unwrap();
        let leaves = forms.map(|form| hierarchy(&column, &form).unwrap().leaves());
        assert_eq!(leaves, [2, 100, 366, 2, 2]);
        let cycle = HierarchyForm::Tree(vec![(text("a"), text("b")), (text("b"), text("a"))]);
        assert!(matches!(hierarchy(&column, &cycle), Err(TableFault::Hierarchy { column, .. }) if column == "q"));
    }
}
