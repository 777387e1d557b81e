//! The office: what each request on the control socket comes to.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cohortium_engine::policy::opt_out_id;
use cohortium_protocol::ident::{ConsortiumId, DatasetId, ShareId};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::order::{Command, OptOutEntry, Order};
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use cohortium_protocol::record::share::Content;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::control::{ErrorKind, Reply, Request};
use crate::driver::draw::{Depth, Drawn, draw};
use crate::driver::hands::Hands;
use crate::driver::meter::Meter;
use crate::driver::queue::Queue;
use crate::driver::run::{self, What};
use crate::driver::{entry, files, landed, sets, told as kept};
use crate::home::Home;
use crate::offline::{export, import};
use crate::service::answer::{Answered, Out, broken, error, no_consortium, stopping};
use crate::service::asked::{absolute, carry_out, claimed, other_command, refused};
use crate::service::net::Dialler;
use crate::service::progress::told;
use crate::service::{checked, history, mapped, question, release, tables, verify};
use crate::view;
use crate::worker::job::{Job, Report, ReportFault, SealedFile};

/// What requests are answered with.
pub(crate) struct Office {
    pub(crate) home: Home,
    pub(crate) queue: Queue,
    pub(crate) hands: Arc<Hands>,
    pub(crate) dialler: Dialler,
    pub(crate) preview_rows_max: u32,
    pub(crate) shutdown: watch::Sender<bool>,
}

impl Office {
    /// Ends the daemon.
    pub(crate) fn end(&self) {
        self.shutdown.send_replace(true);
    }

    /// The last line of an answer; lines of progress may go to `out` before.
    pub(crate) async fn answer(&self, request: Request, out: &mut Out) -> Reply {
        let answered = match request {
            Request::Ping => Ok(Reply::Pong { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() }),
            Request::View => self.queue.look(view::views).await.map(Reply::View).ok_or_else(stopping),
            Request::Order(order) => self.order(order).await.map(|()| Reply::Done),
            Request::Preview { order, rows } => self.preview(order, rows).await,
            Request::Checkout { order, path } => self.checkout(order, &path, out).await,
            Request::Count { order } => self.count(order).await,
            Request::Profile { order, source } => self.profile(order, source).await,
            Request::OptOutEntry { consortium, dataset, patient } => {
                self.opt_out_entry(consortium, dataset, patient).await
            }
            Request::History { consortium, from, limit, about } => {
                history::run(&self.hands, history::Wanted { consortium, from, limit, about }).await
            }
            Request::Find { consortium, id } => {
                let (limit, about) = (history::HISTORY_ENTRIES_MAX, Some(id));
                history::run(&self.hands, history::Wanted { consortium, from: 0, limit, about }).await
            }
            Request::MappingFault { order } => mapped::fault(&self.queue, &self.hands, order).await,
            Request::PublicationFault { order } => tables::fault(&self.queue, &self.hands, order).await,
            Request::ExportTables { order, folder } => {
                tables::export(&self.queue, &self.hands, order, &folder, out).await
            }
            Request::VocabularyFault => Ok(Reply::Told { message: self.hands.told.last(&kept::About::Vocabulary) }),
            Request::CommonSchema { consortium } => mapped::common_schema(&self.queue, consortium).await,
            Request::MappingReport { order } => mapped::report(&self.queue, &self.hands, order).await,
            Request::Quarantine { order, path } => mapped::quarantine(&self.queue, &self.hands, order, &path).await,
            Request::CheckMapping { order, again } => checked::mapping(&self.queue, &self.hands, order, again).await,
            Request::CheckTables { order, thresholds } => {
                checked::member(&self.queue, &self.hands, order, thresholds.as_deref()).await
            }
            Request::CompareSites { order } => checked::compare(&self.queue, &self.hands, order).await,
            Request::Query { order, asked } => question::answer(&self.queue, &self.hands, order, asked).await,
            Request::RequestRelease { order, request } => {
                release::request(&self.queue, &self.hands, order, *request).await
            }
            Request::ReleaseFault { consortium, release } => {
                release::fault(&self.queue, &self.hands, consortium, release).await
            }
            Request::ReleaseReport { order, release, salt } => {
                release::report(&self.queue, &self.hands, order, release, salt).await
            }
            Request::Explore { order, request, reason, salt } => {
                release::explore(&self.queue, &self.hands, order, (*request, reason, salt)).await
            }
            Request::Export { order, folder } => self.export(order, PathBuf::from(folder), out).await,
            Request::Import { order, folder } => self.import(order, PathBuf::from(folder), out).await,
            Request::Enter { consortium } => self.enter(consortium).await,
            Request::Verify => verify::run(&self.queue, &self.hands, &self.home, out).await,
            Request::Shutdown => Ok(Reply::Done),
        };
        answered.unwrap_or_else(|reply| reply)
    }

