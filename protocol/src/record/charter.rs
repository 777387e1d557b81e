//! The charter: a consortium's constitution, versioned and linked by digest.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, Text};
use crate::key::pair::PublicKey;
use crate::key::signed::Record;
use crate::limits::{ANONYMITY_K_FLOOR, PARTIES_MAX};
use crate::quantity::{AnonymityK, ContributionBound, Delta, Rho};
use crate::record::extension::Extensions;
use crate::record::safeguards::{Renewal, Safeguards};
use crate::time::{Seconds, UnixMillis};

/// Whether a consortium may touch real patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CharterKind {
    /// Generated or public data only; keys are marked so that they open nothing of production.
    Rehearsal,
    /// Real data.
    Production,
}

/// What a party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartyKind {
    /// Runs the consortium's node. Exactly one.
    Operator,
    /// A hospital.
    Member,
}

/// One party of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// What it is.
    pub kind: PartyKind,
    /// For people.
    pub title: Text,
    /// Signs its node records and persons; may stay offline.
    pub root: PublicKey,
    /// A former root that handed over to this one, so that its signatures are still explained.
    pub succeeds: Option<PublicKey>,
}

/// What happens to rows that have landed when a share is revoked or expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LandedRows {
    /// They stay but take no part in later consolidations and releases.
    Exclude,
    /// They may be used further.
    Keep,
    /// They are erased and the consumer signs that they are.
    Erase,
}

/// Floors that every release keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePolicy {
    /// The least k of microdata, in patients.
    pub anonymity_k_min: AnonymityK,
    /// Counts below this are suppressed in tables that are not differentially private.
    pub small_cell_min: u32,
}

/// The privacy budget of one population: what all releases over its patients may cost together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTerms {
    /// Whose patients.
    pub population: Text,
    /// Limit of the sum of rho.
    pub rho: Rho,
    /// Limit of the sum of delta.
    pub delta: Delta,
    /// At how many members one person may be counted.
    pub tokens_per_person_max: ContributionBound,
    /// Declared maximum of patients; the shown delta is at most 1 / (10 x this).
    pub patients_max: u64,
}

impl AccountTerms {
    /// The delta that epsilon is stated at: one over ten times the declared maximum of patients, rounded down.
    pub fn delta_shown(&self) -> Delta {
        const TENTH: u128 = (1 << 100) / 10;
        Delta(TENTH.div_euclid(u128::from(self.patients_max.max(1))))
    }
}

/// What the members have agreed about shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The least strict answer a share may give for landed rows.
    pub landed_rows: LandedRows,
    /// The longest a share may run from its invitation.
    pub share_validity_max: Seconds,
    /// SHA-256 of the contract's text.
    pub contract: Option<DocumentDigest>,
}

/// Who makes the linkage key, and which one is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkageTerms {
    /// The member that makes and wraps the key.
    pub key_maker: Name,
    /// Grows by one after each exit or lost node.
    pub epoch: u32,
}

/// One version of the constitution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CharterFields", into = "CharterFields")]
pub struct Charter(CharterFields);

/// A charter's fields. A [`Charter`] is one whose fields fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CharterFields {
    /// The digest of version 1; `None` in version 1 itself.
    pub consortium: Option<ConsortiumId>,
    /// 1, 2, 3, ...
    pub version: u32,
    /// The version before.
    pub previous: Option<DocumentDigest>,
    /// For people.
    pub title: Text,
    /// Rehearsal or production; never changes.
    pub kind: CharterKind,
    /// When it was written.
    pub at: UnixMillis,
    /// The parties by name. A name is never given to another party.
    pub roster: BTreeMap<Name, Party>,
    /// Member signatures that a change needs.
    pub threshold: u16,
    /// The common schema.
    pub schema: Option<DocumentDigest>,
    /// Floors of every release.
    pub policy: ReleasePolicy,
    /// Accounts by name.
    pub accounts: BTreeMap<Name, AccountTerms>,
    /// About shares.
    pub terms: Terms,
    /// About linkage, once there is a member to make the key.
    pub linkage: Option<LinkageTerms>,
    /// Room for later versions.
    pub ext: Extensions,
}

