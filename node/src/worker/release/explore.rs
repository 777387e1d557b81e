//! What a request would cost and risk for several k and ways of recoding: for the operator's privacy officer alone (law 8).

use cohortium_anonymise::loss::Losses;
use cohortium_anonymise::seed::Seed;
use cohortium_protocol::quantity::Millionths;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::request::{Asked, Recoding};
use cohortium_protocol::wire::codec::Blob;
use serde_json::json;

use crate::worker::files::Files;
use crate::worker::job::{QueryRows, Report, ReportFault};
use crate::worker::release::attacks::{self, Attacked};
use crate::worker::release::{ReleaseOrder, microdata, report, rows, terms};

/// The k that are tried, beside the one that is asked for.
const KS: [u32; 5] = [5, 11, 20, 50, 100];

/// The ways that are tried.
const WAYS: [Recoding; 3] =
    [Recoding::Resistant, Recoding::Local, Recoding::FullDomain { suppression_max: Millionths(1_000_000) }];

pub(in crate::worker) fn explored(
    order: &ReleaseOrder,
    tables: Vec<QueryRows>,
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let Asked::Microdata(asked) = &order.request.asked else {
        let detail = Some("only microdata is explored".to_owned());
        return Err(ReportFault { fault: RunFault::Malformed, detail });
    };
    let tables = rows::opened(tables, files)?;
    let batches = rows::gathered(&order.request, order.schema.as_deref(), &tables)?;
    let prepared = microdata::prepare(&order.request, asked, &batches)?;
    let table = &prepared.encoded.table;
    let mut ks: Vec<u32> = KS.iter().copied().chain([asked.k.0]).collect();
    ks.sort_unstable();
    ks.dedup();
    let mut points = Vec::new();
    for recoding in WAYS {
        for k in &ks {
            let numbers = prepared.recipients.iter().map(|(_, number)| *number).collect();
            let models = terms::models(asked, *k, numbers);
            let mode = terms::mode(recoding, models.clone());
            let recoded = microdata::recode(table, &mode, &Seed(order.seed.0))?;
            let recipients = &prepared.recipients;
            let attacked = Attacked { table, recoding: &recoded, models: &models, asked, recipients };
            let found = attacks::on_microdata(&attacked)?;
            points.push(json!({
                "recoding": serde_json::to_value(recoding).unwrap_or_default(),
                "k": k,
                "measures": report::measures(&attacked, &Losses::of(table, &recoded)),
                "attacks": report::attacks(&found),
                "stood": found.iter().all(|found| !found.fell()),
            }));
        }
    }
    let all = json!({"asked": {"k": asked.k.0, "recoding": asked.recoding}, "points": points});
    Ok(Report::Explored(Blob(all.to_string().into_bytes())))
}
