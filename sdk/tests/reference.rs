//! The reader in Python, which shares no code with this one, says the same of the same folders: good ones of every kind, each file
//! flipped at many places, each file missing, and files that do not belong.

#![expect(clippy::unwrap_used, reason = "what goes wrong fails the test")]

#[path = "../examples/samples/bodies.rs"]
mod bodies;
#[path = "../examples/samples/world.rs"]
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use cohortium_protocol::ident::ConsortiumId;
use cohortium_sdk::log::{LogFolder, LogKeys, Strangers};
use cohortium_sdk::release::{DiskFolder, STATEMENT_JSON, verify};
use serde_json::{Value, json};

/// Asks the reference about one folder after the other: starting Python each time would take most of the time.
const ASK: &str = "\
import json, sys
sys.path.insert(0, sys.argv[1])
import verify_release
for line in sys.stdin:
    folder, anchor = json.loads(line)
    try:
        said = verify_release.verify(folder, anchor)
    except verify_release.Wrong as wrong:
        said = {'path': wrong.path, 'fault': wrong.fault}
    print(json.dumps(said), flush=True)
";

struct Reference {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reference")
}

impl Reference {
    fn start() -> Self {
        let mut command = Command::new("python3");
        command.args(["-B", "-c", ASK]).arg(script()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    fn says(&mut self, folder: &Path, anchor: Option<ConsortiumId>) -> Value {
        let asked = json!([folder.to_str().unwrap(), anchor.map(|anchor| anchor.to_string())]);
        writeln!(self.to, "{asked}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the reference ended over {asked}");
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this reader says, in the reference's words.
fn ours(folder: &Path, anchor: Option<ConsortiumId>) -> Value {
    match verify(&DiskFolder::new(folder), anchor) {
        Ok(verified) => json!({
            "release": verified.release.release, "consortium": verified.consortium, "anchored": verified.anchored,
            "charter_version": verified.charter_version, "consortium_kind": verified.kind,
            "kind": verified.release.done.kind(), "signed_at": verified.signed_at,
            "cosigned_by": verified.cosigned_by, "rows": verified.rows,
        }),
        Err(fault) => json!({"path": fault.path, "fault": fault.wrong.name()}),
    }
}

/// A folder on the disk with the files of a sample.
struct Ground {
    dir: tempfile::TempDir,
    files: world::Files,
}

impl Ground {
    fn new(files: &world::Files) -> Self {
        let ground = Self { dir: tempfile::tempdir().unwrap(), files: files.clone() };
        ground.files.iter().for_each(|(path, bytes)| ground.put(path, bytes));
        ground
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn agreed(reference: &mut Reference, ground: &Ground, anchor: Option<ConsortiumId>, about: &str) -> Value {
    let own = ours(ground.dir.path(), anchor);
    assert_eq!(own, reference.says(ground.dir.path(), anchor), "{about}");
    own
}

// FOLD-1 FOLD-2
#[test]
fn both_readers_accept_the_same_folders_and_say_whether_they_are_anchored() {
    let (sample, mut reference) = (world::sample(), Reference::start());
    for (kind, files) in &sample.releases {
        let ground = Ground::new(files);
        let told = agreed(&mut reference, &ground, Some(sample.consortium), kind);
        assert_eq!((&told["kind"], &told["anchored"]), (&json!(kind), &json!(true)), "{told}");
        let told = agreed(&mut reference, &ground, None, kind);
        assert_eq!(told["anchored"], json!(false), "{told}");
        let told = agreed(&mut reference, &ground, Some(ConsortiumId([1; 32])), kind);
        assert_eq!(told["fault"], json!("anchor"));
    }
}

// LOG-16
#[test]
fn the_log_that_the_samples_are_proved_in_verifies() {
    let sample = world::sample();
    let ground = Ground::new(&sample.log);
    let keys = LogKeys::new(&sample.log_origin, [sample.log_key], Strangers::Ignore).unwrap();
    assert_eq!(LogFolder::new(ground.dir.path()).verify(&keys).unwrap().head.size, 306);
}

// FOLD-1 FOLD-3
#[test]
fn both_readers_name_the_same_fault_of_every_flipped_byte() {
    let (sample, mut reference) = (world::sample(), Reference::start());
    for (kind, files) in &sample.releases {
        let ground = Ground::new(files);
        for (path, bytes) in files {
            // Small files at many places, long ones at fewer; the first bytes, which say lengths and types, all of them.
            let step = (bytes.len() / 24).max(1);
            let places = (0..bytes.len().min(8)).chain((8..bytes.len()).step_by(step));
            for place in places {
                let mut bent = bytes.clone();
                bent[place] ^= 1 << (place % 8);
                ground.put(path, &bent);
                let told = agreed(&mut reference, &ground, Some(sample.consortium), &format!("{kind} {path} {place}"));
                assert_eq!(told["path"], json!(path), "{kind}, byte {place}: {told}");
            }
            ground.put(path, bytes);
        }
    }
}

// FOLD-1 FOLD-3
#[test]
fn both_readers_name_the_same_fault_of_files_that_are_missing_foreign_or_cut() {
    let (sample, mut reference) = (world::sample(), Reference::start());
    let files = &sample.releases["microdata"];
    let ground = Ground::new(files);
    let anchor = Some(sample.consortium);
    for (path, bytes) in files {
        let at = ground.dir.path().join(path);
        fs::remove_file(&at).unwrap();
        assert!(agreed(&mut reference, &ground, anchor, path)["fault"].is_string());
        fs::create_dir(&at).unwrap();
        assert!(agreed(&mut reference, &ground, anchor, path)["fault"].is_string());
        fs::remove_dir(&at).unwrap();
        std::os::unix::fs::symlink("/dev/null", &at).unwrap();
        assert_eq!(agreed(&mut reference, &ground, anchor, path)["fault"], json!("unreadable"), "{path}");
        fs::remove_file(&at).unwrap();
        for cut in [0, bytes.len() / 2, bytes.len() - 1] {
            ground.put(path, &bytes[..cut]);
            assert_eq!(agreed(&mut reference, &ground, anchor, path)["path"], json!(path));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        ground.put(path, &longer);
        assert_eq!(agreed(&mut reference, &ground, anchor, path)["path"], json!(path));
        // What belongs elsewhere in the folder, and what belongs to another release.
        for other in files.values().chain(sample.releases["counts"].get(path)) {
            if other != bytes {
                ground.put(path, other);
                assert!(agreed(&mut reference, &ground, anchor, path)["fault"].is_string(), "{path}");
            }
        }
        ground.put(path, bytes);
    }
    let foreign = [
        "notes",
        "body/part-002.parquet",
        "charter/0004.cohortium",
        "charter/3",
        "cosigner/x",
        "cosigned",
        "cosigner/-.cohortium",
        "operator/0003.cohortium",
        "journal/more",
        "a/b/c/d/e/f/g/h/i/j",
        "log/tile/0/000",
    ];
    for path in foreign {
        let ground = Ground::new(files);
        ground.put(path, &files[STATEMENT_JSON]);
        assert!(agreed(&mut reference, &ground, anchor, path)["fault"].is_string(), "{path}");
    }
    for (path, most) in [("journal/reserved", 2 << 20), ("log/signed", 2 << 20), ("project.cohortium", 1 << 20)] {
        let ground = Ground::new(files);
        ground.put(path, &vec![0; most + (1 << 20)]);
        assert_eq!(agreed(&mut reference, &ground, anchor, path), json!({"path": path, "fault": "too-long"}));
    }
    for (path, like) in [
        ("charter/0003.cohortium", "charter/0002.cohortium"),
        ("charter/0003.cohortium", "charter/0001.cohortium"),
        ("cosigner/west.cohortium", "cosigner/east.cohortium"),
        ("operator/0002.cohortium", "cosigner/east.cohortium"),
    ] {
        let ground = Ground::new(files);
        ground.put(path, &files[like]);
        assert_eq!(agreed(&mut reference, &ground, anchor, path)["path"], json!(path));
    }
}

// FOLD-3
#[test]
fn the_script_ends_with_5_and_says_when_nothing_is_anchored() {
    let sample = world::sample();
    let ground = Ground::new(&sample.releases["aggregate"]);
    let run = |more: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(script().join("verify_release.py")).arg(ground.dir.path()).args(more);
        let output = command.output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap(), output.stderr)
    };
    let (code, told, said) = run(&["--anchor", &sample.consortium.to_string()]);
    assert_eq!((code, &told["anchored"], said.as_slice()), (Some(0), &json!(true), [].as_slice()));
    let (code, told, said) = run(&[]);
    assert_eq!((code, &told["anchored"]), (Some(0), &json!(false)));
    assert!(String::from_utf8(said).unwrap().starts_with("NOT ANCHORED"));
    ground.put("body/answer.parquet", b"another");
    let (code, told, _) = run(&[]);
    assert_eq!((code, told), (Some(5), json!({"path": "body/answer.parquet", "fault": "body"})));
}