/// Why fields do not make a charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharterFault {
    /// Version 1 links to nothing, every other version to its consortium and the version before.
    Link,
    /// The roster needs exactly one operator and at most 1,000 parties.
    Roster,
    /// Two parties, or a party and a former root, with one root key.
    RootShared(Name),
    /// The threshold must be at least one.
    Threshold,
    /// The least k or the least cell is below the protocol's floor.
    Floor,
    /// The key maker is not a member of the roster.
    KeyMaker(Name),
    /// The extension of waiting and answer times is none.
    Safeguards,
    /// An account is named as enlarged that is none of the charter's, or by a version that is still to come.
    Renewed(Name),
}

impl fmt::Display for CharterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("version 1 links to nothing, every later one to its consortium and predecessor"),
            Self::Roster => write!(f, "the roster needs exactly one operator and at most {PARTIES_MAX} parties"),
            Self::RootShared(name) => write!(f, "the root key of {name} is also another party's"),
            Self::Threshold => f.write_str("the threshold is zero"),
            Self::Floor => write!(f, "k and small cells are at least {ANONYMITY_K_FLOOR} outside a rehearsal"),
            Self::KeyMaker(name) => write!(f, "the key maker {name} is not a member"),
            Self::Safeguards => f.write_str("the waiting time, answer time or units of renewal cannot be read"),
            Self::Renewed(name) => {
                write!(f, "account {name} is renewed and is none of the charter's, or by a later version")
            }
        }
    }
}

impl std::error::Error for CharterFault {}

impl TryFrom<CharterFields> for Charter {
    type Error = CharterFault;

    fn try_from(fields: CharterFields) -> Result<Self, CharterFault> {
        let first = fields.version == 1;
        let linked = fields.consortium.is_some() && fields.previous.is_some();
        let unlinked = fields.consortium.is_none() && fields.previous.is_none();
        if fields.version == 0 || (first && !unlinked) || (!first && !linked) {
            return Err(CharterFault::Link);
        }
        let operators = fields.roster.values().filter(|party| party.kind == PartyKind::Operator).count();
        if operators != 1 || fields.roster.len() > PARTIES_MAX {
            return Err(CharterFault::Roster);
        }
        let mut roots = std::collections::BTreeSet::new();
        for (name, party) in &fields.roster {
            let succeeded = party.succeeds.is_none_or(|former| roots.insert(former));
            if !roots.insert(party.root) || !succeeded {
                return Err(CharterFault::RootShared(name.clone()));
            }
        }
        if fields.threshold == 0 {
            return Err(CharterFault::Threshold);
        }
        let floor = fields.policy.anonymity_k_min.0.min(fields.policy.small_cell_min);
        if floor == 0 || (fields.kind == CharterKind::Production && floor < ANONYMITY_K_FLOOR) {
            return Err(CharterFault::Floor);
        }
        if let Some(linkage) = &fields.linkage {
            let maker = fields.roster.get(&linkage.key_maker);
            if maker.is_none_or(|party| party.kind != PartyKind::Member) {
                return Err(CharterFault::KeyMaker(linkage.key_maker.clone()));
            }
        }
        let safeguards = Safeguards::of(&fields.ext).map_err(|_| CharterFault::Safeguards)?;
        let stands = |(name, renewal): &(&Name, &Renewal)| {
            fields.accounts.contains_key(*name) && (1..=fields.version).contains(&renewal.version)
        };
        match safeguards.renewed.iter().find(|renewed| !stands(renewed)) {
            Some((name, _)) => Err(CharterFault::Renewed(name.clone())),
            None => Ok(Self(fields)),
        }
    }
}

