//! Checkpoints: the log's head as a signed note (C2SP tlog-checkpoint), and who may sign it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ident::{ConsortiumId, Name};
use crate::key::pair::{KeyPair, PublicKey};
use crate::log::note::{KeyKind, Note, NoteFault, NoteKey, SignatureLine, Signed, cosign, sign};
use crate::log::tile::decimal;
use crate::log::tree::{TreeHash, TreeHead};
use crate::time::UnixMillis;

/// The origin of a node's log in a consortium, which is also the name of its keys: `cohortium/<ConsortiumId>/<node>`
/// (spec LOG-9).
pub fn origin(consortium: &ConsortiumId, node: &Name) -> String {
    format!("cohortium/{consortium}/{node}")
}

/// What a checkpoint says: which log, how many leaves, which root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: String,
    /// Its head.
    pub head: TreeHead,
    /// Further lines, which this protocol does not write and does not interpret.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.head.root.0);
        let extensions: String = self.extensions.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        format!("{}\n{}\n{root}\n{extensions}", self.origin, self.head.size)
    }

    /// Reads the text of a note as a checkpoint. The note's signatures are another matter.
    ///
    /// # Errors
    /// [`NoteFault::Body`] with the first line that is wrong: an empty line, a number that is not canonical, a root
    /// that is not 32 bytes in canonical base64.
    pub fn parse(text: &str) -> Result<Self, NoteFault> {
        let body = text.strip_suffix('\n').ok_or(NoteFault::Body { line: 1 })?;
        if let Some((_, line)) = body.split('\n').zip(1..).find(|(line, _)| line.is_empty()) {
            return Err(NoteFault::Body { line });
        }
        let mut lines = body.split('\n');
        let origin = lines.next().ok_or(NoteFault::Body { line: 1 })?;
        let size = lines.next().and_then(decimal).ok_or(NoteFault::Body { line: 2 })?;
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok()).and_then(|bytes| bytes.try_into().ok());
        let root = TreeHash(root.ok_or(NoteFault::Body { line: 3 })?);
        let extensions = lines.map(str::to_owned).collect();
        Ok(Self { origin: origin.to_owned(), head: TreeHead { size, root }, extensions })
    }
}

/// What a reader does with signatures of keys that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// Count them, as C2SP signed-note asks: the log may have cosigners that this reader never heard of.
    Ignore,
    /// Refuse the checkpoint: the reader knows every key, so a strange line is a damaged one.
    Refuse,
}

/// The keys by which a reader judges checkpoints of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeys {
    origin: String,
    known: Vec<NoteKey>,
    strangers: Strangers,
}

impl LogKeys {
    /// The keys of the log of `origin`: its present key and every earlier one under which it signed.
    ///
    /// # Errors
    /// [`NoteFault::KeyName`] when the origin cannot name a key.
    pub fn new(
        origin: &str,
        log: impl IntoIterator<Item = PublicKey>,
        strangers: Strangers,
    ) -> Result<Self, NoteFault> {
        let known: Result<Vec<_>, _> =
            log.into_iter().map(|public| NoteKey::new(origin, KeyKind::Log, public)).collect();
        Ok(Self { origin: origin.to_owned(), known: known?, strangers })
    }

    /// Adds a key of a cosigner, by the name it signs under: its own origin.
    ///
    /// # Errors
    /// [`NoteFault::KeyName`] when the text cannot name a key.
    pub fn with_cosigner(mut self, name: &str, public: PublicKey) -> Result<Self, NoteFault> {
        self.known.push(NoteKey::new(name, KeyKind::Cosigner, public)?);
        Ok(self)
    }

    /// The log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Reads a checkpoint and verifies it: the log's own signature must be there, and every signature of a known key
    /// must stand (spec LOG-11).
    ///
    /// # Errors
    /// [`NoteFault`].
    pub fn open(&self, text: &str) -> Result<OpenCheckpoint, NoteFault> {
        let note = Note::parse(text)?;
        let verdict = note.verify(&self.known.iter().collect::<Vec<_>>())?;
        let signed_by_log = |signed: &Signed| signed.kind == KeyKind::Log;
        if !verdict.signed.iter().any(signed_by_log) {
            return Err(NoteFault::Unsigned);
        }
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != self.origin {
            return Err(NoteFault::Origin);
        }
        match (self.strangers, verdict.strangers.first()) {
            (Strangers::Refuse, Some(line)) => return Err(NoteFault::Stranger { line: *line }),
            (Strangers::Refuse, None) | (Strangers::Ignore, _) => {}
        }
        let cosigned = verdict.signed.into_iter().filter(|signed| signed.kind == KeyKind::Cosigner).collect();
        Ok(OpenCheckpoint { head: checkpoint.head, cosigned, strangers: verdict.strangers.len() })
    }
}

/// A checkpoint whose signatures stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCheckpoint {
    /// The log's head.
    pub head: TreeHead,
    /// Who cosigned it, and when.
    pub cosigned: Vec<Signed>,
    /// How many signatures are by keys that the reader does not know.
    pub strangers: usize,
}

