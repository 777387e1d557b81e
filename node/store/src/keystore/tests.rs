//! Tests of the keystore.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fixture;

fn passphrase(text: &str) -> KeySource {
    KeySource::Passphrase { passphrase: Zeroizing::new(text.to_owned()), cost: PassphraseCost::FLOOR }
}

fn with_key_file(dir: &Path) -> KeySource {
    let path = dir.join("key");
    if !path.exists() {
        create_key_file(&path).unwrap();
    }
    KeySource::KeyFile(path)
}

#[test]
fn secrets_and_data_keys_come_back_with_the_same_source_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (number, source) in [passphrase("correct horse"), with_key_file(dir.path())].iter().enumerate() {
        let path = dir.path().join(format!("keystore-{number}"));
        let mut keystore = Keystore::create(&path, source).unwrap();
        keystore.put_secret("signing", b"seed").unwrap();
        keystore.put_secret("signing", b"other seed").unwrap();
        keystore.put_secret("linkage.1", b"key").unwrap();
        let (data, wrapped) = (keystore.data_key("journal", b"c1"), keystore.wrap(b"slot", &fixture::key()));
        let again = Keystore::open(&path, source).unwrap();
        assert_eq!(again.secret("signing").unwrap().as_slice(), b"other seed");
        assert_eq!(again.names().map(Name::as_str).collect::<Vec<_>>(), ["linkage.1", "signing"]);
        assert!(again.secret("tls").is_none() && again.secret("../x").is_none());
        assert_eq!(again.data_key("journal", b"c1").expose(), data.expose());
        assert_ne!(again.data_key("journal", b"c2").expose(), data.expose());
        assert_eq!(again.unwrap(b"slot", &wrapped).unwrap().expose(), fixture::key().expose());
        assert!(matches!(Keystore::create(&path, source), Err(KeystoreFault::Exists { .. })));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let found = fs::read(&path).unwrap();
        assert!(!found.windows(4).any(|part| part == b"seed" || part == b"sign"));
    }
    let open = |number: u32, source: &KeySource| {
        Keystore::open(&dir.path().join(format!("keystore-{number}")), source).unwrap_err()
    };
    assert!(matches!(open(0, &passphrase("correct house")), KeystoreFault::Refused));
    let expected = SourceKind::Passphrase;
    assert!(
        matches!(open(0, &with_key_file(dir.path())), KeystoreFault::OtherSource { expected: kind } if kind == expected)
    );
    assert!(matches!(open(1, &passphrase("correct horse")), KeystoreFault::OtherSource { .. }));
    create_key_file(&dir.path().join("other")).unwrap();
    assert!(matches!(open(1, &KeySource::KeyFile(dir.path().join("other"))), KeystoreFault::Refused));
    assert!(matches!(open(2, &passphrase("x")), KeystoreFault::NotFound { .. }));
    assert_eq!(Keystore::source_kind(&dir.path().join("keystore-1")).unwrap(), SourceKind::KeyFile);
}

#[test]
fn version_1_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("key");
    create_key_file(&key_file).unwrap();
    fs::write(&key_file, [0x22; 32]).unwrap();
    let golden = [
        (include_str!("../../tests/fixtures/keystore_passphrase.hex"), passphrase("a passphrase")),
        (include_str!("../../tests/fixtures/keystore_key_file.hex"), KeySource::KeyFile(key_file)),
    ];
    for (text, source) in golden {
        let path = dir.path().join("keystore");
        fs::write(&path, fixture::bytes(text)).unwrap();
        let keystore = Keystore::open(&path, &source).unwrap();
        assert_eq!(keystore.node.expose(), &[0x11; 32]);
        assert_eq!(keystore.secret("log-salt").unwrap().as_slice(), [5, 6]);
        assert_eq!(keystore.secret("signing").unwrap().as_slice(), b"seed");
    }
}

#[test]
fn a_flipped_bit_in_any_byte_of_the_keystore_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, source) = (dir.path().join("keystore"), with_key_file(dir.path()));
    Keystore::create(&path, &source).unwrap().put_secret("tls", b"seed").unwrap();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        assert!(Keystore::open(&path, &source).is_err(), "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(Keystore::open(&path, &source).is_err(), "cut to {at}");
    }
    let mut newer = whole;
    newer[8] = 2;
    fs::write(&path, newer).unwrap();
    assert!(matches!(Keystore::open(&path, &source), Err(KeystoreFault::Version { found: 2 })));
}

