//! What can be cut: every task that moves bytes of a subscription holds its token.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cohortium_protocol::endpoint::io::Under;
use tokio_util::sync::CancellationToken;

/// The tokens of all subscriptions that move bytes or have done so.
#[derive(Default)]
pub(crate) struct Cuts(Mutex<BTreeMap<Under, CancellationToken>>);

impl Cuts {
    /// The token to hold while bytes of a subscription move.
    pub(crate) fn token(&self, under: Under) -> CancellationToken {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.entry(under).or_default().clone()
    }

    /// Ends everything that holds the token now. What begins later was allowed later.
    pub(crate) fn cut(&self, under: Under) {
        let token = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&under);
        if let Some(token) = token {
            token.cancel();
        }
    }

    /// Ends everything.
    pub(crate) fn cut_all(&self) {
        for token in std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_values() {
            token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::ident::{ConsortiumId, SubscriptionId};

    use super::*;

    #[test]
    fn a_cut_ends_what_runs_and_not_what_begins_later() {
        let cuts = Cuts::default();
        let under = |home: u8, subscription: u8| Under {
            consortium: ConsortiumId([home; 32]),
            subscription: SubscriptionId([subscription; 16]),
        };
        let one = under(1, 1);
        let (running, bystanders) = (cuts.token(one), [under(1, 2), under(2, 1)].map(|other| cuts.token(other)));
        cuts.cut(one);
        assert!(running.is_cancelled() && !bystanders.iter().any(CancellationToken::is_cancelled));
        assert!(!cuts.token(one).is_cancelled());
    }
}