    async fn order(&self, order: Box<Signed<Order>>) -> Result<(), Reply> {
        carry_out(&self.queue, order).await
    }

    async fn preview(&self, order: Box<Signed<Order>>, rows: u32) -> Answered {
        let (consortium, command) = claimed(&order)?;
        let Command::Preview { share } = command else { return Err(other_command()) };
        self.order(order).await?;
        let found = self.previewed(consortium, share).await?;
        let rows = rows.min(self.preview_rows_max);
        let recipients = found.share.consumers.iter().cloned().collect();
        if found.share.content == Content::UncheckedFiles {
            return preview_files(&found.dataset.source, rows, recipients).await;
        }
        let drawn = draw(&self.hands, &found.dataset.source, Depth::Head(PREVIEW_ROWS_DRAWN)).await;
        let drawn = drawn.map_err(|fault| refused(&fault))?;
        let hands = Arc::clone(&self.hands);
        let opened = spawn_blocking(move || {
            let (sealed, source) = match (&found.set, &found.dataset.source) {
                _ if drawn.is_some() => opened(drawn.as_ref())?,
                (Some(set), Source::Mapped { table, .. }) => {
                    let opened = sets::open_table(&hands, *set, table);
                    let (sealed, file) = opened.map_err(|fault| refused(&ReportFault::of(fault)))?;
                    (Some(sealed), file)
                }
                (_, source) => (None, open(source)?.0.into()),
            };
            let what = What {
                consortium,
                share: &found.share,
                dataset: &found.dataset,
                opted_out: &found.opted_out,
                epoch: found.epoch,
            };
            let terms = run::terms(&hands, &what).map_err(|fault| refused(&ReportFault::of(fault)))?;
            Ok::<_, Reply>((sealed, source, terms))
        });
        let (sealed, source, terms) = opened.await.unwrap_or_else(|_| Err(broken()))?;
        let job = Job::Preview { terms: Box::new(terms), source: sealed, rows };
        match self.hands.pool.run(job, vec![source]).await {
            Ok(Report::Previewed(seen)) => {
                let dropped = seen.dropped.into_iter().map(String::from).collect();
                Ok(Reply::Rows { header: seen.header, rows: seen.rows, dropped, recipients })
            }
            Ok(_) => Err(broken()),
            Err(fault) => Err(refused(&fault)),
        }
    }

    async fn previewed(&self, consortium: ConsortiumId, share: ShareId) -> Result<Previewed, Reply> {
        let looked = self.queue.look(move |endpoint| {
            let (dataset, share) = endpoint.preview(consortium, share)?;
            let state = endpoint.state(consortium)?;
            let binding = state.charters.binding(&state.party);
            let set = endpoint.set_of(consortium, share.share);
            Some(set.map(|set| Previewed {
                set: set.map(|set| set.listing),
                dataset: dataset.clone(),
                share: share.clone(),
                opted_out: endpoint.opted_out(consortium, dataset.dataset),
                epoch: binding.and_then(|version| version.charter.linkage.as_ref()).map(|linkage| linkage.epoch),
            }))
        });
        let found = looked.await.ok_or_else(stopping)?;
        let found = found.ok_or_else(|| error(ErrorKind::NotFound, "there is no such share"))?;
        found.map_err(|fault| refused(&ReportFault::of(fault)))
    }

