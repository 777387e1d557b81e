//! A share's content as people see it: each column, what it is to privacy and what is done to it, and which rows leave.

use cohortium_protocol::record::dataset::DateFormat;
use cohortium_protocol::record::row_filter::{Bound, Passes, RowTest};
use cohortium_protocol::record::schema::{Column, Treatment};
use cohortium_protocol::record::share::{Content, Standard, TableTerms};

use crate::cli::print::{Table, visible, word};

/// Every column, also those that stay.
pub(crate) fn shown(content: &Content) -> String {
    match content {
        Content::UncheckedFiles => "Files that nobody looks into.\n".to_owned(),
        Content::Release { release } => format!("The release {release}.\n"),
        Content::Table(table) => described(table, table.columns.iter()),
    }
}

/// The columns that leave.
pub(crate) fn leaving(content: &Content) -> String {
    match content {
        Content::UncheckedFiles => "Files that nobody looked into.\n".to_owned(),
        Content::Release { release } => format!("The release {release}.\n"),
        Content::Table(table) => described(table, table.leaving()),
    }
}

fn described<'a>(terms: &TableTerms, columns: impl Iterator<Item = &'a Column>) -> String {
    let mut table = Table::new(["COLUMN", "TYPE", "ROLE", "CLASS", "OWNER", "TREATMENT", "REASON"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for each in columns {
        table.row([
            each.name.to_string(),
            word(&each.kind),
            word(&each.role),
            or_dash(each.class.map(|class| word(&class))),
            or_dash(each.owner.as_ref().map(ToString::to_string)),
            treatment(each.treatment),
            each.reason.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    let tests: Vec<String> = terms.filter.iter().map(|test| visible(&tested(test))).collect();
    let rows = if tests.is_empty() { "all".to_owned() } else { tests.join("; ") };
    let mut text = format!("{}rows: {rows}\nlinkage token: {}\n", table.to_text(), word(&terms.linkage));
    if terms.standard != Standard::None {
        text.push_str("held to: ");
        text.push_str(&word(&terms.standard));
        text.push('\n');
    }
    if !terms.small_areas.is_empty() {
        let areas: Vec<&str> =
            terms.small_areas.iter().map(cohortium_protocol::record::literal::ZipArea::as_str).collect();
        text.push_str("ZIP areas that leave as 000: ");
        text.push_str(&areas.join(" "));
        text.push('\n');
    }
    text
}

fn treatment(treatment: Treatment) -> String {
    let read = |format: DateFormat| word(&format);
    match treatment {
        Treatment::Drop | Treatment::Keep | Treatment::Pseudonym => word(&treatment),
        Treatment::Month { format } => format!("month of {}", read(format)),
        Treatment::Year { format, floor: None } => format!("year of {}", read(format)),
        Treatment::Year { format, floor: Some(floor) } => format!("year of {}, from {floor} on", read(format)),
        Treatment::Zip3 => "ZIP area".to_owned(),
        Treatment::Age90 => "age to 90".to_owned(),
        Treatment::ShiftDates { format, days_max } => format!("{} shifted by up to {days_max} days", read(format)),
        Treatment::Round(digits) => format!("rounded to {digits} digits"),
    }
}

fn tested(test: &RowTest) -> String {
    let bound = |bound: &Bound| match bound {
        Bound::Number(number) => number.to_string(),
        Bound::Day { day, .. } => day.to_string(),
    };
    let passes = match &test.passes {
        Passes::Present => "is present".to_owned(),
        Passes::OneOf(texts) => {
            let texts: Vec<&str> = texts.iter().map(cohortium_protocol::ident::Text::as_str).collect();
            format!("is one of {}", texts.join(", "))
        }
        Passes::AtLeast(least) => format!("is at least {}", bound(least)),
        Passes::AtMost(most) => format!("is at most {}", bound(most)),
    };
    format!("{} {passes}", test.column)
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::schema::{ColumnRole, ColumnType};
    use cohortium_protocol::record::share::Linkage;

    use super::*;

    #[test]
    fn a_person_sees_columns_rows_and_standard() {
        let column = |name: &str, treatment| {
            Column::new(name.parse().unwrap(), ColumnType::Text, ColumnRole::QuasiIdentifier, treatment)
        };
        let year = Treatment::Year { format: DateFormat::Iso, floor: Some(1938) };
        let columns = vec![column("zip", Treatment::Zip3), column("born", year), column("x", Treatment::Drop)];
        let test = |passes| RowTest { column: "zip".parse().unwrap(), passes };
        let at_least = Passes::AtLeast(Bound::Number("18".parse().unwrap()));
        let terms = TableTerms {
            filter: vec![test(Passes::Present), test(at_least)],
            small_areas: ["036".parse().unwrap()].into(),
            standard: Standard::HipaaSafeHarbor,
            ..TableTerms::of(columns, Linkage::None)
        };
        let seen = shown(&Content::Table(terms.clone()));
        let golden = "COLUMN  TYPE  ROLE              CLASS  OWNER  TREATMENT                  REASON\n\
                      zip     text  quasi-identifier  -      -      ZIP area\n\
                      born    text  quasi-identifier  -      -      year of iso, from 1938 on\n\
                      x       text  quasi-identifier  -      -      drop\n\
                      rows: zip is present; zip is at least 18\n\
                      linkage token: none\n\
                      held to: hipaa-safe-harbor\n\
                      ZIP areas that leave as 000: 036\n";
        assert_eq!(seen, golden);
        assert!(!leaving(&Content::Table(terms)).contains("drop"));
    }
}
