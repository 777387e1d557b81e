//! Which charter version follows another, whose signatures it needs, and which changes only strengthen it.

use std::collections::BTreeSet;

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name};
use crate::key::pair::PublicKey;
use crate::record::charter::{Charter, CharterFields, LandedRows, Party};

/// Why a charter cannot follow another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuccessionFault {
    /// Not the next version of this consortium.
    Link,
    /// A rehearsal becomes production or the other way round.
    KindChanged,
    /// A name on the roster passes to a root that does not name the former one.
    NameReassigned(Name),
    /// The linkage epoch goes back or jumps, or its key maker changes without a new epoch.
    Epoch,
    /// An account is added or enlarged, and the unit of what it grants anew is not named.
    Renewal(Name),
}

/// The signatures that bring a charter version into force, beside the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Whose signatures count: the members of the version before, or the founding ones.
    pub eligible: BTreeSet<PublicKey>,
    /// How many of them.
    pub needed: usize,
}

impl Requirement {
    /// Whether these signers suffice.
    pub fn is_met(&self, signers: &BTreeSet<PublicKey>) -> bool {
        self.eligible.intersection(signers).count() >= self.needed
    }
}

/// Checks that `next` may follow `last`, whose digest is `last_digest`, in `consortium` (spec CHAR-3 to CHAR-5).
///
/// # Errors
/// [`SuccessionFault`].
pub fn check_succession(
    consortium: ConsortiumId,
    last: &Charter,
    last_digest: DocumentDigest,
    next: &Charter,
) -> Result<(), SuccessionFault> {
    let linked = next.consortium == Some(consortium) && next.previous == Some(last_digest);
    if !linked || last.version.checked_add(1) != Some(next.version) {
        return Err(SuccessionFault::Link);
    }
    if last.kind != next.kind {
        return Err(SuccessionFault::KindChanged);
    }
    for (name, party) in &next.roster {
        if last.roster.get(name).is_some_and(|former| !hands_over(former, party)) {
            return Err(SuccessionFault::NameReassigned(name.clone()));
        }
    }
    check_renewals(last, next)?;
    match (&last.linkage, &next.linkage) {
        (Some(_), None) => Err(SuccessionFault::Epoch),
        (Some(a), Some(b)) => {
            let kept = b.epoch == a.epoch && b.key_maker == a.key_maker;
            let next = a.epoch.checked_add(1) == Some(b.epoch);
            if kept || next { Ok(()) } else { Err(SuccessionFault::Epoch) }
        }
        (None, _) => Ok(()),
    }
}

/// An account that grants more than before says for which unit (spec CHAR-12).
fn check_renewals(last: &Charter, next: &Charter) -> Result<(), SuccessionFault> {
    let said = next.safeguards();
    let named = |name: &Name| said.renewed.get(name).is_some_and(|renewal| renewal.version == next.version);
    let unnamed = next.accounts.keys().find(|name| enlarges(last, next, name) && !named(name));
    unnamed.map_or(Ok(()), |name| Err(SuccessionFault::Renewal(name.clone())))
}

/// Whether an account that `last` has grants more under `next`.
pub fn enlarges(last: &Charter, next: &Charter, account: &Name) -> bool {
    match (last.accounts.get(account), next.accounts.get(account)) {
        (Some(before), Some(after)) => after.rho > before.rho || after.delta > before.delta,
        (None | Some(_), None) | (None, Some(_)) => false,
    }
}

fn hands_over(former: &Party, party: &Party) -> bool {
    let kept = former.root == party.root && former.succeeds == party.succeeds;
    let succeeded = former.root != party.root && party.succeeds == Some(former.root);
    former.kind == party.kind && (kept || succeeded)
}

/// Whose signatures `next` needs beside the operator's (spec CHAR-6).
///
/// The members of `last` count; where it has none, the members that `next` admits. Of them the threshold of `last`, or
/// all where there are fewer. A change that only strengthens needs none.
pub fn requirement(last: &Charter, next: &Charter) -> Requirement {
    let roots = |charter: &Charter| charter.members().map(|(_, party)| party.root).collect::<BTreeSet<_>>();
    let (standing, founding) = (roots(last), roots(next));
    let eligible = if standing.is_empty() { founding } else { standing };
    let needed = if strengthens(last, next) { 0 } else { eligible.len().min(usize::from(last.threshold)) };
    Requirement { eligible, needed }
}

