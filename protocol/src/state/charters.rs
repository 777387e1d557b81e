//! The charter chain as this node knows it: versions in force, proposals that wait, and which version binds this node.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::ErrorCode;
use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name};
use crate::key::pair::PublicKey;
use crate::key::signed::{Signed, SignedFault};
use crate::record::charter::{Charter, Party, PartyKind};
use crate::rule::charter_in_force::{Requirement, check_succession, requirement, strengthens};

/// One charter version with the signatures known.
#[derive(Debug, Clone)]
pub struct Version {
    /// As signed so far.
    pub signed: Signed<Charter>,
    /// Its content.
    pub charter: Charter,
    /// Its name.
    pub digest: DocumentDigest,
    /// Roots that have signed.
    pub signers: BTreeSet<PublicKey>,
}

/// How far a peer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In the charter that binds this node.
    Party,
    /// Only in a charter version that this node has not accepted: charters and node records pass, nothing else.
    CharterOnly,
}

/// The charter chain of one consortium.
#[derive(Debug, Clone)]
pub struct Charters {
    consortium: ConsortiumId,
    operator_root: PublicKey,
    chain: Vec<Version>,
    proposals: BTreeMap<DocumentDigest, Version>,
}

impl Charters {
    /// No version yet; the first is known by its digest and the operator's root.
    pub const fn new(consortium: ConsortiumId, operator_root: PublicKey) -> Self {
        Self { consortium, operator_root, chain: Vec::new(), proposals: BTreeMap::new() }
    }

    /// The versions in force, from the first on.
    pub fn chain(&self) -> &[Version] {
        &self.chain
    }

    /// The newest version in force.
    pub fn head(&self) -> Option<&Version> {
        self.chain.last()
    }

    /// Versions that wait for signatures.
    pub fn proposals(&self) -> impl Iterator<Item = &Version> {
        self.proposals.values()
    }

    /// Whether a version that is or was in force, or waits for signatures, names this common schema.
    pub fn names_schema(&self, schema: DocumentDigest) -> bool {
        self.chain.iter().chain(self.proposals.values()).any(|version| version.charter.schema == Some(schema))
    }

    /// What a proposal, or the head itself, needs; `None` for a version that does not follow the head.
    pub fn requirement_of(&self, version: &Version) -> Option<Requirement> {
        let last = if version.charter.version == 1 { None } else { self.before(version) };
        match last {
            None if version.charter.version == 1 => Some(Requirement { eligible: BTreeSet::new(), needed: 0 }),
            None => None,
            Some(last) => Some(requirement(&last.charter, &version.charter)),
        }
    }

    fn before(&self, version: &Version) -> Option<&Version> {
        self.chain.iter().find(|earlier| Some(earlier.digest) == version.charter.previous)
    }

    /// The version that binds `party`: the newest in force that it has accepted, or that only strengthens one it has.
    pub fn binding(&self, party: &Name) -> Option<&Version> {
        let mut bound: Option<&Version> = None;
        for version in &self.chain {
            let Some(entry) = version.charter.roster.get(party) else { continue };
            let accepted = version.signers.contains(&entry.root);
            let follows = bound.is_some_and(|last| {
                Some(last.digest) == version.charter.previous && strengthens(&last.charter, &version.charter)
            });
            if accepted || follows {
                bound = Some(version);
            }
        }
        bound
    }

    /// The root of `peer` and how far it is known to `us`.
    pub fn root_of(&self, us: &Name, peer: &Name) -> Option<(PublicKey, Standing)> {
        let root = |version: &Version| version.charter.roster.get(peer).map(|party| party.root);
        if let Some(found) = self.binding(us).and_then(root) {
            return Some((found, Standing::Party));
        }
        let known = self.chain.iter().rev().find_map(root).or_else(|| self.proposals.values().find_map(root));
        let operator = self.chain.is_empty().then_some(self.operator_root);
        known.or(operator).map(|found| (found, Standing::CharterOnly))
    }