    async fn landed(&self, order: Box<Signed<Order>>) -> Result<Vec<BlobRef>, Reply> {
        let (consortium, command) = claimed(&order)?;
        let Command::ReadLanded { subscription } = command else { return Err(other_command()) };
        self.order(order).await?;
        let looked = self.queue.look(move |endpoint| endpoint.landed(consortium, subscription));
        let version = looked.await.ok_or_else(stopping)?;
        let version =
            version.ok_or_else(|| error(ErrorKind::NotFound, "no version of this subscription has landed"))?;
        Ok(version.listings)
    }

    async fn checkout(&self, order: Box<Signed<Order>>, path: &str, out: &mut Out) -> Answered {
        let path = absolute(path)?;
        let listings = self.landed(order).await?;
        let meter = Meter::default();
        match told(out, &meter, landed::checkout(&self.hands, listings, path, &meter)).await {
            Ok(_) => Ok(Reply::Done),
            Err(fault @ (landed::CheckoutFault::Ending | landed::CheckoutFault::Io(_))) => {
                Err(error(ErrorKind::Usage, fault))
            }
            Err(fault @ (landed::CheckoutFault::Worker(_) | landed::CheckoutFault::Blob(_))) => {
                Err(error(ErrorKind::Local, fault))
            }
        }
    }

    async fn count(&self, order: Box<Signed<Order>>) -> Answered {
        let listings = self.landed(order).await?;
        let rows = landed::count(&self.hands, listings).await.map_err(|fault| refused(&fault))?;
        Ok(Reply::Count { rows: rows.0 })
    }

    async fn export(&self, order: Box<Signed<Order>>, folder: PathBuf, out: &mut Out) -> Answered {
        let (consortium, command) = claimed(&order)?;
        let Command::Export { subscription } = command else { return Err(other_command()) };
        export::may_become(&folder)?;
        self.order(order).await?;
        export::run(&self.hands, export::Export { consortium, subscription, folder }, out).await
    }

    async fn import(&self, order: Box<Signed<Order>>, folder: PathBuf, out: &mut Out) -> Answered {
        let (consortium, command) = claimed(&order)?;
        let Command::Import { provider } = command else { return Err(other_command()) };
        self.order(order).await?;
        let meter = Meter::default();
        let import = import::Import { consortium, provider, folder, meter: meter.clone() };
        told(out, &meter, import::run(&self.hands, import)).await
    }

    async fn profile(&self, order: Box<Signed<Order>>, source: Source) -> Answered {
        let (_, command) = claimed(&order)?;
        let Command::Profile = command else { return Err(other_command()) };
        self.order(order).await?;
        if let Source::Files { folder } = &source {
            let folder = PathBuf::from(folder.as_str());
            let looked = spawn_blocking(move || files::look(&folder, 0)).await.map_err(|_| broken())?;
            return looked.map(|_| Reply::Columns(Vec::new())).map_err(|fault| error(ErrorKind::Refused, fault));
        }
        let drawn = draw(&self.hands, &source, Depth::Head(0)).await.map_err(|fault| refused(&fault))?;
        let from = source.clone();
        let opened = spawn_blocking(move || match &drawn {
            Some(_) => opened(drawn.as_ref()),
            None => Ok((None, open(&from)?.0.into())),
        });
        let (sealed, file) = opened.await.unwrap_or_else(|_| Err(broken()))?;
        match self.hands.pool.run(Job::Profile { source, sealed }, vec![file]).await {
            Ok(Report::Profiled(columns)) => Ok(Reply::Columns(columns.into_iter().map(proposed).collect())),
            Ok(_) => Err(broken()),
            Err(fault) => Err(refused(&fault)),
        }
    }

