//! SQL over consolidated rows, for a person who says why: on record before it is answered, its words nowhere.

use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::order::{Command, Order};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::control::{Asked, ErrorKind, Reply};
use crate::driver::fresh::Fresh;
use crate::driver::hands::Hands;
use crate::driver::queue::Queue;
use crate::driver::release::open;
use crate::service::answer::{Answered, broken, error};
use crate::service::asked::{absolute, carry_out, claimed, other_command, refused};
use crate::service::tables;
use crate::worker::job::{Job, Report, ReportFault, Shape};

/// Rows of an answer for a screen.
pub(crate) const SCREEN_ROWS_MAX: u64 = 10_000;
/// Rows of an answer in a file.
const FILE_ROWS_MAX: u64 = 100_000_000;
/// How long a question may take.
const DEADLINE: Duration = Duration::from_mins(10);

/// Answers a question that its order names by digest.
pub(super) async fn answer(queue: &Queue, hands: &Arc<Hands>, order: Box<Signed<Order>>, asked: Asked) -> Answered {
    let (consortium, command) = claimed(&order)?;
    let Asked { question, reason, salt, rows_max, path } = asked;
    if command != Command::query(&salt, &question, &reason) {
        return Err(other_command());
    }
    if reason.trim().is_empty() {
        return Err(error(ErrorKind::Refused, "no row is shown without a reason"));
    }
    let path = path.as_deref().map(absolute).transpose()?;
    let shape = match path.as_ref().map(|path| path.extension().and_then(|ending| ending.to_str())) {
        None => None,
        Some(Some("parquet")) => Some(Shape::Parquet),
        Some(Some("csv")) => Some(Shape::Csv),
        Some(_) => {
            return Err(error(ErrorKind::Usage, "the answer is written to a path that ends in .parquet or .csv"));
        }
    };
    carry_out(queue, order).await?;
    let tables = tables::in_use(queue, consortium).await?;
    let own = Arc::clone(hands);
    let named = question.clone();
    let opened = spawn_blocking(move || {
        let schema = tables.schema().map_err(|fault| refused(&fault))?;
        let (tables, mut files) =
            open(&own, &tables.consolidation, &schema, None, &named).map_err(|fault| refused(&fault))?;
        let fresh = match &path {
            None => None,
            Some(path) => {
                let (fresh, into) = Fresh::file(path).map_err(|fault| error(ErrorKind::Usage, fault))?;
                files.push(into.into());
                Some(fresh)
            }
        };
        Ok::<_, Reply>((tables, files, fresh))
    });
    let (tables, files, fresh) = opened.await.map_err(|_| broken())??;
    let rows_max = rows_max.min(if fresh.is_some() { FILE_ROWS_MAX } else { SCREEN_ROWS_MAX });
    let job = Job::Query { question, tables, rows_max, shape };
    let report = timeout(DEADLINE, hands.pool.run(job, files)).await;
    let report = report.unwrap_or_else(|_| Err(ReportFault::of(RunFault::Limit))).map_err(|fault| refused(&fault))?;
    let Report::Answered { answer, rows } = report else { return Err(broken()) };
    match fresh {
        None => Ok(Reply::Rows { header: answer.header, rows: answer.rows, dropped: vec![], recipients: vec![] }),
        Some(fresh) => {
            fresh.place().map_err(|fault| error(ErrorKind::Usage, fault))?;
            Ok(Reply::Count { rows: rows.0 })
        }
    }
}
