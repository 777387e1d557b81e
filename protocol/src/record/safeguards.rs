//! What a charter says of releases beside its policy and accounts: how long members may object, when private answers are given,
//! and for which unit an account was enlarged. It stands in an extension of the charter.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{Name, Text};
use crate::limits::{ANSWER_TIME, ANSWER_TIME_MAX, EXTENSION_BYTES_MAX, OBJECTION_WAIT_MAX};
use crate::record::extension::Extensions;
use crate::time::Seconds;
use crate::wire::codec::{self, CodecFault};

/// That an account was enlarged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The charter version that did it last: with it a new period begins.
    pub version: u32,
    /// The unit of what it grants anew, as the members have agreed: a patient-year.
    pub unit: Text,
}

/// The fields of safeguards, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafeguardFields {
    /// How long every release is announced before it is reserved; zero: it is not announced.
    pub objection_wait: Seconds,
    /// When a private answer, or that there is none, comes: so long after its reservation is durable, whatever the rows are.
    pub answer_time: Seconds,
    /// Accounts that were enlarged since the first version.
    pub renewed: BTreeMap<Name, Renewal>,
}

/// Checked safeguards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SafeguardFields", into = "SafeguardFields")]
pub struct Safeguards(SafeguardFields);

/// Why fields do not make safeguards (spec CHAR-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeguardFault {
    /// A waiting time beyond its bound, or an answer time that is zero or beyond its own.
    Time,
    /// Together longer than an extension.
    TooLarge,
}

impl fmt::Display for SafeguardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time => write!(
                f,
                "members are waited for at most {} seconds, and answers take 1 to {} seconds",
                OBJECTION_WAIT_MAX.0, ANSWER_TIME_MAX.0
            ),
            Self::TooLarge => write!(f, "times and units of renewal take at most {EXTENSION_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for SafeguardFault {}

impl TryFrom<SafeguardFields> for Safeguards {
    type Error = SafeguardFault;

    fn try_from(fields: SafeguardFields) -> Result<Self, SafeguardFault> {
        let answers = Seconds(1) <= fields.answer_time && fields.answer_time <= ANSWER_TIME_MAX;
        if fields.objection_wait > OBJECTION_WAIT_MAX || !answers {
            return Err(SafeguardFault::Time);
        }
        let long = codec::encode(&fields).len() > EXTENSION_BYTES_MAX;
        if long { Err(SafeguardFault::TooLarge) } else { Ok(Self(fields)) }
    }
}

impl From<Safeguards> for SafeguardFields {
    fn from(safeguards: Safeguards) -> Self {
        safeguards.0
    }
}

impl std::ops::Deref for Safeguards {
    type Target = SafeguardFields;

    fn deref(&self) -> &SafeguardFields {
        &self.0
    }
}

impl Default for Safeguards {
    /// Of a charter that says nothing of them.
    fn default() -> Self {
        Self(SafeguardFields { objection_wait: Seconds(0), answer_time: ANSWER_TIME, renewed: BTreeMap::new() })
    }
}

impl Safeguards {
    /// The id of the extension: odd, so a reader may pass it over. One that does shows no waiting time, and its members see that.
    pub const EXTENSION: u16 = 7;

    /// Beside other extensions.
    ///
    /// # Panics
    /// Never: safeguards have the bound of an extension.
    #[must_use]
    pub fn beside(&self, extensions: Extensions) -> Extensions {
        extensions.with(Self::EXTENSION, codec::encode(self))
    }

    /// Out of the extensions of a charter; where there are none, those of a charter that says nothing.
    ///
    /// # Errors
    /// Bytes that are no safeguards.
    pub fn of(extensions: &Extensions) -> Result<Self, CodecFault> {
        extensions
            .get(Self::EXTENSION)
            .map_or_else(|| Ok(Self::default()), |bytes| codec::decode(bytes, EXTENSION_BYTES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(wait: u64, answer: u64) -> SafeguardFields {
        let (objection_wait, answer_time) = (Seconds(wait), Seconds(answer));
        SafeguardFields { objection_wait, answer_time, renewed: BTreeMap::new() }
    }

    // CHAR-11
    #[test]
    fn safeguards_are_within_their_bounds_and_travel_in_an_extension() {
        for (wait, answer, stands) in [
            (0, 1, true),
            (OBJECTION_WAIT_MAX.0, ANSWER_TIME_MAX.0, true),
            (OBJECTION_WAIT_MAX.0 + 1, 1, false),
            (0, 0, false),
            (0, ANSWER_TIME_MAX.0 + 1, false),
        ] {
            let made = Safeguards::try_from(fields(wait, answer));
            assert_eq!(made.is_ok(), stands, "{wait} {answer}");
            let carried = Extensions::one(Safeguards::EXTENSION, codec::encode(&fields(wait, answer)));
            assert_eq!(Safeguards::of(&carried).ok(), made.ok());
        }
        assert_eq!(Safeguards::of(&Extensions::default()), Ok(Safeguards::default()));
        let mut many = fields(0, 1);
        let renewal = || Renewal { version: 1, unit: "é".repeat(1500).parse().unwrap() };
        many.renewed = (0..2).map(|n| (format!("a{n}").parse().unwrap(), renewal())).collect();
        assert_eq!(Safeguards::try_from(many), Err(SafeguardFault::TooLarge));
    }
}