/// Whether `next` differs from `last` only by changes of the closed list (spec CHAR-7): k or the least cell raised, the
/// longest validity of a share lowered, landed rows treated more strictly, a new linkage epoch by the same maker.
pub fn strengthens(last: &Charter, next: &Charter) -> bool {
    let (a, b) = (&**last, &**next);
    let raised =
        b.policy.anonymity_k_min >= a.policy.anonymity_k_min && b.policy.small_cell_min >= a.policy.small_cell_min;
    let shorter = b.terms.share_validity_max <= a.terms.share_validity_max;
    let stricter = strictness(b.terms.landed_rows) >= strictness(a.terms.landed_rows);
    let same_maker = match (&a.linkage, &b.linkage) {
        (Some(x), Some(y)) => x.key_maker == y.key_maker,
        (x, y) => x == y,
    };
    let mut terms = b.terms.clone();
    (terms.landed_rows, terms.share_validity_max) = (a.terms.landed_rows, a.terms.share_validity_max);
    let rest = CharterFields {
        version: a.version,
        previous: a.previous,
        consortium: a.consortium,
        at: a.at,
        policy: a.policy,
        linkage: a.linkage.clone(),
        terms,
        ..b.clone()
    };
    raised && shorter && stricter && same_maker && rest == *a
}

const fn strictness(rows: LandedRows) -> u8 {
    match rows {
        LandedRows::Keep => 0,
        LandedRows::Exclude => 1,
        LandedRows::Erase => 2,
    }
}

