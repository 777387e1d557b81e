//! `cohortium log`: the audit log checked and proved offline, with public keys alone.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cohortium_protocol::key::pair::{KeyPair, PublicKey};
use cohortium_protocol::limits::LOG_PROOF_BYTES_MAX;
use cohortium_protocol::log::check::{Report, history_path, read_note, verify_log};
use cohortium_protocol::log::checkpoint::{Checkpoint, LogKeys, Strangers, origin};
use cohortium_protocol::log::edge::CHECKPOINT_PATH;
use cohortium_protocol::log::fault::{LogFault, ReadFault};
use cohortium_protocol::log::note::{Note, NoteFault};
use cohortium_protocol::log::proof::{ConsistencyBundle, InclusionBundle, ProofFault, TreeReader};
use cohortium_protocol::log::tile::{TILE_WIDTH, Tile, TileFolder, TileKind, TileRead};
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::evidence;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table};
use crate::config::secret;
use crate::driver::witness::own_log_keys;
use crate::home;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Recompute a whole log and name the first file that is wrong
    Verify {
        /// The log's folder; without it, this node's
        folder: Option<PathBuf>,
        #[command(flatten)]
        keys: KeyFlags,
    },
    /// Write a proof that an entry is in this node's log, or that the log only grew
    Prove {
        /// The entry's number
        #[arg(required_unless_present = "since")]
        entry: Option<u64>,
        /// Prove instead that the log only grew since its checkpoint of this size
        #[arg(long, value_name = "SIZE", conflicts_with = "entry")]
        since: Option<u64>,
        /// The new file
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check a proof
    CheckProof {
        /// The proof
        file: PathBuf,
        #[command(flatten)]
        keys: KeyFlags,
    },
    /// The key by which others check this node's log
    Key,
    /// Checkpoints by which a peer has shown two logs as one
    Evidence {
        /// One piece, with both checkpoints; without it, the list of all
        name: Option<String>,
    },
}

/// Whose signatures count.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyFlags {
    /// A key of the log: 64 hexadecimal digits, or as `cohortium log key` prints it; without it, this node's
    #[arg(long = "key", value_name = "KEY", value_parser = log_key)]
    keys: Vec<PublicKey>,
    /// The log's origin; without it, what its checkpoint says
    #[arg(long)]
    origin: Option<String>,
    /// A cosigner's key; once one is given, a signature by any other key is a fault
    #[arg(long = "cosigner", value_name = "ORIGIN=KEY", value_parser = cosigner)]
    cosigners: Vec<(String, PublicKey)>,
}

/// A key in hexadecimal, or in the form of a C2SP verifier key.
fn log_key(text: &str) -> Result<PublicKey, String> {
    let wrong = || "is neither 64 hexadecimal digits nor a key as `cohortium log key` prints it".to_owned();
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let encoded = text.splitn(3, '+').nth(2).ok_or_else(wrong)?;
    let typed = STANDARD.decode(encoded).map_err(|_| wrong())?;
    let bytes = typed.split_first().and_then(|(_, key)| <[u8; 32]>::try_from(key).ok()).ok_or_else(wrong)?;
    PublicKey::from_bytes(bytes).map_err(|_| wrong())
}

fn cosigner(text: &str) -> Result<(String, PublicKey), String> {
    let (name, key) = text.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or("is not ORIGIN=KEY")?;
    // Base64 may end in "=": a verifier key brings its own name.
    log_key(key).map(|key| (name.to_owned(), key))
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Verify { folder, keys } => verify(cx, folder, &keys),
        Verb::Prove { entry, since, output } => prove(cx, entry, since, &output),
        Verb::CheckProof { file, keys } => check_proof(cx, &file, &keys),
        Verb::Key => key(cx),
        Verb::Evidence { name } => evidence::run(cx, name.as_deref()),
    }
}

/// A log's folder on disk. What is being written, and the lock, are no part of the log.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl TileRead for Folder {
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadFault> {
        let file = File::open(self.0.join(path)).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => ReadFault::Missing,
            _ => ReadFault::Unreadable,
        })?;
        let bytes = file.metadata().map_err(|_| ReadFault::Unreadable)?.len();
        let cap = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        if bytes > cap {
            return Err(ReadFault::TooLong { bytes });
        }
        let mut content = Vec::new();
        file.take(cap).read_to_end(&mut content).map_err(|_| ReadFault::Unreadable)?;
        Ok(content)
    }
}

