//! Why nothing was made of a release: for the privacy officer columns and levels, never a cell (law 12).

use std::error::Error;

use cohortium_anonymise::body::BodyFault;
use cohortium_anonymise::counts::CountFault;
use cohortium_anonymise::file::FileFault;
use cohortium_anonymise::lattice::LatticeFault;
use cohortium_anonymise::model::ModelFault;
use cohortium_anonymise::table::TableFault;
use cohortium_protocol::record::journal_entry::RunFault;

use crate::worker::job::ReportFault;

fn told(kind: RunFault, fault: &dyn Error) -> ReportFault {
    let mut detail = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    ReportFault { fault: kind, detail: Some(detail) }
}

impl From<TableFault> for ReportFault {
    fn from(fault: TableFault) -> Self {
        let kind = match &fault {
            TableFault::TooManyRows | TableFault::TooManyMembers => RunFault::Limit,
            TableFault::NoQuasiIdentifier | TableFault::NoColumn { .. } => RunFault::ColumnsDiffer,
            TableFault::Length { .. }
            | TableFault::Kind { .. }
            | TableFault::Null { .. }
            | TableFault::NotANumber { .. }
            | TableFault::NotInHierarchy { .. }
            | TableFault::Hierarchy { .. } => RunFault::Malformed,
        };
        told(kind, &fault)
    }
}

impl From<ModelFault> for ReportFault {
    fn from(fault: ModelFault) -> Self {
        told(RunFault::Malformed, &fault)
    }
}

impl From<LatticeFault> for ReportFault {
    fn from(fault: LatticeFault) -> Self {
        told(RunFault::Malformed, &fault)
    }
}

impl From<BodyFault> for ReportFault {
    fn from(fault: BodyFault) -> Self {
        told(RunFault::Malformed, &fault)
    }
}

impl From<CountFault> for ReportFault {
    fn from(fault: CountFault) -> Self {
        let kind = match fault {
            CountFault::TooLarge => RunFault::Limit,
            CountFault::Protection => RunFault::Malformed,
        };
        told(kind, &fault)
    }
}

impl From<FileFault> for ReportFault {
    fn from(fault: FileFault) -> Self {
        match fault {
            FileFault::Table(fault) => fault.into(),
            FileFault::Recode(fault) => fault.into(),
            FileFault::Body(fault) => fault.into(),
            FileFault::Read => told(RunFault::Malformed, &fault),
            FileFault::Write => told(RunFault::Limit, &fault),
        }
    }
}
