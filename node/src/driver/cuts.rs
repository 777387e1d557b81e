//! What can be cut: every task that moves bytes of a subscription holds its token.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cohortium_protocol::ident::SubscriptionId;
use tokio_util::sync::CancellationToken;

/// The tokens of all subscriptions that move bytes or have done so.
#[derive(Default)]
pub(crate) struct Cuts(Mutex<BTreeMap<SubscriptionId, CancellationToken>>);

impl Cuts {
    /// The token to hold while bytes of `subscription` move.
    pub(crate) fn token(&self, subscription: SubscriptionId) -> CancellationToken {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.entry(subscription).or_default().clone()
    }

    /// Ends everything that holds the token now. What begins later was allowed later.
    pub(crate) fn cut(&self, subscription: SubscriptionId) {
        let token = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&subscription);
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
    use super::*;

    #[test]
    fn a_cut_ends_what_runs_and_not_what_begins_later() {
        let cuts = Cuts::default();
        let (one, other) = (SubscriptionId([1; 16]), SubscriptionId([2; 16]));
        let (running, bystander) = (cuts.token(one), cuts.token(other));
        cuts.cut(one);
        assert!(running.is_cancelled() && !bystander.is_cancelled());
        assert!(!cuts.token(one).is_cancelled());
    }
}
