//! Pages of a list: a token says where the next page begins. Callers can read nothing out of it and make none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::link::LinkKey;
use crate::recipient::RecipientId;

const DOMAIN: &str = "cohortium/share-page/1";
const TAG_BYTES: usize = 32;
/// No list's place is longer.
const PLACE_BYTES_MAX: usize = 512;

/// Which list a token is for: a token of one list is none of another, nor of another recipient.
pub(crate) struct List<'a> {
    pub(crate) key: &'a LinkKey,
    pub(crate) recipient: RecipientId,
    /// The list's name, such as the path that was asked.
    pub(crate) name: &'a str,
}

impl List<'_> {
    fn parts<'b>(&'b self, length: &'b [u8; 4], place: &'b [u8]) -> [&'b [u8]; 4] {
        [&self.recipient.0, length, self.name.as_bytes(), place]
    }

    fn length(&self) -> [u8; 4] {
        u32::try_from(self.name.len()).unwrap_or(u32::MAX).to_be_bytes()
    }

    /// The token that says `place`.
    pub(crate) fn token(&self, place: &str) -> String {
        let tag = self.key.tag(DOMAIN, &self.parts(&self.length(), place.as_bytes()));
        URL_SAFE_NO_PAD.encode([tag.as_ref(), place.as_bytes()].concat())
    }

    /// What a token says; `None` for one that this list does not have.
    pub(crate) fn place(&self, token: &str) -> Option<String> {
        if token.len() > (TAG_BYTES + PLACE_BYTES_MAX) * 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (tag, place) = bytes.split_at_checked(TAG_BYTES)?;
        let ours = self.key.is_tag(DOMAIN, &self.parts(&self.length(), place), tag);
        ours.then(|| String::from_utf8(place.to_vec()).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DSS-5
    #[test]
    fn a_page_token_is_of_one_list_and_one_recipient() {
        let key = LinkKey::new(&[1; 32]);
        let list =
            |recipient: u8, name: &'static str| List { key: &key, recipient: RecipientId([recipient; 16]), name };
        let token = list(1, "shares").token("a.b");
        assert_eq!(list(1, "shares").place(&token).as_deref(), Some("a.b"));
        assert_eq!(list(2, "shares").place(&token), None);
        assert_eq!(list(1, "schemas").place(&token), None);
        let moved = List { key: &key, recipient: RecipientId([1; 16]), name: "share" };
        assert_eq!(moved.place(&moved.token("sa.b")).as_deref(), Some("sa.b"));
        assert_eq!(list(1, "shares").place(&moved.token("sa.b")), None, "the name's length is under the tag");
        for bad in ["", "A", &token[1..], "a.b", &URL_SAFE_NO_PAD.encode("a.b"), &"A".repeat(4000)] {
            assert_eq!(list(1, "shares").place(bad), None, "{bad:?}");
        }
    }
}
