//! Mappings over whole nodes: with a vocabulary of the member's own, through changed sources, and into a schema of the
//! consortium's own.

use std::fs;

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::until;
use serde_json::Value;

use crate::PROGRAM;
use crate::drawn::secret;
use crate::postgres::postgres;

const CANARY: &str = "CANARYCODE";

const CONCEPTS: &str = "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\t\
                        concept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n\
                        8507\tmale\tGender\tGender\tx\tS\tM\t19700101\t20991231\t\n\
                        8532\tfemale\tGender\tGender\tx\tS\tF\t19700101\t20991231\t\n\
                        1\tm\tGender\tLOCAL\tx\t\tm\t19700101\t20991231\t\n\
                        2\tf\tGender\tLOCAL\tx\t\tf\t19700101\t20991231\t\n";
const RELATIONSHIPS: &str = "concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n\
                             1\t8507\tMaps to\t19700101\t20991231\t\n2\t8532\tMaps to\t19700101\t20991231\t\n";
const VOCABULARIES: &str = "vocabulary_id\tvocabulary_name\tvocabulary_reference\tvocabulary_version\tvocabulary_concept_id\n\
                            None\tOMOP\tnowhere\tv5.0 01-JAN-26\t2\n";

/// A made-up download.
fn athena(net: &Network, concepts: &str) -> String {
    let folder = net.path("athena");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("CONCEPT.csv"), concepts).unwrap();
    fs::write(folder.join("CONCEPT_RELATIONSHIP.csv"), RELATIONSHIPS).unwrap();
    fs::write(folder.join("VOCABULARY.csv"), VOCABULARIES).unwrap();
    folder.display().to_string()
}

