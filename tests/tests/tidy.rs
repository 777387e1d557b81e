//! What lints cannot see: who imports whom, sizes, paths and requirement ids, numbers in two places, secrets that print.
//!
//! Every rule is a function from texts to complaints. It runs over the repository in one test and over a made-up bad
//! input in another, so that it is known to be able to fail.

#![expect(clippy::unwrap_used, reason = "a file of the repository that cannot be read is a failed test")]

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/numbers.rs"]
mod numbers;
#[path = "tidy/requirements.rs"]
mod requirements;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/style.rs"]
mod style;

use source::{Source, Tree};

fn no_complaint(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// A made-up file.
fn made_up(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned(), test: false }
}

#[test]
fn packages_import_only_what_the_table_allows() {
    no_complaint(&imports::complaints(&Tree::read().named("Cargo.toml")));
}

#[test]
fn an_import_beside_the_table_is_found() {
    let bad = |path: &str, dependency: &str| {
        let text = format!("[package]\nname = \"x\"\n[dependencies]\n{dependency}.workspace = true\n");
        imports::complaints(&[made_up(path, &text)])
    };
    assert_eq!(bad("node/store/Cargo.toml", "cohortium-transport").len(), 1);
    assert_eq!(bad("protocol/Cargo.toml", "tokio").len(), 1);
    assert_eq!(bad("node/Cargo.toml", "bincode").len(), 1);
    assert_eq!(bad("somewhere/Cargo.toml", "serde").len(), 1);
    assert_eq!(bad("node/store/Cargo.toml", "sled").len(), 0);
}

#[test]
fn protocol_has_no_input_or_output_and_one_codec() {
    no_complaint(&imports::name_complaints(&Tree::read().rust()));
}

#[test]
fn a_clock_in_protocol_or_a_second_codec_is_found() {
    let found = |path: &str, text: &str| imports::name_complaints(&[made_up(path, text)]).len();
    assert_eq!(found("protocol/src/a.rs", "use std::time::Instant;\n"), 1);
    assert_eq!(found("protocol/src/a.rs", "fn a(x: f64) -> HashMap<u8, u8> {}\n"), 2);
    assert_eq!(found("protocol/src/a.rs", "// f64\nfn f64_bits(instant: Instantly) {}\n"), 0);
    assert_eq!(found("node/src/a.rs", "use std::time::Instant;\n"), 0);
    assert_eq!(found("node/src/a.rs", "fn a() { bincode::serde::encode() }\n"), 1);
    assert_eq!(found("protocol/src/wire/codec.rs", "use bincode::config;\n"), 0);
}

#[test]
fn modules_of_protocol_name_only_modules_above_them() {
    no_complaint(&imports::order_complaints(&Tree::read().rust_under("protocol/src/")));
}

#[test]
fn a_module_that_names_a_later_one_is_found() {
    let tree = |a: &str| {
        let lib = made_up("protocol/src/lib.rs", "pub mod a;\npub mod b;\n");
        let b = made_up("protocol/src/b/mod.rs", "pub mod one;\npub mod two;\n");
        imports::order_complaints(&[lib, b, made_up("protocol/src/a.rs", a), made_up("protocol/src/b/one.rs", a)])
    };
    assert_eq!(tree("use crate::b::two;\n").len(), 2);
    assert_eq!(tree("// crate::b::two\n#[cfg(test)]\nmod tests {\n    use crate::b::two;\n}\n").len(), 0);
    assert_eq!(tree("use crate::a::x;\n").len(), 0);
    assert_eq!(tree("use crate::{a::x, b::two};\n").len(), 2);
}

#[test]
fn every_rust_file_says_what_it_is_for_and_is_short() {
    no_complaint(&style::file_complaints(&Tree::read().rust()));
}

#[test]
fn a_long_or_nameless_file_is_found() {
    let long = format!("//! Long.\n{}", "fn a() {}\n".repeat(600));
    let tested = format!("//! Tested.\n#[cfg(test)]\n{}", "fn a() {}\n".repeat(900));
    let files =
        [made_up("a.rs", &long), made_up("b.rs", "fn a() {}\n"), made_up("c.rs", &tested), made_up("d.rs", "//!\n")];
    let complaints = style::file_complaints(&files);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}

#[test]
fn nothing_outside_tests_unwraps() {
    no_complaint(&style::unwrap_complaints(&Tree::read().rust()));
}