/// The checkpoint of `head`, signed by the log. Equal arguments give equal bytes.
///
/// # Errors
/// [`NoteFault::KeyName`] when the origin cannot name a key.
pub fn signed(origin: &str, head: TreeHead, pair: &KeyPair) -> Result<String, NoteFault> {
    let key = NoteKey::new(origin, KeyKind::Log, pair.public())?;
    let text = Checkpoint { origin: origin.to_owned(), head, extensions: Vec::new() }.text();
    let line = sign(&text, &key, pair);
    Ok(Note::new(text, vec![line]).to_string())
}

/// Cosigns a checkpoint of another log at `now`, under this node's own origin `name`. The result is the checkpoint with
/// this one line added.
///
/// The caller has verified the log's signature and that the head extends the last one it cosigned
/// ([`crate::log::proof::verify_consistency`], spec LOG-13).
///
/// # Errors
/// [`NoteFault`] when `checkpoint` is no checkpoint or `name` cannot name a key.
pub fn cosigned(checkpoint: &str, name: &str, pair: &KeyPair, now: UnixMillis) -> Result<String, NoteFault> {
    let key = NoteKey::new(name, KeyKind::Cosigner, pair.public())?;
    let note = Note::parse(checkpoint)?;
    Checkpoint::parse(note.text())?;
    let line = cosign(note.text(), &key, pair, now);
    Ok(joined(note, &key, line).to_string())
}

/// Takes the cosignature of the cosigner `name` from `theirs` into `ours`, two notes over the same text. An earlier one
/// by the same key is replaced.
///
/// # Errors
/// [`NoteFault`] when the texts differ, when `theirs` has no signature of that key, or when it does not stand.
pub fn with_cosignature(ours: &str, theirs: &str, name: &str, public: PublicKey) -> Result<String, NoteFault> {
    let key = NoteKey::new(name, KeyKind::Cosigner, public)?;
    let (ours, theirs) = (Note::parse(ours)?, Note::parse(theirs)?);
    if ours.text() != theirs.text() {
        return Err(NoteFault::Origin);
    }
    theirs.verify(&[&key])?;
    let line = theirs.signatures().iter().rev().find(|line| line.is_by(&key)).cloned().ok_or(NoteFault::Unsigned)?;
    let joined = joined(ours, &key, line).to_string();
    Note::parse(&joined)?;
    Ok(joined)
}

