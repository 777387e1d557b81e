//! The checks, in their order: charters from the anchor, node records, statement, project, body, journal, log.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_epsilon::{Cost, least_stated, rho_of_person};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::key::signed::{Record, Signed, Verified};
use cohortium_protocol::limits::{DOCUMENT_BYTES_MAX, JOURNAL_ENTRY_BYTES_MAX, LOG_PROOF_BYTES_MAX};
use cohortium_protocol::log::checkpoint::{LogKeys, Strangers, origin};
use cohortium_protocol::log::leaf_entry;
use cohortium_protocol::log::proof::{InclusionBundle, ProofFault};
use cohortium_protocol::quantity::{Millionths, Rows};
use cohortium_protocol::record::charter::{AccountTerms, Charter, CharterKind, PartyKind};
use cohortium_protocol::record::journal_entry::{Act, JournalEntry};
use cohortium_protocol::record::node_record::NodeRecord;
use cohortium_protocol::record::project::Project;
use cohortium_protocol::record::release::{AggregateDone, Done, Release};
use cohortium_protocol::record::reservation::Reservation;
use cohortium_protocol::rule::review::charge_of;
use cohortium_protocol::state::charters::Charters;
use cohortium_protocol::time::UnixMillis;
use cohortium_protocol::wire::codec;

use super::fault::{ReleaseFault, Wrong};
use super::folder::FolderRead;
use super::layout::{
    CHARTER_FOLDER, COSIGNER_FOLDER, ENDING, JournalFile, OPERATOR_FOLDER, PROJECT, RESERVED, RESERVED_PROOF, SIGNED,
    SIGNED_PROOF, STATEMENT, STATEMENT_JSON, numbered, statement_json,
};

type Checked<T> = Result<T, ReleaseFault>;

/// A longer file of people's JSON is none: the statement itself is a document.
const JSON_BYTES_MAX: usize = 64 << 20;

/// What stands of a release, all of it checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRelease {
    /// The statement.
    pub release: Release,
    /// The consortium that its charter chain begins.
    pub consortium: ConsortiumId,
    /// Whether that is the consortium that was named: without an anchor anybody could have made all of it.
    pub anchored: bool,
    /// The charter version that it was reviewed against.
    pub charter_version: u32,
    /// Whether the consortium is a rehearsal.
    pub kind: CharterKind,
    /// When it was signed, by the operator's clock.
    pub signed_at: UnixMillis,
    /// Parties that cosigned the checkpoint of the log.
    pub cosigned_by: BTreeSet<Name>,
    /// Rows of its body, as stated.
    pub rows: Rows,
}

/// Verifies the folder of a release (spec FOLD-2). Reads every file of it.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(folder: &dyn FolderRead, anchor: Option<ConsortiumId>) -> Checked<VerifiedRelease> {
    let paths = folder.paths().map_err(|(path, fault)| ReleaseFault::new(path, Wrong::Read(fault)))?;
    let paths: BTreeSet<String> = paths.into_iter().collect();
    let read = Reader { folder, paths: &paths };
    let charters = read.charters(anchor)?;
    let keys = read.records(&charters)?;
    let statement: Verified<Release> = read.document(STATEMENT, &keys.operator_keys())?;
    let charter = &charters.last;
    check_statement(&statement, &charters)?;
    let project: Verified<Project> = read.document(PROJECT, &keys.operator_keys())?;
    check_project(&statement, &project, &charters)?;
    check_floors(&statement, charter)?;
    read.body(&statement)?;
    if read.whole(STATEMENT_JSON, JSON_BYTES_MAX)? != statement_json(&statement) {
        return Err(ReleaseFault::new(STATEMENT_JSON, Wrong::Words));
    }
    let log = keys.log(charters.consortium)?;
    // What an entry says is believed once it is known to be the one in the log.
    let (reserved, reserved_file) = read.entry(RESERVED)?;
    let first = read.proof(RESERVED_PROOF, &log, RESERVED, &reserved_file)?;
    if first.0 != statement.reserved {
        return Err(ReleaseFault::new(RESERVED_PROOF, Wrong::Proof(ProofFault::Index)));
    }
    check_reservation(&statement, &project, &reserved)?;
    let (signed, signed_file) = read.entry(SIGNED)?;
    let second = read.proof(SIGNED_PROOF, &log, SIGNED, &signed_file)?;
    let signed_at = check_signing(&read, &statement, &signed, &keys)?;
    read.nothing_else(&statement, &charters, &keys)?;
    let names = first.1.union(&second.1);
    let parties = keys.cosigners.keys().filter(|party| {
        let name = origin(&charters.consortium, party);
        names.clone().any(|signer| *signer == name)
    });
    Ok(VerifiedRelease {
        consortium: charters.consortium,
        anchored: anchor.is_some(),
        charter_version: charter.version,
        kind: charter.kind,
        signed_at,
        cosigned_by: parties.cloned().collect(),
        rows: Rows(statement.body.iter().map(|file| file.rows.0).sum()),
        release: statement.into_document(),
    })
}