#[test]
fn an_unwrap_outside_tests_is_found() {
    let file = |text: &str| style::unwrap_complaints(&[made_up("a/src/x.rs", text)]).len();
    assert_eq!(file("fn a() { b().unwrap() }\n"), 1);
    let harness = made_up("tests/src/real/x.rs", "fn a() { b().unwrap() }\n");
    assert_eq!(style::unwrap_complaints(&[harness]).len(), 0, "tests alone call it");
    assert_eq!(
        file(
            "// b().unwrap()\nfn a() { \"c.unwrap()\"; unwrap(1) }\n#[cfg(test)]\nmod t { fn a() { b().unwrap() } }\n"
        ),
        0
    );
}

#[test]
fn a_file_that_only_tests_include_is_a_test() {
    let main = "//! x\n#[cfg(test)]\nmod fixture;\n#[cfg(test)]\n#[path = \"odd.rs\"]\nmod tests;\nmod plain;\n";
    let names = ["a/src/lib.rs", "a/src/fixture.rs", "a/src/odd.rs", "a/src/plain.rs", "a/examples/e.rs"];
    let mut tree = Tree { files: names.iter().map(|name| made_up(name, main)).collect() };
    tree.mark_tests();
    assert_eq!(tree.files.iter().map(source::Source::is_test).collect::<Vec<_>>(), [false, true, true, false, true]);
}

#[test]
fn secrets_neither_print_nor_serialise() {
    no_complaint(&style::secret_complaints(&Tree::read().rust(), style::SECRETS));
}

#[test]
fn a_secret_that_prints_is_found() {
    let found = |text: &str| style::secret_complaints(&[made_up("a.rs", text)], &["Key"]).len();
    assert_eq!(found("/// A key.\n#[derive(Clone, Debug)]\npub struct Key([u8; 32]);\n"), 1);
    assert_eq!(found("#[derive(\n    Serialize,\n)]\nstruct Key;\n"), 1);
    assert_eq!(found("pub struct Key;\nimpl fmt::Debug for Key {\n    fn fmt() { self.0.fmt(f) }\n}\n"), 1);
    assert_eq!(found("pub struct Key;\nimpl fmt::Debug for Key {\n    fn fmt() { f.write_str(x) }\n}\n"), 0);
    assert_eq!(found("pub struct Key;\nimpl serde::Serialize for Key {\n}\n"), 1);
    assert_eq!(found("#[derive(Clone)]\npub struct Key;\n#[derive(Debug)]\npub struct KeyName;\n"), 0);
    assert_eq!(found("pub struct Other;\n"), 1, "a list that names what is gone is found too");
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    no_complaint(&style::machine_complaints(&Tree::read().files));
}

#[test]
fn a_machine_path_is_found() {
    let found = |text: &str| style::machine_complaints(&[made_up("a.md", text)]).len();
    assert_eq!(found(concat!("see /ho", "me/ann/x")), 1);
    assert_eq!(found(concat!("`/ro", "ot/.cargo`")), 1);
    assert_eq!(found(concat!("C:\\Us", "ers\\ann")), 1);
    assert_eq!(found("see ../shared/data and src/home/x and ProtectHome=yes"), 0);
}

#[test]
fn the_top_level_is_the_agreed_one_and_the_licence_is_there() {
    no_complaint(&style::top_level_complaints(&Tree::read().top_level()));
    assert!(Tree::read().text("LICENSE").unwrap().contains("Apache License"));
}

#[test]
fn a_stray_file_at_the_top_is_found() {
    let names =
        |names: &[&str]| style::top_level_complaints(&names.iter().map(|name| (*name).to_owned()).collect()).len();
    assert_eq!(names(&["LICENSE", "Cargo.toml", "notes.txt"]), 1);
    assert_eq!(names(&["Cargo.toml"]), 1, "no licence");
}

#[test]
fn every_path_in_the_architecture_exists() {
    let tree = Tree::read();
    match tree.text("ARCHITECTURE.md") {
        None => println!("skipped: there is no ARCHITECTURE.md yet"),
        Some(text) => no_complaint(&style::path_complaints(&text, &tree)),
    }
}

#[test]
fn a_path_that_is_gone_is_found() {
    let files = vec![made_up("protocol/src/lib.rs", ""), made_up("README.md", "")];
    let tree = Tree { files };
    let text = "`protocol/src`, `src/lib.rs`, `README.md`, `cohortium/1`, `tile/0`, `protocol/src/gone.rs`, `GONE.md`";
    assert_eq!(style::path_complaints(text, &tree).len(), 2);
}

#[test]
fn requirements_and_tests_name_one_another() {
    no_complaint(&requirements::complaints(&Tree::read()));
}