impl TileFolder for Folder {
    fn visit(&self, each: &mut dyn FnMut(&str)) -> Result<(), LogFault> {
        walk(&self.0, "", each).map_err(|path| LogFault::Unreadable { path })
    }
}

fn walk(at: &Path, below: &str, each: &mut dyn FnMut(&str)) -> Result<(), String> {
    for entry in fs::read_dir(at).map_err(|_| below.to_owned())? {
        let entry = entry.map_err(|_| below.to_owned())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type().map_err(|_| path.clone())?.is_dir() {
            walk(&entry.path(), &path, each)?;
        } else if path != "lock" && Path::new(&path).extension().is_none_or(|ending| ending != "new") {
            each(&path);
        }
    }
    Ok(())
}

pub(crate) fn log_fault(folder: &Path, fault: &LogFault) -> CliFault {
    CliFault::wrong(format!("the log in {}: {}", folder.display(), crate::cli::exit::chain(fault)))
}

/// The keys to check by: those given, or this node's own.
fn keys(cx: &Cx, flags: &KeyFlags, origin: &str) -> Result<LogKeys, CliFault> {
    let origin = flags.origin.as_deref().unwrap_or(origin);
    let log = if flags.keys.is_empty() { vec![own_key(cx)?.public()] } else { flags.keys.clone() };
    let strangers = if flags.cosigners.is_empty() { Strangers::Ignore } else { Strangers::Refuse };
    let wrong = |fault: NoteFault| CliFault::usage(fault.to_string());
    let mut keys = LogKeys::new(origin, log, strangers).map_err(wrong)?;
    for (name, key) in &flags.cosigners {
        keys = keys.with_cosigner(name, *key).map_err(wrong)?;
    }
    Ok(keys)
}

fn own_key(cx: &Cx) -> Result<KeyPair, CliFault> {
    let config = cx.config()?;
    let keystore = secret::open_keystore(&cx.home, &config.key)?;
    Ok(KeyPair::from_seed(&*secret::seed(&keystore, "signing")?))
}

fn own_folder(cx: &Cx) -> Result<PathBuf, CliFault> {
    Ok(cx.home.log(&cx.membership()?.consortium))
}

/// The origin that a checkpoint names. What it says counts only once its signature stands.
fn named_origin(text: &str) -> Result<String, CliFault> {
    let note = Note::parse(text).and_then(|note| Checkpoint::parse(note.text()));
    note.map(|checkpoint| checkpoint.origin).map_err(|fault| CliFault::wrong(format!("checkpoint {fault}")))
}

fn verify(cx: &Cx, folder: Option<PathBuf>, flags: &KeyFlags) -> Result<Shown, CliFault> {
    let given = !flags.keys.is_empty() || flags.origin.is_some() || !flags.cosigners.is_empty();
    let own = folder.is_none() && !given;
    let path = match folder {
        Some(path) => path,
        None => own_folder(cx)?,
    };
    if !path.is_dir() {
        return Err(CliFault::not_found(format!("there is no log in {}", path.display())));
    }
    let folder = Folder(path);
    let checkpoint = read_note(&folder, CHECKPOINT_PATH).map_err(|fault| log_fault(&folder.0, &fault))?;
    let by =
        || if own { own_keys(cx, &named_origin(&checkpoint)?) } else { keys(cx, flags, &named_origin(&checkpoint)?) };
    let mut keys = by()?;
    let mut report = verify_log(&folder, &checkpoint, &keys);
    // A running daemon may have taken in the first signature of a cosigner meanwhile.
    if own && report.is_err() {
        keys = by()?;
        report = verify_log(&folder, &checkpoint, &keys);
    }
    Ok(reported(keys.origin(), &report.map_err(|fault| log_fault(&folder.0, &fault))?))
}

/// The keys of this node's log and of everybody who has cosigned it.
fn own_keys(cx: &Cx, origin: &str) -> Result<LogKeys, CliFault> {
    let consortium = cx.home.consortium(&cx.membership()?.consortium);
    own_log_keys(&consortium, origin, own_key(cx)?.public()).map_err(CliFault::wrong)
}

