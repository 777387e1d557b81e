//! What is told of one table: its version, its columns, the files of a version, what changed.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, Uri};
use cohortium_protocol::time::{Seconds, UnixMillis};

use crate::api::caller::{Caller, Names};
use crate::api::{Sharing, answer, length};
use crate::ask::{self, Parameters, Query, Span};
use crate::capabilities::{self, Capabilities, Format};
use crate::catalogue::{DataFile, Table, Version};
use crate::ground::Accessed;
use crate::lines::{self, Act, Dated, FileLine};
use crate::link::Claims;
use crate::moment;
use crate::page::List;
use crate::profile::PREFIX;
use crate::refusal::Refusal;

type Answer = Result<Response<Body>, Refusal>;

/// The header that tells a table's version. Clients refuse an answer without it.
const VERSION_HEADER: &str = "delta-table-version";

pub(crate) async fn version(State(sharing): State<Arc<Sharing>>, caller: Caller, names: Names<3>, uri: Uri) -> Answer {
    let table = caller.table(&sharing, &names.table())?;
    let version = match Parameters::of(&uri)?.text("startingTimestamp") {
        None => table.latest(),
        Some(text) => {
            let time = moment::read(text).ok_or(Refusal::Malformed("startingTimestamp is no timestamp"))?;
            table.from_time(time).ok_or(Refusal::Malformed("the table has no version since then"))?
        }
    };
    let mut response = answer("application/json; charset=utf-8", Body::empty());
    response.headers_mut().insert(HeaderName::from_static(VERSION_HEADER), HeaderValue::from(version.number));
    sharing.record(caller.recipient.id, told(&table, version.number), 0).await?;
    Ok(response)
}

pub(crate) async fn metadata(
    State(sharing): State<Arc<Sharing>>,
    caller: Caller,
    names: Names<3>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let said = Capabilities::of(&headers)?;
    let table = caller.table(&sharing, &names.table())?;
    let parameters = Parameters::of(&uri)?;
    let (number, time) = (parameters.number("version")?, parameters.text("timestamp"));
    let version = ask::version_of(&table, number, time)?;
    let since = (number.is_some() || time.is_some()).then_some(version.number);
    let told = Told { table: &table, version: version.number, said: Capabilities { end_wanted: false, ..said } };
    let line = lines::metadata(said.format, &table, version, since).to_string();
    told.written(&sharing, &caller, vec![line], None).await
}

pub(crate) async fn query(
    State(sharing): State<Arc<Sharing>>,
    caller: Caller,
    names: Names<3>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let said = Capabilities::of(&headers)?;
    let table = caller.table(&sharing, &names.table())?;
    let query = Query::read(&body)?;
    let asker = Asker { sharing: &sharing, caller: &caller, table: &table, said };
    if let Some(first) = query.starting_version {
        if query.version.is_some() || query.timestamp.is_some() {
            return Err(Refusal::Malformed("version, timestamp and startingVersion exclude each other"));
        }
        let span = ask::span(&table, first, query.ending_version)?;
        let pages = Pages { most: query.max_files, token: query.page_token.as_deref(), path: uri.path() };
        return asker.changes(span, History::Told, &pages).await;
    }
    asker.files(&query, uri.path()).await
}

pub(crate) async fn changes(
    State(sharing): State<Arc<Sharing>>,
    caller: Caller,
    names: Names<3>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let said = Capabilities::of(&headers)?;
    let table = caller.table(&sharing, &names.table())?;
    let parameters = Parameters::of(&uri)?;
    let span = ask::span_of(&table, &parameters)?;
    let history = if parameters.flag("includeHistoricalMetadata")? { History::Told } else { History::Left };
    let token = parameters.text("pageToken");
    let pages = Pages { most: parameters.number("maxFiles")?, token, path: uri.path() };
    let asker = Asker { sharing: &sharing, caller: &caller, table: &table, said };
    asker.changes(span, history, &pages).await
}

