//! The release of a vocabulary that codes were mapped with, and the index of one that a node has loaded.

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::Text;
use crate::limits::EXTENSION_BYTES_MAX;
use crate::record::extension::Extensions;
use crate::record::listing::BlobRef;
use crate::wire::codec::{self, CodecFault};

/// The release of a vocabulary that codes were mapped with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Its name, as its maker writes it.
    pub release: Text,
    /// The digest of the download.
    pub digest: DocumentDigest,
}

impl Vocabulary {
    /// The id of the extension of a manifest that names it: odd, so a reader may pass it over.
    pub const EXTENSION: u16 = 3;

    /// Beside other extensions of a manifest.
    ///
    /// # Panics
    /// Never: a release has a bound far below that of an extension.
    #[must_use]
    pub fn beside(&self, extensions: Extensions) -> Extensions {
        extensions.with(Self::EXTENSION, codec::encode(self))
    }

    /// Out of a manifest's extensions; `None` where there is none.
    ///
    /// # Errors
    /// Bytes that are no vocabulary.
    pub fn of(extensions: &Extensions) -> Result<Option<Self>, CodecFault> {
        extensions.get(Self::EXTENSION).map(|bytes| codec::decode(bytes, EXTENSION_BYTES_MAX)).transpose()
    }
}

/// A vocabulary that a node has loaded. Its index is the user's licensed content: it stays in the node's own store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedVocabulary {
    /// Which one.
    pub vocabulary: Vocabulary,
    /// Its index, a blob of its own.
    pub index: BlobRef,
}

#[cfg(test)]
mod tests {
    use super::*;

    // MAP-14
    #[test]
    fn a_vocabulary_travels_in_an_extension_that_may_be_passed_over() {
        let vocabulary = Vocabulary { release: "v5.0 27-FEB-26".parse().unwrap(), digest: DocumentDigest([8; 32]) };
        let extensions = vocabulary.beside(Extensions::one(1, vec![7]));
        assert_eq!(Vocabulary::of(&extensions).unwrap(), Some(vocabulary));
        assert_eq!(extensions.get(1), Some(&[7][..]));
        assert_eq!(Vocabulary::of(&Extensions::default()).unwrap(), None);
        assert!(Vocabulary::of(&Extensions::one(Vocabulary::EXTENSION, vec![1])).is_err());
    }
}
