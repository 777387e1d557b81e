//! The site notice: what the operator's comparison of sites found about one member. For that member alone (law 8).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name};
use crate::key::signed::Record;
use crate::limits::{DEPARTURE_UNITS_MAX, DEPARTURES_MAX};
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// Sites that a comparison needs (law 8).
pub const SITES_COMPARED_MIN: u32 = 5;

/// A quantity: which concept, in which field of which table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The table.
    pub table: Name,
    /// The field.
    pub field: Name,
    /// The concept that is measured; 0 where there is none.
    pub concept: u64,
}

/// What departs at a site. Shares are in whole per cent, and left out where they or what they leave is a count of 1 to 10.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Departure {
    /// A field has many more or many fewer missing values than elsewhere.
    Missing {
        /// The table.
        table: Name,
        /// The field.
        field: Name,
        /// Of the site.
        here: Option<u8>,
        /// Of all others together.
        elsewhere: Option<u8>,
    },
    /// A quantity is in units that hardly anybody else has.
    Units {
        /// What is measured.
        of: Measured,
        /// The units' concepts; 0 is none.
        units: Vec<u64>,
        /// The part of the site's values that is in them.
        here: Option<u8>,
    },
    /// Values of a quantity are distributed in another way.
    Distribution {
        /// What is measured.
        of: Measured,
        /// The unit's concept; 0 is none.
        unit: u64,
        /// The distance to what is usual, in hundredths: 0 equal, 100 without a common value.
        distance: u8,
    },
}

impl Departure {
    /// Whether shares and distances are at most 100, and the list of units is within its bound.
    fn stands(&self) -> bool {
        let share = |value: &Option<u8>| value.is_none_or(|value| value <= 100);
        match self {
            Self::Missing { here, elsewhere, .. } => share(here) && share(elsewhere),
            Self::Units { units, here, .. } => share(here) && units.len() <= DEPARTURE_UNITS_MAX,
            Self::Distribution { distance, .. } => *distance <= 100,
        }
    }
}

/// The fields of a notice, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteNoticeFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who compared.
    pub operator: Name,
    /// Whom it is about, and for.
    pub member: Name,
    /// The consolidation whose tables were compared.
    pub consolidation: DocumentDigest,
    /// How many sites were compared.
    pub sites: u32,
    /// What departs at this member.
    pub departures: Vec<Departure>,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SiteNoticeFields", into = "SiteNoticeFields")]
pub struct SiteNotice(SiteNoticeFields);

/// Why fields do not make a notice (spec QUAL-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteNoticeFault {
    /// Fewer sites than a comparison needs.
    Sites,
    /// More departures or units than the bounds.
    TooMany,
    /// A share or distance over 100.
    Share,
}

impl fmt::Display for SiteNoticeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sites => write!(f, "a comparison needs {SITES_COMPARED_MIN} sites"),
            Self::TooMany => write!(f, "more than {DEPARTURES_MAX} departures"),
            Self::Share => write!(f, "a share or distance over 100, or more than {DEPARTURE_UNITS_MAX} units"),
        }
    }
}

impl std::error::Error for SiteNoticeFault {}

impl TryFrom<SiteNoticeFields> for SiteNotice {
    type Error = SiteNoticeFault;

    fn try_from(fields: SiteNoticeFields) -> Result<Self, SiteNoticeFault> {
        if fields.sites < SITES_COMPARED_MIN {
            return Err(SiteNoticeFault::Sites);
        }
        if fields.departures.len() > DEPARTURES_MAX {
            return Err(SiteNoticeFault::TooMany);
        }
        if fields.departures.iter().all(Departure::stands) { Ok(Self(fields)) } else { Err(SiteNoticeFault::Share) }
    }
}

impl From<SiteNotice> for SiteNoticeFields {
    fn from(notice: SiteNotice) -> Self {
        notice.0
    }
}

impl std::ops::Deref for SiteNotice {
    type Target = SiteNoticeFields;

    fn deref(&self) -> &SiteNoticeFields {
        &self.0
    }
}

impl Record for SiteNotice {
    const LABEL: &'static str = "application/vnd.cohortium.v1.site-notice.v1";
    const TITLE: &'static str = "site notice";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(sites: u32, departures: Vec<Departure>) -> SiteNoticeFields {
        SiteNoticeFields {
            consortium: ConsortiumId([1; 32]),
            operator: "op".parse().unwrap(),
            member: "north".parse().unwrap(),
            consolidation: DocumentDigest([2; 32]),
            sites,
            departures,
            at: UnixMillis(1),
            ext: Extensions::default(),
        }
    }

    fn missing(here: u8) -> Departure {
        let (table, field) = ("person".parse().unwrap(), "person_id".parse().unwrap());
        Departure::Missing { table, field, here: Some(here), elsewhere: None }
    }

    // QUAL-4
    #[test]
    fn a_notice_is_of_five_sites_and_its_shares_are_shares() {
        let made = |sites, departures| SiteNotice::try_from(fields(sites, departures)).map(|_| ());
        assert_eq!(made(5, vec![missing(100)]), Ok(()));
        assert_eq!(made(4, vec![]), Err(SiteNoticeFault::Sites));
        assert_eq!(made(5, vec![missing(101)]), Err(SiteNoticeFault::Share));
        assert_eq!(made(5, vec![missing(1); DEPARTURES_MAX]), Ok(()));
        assert_eq!(made(5, vec![missing(1); DEPARTURES_MAX + 1]), Err(SiteNoticeFault::TooMany));
        let of = Measured { table: "measurement".parse().unwrap(), field: "value".parse().unwrap(), concept: 7 };
        let units = |count| Departure::Units { of: of.clone(), units: vec![1; count], here: None };
        assert_eq!(made(5, vec![units(DEPARTURE_UNITS_MAX)]), Ok(()));
        assert_eq!(made(5, vec![units(DEPARTURE_UNITS_MAX + 1)]), Err(SiteNoticeFault::Share));
        let far = |distance| Departure::Distribution { of: of.clone(), unit: 0, distance };
        assert_eq!((made(5, vec![far(100)]), made(5, vec![far(101)])), (Ok(()), Err(SiteNoticeFault::Share)));
    }
}