/// The charter chain that stands.
struct Chain {
    consortium: ConsortiumId,
    versions: Vec<Charter>,
    last: Charter,
    digest: cohortium_protocol::digest::DocumentDigest,
}

impl Chain {
    /// Every root that ever was the operator's, or a party's, here.
    fn roots(&self, party: &Name) -> Vec<PublicKey> {
        self.versions.iter().filter_map(|version| version.roster.get(party)).map(|party| party.root).collect()
    }

    fn operator(&self) -> &Name {
        self.last.operator().0
    }
}

/// Node records that stand.
struct Keys {
    operator: Vec<NodeRecord>,
    cosigners: BTreeMap<Name, NodeRecord>,
    operator_name: Name,
}

impl Keys {
    fn operator_keys(&self) -> Vec<PublicKey> {
        self.operator.iter().map(|record| record.signing).collect()
    }

    fn log(&self, consortium: ConsortiumId) -> Checked<LogKeys> {
        let wrong = |path: &str| ReleaseFault::new(path, Wrong::Party);
        let name = origin(&consortium, &self.operator_name);
        let mut keys = LogKeys::new(&name, self.operator_keys(), Strangers::Refuse)
            .map_err(|_| wrong(&numbered(OPERATOR_FOLDER, 1)))?;
        for (party, record) in &self.cosigners {
            keys =
                keys.with_cosigner(&origin(&consortium, party), record.signing).map_err(|_| wrong(party.as_str()))?;
        }
        Ok(keys)
    }
}

struct Reader<'a> {
    folder: &'a dyn FolderRead,
    paths: &'a BTreeSet<String>,
}