fn reported(origin: &str, report: &Report) -> Shown {
    let mut facts = Table::new(["Log", origin]);
    facts.row(["entries".to_owned(), report.head.size.to_string()]);
    facts.row(["root".to_owned(), report.head.root.to_string()]);
    facts.row(["tiles".to_owned(), report.tiles.to_string()]);
    facts.row(["checkpoints".to_owned(), report.checkpoints.to_string()]);
    let cosigners: Vec<&str> = report.cosigners.iter().map(String::as_str).collect();
    facts
        .row(["cosigned by".to_owned(), if cosigners.is_empty() { "nobody".to_owned() } else { cosigners.join(", ") }]);
    facts.row(["unknown signatures".to_owned(), report.strangers.to_string()]);
    let json = json!({
        "origin": origin, "entries": report.head.size, "root": report.head.root, "tiles": report.tiles,
        "checkpoints": report.checkpoints, "cosigners": report.cosigners, "unknown_signatures": report.strangers,
    });
    Shown::new(json, format!("{}Everything is as it was signed.\n", facts.to_text()))
}

fn prove(cx: &Cx, entry: Option<u64>, since: Option<u64>, output: &Path) -> Result<Shown, CliFault> {
    let membership = cx.membership()?;
    let folder = Folder(cx.home.log(&membership.consortium));
    let read = |path: &str| read_note(&folder, path).map_err(|fault| log_fault(&folder.0, &fault));
    let checkpoint = read(CHECKPOINT_PATH)?;
    let head = Note::parse(&checkpoint).and_then(|note| Checkpoint::parse(note.text()));
    let size = head.map_err(|fault| CliFault::wrong(format!("{CHECKPOINT_PATH} {fault}")))?.head.size;
    let origin = origin(&membership.consortium, &membership.party);
    let mut reader = TreeReader::new(&folder, size);
    let faulty = |fault: LogFault| log_fault(&folder.0, &fault);
    let bytes = match (entry, since) {
        (_, Some(old)) => {
            let beyond = || CliFault::not_found(format!("the log has {size} entries, fewer than {old}"));
            let path = reader.consistency(old).map_err(faulty)?.ok_or_else(beyond)?;
            ConsistencyBundle { origin, old: read(&history_path(old))?, new: checkpoint, path }.encode()
        }
        (Some(index), None) => {
            let beyond =
                || CliFault::not_found(format!("the log has {size} entries, the last is {}", size.saturating_sub(1)));
            let path = reader.inclusion(index).map_err(faulty)?.ok_or_else(beyond)?;
            let width = u64::from(TILE_WIDTH);
            let bundle = Tile::at(TileKind::Entries, index / width, size).ok_or_else(beyond)?;
            let place = usize::try_from(index % width).unwrap_or(usize::MAX);
            let leaf = bundle.read_entries(&folder).map_err(faulty)?.get(place).copied().ok_or_else(beyond)?;
            InclusionBundle { origin, index, leaf, path, checkpoint }.encode()
        }
        (None, None) => return Err(CliFault::usage("give an entry's number or --since SIZE")),
    };
    home::create_private(output, &bytes)?;
    let file = output.display().to_string();
    Ok(Shown::new(
        json!({"file": file, "entry": entry, "since": since, "size": size}),
        format!("The proof is in {file}\n"),
    ))
}

fn check_proof(cx: &Cx, file: &Path, flags: &KeyFlags) -> Result<Shown, CliFault> {
    let bytes = home::read_bounded(file, LOG_PROOF_BYTES_MAX as u64)?;
    let wrong = |fault: ProofFault| CliFault::wrong(format!("{}: {}", file.display(), crate::cli::exit::chain(&fault)));
    if let Ok(proof) = InclusionBundle::decode(&bytes) {
        let open = proof.verify(&keys(cx, flags, &proof.origin)?).map_err(wrong)?;
        let text = format!("Entry {} is in {} of {} entries.\n", proof.index, proof.origin, open.head.size);
        let json = json!({
            "proof": "inclusion", "origin": proof.origin, "entry": proof.index, "leaf": proof.leaf,
            "entries": open.head.size, "root": open.head.root,
        });
        return Ok(Shown::new(json, text));
    }
    let proof = ConsistencyBundle::decode(&bytes).map_err(wrong)?;
    let (old, new) = proof.verify(&keys(cx, flags, &proof.origin)?).map_err(wrong)?;
    let text = format!("{} only grew, from {} to {} entries.\n", proof.origin, old.head.size, new.head.size);
    let json = json!({
        "proof": "consistency", "origin": proof.origin, "from": old.head.size, "entries": new.head.size,
        "root": new.head.root,
    });
    Ok(Shown::new(json, text))
}