fn mapping(net: &Network, version: u32, code: &str) -> String {
    let text = format!(
        r#"
mapping = "los"
version = {version}
schema = "omop-cdm-5.4"
patients = {{ source = "stays", id = "eid" }}
source.stays = {{ dataset = "stays" }}
[[fact]]
table = "person"
from = "stays"
set = {{ person_id = "person(eid)", gender_concept_id = {{ code = "{code}", vocabulary = "LOCAL" }}, year_of_birth = 1950, race_concept_id = 0, ethnicity_concept_id = 0 }}
[[fact]]
table = "death"
from = "stays"
where = "died IS NOT NULL"
set = {{ person_id = "person(eid)", death_date = "day(died, 'iso')" }}
"#
    );
    let path = net.path("los.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn stays(net: &Network, heading: &str, rows: &str) {
    fs::write(net.path("stays.csv"), format!("{heading}\n{rows}")).unwrap();
}

const ROWS: &str = "p1,m,2024-01-02\np2,f,\np3,CANARYCODE,\n";

fn report(net: &Network) -> Value {
    net.north().tell(&["mapping", "report", "los"])
}

// MAP-9, MAP-10, MAP-13
#[test]
fn a_members_vocabulary_maps_its_codes_and_what_changes_is_refused_until_somebody_says_so() {
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    stays(&net, "eid,sex,died", ROWS);
    north.tell(&["dataset", "add", "stays", "--csv", &net.text("stays.csv"), "--patient", "eid"]);
    north.tell(&["mapping", "define", &mapping(&net, 1, "sex")]);
    let shown = north.tell(&["mapping", "show", "los"]);
    assert_eq!((&shown["by"], &shown["version"]), (&"ada".into(), &1.into()));
    assert!(shown["at"].as_str().unwrap().starts_with("20"), "{shown}");
    let why = north.refused(&["mapping", "run", "los"], 3);
    assert!(why.contains("LOCAL") && why.contains("vocabulary load"), "{why}");

    let folder = athena(&net, &CONCEPTS.replace("8532\tfemale", "CANARYCODE\tfemale"));
    let why = north.refused(&["vocabulary", "load", &folder], 3);
    assert!(why.contains("CONCEPT.csv, line 3") && !why.contains(CANARY), "{why}");
    north.refused(&["vocabulary", "load", &net.text("nowhere")], 3);
    north.tell(&["vocabulary", "load", &athena(&net, CONCEPTS)]);
    let listed = north.tell(&["vocabulary", "list"]);
    assert_eq!((&listed[0]["release"], &listed[0]["in_use"]), (&"v5.0 01-JAN-26".into(), &true.into()));

    north.tell(&["mapping", "run", "los"]);
    let first = report(&net);
    assert_eq!((&first["tables"]["person"]["emitted"], &first["tables"]["death"]["emitted"]), (&2.into(), &1.into()));
    assert_eq!(first["vocabulary"]["digest"], listed[0]["digest"]);
    assert_eq!(first["unmapped"][0]["records"], 1);

    // Nobody died any more: that is no reason to empty a table without a word.
    stays(&net, "eid,sex,died", &ROWS.replace("2024-01-02", ""));
    let why = north.refused(&["mapping", "run", "los"], 3);
    assert!(why.contains("--allow-empty death"), "{why}");
    north.refused(&["mapping", "run", "los", "--allow-empty", "visit_occurrence"], 4);
    north.tell(&["mapping", "run", "los", "--allow-empty", "death"]);
    assert_eq!(report(&net)["tables"]["death"]["emitted"], 0);

    // The column has another name: the version that asks for the old one is refused, with the change named.
    stays(&net, "eid,gender,died", "p1,m,2024-01-02\np2,f,\n");
    let why = north.refused(&["mapping", "run", "los"], 3);
    assert!(why.contains("column sex is called gender now (breaking)"), "{why}");
    assert_eq!(
        north.tell(&["mapping", "drift", "los"])["refused"].as_str().map(|told| told.contains("gender")),
        Some(true)
    );
    north.tell(&["mapping", "define", &mapping(&net, 2, "gender")]);
    north.tell(&["mapping", "run", "los"]);
    let drift = north.tell(&["mapping", "drift", "los"]);
    assert_eq!(drift["drift"]["accepted"], true);
    assert!(drift["drift"]["changes"].to_string().contains("\"column\":\"sex\""), "{drift}");
    assert!(!north.log().contains(CANARY) && !north.tell(&["history"]).to_string().contains(CANARY));

    // What leaves tells the vocabulary, and so does the lineage of what is made of it.
    let terms = ["mapping", "offer", "los", "--to", "op", "--purpose", "Test", "--days", "30"];
    north.tell(&terms);
    north.tell(&["share", "approve", "los.person"]);
    north.tell(&["share", "invite", "los.person", "--to", "op"]);
    net.op.tell_soon(&["subscription", "accept", "los.person"]);
    north.until_state("los.person", "active");
    north.tell(&["share", "take", "los.person"]);
    net.op.until_landed("los.person", 1);
    net.op.tell(&["consolidate", "run"]);
    let lineage = net.op.tell(&["consolidate", "lineage"]).to_string();
    assert!(lineage.contains("v5.0 01-JAN-26") && lineage.contains(listed[0]["digest"].as_str().unwrap()), "{lineage}");
    north.verifies();
    net.op.verifies();
}

/// Everything that looks at tables does so in the schema that they are in: check, quality, compare, sql, publish.
fn looked_at(net: &Network) {
    let here = net.north().tell(&["check", "own"]);
    assert_eq!(here["outcome"], "pass", "{here}");
    let there = net.op.tell(&["consolidate", "quality", "north"]);
    assert_eq!((&there["digest"], &there["outcome"]), (&here["digest"], &here["outcome"]));
    let checks = there["checks"].to_string();
    assert!(checks.contains("field_isprimarykey_patient_patient_id") && !checks.contains("visit"), "{checks}");
    assert_eq!(net.op.refused(&["consolidate", "compare"], 3), "a comparison needs five sites");
    let asked = ["sql", "--reason", "a test", "SELECT sex, count(patient_id) AS n FROM patient GROUP BY sex"];
    assert_eq!(net.op.tell(&asked)["rows"], serde_json::json!([["m", "1"]]));
    let Some(server) = postgres() else { return };
    let (database, address) = (server.database("registry"), format!("127.0.0.1:{}", server.room.port));
    let password = secret(&net.path("password"), server.password);
    let reach = ["--postgres", &address, "--database", &database, "--user", "admin", "--password-file", &password];
    let publish =
        [&["consolidate", "publish"], &reach[..], &["--schema", "public", "--create", "--number-ids"]].concat();
    net.op.tell(&publish);
    assert_eq!(server.sql(&database, "SELECT patient_id, sex FROM public.patient").trim(), "1|m");
}

const OWN: &str = r#"
name = "registry"
version = "1"
[[table]]
name = "patient"
field = [
  { name = "patient_id", kind = "integer", required = true, primary_key = true, role = "quasi-identifier" },
  { name = "sex", kind = "text", length_max = 1, role = "quasi-identifier" },
]
"#;

// MAP-12
#[test]
fn a_consortiums_own_schema_reaches_its_members_and_takes_the_place_of_omop() {
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    fs::write(net.path("own.toml"), OWN).unwrap();
    stays(&net, "eid,sex", "p1,m\np2,long\n");
    north.tell(&["dataset", "add", "stays", "--csv", &net.text("stays.csv"), "--patient", "eid"]);
    let text = "mapping = \"own\"\nversion = 1\nschema = \"registry-1\"\npatients = { source = \"stays\", id = \"eid\" }\n\
                source.stays = { dataset = \"stays\" }\n[[fact]]\ntable = \"patient\"\nfrom = \"stays\"\n\
                set = { patient_id = \"surrogate('patient', eid)\", sex = \"sex\" }\n";
    fs::write(net.path("own-mapping.toml"), text).unwrap();
    let define = ["mapping", "define", &net.text("own-mapping.toml")];
    let why = north.refused(&define, 2);
    assert!(why.contains("registry-1"), "{why}");
    net.op.tell(&["charter", "propose", "--schema", &net.text("own.toml")]);
    net.sign("3");
    until("the schema at north", || {
        let acts = north.acts("common-schema");
        (!acts.is_empty()).then_some(())
    });
    north.tell(&define);
    north.tell(&["mapping", "run", "own"]);
    let report = north.tell(&["mapping", "report", "own"]);
    assert_eq!(
        (&report["tables"]["patient"]["emitted"], &report["tables"]["patient"]["quarantined"]),
        (&1.into(), &1.into())
    );
    let checks = report["quality"].to_string();
    assert!(checks.contains("patient") && !checks.contains("visit_occurrence"), "the checks follow from the schema");
    north.tell(&["mapping", "offer", "own", "--to", "op", "--purpose", "Test", "--days", "30"]);
    north.tell(&["share", "approve", "own.patient"]);
    north.tell(&["share", "invite", "own.patient", "--to", "op"]);
    net.op.tell_soon(&["subscription", "accept", "own.patient"]);
    north.until_state("own.patient", "active");
    north.tell(&["share", "take", "own.patient"]);
    net.op.until_landed("own.patient", 1);
    let made = net.op.tell(&["consolidate", "run"]);
    assert_eq!(made["tables"][0], "patient", "{made}");
    looked_at(&net);
    // A mapping to what is no longer the charter's schema is refused.
    let omop = mapping(&net, 1, "sex");
    net.north().refused(&["mapping", "define", &omop], 2);
    net.op.verifies();
}