impl Reader<'_> {
    fn whole(&self, path: &str, bytes_max: usize) -> Checked<Vec<u8>> {
        self.folder.whole(path, bytes_max).map_err(|fault| ReleaseFault::new(path, Wrong::Read(fault)))
    }

    fn envelope<T: Record>(&self, path: &str) -> Checked<(Signed<T>, Vec<u8>)> {
        let bytes = self.whole(path, DOCUMENT_BYTES_MAX)?;
        let signed = Signed::from_bytes(&bytes).map_err(|fault| ReleaseFault::new(path, Wrong::Signed(fault)))?;
        Ok((signed, bytes))
    }

    /// A document that these keys have signed, and nobody else.
    fn document<T: Record>(&self, path: &str, keys: &[PublicKey]) -> Checked<Verified<T>> {
        let (signed, bytes) = self.envelope::<T>(path)?;
        let verified = signed.verify(keys).map_err(|fault| ReleaseFault::new(path, Wrong::Signed(fault)))?;
        if signed.only(verified.signers()).to_bytes() != bytes {
            return Err(ReleaseFault::new(path, Wrong::StrangeSignature));
        }
        Ok(verified)
    }

    /// The numbered documents of a folder, from 1 on, as far as they go.
    fn numbered(&self, folder: &str) -> Vec<String> {
        let most = self.paths.len();
        (1..=most).map(|number| numbered(folder, number)).take_while(|path| self.paths.contains(path)).collect()
    }

    fn charters(&self, anchor: Option<ConsortiumId>) -> Checked<Chain> {
        let paths = self.numbered(CHARTER_FOLDER);
        let first = paths.first().cloned().unwrap_or_else(|| numbered(CHARTER_FOLDER, 1));
        let (signed, _) = self.envelope::<Charter>(&first)?;
        let charter = signed.claimed().map_err(|fault| ReleaseFault::new(&first, Wrong::Signed(fault)))?;
        let root = charter.operator().1.root;
        // By its signature first: without an anchor a damaged charter would only look like another consortium's.
        signed.verify(&[root]).map_err(|fault| ReleaseFault::new(&first, Wrong::Signed(fault)))?;
        let consortium = ConsortiumId(signed.digest().0);
        if anchor.is_some_and(|anchor| anchor != consortium) {
            return Err(ReleaseFault::new(first, Wrong::Anchor));
        }
        let mut chain = Charters::new(consortium, root);
        for path in &paths {
            let (signed, bytes) = self.envelope::<Charter>(path)?;
            let version = chain.check(&signed).map_err(|_| ReleaseFault::new(path, Wrong::Chain))?;
            if version.signed.to_bytes() != bytes {
                return Err(ReleaseFault::new(path, Wrong::StrangeSignature));
            }
            chain.take(version).ok_or_else(|| ReleaseFault::new(path, Wrong::NotInForce))?;
        }
        let last = chain.head().ok_or_else(|| ReleaseFault::new(first, Wrong::NotInForce))?;
        let versions = chain.chain().iter().map(|version| version.charter.clone()).collect();
        Ok(Chain { consortium, versions, last: last.charter.clone(), digest: last.digest })
    }

    fn records(&self, charters: &Chain) -> Checked<Keys> {
        let operator_name = charters.operator().clone();
        let mut operator = Vec::new();
        let paths = self.numbered(OPERATOR_FOLDER);
        if paths.is_empty() {
            let missing = Wrong::Read(super::folder::ReadFault::Missing);
            return Err(ReleaseFault::new(numbered(OPERATOR_FOLDER, 1), missing));
        }
        for path in paths {
            operator.push(self.record(&path, &operator_name, charters)?);
        }
        let mut cosigners = BTreeMap::new();
        let of_cosigner = |path: &&String| path.starts_with(COSIGNER_FOLDER);
        for path in self.paths.iter().filter(of_cosigner) {
            let name = path.strip_prefix(COSIGNER_FOLDER).and_then(|path| path.strip_prefix('/'));
            let name = name.and_then(|name| name.strip_suffix(ENDING)).and_then(|name| name.parse::<Name>().ok());
            let name = name.ok_or_else(|| ReleaseFault::new(path, Wrong::Stranger))?;
            let record = self.record(path, &name, charters)?;
            cosigners.insert(name, record);
        }
        Ok(Keys { operator, cosigners, operator_name })
    }

    fn record(&self, path: &str, party: &Name, charters: &Chain) -> Checked<NodeRecord> {
        let record: Verified<NodeRecord> = self.document(path, &charters.roots(party))?;
        if record.consortium != charters.consortium {
            return Err(ReleaseFault::new(path, Wrong::Consortium));
        }
        if record.party != *party || !record.signers().contains(&record.root) {
            return Err(ReleaseFault::new(path, Wrong::Party));
        }
        Ok(record.into_document())
    }

    fn body(&self, statement: &Release) -> Checked<()> {
        for file in &statement.body {
            let path = file.path.as_str();
            let found = self.folder.digests(path).map_err(|fault| ReleaseFault::new(path, Wrong::Read(fault)))?;
            if found != (file.bytes.0, file.digest, file.sha256) {
                return Err(ReleaseFault::new(path, Wrong::Body));
            }
        }
        Ok(())
    }

    fn entry(&self, path: &str) -> Checked<(JournalEntry, JournalFile)> {
        let wrong = || ReleaseFault::new(path, Wrong::Entry);
        let bytes = self.whole(path, JOURNAL_ENTRY_BYTES_MAX + 64)?;
        let file: JournalFile = codec::decode(&bytes, JOURNAL_ENTRY_BYTES_MAX + 64).map_err(|_| wrong())?;
        let entry = codec::decode(&file.entry.0, JOURNAL_ENTRY_BYTES_MAX).map_err(|_| wrong())?;
        Ok((entry, file))
    }

    /// The index of an entry in the log, and the names of who cosigned the checkpoint.
    fn proof(&self, path: &str, keys: &LogKeys, entry: &str, file: &JournalFile) -> Checked<(u64, BTreeSet<String>)> {
        let wrong = |fault| ReleaseFault::new(path, Wrong::Proof(fault));
        let proof = InclusionBundle::decode(&self.whole(path, LOG_PROOF_BYTES_MAX)?).map_err(wrong)?;
        let open = proof.verify(keys).map_err(wrong)?;
        if leaf_entry(&file.salt, &file.entry.0) != proof.leaf {
            return Err(ReleaseFault::new(entry, Wrong::Leaf));
        }
        Ok((proof.index, open.cosigned.iter().map(|signed| signed.name.clone()).collect()))
    }

    fn nothing_else(&self, statement: &Release, charters: &Chain, keys: &Keys) -> Checked<()> {
        let fixed =
            [STATEMENT, STATEMENT_JSON, PROJECT, RESERVED, RESERVED_PROOF, SIGNED, SIGNED_PROOF].map(str::to_owned);
        let charters = (1..=charters.versions.len()).map(|number| numbered(CHARTER_FOLDER, number));
        let records = (1..=keys.operator.len()).map(|number| numbered(OPERATOR_FOLDER, number));
        let cosigners = keys.cosigners.keys().map(|party| format!("{COSIGNER_FOLDER}/{party}{ENDING}"));
        let body = statement.body.iter().map(|file| file.path.to_string());
        let known: BTreeSet<String> =
            fixed.into_iter().chain(charters).chain(records).chain(cosigners).chain(body).collect();
        match self.paths.difference(&known).next() {
            Some(path) => Err(ReleaseFault::new(path, Wrong::Stranger)),
            None => Ok(()),
        }
    }
}