#[test]
fn a_key_file_that_others_can_use_or_own_is_refused_with_path_and_fix() {
    let dir = tempfile::tempdir().unwrap();
    let (path, store) = (dir.path().join("key"), dir.path().join("keystore"));
    let source = with_key_file(dir.path());
    Keystore::create(&store, &source).unwrap();
    for (mode, taken) in [(0o600, true), (0o400, true), (0o640, false), (0o620, false), (0o604, false), (0o601, false)]
    {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match Keystore::open(&store, &source) {
            Ok(_) => assert!(taken, "{mode:o}"),
            Err(fault) => {
                let shown = fault.to_string();
                assert!(!taken && shown.contains("chmod 600") && shown.contains("/key"), "{mode:o}: {shown}");
            }
        }
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    let owner = metadata.uid();
    assert_eq!(check_key_file(&metadata, owner), Ok(()));
    assert_eq!(check_key_file(&metadata, owner + 1), Err(KeyFileFault::Owner { owner }));
    for length in [0, 31, 33] {
        fs::write(&path, vec![1; length]).unwrap();
        let fault = Keystore::open(&store, &source).unwrap_err();
        assert!(matches!(fault, KeystoreFault::KeyFile { source: KeyFileFault::Length, .. }), "{length}");
    }
    let folder = KeySource::KeyFile(dir.path().to_owned());
    let fault = Keystore::open(&store, &folder).unwrap_err();
    assert!(matches!(fault, KeystoreFault::KeyFile { source: KeyFileFault::NotAFile, .. }), "{fault}");
    assert!(create_key_file(&path).is_err(), "a key file is never overwritten");
}

#[test]
fn a_removed_secret_is_gone_and_a_rewrapped_keystore_opens_with_the_new_source_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("keystore"), with_key_file(dir.path()));
    let mut keystore = Keystore::create(&path, &old).unwrap();
    keystore.put_secret("linkage.1", b"key").unwrap();
    keystore.put_secret("tls", b"seed").unwrap();
    assert!(keystore.remove_secret("linkage.1").unwrap());
    assert!(!keystore.remove_secret("linkage.1").unwrap());
    assert!(Keystore::open(&path, &old).unwrap().secret("linkage.1").is_none());
    let data = keystore.data_key("journal", b"");
    keystore.rewrap(&passphrase("new")).unwrap();
    assert!(matches!(Keystore::open(&path, &old), Err(KeystoreFault::OtherSource { .. })));
    let again = Keystore::open(&path, &passphrase("new")).unwrap();
    assert_eq!(again.data_key("journal", b"").expose(), data.expose());
    assert_eq!(again.secret("tls").unwrap().as_slice(), b"seed");
}

#[test]
fn bad_names_long_secrets_empty_passphrases_and_odd_costs_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, source) = (dir.path().join("keystore"), with_key_file(dir.path()));
    let mut keystore = Keystore::create(&path, &source).unwrap();
    assert!(matches!(keystore.put_secret("Not a name", b""), Err(KeystoreFault::Name(_))));
    assert!(keystore.put_secret("max", &vec![1; SECRET_BYTES_MAX]).is_ok());
    assert!(matches!(keystore.put_secret("more", &vec![1; SECRET_BYTES_MAX + 1]), Err(KeystoreFault::TooLong)));
    let filled: Vec<_> =
        (0..20).map(|n| keystore.put_secret(&format!("s{n}"), &vec![1; SECRET_BYTES_MAX]).is_ok()).collect();
    assert_eq!(filled, (0..20).map(|n| n < 6).collect::<Vec<_>>());
    assert_eq!(keystore.names().count(), 7);
    assert_eq!(Keystore::open(&path, &source).unwrap().names().count(), 7);
    let other = dir.path().join("other");
    assert!(matches!(Keystore::create(&other, &passphrase("")), Err(KeystoreFault::EmptyPassphrase)));
    let floor = PassphraseCost::FLOOR;
    let odd = [
        PassphraseCost { memory_kib: floor.memory_kib - 1, ..floor },
        PassphraseCost { passes: 1, ..floor },
        PassphraseCost { lanes: 0, ..floor },
        PassphraseCost { memory_kib: u32::MAX, ..floor },
        PassphraseCost { passes: 65, ..floor },
    ];
    for cost in odd {
        let source = KeySource::Passphrase { passphrase: Zeroizing::new("x".to_owned()), cost };
        assert!(matches!(Keystore::create(&other, &source), Err(KeystoreFault::Cost)), "{cost:?}");
    }
    assert!(!other.exists());
}

#[test]
fn a_keystore_that_cannot_be_written_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (path, source) = (dir.path().join("keystore"), with_key_file(dir.path()));
    let mut keystore = Keystore::create(&path, &source).unwrap();
    keystore.put_secret("tls", b"seed").unwrap();
    // A folder where the temporary file would be.
    fs::create_dir(dir.path().join("keystore.new")).unwrap();
    assert!(keystore.put_secret("tls", b"other").is_err());
    assert!(keystore.put_secret("more", b"x").is_err());
    assert!(keystore.remove_secret("tls").is_err());
    assert!(keystore.rewrap(&passphrase("new")).is_err());
    for keystore in [&keystore, &Keystore::open(&path, &source).unwrap()] {
        assert_eq!(keystore.secret("tls").unwrap().as_slice(), b"seed");
        assert_eq!(keystore.names().count(), 1);
    }
    fs::remove_dir(dir.path().join("keystore.new")).unwrap();
    keystore.put_secret("more", b"x").unwrap();
    assert_eq!(Keystore::open(&path, &source).unwrap().names().count(), 2);
}
