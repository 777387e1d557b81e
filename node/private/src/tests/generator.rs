//! The generator behind all noise is OpenSSL's.

use std::fs;

// PRIV-1: without the feature `use-openssl`, nothing of OpenSSL would be linked.
#[test]
fn the_secure_generator_is_compiled_in() {
    // Put together here, so that the name is not found because it is looked for.
    let name = ["RAND", "priv", "bytes"].join("_");
    let program = fs::read("/proc/self/exe").unwrap();
    let called = program.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(called, "{name} is not in this program: opendp was built without its secure generator");
}

// PRIV-1
#[test]
fn the_manifest_asks_for_the_secure_generator_and_for_nothing_unproven() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("opendp = ")).unwrap();
    assert!(line.contains("default-features = false") && line.contains("\"use-openssl\""), "{line}");
    for unproven in ["honest-but-curious", "floating-point", "idealized-numerics", "untrusted"] {
        assert!(!line.contains(unproven), "{line}");
    }
}
