//! Signed notes as C2SP signed-note defines them, with Ed25519 signatures and timestamped cosignatures.
//!
//! ```text
//! text, one or more lines
//!                                      an empty line
//! — key name base64(key id || signature)      one or more of these
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::sha256;
use crate::key::pair::{KeyPair, PublicKey, SignatureBytes};
use crate::limits::{LOG_NOTE_BYTES_MAX, SIGNATURES_MAX};
use crate::time::UnixMillis;

/// What begins a signature line: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// Why a note or checkpoint is refused. Carries no content of the note except names of keys that are known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteFault {
    /// Longer than the cap.
    TooLong {
        /// The cap in bytes.
        max: usize,
    },
    /// Not UTF-8, or with a control character other than the newline.
    NotText,
    /// No empty line before the signatures, no signature, or too many.
    Shape,
    /// A signature line that is malformed.
    SignatureLine {
        /// Its number, from 1.
        line: usize,
    },
    /// A name that is empty or has a space, a plus or a control character.
    KeyName,
    /// A signature of a known key that does not stand.
    SignatureInvalid {
        /// The key's name.
        name: String,
    },
    /// No signature of the log's own key.
    Unsigned,
    /// A signature of a key that this reader does not know, where all must be known.
    Stranger {
        /// The number of its line, from 1.
        line: usize,
    },
    /// A line of the checkpoint that is not what tlog-checkpoint asks for.
    Body {
        /// Its number, from 1.
        line: usize,
    },
    /// A checkpoint of another log.
    Origin,
}

impl fmt::Display for NoteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(f, "is longer than {max} bytes"),
            Self::NotText => write!(f, "is not a text of printable lines"),
            Self::Shape => write!(f, "is not a text with an empty line and 1 to {SIGNATURES_MAX} signatures after it"),
            Self::SignatureLine { line } => write!(f, "has a malformed signature on line {line}"),
            Self::KeyName => write!(f, "names a key by a text that no key can have"),
            Self::SignatureInvalid { name } => write!(f, "has a signature of {name} that does not stand"),
            Self::Unsigned => write!(f, "has no signature of the log's own key"),
            Self::Stranger { line } => write!(f, "has a signature of an unknown key on line {line}"),
            Self::Body { line } => write!(f, "is not a checkpoint: line {line} is malformed"),
            Self::Origin => write!(f, "is a checkpoint of another log"),
        }
    }
}

impl std::error::Error for NoteFault {}

/// What a key signs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// A log's own key: Ed25519 over the note's text.
    Log,
    /// A cosigner's key: Ed25519 over a timestamp and the note's text (C2SP tlog-cosignature, `cosignature/v1`).
    Cosigner,
}

impl KeyKind {
    /// The signature type of C2SP signed-note.
    const fn signature_type(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosigner => 0x04,
        }
    }
}

/// A key that a reader knows, under the name that signature lines give it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteKey {
    name: String,
    kind: KeyKind,
    public: PublicKey,
}

impl NoteKey {
    /// A key under a name.
    ///
    /// # Errors
    /// [`NoteFault::KeyName`] for an empty name or one with spaces, control characters or a plus.
    pub fn new(name: &str, kind: KeyKind, public: PublicKey) -> Result<Self, NoteFault> {
        let good = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
        if good { Ok(Self { name: name.to_owned(), kind, public }) } else { Err(NoteFault::KeyName) }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key's id: SHA-256 of name, newline, signature type and key, its first four bytes (spec LOG-10).
    pub fn id(&self) -> [u8; 4] {
        let digest = sha256(&[self.name.as_bytes(), b"\n", &[self.kind.signature_type()], self.public.as_bytes()]);
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// The key as other tools take it: `name+id+base64(type || key)`.
    pub fn verifier_key(&self) -> String {
        let id = u32::from_be_bytes(self.id());
        let typed = [&[self.kind.signature_type()], self.public.as_bytes().as_slice()].concat();
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(typed))
    }

    /// Whether `signature` is this key's over `text`.
    fn check(&self, text: &str, signature: &[u8]) -> Option<Signed> {
        let (at_seconds, message, signature) = match self.kind {
            KeyKind::Log => (None, text.to_owned(), signature),
            KeyKind::Cosigner => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let seconds = u64::from_be_bytes(*time);
                i64::try_from(seconds).ok()?;
                (Some(seconds), cosigned_message(text, seconds), signature)
            }
        };
        let signature = SignatureBytes(signature.try_into().ok()?);
        let stands = self.public.verifies(message.as_bytes(), &signature);
        stands.then(|| Signed { name: self.name.clone(), kind: self.kind, at_seconds })
    }
}

/// A signature that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The key's name.
    pub name: String,
    /// What the key signs.
    pub kind: KeyKind,
    /// When a cosigner signed, in seconds since 1970-01-01T00:00:00Z.
    pub at_seconds: Option<u64>,
}