fn key(cx: &Cx) -> Result<Shown, CliFault> {
    use cohortium_protocol::log::note::{KeyKind, NoteKey};
    let membership = cx.membership()?;
    let (origin, key) = (origin(&membership.consortium, &membership.party), own_key(cx)?.public());
    let note = NoteKey::new(&origin, KeyKind::Log, key).map_err(|fault| CliFault::local(fault.to_string()))?;
    let text = note.verifier_key();
    Ok(Shown::new(json!({"origin": origin, "key": key, "verifier_key": text}), format!("{text}\n")))
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::log::LeafEntry;
    use cohortium_protocol::log::note::{KeyKind, NoteKey};
    use cohortium_store::tiles::{LogSigner, TileLog};

    use super::*;
    use crate::control::ErrorKind;
    use crate::home::Home;

    const ORIGIN: &str = "cohortium/test/north";

    fn pair() -> KeyPair {
        KeyPair::from_seed(&[1; 32])
    }

    fn flags(key: PublicKey) -> KeyFlags {
        KeyFlags { keys: vec![key], origin: None, cosigners: Vec::new() }
    }

    fn cx(path: &Path) -> Cx {
        Cx { home: Home::at(path), json: false, consortium: None, person: None, person_passphrase: None }
    }

    #[test]
    fn a_key_is_read_in_both_forms() {
        let key = pair().public();
        let verifier = NoteKey::new(ORIGIN, KeyKind::Log, key).unwrap().verifier_key();
        assert_eq!(log_key(&key.to_string()), Ok(key));
        assert_eq!(log_key(&verifier), Ok(key));
        assert_eq!(cosigner(&format!("o=p={key}")), Ok(("o=p".to_owned(), key)));
        for bad in ["", "00", "a+b", "a+b+c", "a+b+AAAA"] {
            assert!(log_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_log_is_verified_offline_and_each_flipped_bit_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("log");
        let signer = LogSigner { origin: ORIGIN.to_owned(), pair: pair(), former: Vec::new() };
        let mut log = TileLog::open(&folder, signer).unwrap();
        let leaves: Vec<LeafEntry> = (0..=255_u8).chain(0..44).map(|byte| LeafEntry([byte; 32])).collect();
        log.append(&leaves).unwrap();
        drop(log);
        let check = |key| verify(&cx(dir.path()), Some(folder.clone()), &flags(key));
        assert_eq!(check(pair().public()).unwrap().json["entries"], 300);
        let stranger = KeyPair::from_seed(&[2; 32]).public();
        assert_eq!(check(stranger).unwrap_err().kind, ErrorKind::VerifyFailed);
        let mut paths = Vec::new();
        Folder(folder.clone()).visit(&mut |path| paths.push(path.to_owned())).unwrap();
        assert!(paths.len() >= 4, "{paths:?}");
        for path in paths {
            let whole = fs::read(folder.join(&path)).unwrap();
            let mut bent = whole.clone();
            bent[whole.len() / 2] ^= 1;
            fs::write(folder.join(&path), &bent).unwrap();
            let fault = check(pair().public()).unwrap_err();
            assert_eq!(fault.kind, ErrorKind::VerifyFailed, "{path}");
            assert!(fault.message.contains("checkpoint") || fault.message.contains(&path), "{path}: {}", fault.message);
            fs::write(folder.join(&path), &whole).unwrap();
        }
        fs::write(folder.join("lock"), b"").unwrap();
        fs::write(folder.join("extra"), b"x").unwrap();
        assert!(check(pair().public()).unwrap_err().message.contains("extra"));
    }
}
