//! Publishing: the parts of consolidated tables, read as one table each, into a PostgreSQL, whole or not at all.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cohortium_database::land::{Absent, LandFault, Landing, Target};
use cohortium_database::query::TableName;
use cohortium_database::stream::Stream;
use cohortium_engine::consolidate::numbered::Numbering;
use cohortium_engine::consolidate::union::TableReader;
use cohortium_engine::limits::Limits;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::publish_place::{AbsentTable, WrittenIds};

use crate::worker::draw;
use crate::worker::files::Files;
use crate::worker::job::{PublishOrder, PublishedTable, Report, ReportFault};
use crate::worker::mapping::schema_of;

/// Lands every table in one transaction.
pub(super) fn published(order: PublishOrder, files: &mut Files) -> Result<Report, ReportFault> {
    let PublishOrder { sign_on, schema, absent, ids, common, tables } = order;
    let stream = Stream::try_from(OwnedFd::from(files.next()?)).map_err(|_| ReportFault::LOST)?;
    let mut readers = Vec::with_capacity(tables.len());
    for table in &tables {
        readers.push(reader(table, files)?);
    }
    let absent = match absent {
        AbsentTable::Refuse => Absent::Refuse,
        AbsentTable::Create => Absent::Create,
    };
    let mut targets = Vec::with_capacity(tables.len());
    for (table, reader) in tables.iter().zip(&readers) {
        // The row's id and what follows the schema's columns are of our own tables.
        let columns = reader.schema().project(&own(table)).map_err(|_| ReportFault::LOST)?;
        let name = TableName { schema: schema.clone(), table: table.shape.table().to_string() };
        targets.push(Target { table: name, schema: Arc::new(columns), absent });
    }
    let (limits, login) = (draw::limits(&sign_on), draw::login(sign_on));
    let names: Vec<_> = tables.iter().map(|table| table.shape.table().as_str()).collect();
    let told = |fault: LandFault| told(&fault, &names);
    let common = schema_of(common.as_deref())?;
    let mut numbering = match ids {
        WrittenIds::Whole => None,
        WrittenIds::Numbered => Some(Numbering::new(&common, names.iter().copied())),
    };
    let mut landing = Landing::begin(stream, &login, &limits, &targets).map_err(told)?;
    for (target, (table, reader)) in tables.iter().zip(&mut readers).enumerate() {
        let own = own(table);
        while let Some(batch) = reader.next_batch().map_err(|fault| ReportFault::told(&fault))? {
            let mut batch = batch.project(&own).map_err(|_| ReportFault::LOST)?;
            if let Some(numbering) = &mut numbering {
                batch = numbering.number(names[target], &batch).map_err(|fault| ReportFault::told(&fault))?;
            }
            landing.write(target, &batch).map_err(told)?;
        }
    }
    landing.commit().map_err(told)?;
    Ok(Report::Published)
}

fn reader(table: &PublishedTable, files: &mut Files) -> Result<TableReader, ReportFault> {
    let mut parts = BTreeMap::new();
    for (member, sealed) in &table.parts {
        let opened = sealed.iter().map(|file| files.sealed(file)).collect::<Result<Vec<_>, _>>()?;
        parts.insert(member.clone(), opened);
    }
    TableReader::open(&table.shape, &parts, &Limits::default()).map_err(|fault| ReportFault::told(&fault))
}

/// The places of the common schema's columns in a consolidated table.
fn own(table: &PublishedTable) -> Vec<usize> {
    (1..=table.shape.columns().len()).collect()
}

fn told(fault: &LandFault, names: &[&str]) -> ReportFault {
    let named = |target: &usize| names.get(*target).copied().unwrap_or("?");
    match fault {
        LandFault::Database(fault) => draw::told(fault),
        LandFault::NoSuchTable { target } => ReportFault {
            fault: RunFault::ColumnsDiffer,
            detail: Some(format!("table {} is not there; --create makes it", named(target))),
        },
        LandFault::NoSuchColumn { .. }
        | LandFault::Missing { .. }
        | LandFault::ColumnName { .. }
        | LandFault::Mismatch { .. }
        | LandFault::NoType { .. } => ReportFault { fault: RunFault::ColumnsDiffer, detail: Some(fault.to_string()) },
        LandFault::Cell { target, fault } => {
            ReportFault { fault: RunFault::Malformed, detail: Some(format!("table {}, {fault}", named(target))) }
        }
        LandFault::CommitUnknown => ReportFault { fault: RunFault::Unsettled, detail: Some(fault.to_string()) },
        LandFault::Count { .. } => ReportFault { fault: RunFault::Malformed, detail: Some(fault.to_string()) },
        LandFault::Schema { .. } | LandFault::Lost => ReportFault::LOST,
    }
}
