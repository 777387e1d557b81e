//! Whether a manifest continues what a consumer has of a share.

use crate::code::ErrorCode;
use crate::ident::SnapshotId;
use crate::record::manifest::{Base, Manifest};

/// The last manifest that a consumer has of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Its number.
    pub sequence: u64,
    /// Its id.
    pub snapshot: SnapshotId,
}

/// Checks that `manifest`, whose id is `id`, comes after `head` (spec SNAP-1, SNAP-2).
///
/// A full snapshot may leave numbers out: a consumer that paused needs only the last one. A delta continues exactly the
/// one before. The same number with other content is a fork, a lower number a roll-back.
///
/// # Errors
/// [`ErrorCode::Forked`] or [`ErrorCode::ChainBroken`].
pub fn check_continues(head: Option<ChainHead>, manifest: &Manifest, id: SnapshotId) -> Result<(), ErrorCode> {
    let Some(head) = head else {
        let begins = manifest.base == Base::Full && manifest.sequence > 0;
        return if begins { Ok(()) } else { Err(ErrorCode::ChainBroken) };
    };
    if manifest.sequence == head.sequence && id != head.snapshot {
        return Err(ErrorCode::Forked);
    }
    let next = head.sequence.checked_add(1) == Some(manifest.sequence);
    let continues = match manifest.base {
        Base::Delta => next && manifest.previous == Some(head.snapshot),
        Base::Full => manifest.sequence > head.sequence && (!next || manifest.previous == Some(head.snapshot)),
    };
    if continues { Ok(()) } else { Err(ErrorCode::ChainBroken) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{DocumentDigest, blob_digest};
    use crate::ident::{ConsortiumId, ShareId};
    use crate::quantity::Bytes;
    use crate::record::extension::Extensions;
    use crate::record::listing::BlobRef;
    use crate::record::manifest::ContentLabel;
    use crate::time::UnixMillis;

    fn manifest(sequence: u64, previous: Option<u8>, base: Base) -> Manifest {
        Manifest {
            consortium: ConsortiumId([1; 32]),
            provider: "north".parse().unwrap(),
            share: ShareId([1; 16]),
            terms: DocumentDigest([1; 32]),
            sequence,
            previous: previous.map(|n| SnapshotId([n; 32])),
            base,
            taken: UnixMillis(1),
            listing: BlobRef { digest: blob_digest(b""), bytes: Bytes(0) },
            bytes: Bytes(0),
            label: ContentLabel::Pseudonymised,
            columns: vec![],
            linkage: None,
            ext: Extensions::default(),
        }
    }

    // SNAP-1 SNAP-2
    #[test]
    fn a_chain_neither_forks_nor_goes_back_nor_skips_a_delta() {
        let head = Some(ChainHead { sequence: 5, snapshot: SnapshotId([5; 32]) });
        let id = SnapshotId([7; 32]);
        let cases = [
            (None, manifest(1, None, Base::Full), Ok(())),
            (None, manifest(4, Some(3), Base::Full), Ok(())),
            (None, manifest(1, None, Base::Delta), Err(ErrorCode::ChainBroken)),
            (None, manifest(0, None, Base::Full), Err(ErrorCode::ChainBroken)),
            (head, manifest(6, Some(5), Base::Delta), Ok(())),
            (head, manifest(6, Some(5), Base::Full), Ok(())),
            (head, manifest(8, Some(7), Base::Full), Ok(())),
            (head, manifest(6, Some(4), Base::Full), Err(ErrorCode::ChainBroken)),
            (head, manifest(6, Some(4), Base::Delta), Err(ErrorCode::ChainBroken)),
            (head, manifest(7, Some(5), Base::Delta), Err(ErrorCode::ChainBroken)),
            (head, manifest(5, Some(4), Base::Full), Err(ErrorCode::Forked)),
            (head, manifest(4, Some(3), Base::Full), Err(ErrorCode::ChainBroken)),
        ];
        for (head, manifest, expected) in cases {
            assert_eq!(check_continues(head, &manifest, id), expected, "{} {:?}", manifest.sequence, manifest.base);
        }
    }
}