fn joined(mut note: Note, key: &NoteKey, line: SignatureLine) -> Note {
    let lines = note.signatures_mut();
    lines.retain(|old| !old.is_by(key));
    lines.push(line);
    note
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::log::tree::empty_root;

    pub(crate) const ORIGIN: &str = "cohortium/0000/north";
    pub(crate) const PEER: &str = "cohortium/0000/south";

    pub(crate) fn log_pair() -> KeyPair {
        KeyPair::from_seed(&[1; 32])
    }

    pub(crate) fn peer_pair() -> KeyPair {
        KeyPair::from_seed(&[2; 32])
    }

    pub(crate) fn keys(strangers: Strangers) -> LogKeys {
        let keys = LogKeys::new(ORIGIN, [log_pair().public()], strangers).unwrap();
        keys.with_cosigner(PEER, peer_pair().public()).unwrap()
    }

    pub(crate) fn head() -> TreeHead {
        TreeHead { size: 7, root: empty_root() }
    }

    // LOG-9
    #[test]
    fn the_origin_names_consortium_and_node() {
        let name = "north".parse::<Name>().unwrap();
        assert_eq!(origin(&ConsortiumId([0xab; 32]), &name), format!("cohortium/{}/north", "ab".repeat(32)));
    }

    // LOG-10
    #[test]
    fn a_checkpoint_is_three_lines_and_a_signature() {
        let text = signed(ORIGIN, head(), &log_pair()).unwrap();
        let body = "cohortium/0000/north\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— cohortium/0000/north ";
        assert!(text.starts_with(body), "{text}");
        assert_eq!(text, signed(ORIGIN, head(), &log_pair()).unwrap());
        assert_eq!(keys(Strangers::Refuse).open(&text).unwrap().head, head());
    }

    // LOG-10
    #[test]
    fn a_checkpoint_is_read_strictly() {
        let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let good = format!("o\n18446744073709551615\n{root}\n");
        assert_eq!(Checkpoint::parse(&good).unwrap().text(), good);
        let extended = format!("o\n0\n{root}\nmore\nlines\n");
        assert_eq!(Checkpoint::parse(&extended).unwrap().text(), extended);
        let wrong = [
            (String::new(), 1),
            ("o".to_owned(), 1),
            (format!("\n1\n{root}\n"), 1),
            ("o\n".to_owned(), 2),
            (format!("o\n01\n{root}\n"), 2),
            (format!("o\n+1\n{root}\n"), 2),
            (format!("o\n-1\n{root}\n"), 2),
            (format!("o\n 1\n{root}\n"), 2),
            (format!("o\n1_0\n{root}\n"), 2),
            (format!("o\n18446744073709551616\n{root}\n"), 2),
            ("o\n1\n".to_owned(), 3),
            ("o\n1\nAAAA\n".to_owned(), 3),
            (format!("o\n1\n{}\n", root.replace('=', "")), 3),
            (format!("o\n1\n{}\n", root.replace("FU=", "FV=")), 3),
            (format!("o\n1\n{root}\n\n"), 4),
            (format!("o\n1\n{root}\nx\n\ny\n"), 5),
        ];
        for (text, line) in wrong {
            assert_eq!(Checkpoint::parse(&text), Err(NoteFault::Body { line }), "{text:?}");
        }
    }

    // LOG-11
    #[test]
    fn only_the_logs_own_key_makes_a_checkpoint() {
        let text = signed(ORIGIN, head(), &log_pair()).unwrap();
        let other = signed("cohortium/0000/east", head(), &log_pair()).unwrap();
        assert_eq!(keys(Strangers::Ignore).open(&other), Err(NoteFault::Unsigned));
        let forged = signed(ORIGIN, head(), &peer_pair()).unwrap();
        assert_eq!(keys(Strangers::Ignore).open(&forged), Err(NoteFault::Unsigned));
        let note = Note::parse(&other).unwrap();
        let key = NoteKey::new(ORIGIN, KeyKind::Log, log_pair().public()).unwrap();
        let moved = Note::new(note.text().to_owned(), vec![sign(note.text(), &key, &log_pair())]).to_string();
        assert_eq!(keys(Strangers::Ignore).open(&moved), Err(NoteFault::Origin));
        let alone = Note::parse(&cosigned(&text, PEER, &peer_pair(), UnixMillis(5000)).unwrap()).unwrap();
        let alone = Note::new(alone.text().to_owned(), alone.signatures()[1..].to_vec()).to_string();
        assert_eq!(keys(Strangers::Ignore).open(&alone), Err(NoteFault::Unsigned), "a cosigner is not the log");
    }

    // LOG-12
    #[test]
    fn a_cosignature_is_taken_in_only_when_it_stands_over_the_same_text() {
        let text = signed(ORIGIN, head(), &log_pair()).unwrap();
        let theirs = cosigned(&text, PEER, &peer_pair(), UnixMillis(5000)).unwrap();
        let ours = with_cosignature(&text, &theirs, PEER, peer_pair().public()).unwrap();
        let open = keys(Strangers::Refuse).open(&ours).unwrap();
        assert_eq!(
            open.cosigned.iter().map(|s| (s.name.as_str(), s.at_seconds)).collect::<Vec<_>>(),
            [(PEER, Some(5))]
        );
        let later = cosigned(&text, PEER, &peer_pair(), UnixMillis(9000)).unwrap();
        let replaced = with_cosignature(&ours, &later, PEER, peer_pair().public()).unwrap();
        assert_eq!(keys(Strangers::Refuse).open(&replaced).unwrap().cosigned[0].at_seconds, Some(9));
        assert_eq!(replaced.lines().count(), ours.lines().count());

        assert_eq!(with_cosignature(&text, &text, PEER, peer_pair().public()), Err(NoteFault::Unsigned));
        let of_other = signed(ORIGIN, TreeHead { size: 8, ..head() }, &log_pair()).unwrap();
        let of_other = cosigned(&of_other, PEER, &peer_pair(), UnixMillis(5000)).unwrap();
        assert_eq!(with_cosignature(&text, &of_other, PEER, peer_pair().public()), Err(NoteFault::Origin));
        let bent = theirs.replace("7\n", "8\n");
        let text_of_bent = text.replace("7\n", "8\n");
        assert!(with_cosignature(&text_of_bent, &bent, PEER, peer_pair().public()).is_err());
    }

    // LOG-11
    #[test]
    fn strangers_are_ignored_or_refused_as_the_reader_says() {
        let text = signed(ORIGIN, head(), &log_pair()).unwrap();
        let third = KeyPair::from_seed(&[3; 32]);
        let theirs = cosigned(&text, "cohortium/0000/west", &third, UnixMillis(5000)).unwrap();
        assert_eq!(keys(Strangers::Ignore).open(&theirs).unwrap().strangers, 1);
        assert_eq!(keys(Strangers::Refuse).open(&theirs), Err(NoteFault::Stranger { line: 6 }));
    }

    // LOG-11
    #[test]
    fn every_flipped_bit_of_a_checkpoint_is_refused() {
        let text = signed(ORIGIN, head(), &log_pair()).unwrap();
        let text = cosigned(&text, PEER, &peer_pair(), UnixMillis(5000)).unwrap();
        let keys = keys(Strangers::Refuse);
        assert!(keys.open(&text).is_ok());
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(bent) = String::from_utf8(bytes) {
                assert!(keys.open(&bent).is_err(), "bit {bit}");
            }
        }
    }
}