#[test]
fn a_requirement_without_a_test_and_a_test_without_a_requirement_are_found() {
    let spec =
        made_up("spec/01-x.md", "**AB-1** A node MUST.\n\n**AB-2** A node MUST NOT.\n\n**AB-3** It MUST and MUST.\n");
    let exceptions = |text: &str| made_up("spec/exceptions.toml", text);
    let cited = "//! x\n#[cfg(test)]\nmod tests {\n    // AB-1\n    #[test]\n    fn a() {}\n    // AB-3 AB-9\n    #[test]\n    fn b() {}\n}\n";
    let tree = |excepted: &str| Tree { files: vec![spec.clone(), exceptions(excepted), made_up("a/src/x.rs", cited)] };
    let found = requirements::complaints(&tree(""));
    assert_eq!(found.len(), 3, "AB-2 is untested, AB-3 has two MUST, AB-9 is not there: {found:?}");
    let excused = requirements::complaints(&tree("[[exception]]\nids = [\"AB-2\"]\nreason = \"x\"\n"));
    assert_eq!(excused.len(), 2, "{excused:?}");
    let hollow = requirements::complaints(&tree("[[exception]]\nids = [\"AB-2\"]\nreason = \"\"\n"));
    assert_eq!(hollow.len(), 3, "a reason is needed: {hollow:?}");
    let checked = made_up("tests/src/check.rs", "/// Holds (spec AB-2).\nfn a() {}\n");
    let told = made_up("tests/src/node.rs", "/// Holds (spec AB-2).\nfn a() {}\n");
    let with = |file: Source| Tree { files: [&tree("").files[..], &[file]].concat() };
    assert_eq!(requirements::complaints(&with(checked)).len(), 2, "a checker of the simulator is a test");
    assert_eq!(requirements::complaints(&with(told)).len(), 3, "other code is none");
    let stale = requirements::complaints(&tree("[[exception]]\nids = [\"AB-1\"]\nreason = \"x\"\n"));
    assert_eq!(stale.len(), 4, "AB-1 is tested and needs no exception: {stale:?}");
}

#[test]
fn the_registry_says_what_the_code_says() {
    let tree = Tree::read();
    no_complaint(&numbers::limit_complaints(&tree.text("protocol/src/limits.rs").unwrap(), &tree.registry()));
    no_complaint(&numbers::code_complaints(&tree.registry()));
    no_complaint(&numbers::list_complaints(&tree.registry()));
    no_complaint(&numbers::label_complaints(&tree.rust_under("protocol/src/"), &tree.registry()));
}

#[test]
fn a_number_that_differs_is_found() {
    let registry = |text: &str| text.parse::<toml::Table>().unwrap();
    let limits = "pub const A: usize = 2 * 1_024;\npub const B: Seconds = Seconds(A << 1);\nconst C: u64 = 1;\n";
    let good = "[[limit]]\nname = \"A\"\nvalue = 2048\n[[limit]]\nname = \"B\"\nvalue = 4096\n";
    assert_eq!(numbers::limit_complaints(limits, &registry(good)).len(), 0);
    assert_eq!(numbers::limit_complaints(limits, &registry(&good.replace("4096", "4097"))).len(), 1);
    assert_eq!(numbers::limit_complaints(limits, &registry(&good.replace("\"B\"", "\"D\""))).len(), 2);
    assert!(
        !numbers::code_complaints(&registry("[[message]]\ncode = 1\nname = \"Helo\"\npayload_max = \"A\"\n"))
            .is_empty()
    );
    let label = made_up("x.rs", "const LABEL: &'static str = \"application/vnd.cohortium.v1.a.v1\";\n");
    let mut lists = Tree::read().registry();
    for name in ["small_areas", "suspicion"] {
        lists.remove(name);
        assert!(!numbers::list_complaints(&lists).is_empty(), "{name}");
    }
    assert_eq!(numbers::label_complaints(&[label], &registry("[[label]]\nlabel = \"b\"\n")).len(), 2);
}

#[test]
fn the_evaluator_of_limits_agrees_with_the_compiler() {
    use cohortium_protocol::limits;
    let values = numbers::constants(&Tree::read().text("protocol/src/limits.rs").unwrap());
    let same = |name: &str, value: u128| assert_eq!(values.get(name), Some(&value), "{name}");
    same("RANGE_BYTES", u128::from(limits::RANGE_BYTES));
    same("BLOB_BYTES_MAX", u128::from(limits::BLOB_BYTES_MAX.0));
    same("NODE_RECORD_VALIDITY_MAX", u128::from(limits::NODE_RECORD_VALIDITY_MAX.0));
    same("CONTROL_FRAME_BYTES_MAX", u128::try_from(limits::CONTROL_FRAME_BYTES_MAX).unwrap());
}
