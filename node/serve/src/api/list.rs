//! Lists of shares, schemas and tables, in pages. Only what was granted is in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, Uri};
use serde_json::{Value, json};

use crate::api::caller::{Caller, Names};
use crate::api::{Sharing, answer, length};
use crate::ask::Parameters;
use crate::catalogue::Table;
use crate::ground::Accessed;
use crate::lines::uuid;
use crate::page::List;
use crate::refusal::Refusal;

type Answer = Result<Response<Body>, Refusal>;

/// Items by the key that orders them and that a page token names.
type Items = BTreeMap<String, Value>;

pub(crate) async fn shares(State(sharing): State<Arc<Sharing>>, caller: Caller, uri: Uri) -> Answer {
    let items = caller.tables(&sharing).iter().map(|table| (table.name.share.to_string(), share_item(table))).collect();
    paged(&sharing, &caller, &uri, items).await
}

pub(crate) async fn share(State(sharing): State<Arc<Sharing>>, caller: Caller, Names([share]): Names<1>) -> Answer {
    let tables = caller.tables(&sharing);
    let found = tables.iter().find(|table| table.name.share == share).ok_or(Refusal::NotFound)?;
    written(&sharing, &caller, &json!({"share": share_item(found)})).await
}

pub(crate) async fn schemas(
    State(sharing): State<Arc<Sharing>>,
    caller: Caller,
    Names([share]): Names<1>,
    uri: Uri,
) -> Answer {
    let item = |table: &Table| {
        let name = table.name.schema.to_string();
        (name.clone(), json!({"name": name, "share": share.as_str()}))
    };
    let items: Items = within(&caller, &sharing, |table| table.name.share == share, item)?;
    paged(&sharing, &caller, &uri, items).await
}

pub(crate) async fn tables(
    State(sharing): State<Arc<Sharing>>,
    caller: Caller,
    Names([share, schema]): Names<2>,
    uri: Uri,
) -> Answer {
    let inside = |table: &Table| table.name.share == share && table.name.schema == schema;
    let items = within(&caller, &sharing, inside, table_item)?;
    paged(&sharing, &caller, &uri, items).await
}

pub(crate) async fn all_tables(
    State(sharing): State<Arc<Sharing>>,
    caller: Caller,
    Names([share]): Names<1>,
    uri: Uri,
) -> Answer {
    let items = within(&caller, &sharing, |table| table.name.share == share, table_item)?;
    paged(&sharing, &caller, &uri, items).await
}

/// The items of the granted tables inside; a share or schema in which there is none does not exist.
fn within(
    caller: &Caller,
    sharing: &Sharing,
    inside: impl Fn(&Table) -> bool,
    item: impl Fn(&Table) -> (String, Value),
) -> Result<Items, Refusal> {
    let items: Items = caller.tables(sharing).iter().filter(|table| inside(table)).map(|table| item(table)).collect();
    if items.is_empty() { Err(Refusal::NotFound) } else { Ok(items) }
}

fn share_item(table: &Table) -> Value {
    json!({"name": table.name.share.as_str(), "id": uuid(table.share_id)})
}

fn table_item(table: &Table) -> (String, Value) {
    let name = &table.name;
    let item = json!({
        "name": name.table.as_str(),
        "schema": name.schema.as_str(),
        "share": name.share.as_str(),
        "shareId": uuid(table.share_id),
        "id": uuid(table.id),
    });
    (name.to_string(), item)
}

/// One page of a list.
async fn paged(sharing: &Sharing, caller: &Caller, uri: &Uri, items: Items) -> Answer {
    let parameters = Parameters::of(uri)?;
    let most = sharing.limits.page_items_max;
    let asked = parameters.number("maxResults")?.map_or(most, |asked| usize::try_from(asked).unwrap_or(most).min(most));
    let list = List { key: &sharing.key, recipient: caller.recipient.id, name: uri.path() };
    let place = |token| list.place(token).ok_or(Refusal::Malformed("the page token is none of this list"));
    // An empty place is before every item.
    let after =
        parameters.text("pageToken").filter(|token| !token.is_empty()).map(place).transpose()?.unwrap_or_default();
    let mut left = items.into_iter().filter(|(key, _)| *key > after).peekable();
    let (mut last, mut page) = (after.clone(), Vec::new());
    while let Some((key, item)) = if page.len() < asked { left.next() } else { None } {
        last = key;
        page.push(item);
    }
    let mut body = json!({"items": page});
    if left.peek().is_some() {
        body["nextPageToken"] = json!(list.token(&last));
    }
    written(sharing, caller, &body).await
}

async fn written(sharing: &Sharing, caller: &Caller, body: &Value) -> Answer {
    let text = body.to_string();
    sharing.record(caller.recipient.id, Accessed::Names, length(&text)).await?;
    Ok(answer("application/json; charset=utf-8", text))
}