/// Whether a change feed tells the columns of each version in which they changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum History {
    Told,
    Left,
}

/// Which part of an answer's files is asked for.
struct Pages<'a> {
    most: Option<u64>,
    token: Option<&'a str>,
    path: &'a str,
}

/// Somebody who asks for files of a table.
struct Asker<'a> {
    sharing: &'a Sharing,
    caller: &'a Caller,
    table: &'a Table,
    said: Capabilities,
}

impl Asker<'_> {
    /// The files of one version.
    async fn files(&self, query: &Query, path: &str) -> Answer {
        let pages = Pages { most: query.max_files, token: query.page_token.as_deref(), path };
        let begun = self.begun(&pages)?;
        let version = match begun {
            // The pages of an answer are of one version, also when another one comes in between.
            Some((number, _)) => self.table.version(number).ok_or(Refusal::NotFound)?,
            None => ask::version_of(self.table, query.version, query.timestamp.as_deref())?,
        };
        let dated = if query.version.is_some() || query.timestamp.is_some() { Dated::Yes } else { Dated::No };
        let files: Vec<FileLine> = limited(&version.files, query.limit_hint)
            .iter()
            .map(|file| FileLine { dated, ..self.line(Act::File, version, version, *file) })
            .collect();
        let head = vec![lines::metadata(
            self.said.format,
            self.table,
            version,
            (dated == Dated::Yes).then_some(version.number),
        )];
        self.paged(version.number, head, files, begun.map_or(0, |(_, from)| from), &pages).await
    }

    /// What came and what went, in the versions of a span.
    async fn changes(&self, span: Span, history: History, pages: &Pages<'_>) -> Answer {
        let found = self.table.changes(span.first, span.last);
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return Err(Refusal::NotFound) };
        // A reader that is told the history begins with the first columns; the others see all columns there are now. Some
        // look for them in the version that they asked for, also where that was withdrawn.
        let columns_of = if history == History::Told { first.to } else { last.to };
        let mut head = vec![lines::metadata(self.said.format, self.table, columns_of, Some(span.first))];
        if history == History::Told {
            let changed = found.windows(2).filter(|pair| pair[0].to.columns != pair[1].to.columns);
            let changed = changed.map(|pair| pair[1].to);
            head.extend(changed.map(|to| lines::metadata(self.said.format, self.table, to, Some(to.number))));
        }
        let mut files = Vec::new();
        for change in &found {
            files.extend(change.removed.iter().map(|(had, file)| self.line(Act::Remove, had, change.to, *file)));
            files.extend(change.added.iter().map(|file| self.line(Act::Add, change.to, change.to, *file)));
        }
        let begun = self.begun(pages)?;
        if begun.is_some_and(|(number, _)| number != first.to.number) {
            return Err(Refusal::Malformed(NO_PAGE));
        }
        self.paged(first.to.number, head, files, begun.map_or(0, |(_, from)| from), pages).await
    }

    /// A file of the version `had`, as a line of the version `of`.
    fn line(&self, act: Act, had: &Version, of: &Version, file: DataFile) -> FileLine {
        let expires = self.expires();
        let recipient = &self.caller.recipient;
        let claims =
            Claims { recipient: recipient.id, table: self.table.id, version: had.number, file: file.digest, expires };
        let link = claims.sign(&self.sharing.key, &recipient.token);
        // Delta's own reader takes an address for signed when its query has this field, and adds nothing to it.
        let signed = if self.said.format == Format::Delta { "?sp=r" } else { "" };
        let url = format!("{}{PREFIX}/files/{link}.parquet{signed}", self.sharing.base);
        FileLine { act, file, url, expires, version: of.number, released: of.released, dated: Dated::Yes }
    }

    /// Until when links of this answer are good: never longer than the token.
    fn expires(&self) -> UnixMillis {
        let life = Seconds(self.sharing.limits.link_life.as_secs());
        self.sharing.ground.now().plus(life).min(self.caller.recipient.expires)
    }

    fn list<'a>(&'a self, pages: &Pages<'a>) -> List<'a> {
        List { key: &self.sharing.key, recipient: self.caller.recipient.id, name: pages.path }
    }

    /// The version and the place that a page token names.
    fn begun(&self, pages: &Pages<'_>) -> Result<Option<(u64, usize)>, Refusal> {
        let Some(token) = pages.token.filter(|token| !token.is_empty()) else { return Ok(None) };
        let place = self.list(pages).place(token);
        let read = place.as_deref().and_then(|place| place.split_once('.'));
        let read = read.and_then(|(version, from)| Some((version.parse().ok()?, from.parse().ok()?)));
        read.map(Some).ok_or(Refusal::Malformed(NO_PAGE))
    }

    /// One page of files, behind the lines that every page has.
    async fn paged(
        &self,
        version: u64,
        head: Vec<serde_json::Value>,
        files: Vec<FileLine>,
        from: usize,
        pages: &Pages<'_>,
    ) -> Answer {
        let bound = self.sharing.limits.files_max;
        let asked = pages.most.map(|most| usize::try_from(most.max(1)).unwrap_or(bound).min(bound));
        let left = files.len().saturating_sub(from);
        if asked.is_none() && left > bound {
            return Err(Refusal::Malformed("the answer has too many files for one page; ask with maxFiles"));
        }
        let most = asked.unwrap_or(bound);
        let mut texts: Vec<String> = head.iter().map(ToString::to_string).collect();
        let shown = files.iter().skip(from).take(most);
        texts.extend(shown.map(|line| lines::file(self.said.format, line).to_string()));
        let next = (left > most).then(|| self.list(pages).token(&format!("{version}.{}", from + most)));
        // A client that did not ask for this line cannot read it.
        let end =
            (self.said.end_wanted || asked.is_some()).then(|| lines::end(next.as_deref(), self.expires()).to_string());
        Told { table: self.table, version, said: self.said }.written(self.sharing, self.caller, texts, end).await
    }
}