fn check_statement(statement: &Release, charters: &Chain) -> Checked<()> {
    let wrong = |wrong| Err(ReleaseFault::new(STATEMENT, wrong));
    if statement.consortium != charters.consortium {
        return wrong(Wrong::Consortium);
    }
    if statement.operator != *charters.operator() {
        return wrong(Wrong::Party);
    }
    if statement.charter != charters.digest {
        return wrong(Wrong::Charter);
    }
    let is_member = |name: &Name| charters.last.roster.get(name).is_some_and(|party| party.kind == PartyKind::Member);
    if statement.request.recipients.iter().all(is_member) { Ok(()) } else { wrong(Wrong::Recipient) }
}

fn check_project(statement: &Release, project: &Verified<Project>, charters: &Chain) -> Checked<()> {
    let same = project.digest() == statement.project
        && project.consortium == charters.consortium
        && project.operator == statement.operator
        && project.name == statement.request.project
        && project.account == statement.account;
    if !same {
        return Err(ReleaseFault::new(PROJECT, Wrong::Project));
    }
    let allowed = project.kinds.contains(&statement.done.kind())
        && statement.request.recipients.is_subset(&project.recipients)
        && statement.tables.keys().all(|table| project.tables.contains_key(table))
        && charters.last.accounts.contains_key(&project.account);
    if allowed { Ok(()) } else { Err(ReleaseFault::new(STATEMENT, Wrong::NotOfProject)) }
}

fn check_floors(statement: &Release, charter: &Charter) -> Checked<()> {
    let kept = match &statement.done {
        Done::Microdata { k, .. } => *k >= charter.policy.anonymity_k_min,
        Done::Counts { floor, .. } => *floor >= charter.policy.small_cell_min,
        // Noise hides what is small.
        Done::Aggregate(done) => {
            let terms = charter.accounts.get(&statement.account);
            let terms = terms.ok_or_else(|| ReleaseFault::new(STATEMENT, Wrong::Account))?;
            return check_epsilon(done, terms).map_err(|wrong| ReleaseFault::new(STATEMENT, wrong));
        }
    };
    if kept { Ok(()) } else { Err(ReleaseFault::new(STATEMENT, Wrong::Floor)) }
}

/// Both figures of epsilon, computed again from rho and delta. Delta of a person may be more than a token's, by a map that is not
/// known here: a statement may say more than this, and never less.
fn check_epsilon(done: &AggregateDone, terms: &AccountTerms) -> Result<(), Wrong> {
    if (done.tokens, done.at) != (terms.tokens_per_person_max, terms.delta_shown()) {
        return Err(Wrong::Account);
    }
    let least = |rho| least_stated(Cost { rho, delta: done.delta }, done.at);
    let least_person = rho_of_person(done.rho, done.tokens).map_or(Millionths(u64::MAX), least);
    for (stated, least, wrong) in [
        (done.epsilon, least(done.rho), Wrong::EpsilonOfToken as fn(Millionths) -> Wrong),
        (done.epsilon_person, least_person, Wrong::EpsilonOfPerson),
    ] {
        if stated < least {
            return Err(wrong(least));
        }
    }
    Ok(())
}

fn check_reservation(statement: &Release, project: &Project, entry: &JournalEntry) -> Checked<()> {
    let Act::ReleaseReserved(reserved) = &entry.act else {
        return Err(ReleaseFault::new(RESERVED, Wrong::Entry));
    };
    if entry.at >= project.expires || !says(reserved, statement) {
        return Err(ReleaseFault::new(RESERVED, Wrong::EntryDiffers));
    }
    Ok(())
}

fn says(reserved: &Reservation, statement: &Release) -> bool {
    reserved.release == statement.release
        && reserved.kind == statement.done.kind()
        && reserved.request == Signed::unsigned(&statement.request).digest()
        && reserved.charter == statement.charter
        && reserved.project == statement.project
        && reserved.account == statement.account
        && reserved.consolidation == statement.consolidation
        && reserved.tables == statement.tables
        && reserved.recipients == statement.request.recipients
        && reserved.charge == charge_of(&statement.request.asked)
}

/// The entry that holds the statement; a node record of the operator with the key that signed it stood then.
fn check_signing(
    read: &Reader<'_>,
    statement: &Verified<Release>,
    entry: &JournalEntry,
    keys: &Keys,
) -> Checked<UnixMillis> {
    let Act::Released(signed) = &entry.act else { return Err(ReleaseFault::new(SIGNED, Wrong::Entry)) };
    let (own, _) = read.envelope::<Release>(STATEMENT)?;
    if *signed != own {
        return Err(ReleaseFault::new(SIGNED, Wrong::EntryDiffers));
    }
    let signers = statement.signers();
    let stood = |record: &NodeRecord| signers.contains(&record.signing) && record.stands_at(entry.at);
    if keys.operator.iter().any(stood) { Ok(entry.at) } else { Err(ReleaseFault::new(STATEMENT, Wrong::Expired)) }
}