    /// Checks a charter document from anywhere (spec CHAR-8).
    ///
    /// # Errors
    /// The code for the peer: a chain that does not continue, a signature that does not stand.
    pub fn check(&self, signed: &Signed<Charter>) -> Result<Version, ErrorCode> {
        let charter = signed.claimed().map_err(SignedFault::code)?;
        let digest = signed.digest();
        let known = self.chain.iter().chain(self.proposals.values()).any(|version| version.digest == digest);
        let operator = match self.head() {
            None if charter.version == 1 && digest.0 == self.consortium.0 => self.operator_root,
            None => return Err(ErrorCode::ChainBroken),
            Some(_) if known && charter.version == 1 => self.operator_root,
            Some(_) if known => self.operator_before(&charter).ok_or(ErrorCode::ChainBroken)?,
            Some(head) => {
                check_succession(self.consortium, &head.charter, head.digest, &charter)
                    .map_err(|_| ErrorCode::ChainBroken)?;
                self.check_names(&charter)?;
                head.charter.operator().1.root
            }
        };
        let mut accepted: Vec<PublicKey> = charter.roster.values().map(|party| party.root).collect();
        accepted.extend(self.before_roots(&charter));
        accepted.push(operator);
        let verified = signed.verify(&accepted).map_err(SignedFault::code)?;
        if !verified.signers().contains(&operator) {
            return Err(ErrorCode::SignatureInvalid);
        }
        let signers = verified.signers().clone();
        // Lines of keys that nobody accepts are not carried on: a member could pad a charter until it fits no frame.
        Ok(Version { signed: signed.only(&signers), charter, digest, signers })
    }

    /// No name of any earlier version passes to a party that is not its successor (spec CHAR-4), also not after a gap.
    ///
    /// # Errors
    /// [`ErrorCode::ChainBroken`].
    pub fn check_names(&self, next: &Charter) -> Result<(), ErrorCode> {
        let head = self.head().map(|head| &head.charter.roster);
        let returns = |name: &Name, party: &Party| {
            let gone = head.is_some_and(|roster| !roster.contains_key(name));
            let former = self.chain.iter().rev().find_map(|version| version.charter.roster.get(name));
            gone && former.is_some_and(|former| {
                let same = former.root == party.root || party.succeeds == Some(former.root);
                !same || former.kind != party.kind
            })
        };
        let stolen = next.roster.iter().any(|(name, party)| returns(name, party));
        if stolen { Err(ErrorCode::ChainBroken) } else { Ok(()) }
    }

    fn operator_before(&self, charter: &Charter) -> Option<PublicKey> {
        let last = self.chain.iter().find(|version| Some(version.digest) == charter.previous)?;
        Some(last.charter.operator().1.root)
    }

    fn before_roots(&self, charter: &Charter) -> Vec<PublicKey> {
        let last = self.chain.iter().find(|version| Some(version.digest) == charter.previous);
        last.map(|version| version.charter.roster.values().map(|party| party.root).collect()).unwrap_or_default()
    }

    /// Whether taking this version in would teach anything: a new version, a new signature on a known one, or that a
    /// proposal which waits here for the operator's word is in force.
    pub fn is_news(&self, version: &Version) -> bool {
        let signs = |known: &Version| !version.signers.is_subset(&known.signers);
        let waits = self.proposals.get(&version.digest);
        match waits.or(self.chain.iter().find(|other| other.digest == version.digest)) {
            None => true,
            Some(known) if waits.is_none() => signs(known),
            Some(known) => {
                signs(known) || self.requirement_of(version).is_some_and(|need| need.is_met(&version.signers))
            }
        }
    }

    /// Takes a checked version in. Returns it when it has now come into force.
    pub fn take(&mut self, version: Version) -> Option<DocumentDigest> {
        let digest = version.digest;
        self.note(version);
        let proposal = self.proposals.get(&digest)?;
        let met = self.requirement_of(proposal).is_some_and(|need| need.is_met(&proposal.signers));
        if !met {
            return None;
        }
        let version = self.proposals.remove(&digest)?;
        self.proposals.clear();
        self.chain.push(version);
        Some(digest)
    }

    /// Takes a checked version in that does not come into force by it: a member's own signature goes to the operator and
    /// waits for its word. Of two proposals with one number, signed by different members, one place alone must decide.
    pub fn note(&mut self, version: Version) {
        let known = self.chain.iter_mut().find(|other| other.digest == version.digest);
        match known.or(self.proposals.get_mut(&version.digest)) {
            Some(known) => merge(known, &version),
            None => drop(self.proposals.insert(version.digest, version)),
        }
    }

    /// Whether `party` is a member or the operator in the version that binds `us`.
    pub fn kind_of(&self, us: &Name, party: &Name) -> Option<PartyKind> {
        self.binding(us)?.charter.roster.get(party).map(|entry| entry.kind)
    }
}

fn merge(known: &mut Version, news: &Version) {
    known.signers.extend(news.signers.iter().copied());
    known.signed.merge_signatures(&news.signed).expect("equal digests mean equal payloads");
}