    async fn opt_out_entry(&self, consortium: ConsortiumId, dataset: DatasetId, patient: String) -> Answered {
        let looked = self.queue.look(move |endpoint| {
            endpoint.state(consortium).is_some_and(|state| state.datasets.contains_key(&dataset))
        });
        if !looked.await.ok_or_else(stopping)? {
            return Err(error(ErrorKind::NotFound, "there is no such dataset"));
        }
        let place = self.hands.place(&consortium).ok_or_else(no_consortium)?;
        let hands = Arc::clone(&self.hands);
        let key = spawn_blocking(move || hands.keys.rows(place.kind, &consortium)).await.map_err(|_| broken())?;
        let key = key.map_err(|fault| error(ErrorKind::Local, fault))?;
        Ok(Reply::OptOutEntry(OptOutEntry(opt_out_id(&key, &patient))))
    }

    async fn enter(&self, consortium: ConsortiumId) -> Answered {
        if self.hands.place(&consortium).is_some() {
            return Ok(Reply::Done);
        }
        let memberships = self.home.memberships().map_err(|fault| error(ErrorKind::Local, fault))?;
        let membership = memberships.into_iter().find(|found| found.consortium == consortium);
        let membership = membership.ok_or_else(no_consortium)?;
        let (hands, home, file) = (Arc::clone(&self.hands), self.home.clone(), membership.clone());
        let opened = spawn_blocking(move || entry::open(&home, &hands.keys, &file)).await.map_err(|_| broken())?;
        let opened = opened.map_err(|fault| error(ErrorKind::Local, fault))?;
        entry::announce(&self.queue, &self.hands, opened).await;
        self.dialler.dial(&membership);
        Ok(Reply::Done)
    }
}

/// Rows that are drawn of a source for a preview: enough to find some that leave.
const PREVIEW_ROWS_DRAWN: u64 = 10_000;

/// What was drawn. Its file stays open without its name.
fn opened(drawn: Option<&Drawn>) -> Result<(Option<SealedFile>, OwnedFd), Reply> {
    let (sealed, file) = drawn.ok_or_else(broken)?.open().map_err(|fault| refused(&ReportFault::of(fault)))?;
    Ok((Some(sealed), file))
}

/// A share as a preview needs it.
struct Previewed {
    dataset: cohortium_protocol::record::dataset::Dataset,
    share: cohortium_protocol::record::share::Share,
    opted_out: Vec<OptOutEntry>,
    epoch: Option<u32>,
    set: Option<BlobRef>,
}

fn open(source: &Source) -> Result<(std::fs::File, files::FileStamp), Reply> {
    let path = source.path().ok_or_else(|| error(ErrorKind::Usage, "a mapped table has no file to look at"))?.as_str();
    files::open_plain(Path::new(path)).map_err(|errno| {
        let why = std::io::Error::from(errno);
        error(ErrorKind::NotFound, format_args!("{path:?} is no plain file that this node can read: {why}"))
    })
}

async fn preview_files(source: &Source, rows: u32, recipients: Vec<cohortium_protocol::ident::Name>) -> Answered {
    let path = source.path().ok_or_else(broken)?;
    let (folder, rows) = (PathBuf::from(path.as_str()), usize::try_from(rows).unwrap_or(usize::MAX));
    let looked = spawn_blocking(move || files::look(&folder, rows)).await.map_err(|_| broken())?;
    let names = looked.map_err(|fault| error(ErrorKind::Refused, fault))?;
    let rows = names.into_iter().map(|path| vec![Some(path)]).collect();
    Ok(Reply::Rows { header: vec!["path".to_owned()], rows, dropped: Vec::new(), recipients })
}

/// A profiled column as a person finds it in a new share: identifiers and free text stay until somebody says otherwise.
fn proposed(column: cohortium_engine::profile::ProfiledColumn) -> Column {
    let stays = matches!(column.role, ColumnRole::DirectIdentifier | ColumnRole::FreeText) || column.kind.is_none();
    let treatment = if stays { Treatment::Drop } else { Treatment::Keep };
    let kind = column.kind.unwrap_or(ColumnType::Other);
    Column { class: column.class, ..Column::new(column.name, kind, column.role, treatment) }
}