/// The message of `cosignature/v1` (C2SP tlog-cosignature).
fn cosigned_message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// One signature as it stands on its line, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl SignatureLine {
    /// Reads a line without its newline.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
        (named && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: *key_id,
            signature: signature.to_vec(),
        })
    }

    /// Whether it claims to be by `key`.
    pub fn is_by(&self, key: &NoteKey) -> bool {
        self.name == key.name && self.key_id == key.id()
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_slice(), &self.signature].concat();
        write!(f, "{SIGNATURE_MARK}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// Signs `text` as the log that `key` names; `pair` is its secret half.
pub fn sign(text: &str, key: &NoteKey, pair: &KeyPair) -> SignatureLine {
    let signature = pair.sign(text.as_bytes()).0.to_vec();
    SignatureLine { name: key.name.clone(), key_id: key.id(), signature }
}

/// Cosigns `text` as the cosigner that `key` names, at `now`. The caller has verified that the log only grew.
pub fn cosign(text: &str, key: &NoteKey, pair: &KeyPair, now: UnixMillis) -> SignatureLine {
    let seconds = now.0.div_euclid(1000);
    let signature = pair.sign(cosigned_message(text, seconds).as_bytes());
    let stamped = [seconds.to_be_bytes().as_slice(), &signature.0].concat();
    SignatureLine { name: key.name.clone(), key_id: key.id(), signature: stamped }
}

/// A note: a text and the signatures under it, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// A text, which ends in a newline, and its signatures.
    pub(crate) const fn new(text: String, signatures: Vec<SignatureLine>) -> Self {
        Self { text, signatures }
    }

    /// Reads a note. No signature is verified.
    ///
    /// # Errors
    /// [`NoteFault`] for a note over the cap or of another form.
    pub fn parse(note: &str) -> Result<Self, NoteFault> {
        if note.len() > LOG_NOTE_BYTES_MAX {
            return Err(NoteFault::TooLong { max: LOG_NOTE_BYTES_MAX });
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteFault::NotText);
        }
        let (head, lines) = note.rsplit_once("\n\n").ok_or(NoteFault::Shape)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteFault::Shape)?;
        if head.is_empty() || lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteFault::Shape);
        }
        let first = head.split('\n').count().saturating_add(2);
        let mut signatures = Vec::new();
        for (line, number) in lines.split('\n').zip(first..) {
            signatures.push(SignatureLine::parse(line).ok_or(NoteFault::SignatureLine { line: number })?);
        }
        Ok(Self { text: format!("{head}\n"), signatures })
    }

    /// The text that is signed. Nobody acts on it before [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, not verified.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    pub(crate) const fn signatures_mut(&mut self) -> &mut Vec<SignatureLine> {
        &mut self.signatures
    }

    /// Verifies every signature by a known key. Others are left out, as signed-note demands; `Verdict` counts them.
    ///
    /// # Errors
    /// [`NoteFault::SignatureInvalid`] for a signature of a known key that does not stand (spec LOG-11).
    pub fn verify(&self, keys: &[&NoteKey]) -> Result<Verdict, NoteFault> {
        let mut verdict = Verdict { signed: Vec::new(), strangers: Vec::new() };
        let first = self.text.split('\n').count().saturating_add(1);
        for (line, number) in self.signatures.iter().zip(first..) {
            match keys.iter().find(|key| line.is_by(key)) {
                None => verdict.strangers.push(number),
                Some(key) => {
                    let signed = key.check(&self.text, &line.signature);
                    verdict.signed.push(signed.ok_or_else(|| NoteFault::SignatureInvalid { name: key.name.clone() })?);
                }
            }
        }
        Ok(verdict)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// What verifying a note found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The signatures that stand, in the note's order.
    pub signed: Vec<Signed>,
    /// The numbers of the lines signed by keys that are not known here.
    pub strangers: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> KeyPair {
        KeyPair::from_seed(&[1; 32])
    }

    fn key(kind: KeyKind) -> NoteKey {
        NoteKey::new("example.com/log", kind, pair().public()).unwrap()
    }

    const TEXT: &str = "first\n\nlast\n";

    fn note(lines: Vec<SignatureLine>) -> Note {
        Note::new(TEXT.to_owned(), lines)
    }

    // LOG-10: computed with Python's hashlib over the public key of RFC 8032's algorithm for the seed 01..01.
    #[test]
    fn key_ids_equal_what_an_outside_script_computes() {
        assert_eq!(pair().public().to_string(), "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
        assert_eq!(key(KeyKind::Log).id(), [155, 229, 211, 198]);
        assert_eq!(key(KeyKind::Cosigner).id(), [225, 127, 163, 50]);
        assert_eq!(
            key(KeyKind::Log).verifier_key(),
            "example.com/log+9be5d3c6+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
        );
    }

    // LOG-10: the notes in C2SP signed-note and tlog-checkpoint, as published.
    #[test]
    fn published_notes_are_read_and_written_back_unchanged() {
        let poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
            — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
        let checkpoint = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
            — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        for (text, count) in [(poem, 1), (checkpoint, 2)] {
            let note = Note::parse(text).unwrap();
            assert_eq!(note.signatures().len(), count);
            assert_eq!(note.to_string(), text);
        }
        assert_eq!(Note::parse(poem).unwrap().text().lines().count(), 4);
    }

    // LOG-11
    #[test]
    fn a_known_keys_signature_stands_or_the_note_is_refused() {
        let (log, cosigner) = (key(KeyKind::Log), key(KeyKind::Cosigner));
        let lines = vec![sign(TEXT, &log, &pair()), cosign(TEXT, &cosigner, &pair(), UnixMillis(1_679_315_147_999))];
        let good = note(lines);
        let verdict = good.verify(&[&log, &cosigner]).unwrap();
        assert_eq!((verdict.signed.len(), verdict.strangers.len()), (2, 0));
        assert_eq!(verdict.signed[1].at_seconds, Some(1_679_315_147));
        assert_eq!(good.verify(&[&log]).unwrap().strangers, vec![6]);
        for (line, name) in [(0, &log), (1, &cosigner)] {
            for byte in 0..good.signatures[line].signature.len() {
                let mut bent = good.clone();
                bent.signatures[line].signature[byte] ^= 0x20;
                let fault = NoteFault::SignatureInvalid { name: name.name().to_owned() };
                assert_eq!(bent.verify(&[&log, &cosigner]), Err(fault), "{line} {byte}");
            }
        }
        let other_text = Note::new("first\n\nlost\n".to_owned(), good.signatures.clone());
        assert!(other_text.verify(&[&log, &cosigner]).is_err());
    }

    // LOG-11
    #[test]
    fn a_name_or_an_id_alone_does_not_make_a_key_known() {
        let log = key(KeyKind::Log);
        let other = KeyPair::from_seed(&[2; 32]);
        let same_name = NoteKey::new("example.com/log", KeyKind::Log, other.public()).unwrap();
        let verdict = note(vec![sign(TEXT, &same_name, &other)]).verify(&[&log]).unwrap();
        assert_eq!((verdict.signed.len(), verdict.strangers), (0, vec![5]));
        let forged = SignatureLine { key_id: log.id(), ..sign(TEXT, &same_name, &other) };
        assert!(note(vec![forged]).verify(&[&log]).is_err(), "name and id match, so the signature must stand");
        let as_log = SignatureLine { signature: vec![0; 63], ..sign(TEXT, &log, &pair()) };
        assert!(note(vec![as_log]).verify(&[&log]).is_err(), "a short signature is no signature");
    }

    // LOG-10
    #[test]
    fn a_note_is_read_strictly() {
        let log = key(KeyKind::Log);
        let good = note(vec![sign(TEXT, &log, &pair())]).to_string();
        assert!(Note::parse(&good).is_ok());
        let line = SignatureLine { name: "n".to_owned(), key_id: [0; 4], signature: vec![0; 64] }.to_string();
        let wrong = [
            String::new(),
            "text\n".to_owned(),
            format!("text\n{line}\n"),
            format!("\n\n{line}\n"),
            "text\n\n".to_owned(),
            "text\n\n\n".to_owned(),
            format!("text\n\n{line}"),
            format!("text\n\n{line}\n\n"),
            format!("text\n\n{line} \n"),
            format!("text\n\n{line}=\n"),
            format!("text\n\n-{}\n", &line[3..]),
            format!("text\n\n{}\n", line.replace("A=", "B=")),
            format!("text\n\n{}\n", line.replace('=', "")),
            format!("text\n\n{}\n", line.replace(" n ", " n+ ")),
            format!("text\n\n{}\n", line.replace(" n ", " n\u{a0}m ")),
            format!("text\n\n{}\n", line.replace(" n ", "  ")),
            format!("te\txt\n\n{line}\n"),
            format!("text\r\n\n{line}\n"),
            "text\n\n— n AAAAAA==\n".to_owned(),
            format!("text\n\n{}", format!("{line}\n").repeat(SIGNATURES_MAX + 1)),
            format!("{}\n\n{line}\n", "x".repeat(LOG_NOTE_BYTES_MAX)),
        ];
        for text in wrong {
            assert!(Note::parse(&text).is_err(), "{:?}", text.chars().take(200).collect::<String>());
        }
        assert!(Note::parse(&format!("text\n\n{}", format!("{line}\n").repeat(SIGNATURES_MAX))).is_ok());
    }

    #[test]
    fn a_key_name_has_no_space_and_no_plus() {
        for name in ["", "a b", "a+b", "a\n", "a\u{2003}b", "a\u{7}"] {
            assert_eq!(NoteKey::new(name, KeyKind::Log, pair().public()), Err(NoteFault::KeyName), "{name:?}");
        }
    }
}
