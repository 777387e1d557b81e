//! What is wrong with a release, and in which file.

use std::fmt;

use cohortium_protocol::key::signed::SignedFault;
use cohortium_protocol::log::proof::ProofFault;
use cohortium_protocol::quantity::Millionths;
use cohortium_protocol::wire::codec::CodecFault;

use super::folder::ReadFault;

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFault {
    /// In which file of the folder.
    pub path: String,
    /// What.
    pub wrong: Wrong,
}

impl ReleaseFault {
    pub(super) fn new(path: impl Into<String>, wrong: Wrong) -> Self {
        Self { path: path.into(), wrong }
    }
}

impl fmt::Display for ReleaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.wrong)
    }
}

impl std::error::Error for ReleaseFault {}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It cannot be read.
    Read(ReadFault),
    /// It does not belong to a release.
    Stranger,
    /// It is no signed document that stands.
    Signed(SignedFault),
    /// It carries a signature of a key that nothing here explains.
    StrangeSignature,
    /// It is not the charter that the anchor names.
    Anchor,
    /// It does not follow the charter before it.
    Chain,
    /// It lacks signatures that its change needs.
    NotInForce,
    /// It is of another consortium.
    Consortium,
    /// It is of another party than its place says.
    Party,
    /// It is signed by a key whose node record did not stand then.
    Expired,
    /// It was reviewed against another charter than the last one here.
    Charter,
    /// It is another project than the statement names.
    Project,
    /// The project does not allow what was released.
    NotOfProject,
    /// k or the floor of counts is below the charter's.
    Floor,
    /// The charter has no such account, or another number of members that may count a person, or states epsilon at another delta.
    Account,
    /// Epsilon of a token is below what its rho and delta come to, which is this.
    EpsilonOfToken(Millionths),
    /// Epsilon of a person is.
    EpsilonOfPerson(Millionths),
    /// A recipient is no member of the charter.
    Recipient,
    /// Its length or a digest of it is not the stated one.
    Body,
    /// It does not say what the signed statement says.
    Words,
    /// It is no journal entry of its kind.
    Entry,
    /// The entry says something else than the statement.
    EntryDiffers,
    /// It is not the entry that the proof is about.
    Leaf,
    /// The proof does not prove it.
    Proof(ProofFault),
}

impl Wrong {
    /// Its name in one word for scripts; the reference in Python and the Python package give the same (spec chapter 17).
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Read(ReadFault::Missing) => "missing",
            Self::Read(ReadFault::Unreadable) => "unreadable",
            Self::Read(ReadFault::TooLong) | Self::Signed(SignedFault::Codec(CodecFault::TooLong { .. })) => "too-long",
            Self::Signed(SignedFault::WrongType) => "wrong-type",
            Self::Signed(SignedFault::SignatureOrder) => "signature-order",
            Self::Signed(SignedFault::SignatureInvalid) => "signature-invalid",
            Self::Signed(SignedFault::SignerMissing) => "signer-missing",
            Self::Signed(SignedFault::Codec(CodecFault::Malformed)) => "malformed",
            Self::Signed(SignedFault::Codec(CodecFault::Trailing)) => "trailing",
            Self::Signed(SignedFault::Codec(CodecFault::NotCanonical)) => "not-canonical",
            Self::Stranger => "stranger",
            Self::StrangeSignature => "strange-signature",
            Self::Anchor => "anchor",
            Self::Chain => "chain",
            Self::NotInForce => "not-in-force",
            Self::Consortium => "consortium",
            Self::Party => "party",
            Self::Expired => "expired",
            Self::Charter => "charter",
            Self::Project => "project",
            Self::NotOfProject => "not-of-project",
            Self::Floor => "floor",
            Self::Account => "account",
            Self::EpsilonOfToken(_) => "epsilon-of-token",
            Self::EpsilonOfPerson(_) => "epsilon-of-person",
            Self::Recipient => "recipient",
            Self::Body => "body",
            Self::Words => "words",
            Self::Entry => "entry",
            Self::EntryDiffers => "entry-differs",
            Self::Leaf => "leaf",
            Self::Proof(_) => "proof",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read(fault) => return fault.fmt(f),
            Self::Signed(fault) => return fault.fmt(f),
            Self::Proof(fault) => return write!(f, "does not prove it: {fault}"),
            Self::EpsilonOfToken(least) => return epsilon(f, "a token", *least),
            Self::EpsilonOfPerson(least) => return epsilon(f, "a person", *least),
            Self::Account => "states epsilon for another account than the charter's",
            Self::Stranger => "does not belong to a release",
            Self::StrangeSignature => "carries a signature that nothing in the folder explains",
            Self::Anchor => "is not the charter of the consortium that was named",
            Self::Chain => "does not follow the charter before it",
            Self::NotInForce => "lacks signatures that its change needs",
            Self::Consortium => "is of another consortium",
            Self::Party => "is of another party",
            Self::Expired => "is signed by a key whose node record did not stand then",
            Self::Charter => "was reviewed against another charter than the folder's last",
            Self::Project => "is another project than the statement names",
            Self::NotOfProject => "is more than its project allows",
            Self::Floor => "keeps a k or floor below the charter's",
            Self::Recipient => "names a recipient that is no member",
            Self::Body => "is not the file that the statement names",
            Self::Words => "does not say what the signed statement says",
            Self::Entry => "is no journal entry of its kind",
            Self::EntryDiffers => "says something else than the statement",
            Self::Leaf => "is not the entry that the log's proof is about",
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn epsilon(f: &mut fmt::Formatter<'_>, whose: &str, least: Millionths) -> fmt::Result {
    match least.0 {
        u64::MAX => write!(f, "states an epsilon of {whose} where its rho and delta are bounded by none"),
        least => {
            write!(f, "states an epsilon of {whose} below {:.6}, which its rho and delta come to", least as f64 / 1e6)
        }
    }
}