/// Whether a share's answer for landed rows is at least as strict as the charter's.
pub fn strict_enough(share: LandedRows, charter: LandedRows) -> bool {
    strictness(share) >= strictness(charter)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::key::pair::KeyPair;
    use crate::quantity::{AnonymityK, ContributionBound, Delta, Rho};
    use crate::record::charter::AccountTerms;
    use crate::record::charter::{CharterKind, LinkageTerms, PartyKind, ReleasePolicy, Terms};
    use crate::record::extension::Extensions;
    use crate::record::safeguards::{Renewal, SafeguardFields, Safeguards};
    use crate::time::{Seconds, UnixMillis};

    const HOME: ConsortiumId = ConsortiumId([1; 32]);
    const LAST: DocumentDigest = DocumentDigest([2; 32]);

    fn root(seed: u8) -> PublicKey {
        KeyPair::from_seed(&[seed; 32]).public()
    }

    fn party(kind: PartyKind, seed: u8) -> Party {
        Party { kind, title: "t".parse().unwrap(), root: root(seed), succeeds: None }
    }

    fn fields(members: &[u8]) -> CharterFields {
        let mut roster = BTreeMap::from([("operator".parse().unwrap(), party(PartyKind::Operator, 100))]);
        roster.extend(members.iter().map(|n| (format!("m{n}").parse().unwrap(), party(PartyKind::Member, *n))));
        CharterFields {
            consortium: Some(HOME),
            version: 2,
            previous: Some(DocumentDigest([9; 32])),
            title: "t".parse().unwrap(),
            kind: CharterKind::Production,
            at: UnixMillis(1),
            roster,
            threshold: 2,
            schema: None,
            policy: ReleasePolicy { anonymity_k_min: AnonymityK(20), small_cell_min: 20 },
            accounts: BTreeMap::new(),
            terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(100), contract: None },
            linkage: Some(LinkageTerms { key_maker: "m1".parse().unwrap(), epoch: 3 }),
            ext: Extensions::default(),
        }
    }

    fn charter(fields: CharterFields) -> Charter {
        Charter::try_from(fields).unwrap()
    }

    fn next(bend: impl FnOnce(&mut CharterFields)) -> Charter {
        let mut after = CharterFields { version: 3, previous: Some(LAST), ..fields(&[1, 2, 3]) };
        bend(&mut after);
        charter(after)
    }

    // CHAR-3 CHAR-4 CHAR-5
    #[test]
    fn a_version_follows_the_last_one_and_no_name_passes_to_another() {
        let last = charter(fields(&[1, 2, 3]));
        let check = |bend: fn(&mut CharterFields)| check_succession(HOME, &last, LAST, &next(bend)).err();
        assert_eq!(check(|_| ()), None);
        assert_eq!(check(|f| f.version = 4), Some(SuccessionFault::Link));
        assert_eq!(check(|f| f.previous = Some(DocumentDigest([3; 32]))), Some(SuccessionFault::Link));
        assert_eq!(check(|f| f.consortium = Some(ConsortiumId([3; 32]))), Some(SuccessionFault::Link));
        assert_eq!(check(|f| f.kind = CharterKind::Rehearsal), Some(SuccessionFault::KindChanged));
        let m2: Name = "m2".parse().unwrap();
        assert_eq!(
            check(|f| f.roster.get_mut(&"m2".parse().unwrap()).unwrap().root = root(50)),
            Some(SuccessionFault::NameReassigned(m2))
        );
        let succession = |f: &mut CharterFields| {
            let entry = f.roster.get_mut(&"m2".parse().unwrap()).unwrap();
            (entry.succeeds, entry.root) = (Some(entry.root), root(50));
        };
        assert_eq!(check(succession), None);
        assert_eq!(check(|f| f.linkage.as_mut().unwrap().epoch = 2), Some(SuccessionFault::Epoch));
        assert_eq!(check(|f| f.linkage.as_mut().unwrap().epoch = 4), None);
        assert_eq!(check(|f| f.linkage.as_mut().unwrap().epoch = 5), Some(SuccessionFault::Epoch), "one by one");
        assert_eq!(check(|f| f.linkage = None), Some(SuccessionFault::Epoch));
        assert_eq!(
            check(|f| f.linkage.as_mut().unwrap().key_maker = "m2".parse().unwrap()),
            Some(SuccessionFault::Epoch)
        );
    }

    // CHAR-6
    #[test]
    fn admission_needs_the_threshold_of_the_standing_members_or_of_the_founding_ones() {
        let last = charter(fields(&[1, 2, 3]));
        let admits = next(|f| drop(f.roster.insert("m9".parse().unwrap(), party(PartyKind::Member, 9))));
        let need = requirement(&last, &admits);
        let signers = |seeds: &[u8]| seeds.iter().map(|seed| root(*seed)).collect::<BTreeSet<_>>();
        for (seeds, met) in
            [(&[1][..], false), (&[1, 9], false), (&[1, 100], false), (&[1, 3], true), (&[1, 2, 3], true)]
        {
            assert_eq!(need.is_met(&signers(seeds)), met, "{seeds:?}");
        }
        let nobody = charter(CharterFields { linkage: None, ..fields(&[]) });
        let founding = requirement(&nobody, &admits);
        for (seeds, met) in [(&[9][..], false), (&[9, 1], true)] {
            assert_eq!(founding.is_met(&signers(seeds)), met, "{seeds:?}");
        }
        let one = charter(fields(&[1]));
        assert_eq!(requirement(&one, &admits).needed, 1);
    }

    fn granting(version: u32, rho: u128, renewed: Option<u32>) -> Charter {
        let name: Name = "patients".parse().unwrap();
        let terms = AccountTerms {
            population: "patients".parse().unwrap(),
            rho: Rho(rho),
            delta: Delta(0),
            tokens_per_person_max: ContributionBound(1),
            patients_max: 1_000,
        };
        let renewal = |version| (name.clone(), Renewal { version, unit: "patient-year".parse().unwrap() });
        let renewed = renewed.map(renewal).into_iter().collect();
        let said = Safeguards::try_from(SafeguardFields { renewed, ..Safeguards::default().into() }).unwrap();
        let link = if version == 2 { DocumentDigest([9; 32]) } else { LAST };
        let accounts = BTreeMap::from([(name.clone(), terms)]);
        let ext = said.beside(Extensions::default());
        charter(CharterFields { version, previous: Some(link), accounts, ext, ..fields(&[1, 2, 3]) })
    }

    // CHAR-12
    #[test]
    fn an_account_is_enlarged_only_by_the_threshold_and_with_its_unit_named() {
        let last = granting(2, 5, Some(2));
        for (rho, renewed, fault) in
            [(5, Some(2), false), (4, Some(2), false), (6, Some(2), true), (6, None, true), (6, Some(3), false)]
        {
            let next = granting(3, rho, renewed);
            assert_eq!(check_succession(HOME, &last, LAST, &next).is_err(), fault, "{rho} {renewed:?}");
            let need = requirement(&last, &next).needed;
            assert_eq!(need, if rho == 5 { 0 } else { 2 }, "{rho}");
        }
    }

    // CHAR-7
    #[test]
    fn only_the_closed_list_strengthens() {
        type Bend = fn(&mut CharterFields);
        let last = charter(fields(&[1, 2, 3]));
        let strengthening: [Bend; 6] = [
            |_| (),
            |f| f.policy.anonymity_k_min = AnonymityK(21),
            |f| f.policy.small_cell_min = 21,
            |f| f.terms.share_validity_max = Seconds(99),
            |f| f.terms.landed_rows = LandedRows::Erase,
            |f| f.linkage.as_mut().unwrap().epoch = 4,
        ];
        let other: [Bend; 8] = [
            |f| f.policy.anonymity_k_min = AnonymityK(19),
            |f| f.policy.small_cell_min = 19,
            |f| f.terms.share_validity_max = Seconds(101),
            |f| f.terms.landed_rows = LandedRows::Keep,
            |f| f.threshold = 3,
            |f| f.title = "u".parse().unwrap(),
            |f| drop(f.roster.remove(&"m3".parse().unwrap())),
            |f| (f.linkage.as_mut().unwrap().epoch, f.linkage.as_mut().unwrap().key_maker) = (4, "m2".parse().unwrap()),
        ];
        assert!(strengthening.into_iter().all(|bend| strengthens(&last, &next(bend))));
        for (place, bend) in other.into_iter().enumerate() {
            assert!(!strengthens(&last, &next(bend)), "{place}");
        }
    }
}