impl From<Charter> for CharterFields {
    fn from(charter: Charter) -> Self {
        charter.0
    }
}

impl std::ops::Deref for Charter {
    type Target = CharterFields;

    fn deref(&self) -> &CharterFields {
        &self.0
    }
}

impl Charter {
    /// The operator's name and entry.
    ///
    /// # Panics
    /// Never: a charter has exactly one operator.
    pub fn operator(&self) -> (&Name, &Party) {
        let mut operators = self.roster.iter().filter(|(_, party)| party.kind == PartyKind::Operator);
        operators.next().expect("the checking constructor counted one operator")
    }

    /// What it says of releases beside policy and accounts.
    ///
    /// # Panics
    /// Never: a charter's safeguards can be read.
    pub fn safeguards(&self) -> Safeguards {
        Safeguards::of(&self.ext).expect("the checking constructor has read them")
    }

    /// The members by name.
    pub fn members(&self) -> impl Iterator<Item = (&Name, &Party)> {
        self.roster.iter().filter(|(_, party)| party.kind == PartyKind::Member)
    }
}

impl Record for Charter {
    const LABEL: &'static str = "application/vnd.cohortium.v1.charter.v1";
    const TITLE: &'static str = "charter";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::pair::KeyPair;

    fn party(kind: PartyKind, seed: u8) -> Party {
        let root = KeyPair::from_seed(&[seed; 32]).public();
        Party { kind, title: "A title".parse().unwrap(), root, succeeds: None }
    }

    fn fields() -> CharterFields {
        CharterFields {
            consortium: None,
            version: 1,
            previous: None,
            title: "Example".parse().unwrap(),
            kind: CharterKind::Production,
            at: UnixMillis(1),
            roster: BTreeMap::from([("operator".parse().unwrap(), party(PartyKind::Operator, 1))]),
            threshold: 1,
            schema: None,
            policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
            accounts: BTreeMap::new(),
            terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(1), contract: None },
            linkage: None,
            ext: Extensions::default(),
        }
    }

    // CHAR-1
    #[test]
    fn fields_that_do_not_fit_together_are_no_charter() {
        type Bend = fn(&mut CharterFields);
        let cases: [(Bend, Option<CharterFault>); 10] = [
            (|_| (), None),
            (|f| f.version = 2, Some(CharterFault::Link)),
            (|f| f.version = 0, Some(CharterFault::Link)),
            (|f| f.consortium = Some(ConsortiumId([0; 32])), Some(CharterFault::Link)),
            (|f| f.roster.clear(), Some(CharterFault::Roster)),
            (
                |f| drop(f.roster.insert("b".parse().unwrap(), party(PartyKind::Operator, 2))),
                Some(CharterFault::Roster),
            ),
            (
                |f| drop(f.roster.insert("b".parse().unwrap(), party(PartyKind::Member, 1))),
                Some(CharterFault::RootShared("operator".parse().unwrap())),
            ),
            (|f| f.threshold = 0, Some(CharterFault::Threshold)),
            (|f| f.policy.small_cell_min = 10, Some(CharterFault::Floor)),
            (
                |f| f.linkage = Some(LinkageTerms { key_maker: "operator".parse().unwrap(), epoch: 1 }),
                Some(CharterFault::KeyMaker("operator".parse().unwrap())),
            ),
        ];
        for (bend, fault) in cases {
            let mut bent = fields();
            bend(&mut bent);
            assert_eq!(Charter::try_from(bent).err(), fault);
        }
    }

    // CHAR-2
    #[test]
    fn only_a_rehearsal_goes_below_the_floor() {
        let mut low = fields();
        low.kind = CharterKind::Rehearsal;
        low.policy = ReleasePolicy { anonymity_k_min: AnonymityK(2), small_cell_min: 1 };
        assert!(Charter::try_from(low.clone()).is_ok());
        low.kind = CharterKind::Production;
        assert_eq!(Charter::try_from(low), Err(CharterFault::Floor));
    }
}
