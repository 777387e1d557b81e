//! What sites are compared by: counts, missing values, units and histograms of each. Nothing but counts.

use std::collections::BTreeMap;

use cohortium_protocol::ident::Name;

use crate::gate::Measured;

/// A measure of a concept: table, field, concept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Quantity {
    /// The table.
    pub table: String,
    /// The field.
    pub field: String,
    /// The concept that is measured; 0 where there is none.
    pub concept: i64,
}

/// One site's summary. For the operator's engine only: what anybody sees is made from it by [`super::compare`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteSummary {
    /// The site.
    pub site: Name,
    /// Rows without a value and rows, by table and field.
    pub(super) missing: BTreeMap<(String, String), (u64, u64)>,
    /// Values by bin, by measure and unit.
    pub(super) values: BTreeMap<Quantity, BTreeMap<i64, BTreeMap<u16, u64>>>,
}

impl SiteSummary {
    /// The summary of what a site's gates measured.
    pub fn new(site: Name, measured: &Measured) -> Self {
        let (mut missing, mut values) = (BTreeMap::new(), BTreeMap::new());
        for table in &measured.tables {
            for (field, without) in &table.missing {
                missing.insert((table.table.clone(), field.clone()), (*without, table.rows));
            }
            for histogram in &table.histograms {
                let (table, field, concept) = (table.table.clone(), histogram.field.clone(), histogram.concept);
                let units: &mut BTreeMap<_, _> = values.entry(Quantity { table, field, concept }).or_default();
                units.insert(histogram.unit, histogram.bins.clone());
            }
        }
        Self { site, missing, values }
    }
}
