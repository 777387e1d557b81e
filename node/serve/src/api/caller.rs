//! Who asks: the token, the recipient, and how much it asks at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::api::Sharing;
use crate::catalogue::Table;
use crate::name::{Name, TableName};
use crate::recipient::{BearerToken, Recipient, RecipientId, Shut};
use crate::refusal::Refusal;

/// A recipient that was let in, for one request.
pub(crate) struct Caller {
    pub(crate) recipient: Arc<Recipient>,
    _place: Place,
}

impl FromRequestParts<Arc<Sharing>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, sharing: &Arc<Sharing>) -> Result<Self, Refusal> {
        let token = token_of(&parts.headers).ok_or(Refusal::Token)?;
        let recipients = sharing.ground.recipients();
        let recipient = recipients.by_token(&token).ok_or(Refusal::Token)?;
        recipient.admit(sharing.ground.now()).map_err(|shut| match shut {
            Shut::Expired => Refusal::TokenExpired,
            Shut::Revoked => Refusal::Revoked,
        })?;
        let place = sharing.busy.enter(recipient.id, sharing.limits.requests_per_recipient_max)?;
        Ok(Self { recipient: Arc::clone(recipient), _place: place })
    }
}

/// The token of a request's one `Authorization: Bearer`.
fn token_of(headers: &HeaderMap) -> Option<BearerToken> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(one), None) = (shown.next(), shown.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| BearerToken::read(token.trim())).flatten()
}

impl Caller {
    /// A table of this name that was granted and is there; for who asks the two are one.
    pub(crate) fn table(&self, sharing: &Sharing, name: &TableName) -> Result<Arc<Table>, Refusal> {
        let granted = self.recipient.may_read(name);
        let table = sharing.ground.catalogue().table(name).cloned();
        table.filter(|_| granted).ok_or(Refusal::NotFound)
    }

    /// Every table that was granted and is there, by name.
    pub(crate) fn tables(&self, sharing: &Sharing) -> Vec<Arc<Table>> {
        let catalogue = sharing.ground.catalogue();
        catalogue.tables().filter(|table| self.recipient.may_read(&table.name)).cloned().collect()
    }
}

/// Names out of the path; `N` of them.
pub(crate) struct Names<const N: usize>(pub(crate) [Name; N]);

impl<const N: usize> FromRequestParts<Arc<Sharing>> for Names<N> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, sharing: &Arc<Sharing>) -> Result<Self, Refusal> {
        let wrong = Refusal::Malformed("a name has letters, digits, - and _ alone");
        let Path(texts) = Path::<Vec<String>>::from_request_parts(parts, sharing).await.map_err(|_| wrong)?;
        let names: Vec<Name> = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|_| wrong)?;
        Ok(Self(names.try_into().map_err(|_| wrong)?))
    }
}

impl Names<3> {
    pub(crate) fn table(self) -> TableName {
        let [share, schema, table] = self.0;
        TableName { share, schema, table }
    }
}

/// How many requests each recipient has at once.
#[derive(Debug, Default, Clone)]
pub(crate) struct Busy(Arc<Mutex<BTreeMap<RecipientId, usize>>>);

/// One request's place. It is given back when the answer is there, or the last byte of a file has left, or its reader
/// has gone.
#[derive(Debug)]
pub(crate) struct Place {
    busy: Busy,
    recipient: RecipientId,
}

impl Busy {
    /// Takes a place.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when the recipient has `most` already.
    pub(crate) fn enter(&self, recipient: RecipientId, most: usize) -> Result<Place, Refusal> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(recipient).or_default();
        if *count >= most {
            return Err(Refusal::Busy);
        }
        *count += 1;
        Ok(Place { busy: self.clone(), recipient })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.busy.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.recipient) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.recipient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    // DSS-3
    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        let token = BearerToken::new([3; 32]).reveal();
        let shown = |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            token_of(&headers).is_some()
        };
        assert!(shown(&[format!("Bearer {}", *token)]) && shown(&[format!("bearer {}", *token)]));
        assert!(!shown(&[]) && !shown(&[token.to_string()]) && !shown(&[format!("Basic {}", *token)]));
        assert!(!shown(&[format!("Bearer {}x", *token)]) && !shown(&["Bearer".to_owned(), "Bearer ".to_owned()]));
        assert!(!shown(&[format!("Bearer {}", *token), format!("Bearer {}", *token)]), "two are none");
    }

    #[test]
    fn a_recipient_has_so_many_places_and_gets_them_back() {
        let (busy, one) = (Busy::default(), RecipientId([1; 16]));
        let places: Vec<Place> = (0..2).map(|_| busy.enter(one, 2).unwrap()).collect();
        assert_eq!(busy.enter(one, 2).unwrap_err(), Refusal::Busy);
        assert!(busy.enter(RecipientId([2; 16]), 2).is_ok(), "others have their own");
        drop(places);
        assert!(busy.enter(one, 2).is_ok());
        assert!(busy.0.lock().unwrap().is_empty(), "nobody who is not here is counted");
    }
}