const NO_PAGE: &str = "the page token is none of this query";

/// As many files as hold so many rows.
fn limited(files: &[DataFile], rows: Option<u64>) -> &[DataFile] {
    let Some(rows) = rows else { return files };
    let mut held = 0_u64;
    let enough = files.iter().take_while(|file| {
        let wanted = held < rows;
        held = held.saturating_add(file.rows);
        wanted
    });
    &files[..enough.count()]
}

fn told(table: &Table, version: u64) -> Accessed {
    Accessed::Table { table: table.name.clone(), version }
}

/// An answer of lines about a table.
struct Told<'a> {
    table: &'a Table,
    version: u64,
    said: Capabilities,
}

impl Told<'_> {
    async fn written(&self, sharing: &Sharing, caller: &Caller, rest: Vec<String>, end: Option<String>) -> Answer {
        let mut text = lines::protocol(self.said.format).to_string();
        for line in rest.into_iter().chain(end) {
            text.push('\n');
            text.push_str(&line);
        }
        text.push('\n');
        sharing.record(caller.recipient.id, told(self.table, self.version), length(&text)).await?;
        let mut response = answer("application/x-ndjson; charset=utf-8", text);
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static(VERSION_HEADER), HeaderValue::from(self.version));
        headers.insert(HeaderName::from_static(capabilities::HEADER), HeaderValue::from_static(self.said.answered()));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::file;

    #[test]
    fn a_limit_takes_as_many_files_as_hold_its_rows() {
        let files = [file(1), file(2), file(3)];
        let taken = |rows| limited(&files, rows).len();
        assert_eq!([None, Some(0), Some(1), Some(10), Some(11), Some(30), Some(31)].map(taken), [3, 0, 1, 1, 2, 3, 3]);
    }
}
