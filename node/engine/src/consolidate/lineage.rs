//! A consolidation as `OpenLineage` events, for catalogues that know that format. Offline: everything is in the record.
//!
//! Source: `OpenLineage` 2-0-2, `RunEvent`; facets `DatasetVersionDatasetFacet` 1-0-1 and `ProcessingEngineRunFacet` 1-1-1. Facets
//! of our own carry the prefix `cohortium`, as its section on custom facets asks.

use cohortium_protocol::ident::Name;
use cohortium_protocol::record::consolidation::{ConsolidatedPart, ConsolidatedTable, Consolidation};
use cohortium_protocol::time::UnixMillis;
use serde_json::{Map, Value, json};

const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const VERSION_FACET: &str =
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet";
const ENGINE_FACET: &str =
    "https://openlineage.io/spec/facets/1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet";
/// Where our own facets are described.
const OWN_FACET: &str = "urn:cohortium:spec:v1:10-consolidation";
/// Who makes these events.
const PRODUCER: &str = "urn:cohortium:node";

/// The run that made a consolidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its id, shown as a UUID.
    pub id: [u8; 16],
    /// When it began.
    pub started: UnixMillis,
    /// When it was done.
    pub completed: UnixMillis,
}

/// The events of a consolidation's run, START and COMPLETE: snapshots are its inputs, table versions its outputs.
pub fn open_lineage(consolidation: &Consolidation, run: &Run) -> [Value; 2] {
    [("START", run.started), ("COMPLETE", run.completed)].map(|(kind, at)| {
        json!({
            "eventType": kind,
            "eventTime": at.to_string(),
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
            "run": {
                "runId": uuid(&run.id),
                "facets": {
                    "processing_engine": facet(ENGINE_FACET, json!({
                        "name": "cohortium",
                        "version": consolidation.software.to_string(),
                    })),
                },
            },
            "job": { "namespace": namespace(consolidation, &consolidation.operator), "name": "consolidate" },
            "inputs": inputs(consolidation),
            "outputs": outputs(consolidation),
        })
    })
}

/// One data set for each share: a share is of one table.
fn inputs(consolidation: &Consolidation) -> Vec<Value> {
    let parts = consolidation
        .tables
        .iter()
        .flat_map(|(table, version)| version.parts.iter().map(move |(member, part)| (table, member, part)));
    let input = |(table, member, part): (&Name, &Name, &ConsolidatedPart)| {
        json!({
            "namespace": namespace(consolidation, member),
            "name": format!("{table}/{}", part.share),
            "facets": {
                "version": facet(VERSION_FACET, json!({ "datasetVersion": part.snapshot.to_string() })),
                "cohortium_mapping": facet(OWN_FACET, json!({
                    "mapping": part.mapping.map(|digest| digest.to_string()),
                    "vocabulary": part.vocabulary.as_ref().map(|vocabulary| json!({
                        "release": vocabulary.release.to_string(),
                        "digest": vocabulary.digest.to_string(),
                    })),
                })),
            },
        })
    };
    parts.map(input).collect()
}

fn outputs(consolidation: &Consolidation) -> Vec<Value> {
    let output = |(table, version): (&Name, &ConsolidatedTable)| {
        let digests = version.parts.iter().map(|(member, part)| (member.to_string(), json!(part.digest.to_string())));
        json!({
            "namespace": namespace(consolidation, &consolidation.operator),
            "name": table.to_string(),
            "facets": {
                "version": facet(VERSION_FACET, json!({ "datasetVersion": version.version.to_string() })),
                "cohortium_consolidation": facet(OWN_FACET, json!({
                    "sequence": consolidation.sequence,
                    "schema": consolidation.schema.to_string(),
                    "parts": digests.collect::<Map<String, Value>>(),
                })),
            },
        })
    };
    consolidation.tables.iter().map(output).collect()
}

/// A facet: its content, who made it, and where its form is described.
fn facet(form: &str, mut content: Value) -> Value {
    if let Some(fields) = content.as_object_mut() {
        fields.insert("_producer".to_owned(), json!(PRODUCER));
        fields.insert("_schemaURL".to_owned(), json!(form));
    }
    content
}

fn namespace(consolidation: &Consolidation, party: &Name) -> String {
    format!("cohortium://{}/{party}", consolidation.consortium)
}

/// The groups of digits by which RFC 9562 writes a UUID.
fn uuid(id: &[u8; 16]) -> String {
    let groups = [&id[..4], &id[4..6], &id[6..8], &id[8..10], &id[10..]];
    groups.map(crate::cells::hex).join("-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cohortium_protocol::digest::DocumentDigest;
    use cohortium_protocol::ident::{ConsortiumId, ShareId, SnapshotId};
    use cohortium_protocol::record::consolidation::ConsolidationFields;
    use cohortium_protocol::record::extension::Extensions;
    use cohortium_protocol::record::vocabulary::Vocabulary;
    use cohortium_protocol::table_version::PartDigest;

    use super::*;

    fn consolidation() -> Consolidation {
        let (table, schema): (Name, _) = ("person".parse().unwrap(), DocumentDigest([2; 32]));
        let part = |number: u8, mapping| ConsolidatedPart {
            share: ShareId([number; 16]),
            snapshot: SnapshotId([number; 32]),
            mapping,
            vocabulary: Some(Vocabulary {
                release: "v5.0 27-FEB-26".parse().unwrap(),
                digest: DocumentDigest([8; 32]),
            }),
            digest: PartDigest([number; 32]),
            blobs: Vec::new(),
        };
        let parts = [("north", part(4, Some(DocumentDigest([9; 32])))), ("south", part(5, None))];
        let parts = parts.map(|(member, part)| (member.parse::<Name>().unwrap(), part));
        let fields = ConsolidationFields {
            consortium: ConsortiumId([1; 32]),
            operator: "operator".parse().unwrap(),
            sequence: 1,
            previous: None,
            schema,
            tables: BTreeMap::from([(table.clone(), ConsolidatedTable::new(&table, &schema, parts.into()))]),
            left_out: BTreeMap::new(),
            software: "0.1.0".parse().unwrap(),
            at: UnixMillis(1_800_000_000_000),
            ext: Extensions::default(),
        };
        fields.try_into().unwrap()
    }

    // CONS-9
    #[test]
    fn a_table_version_leads_to_snapshot_mapping_vocabulary_and_software() {
        let consolidation = consolidation();
        let run = Run { id: [0xAB; 16], started: UnixMillis(0), completed: UnixMillis(1_800_000_000_000) };
        let [start, complete] = open_lineage(&consolidation, &run);
        assert_eq!((&start["eventType"], &start["eventTime"]), (&json!("START"), &json!("1970-01-01T00:00:00.000Z")));
        assert_eq!((&complete["eventType"], &complete["run"]), (&json!("COMPLETE"), &start["run"]));
        assert_eq!(complete["run"]["runId"], json!("abababab-abab-abab-abab-abababababab"));
        assert_eq!(complete["run"]["facets"]["processing_engine"]["version"], json!("0.1.0"));
        let [north, south] = [&complete["inputs"][0], &complete["inputs"][1]];
        assert_eq!(north["namespace"], json!(format!("cohortium://{}/north", "01".repeat(32))));
        assert_eq!(north["facets"]["version"]["datasetVersion"], json!("04".repeat(32)));
        assert_eq!(north["facets"]["cohortium_mapping"]["mapping"], json!("09".repeat(32)));
        assert_eq!(north["facets"]["cohortium_mapping"]["vocabulary"]["release"], json!("v5.0 27-FEB-26"));
        assert_eq!(south["facets"]["cohortium_mapping"]["mapping"], Value::Null);
        let output = &complete["outputs"][0]["facets"];
        let version = consolidation.tables.values().next().unwrap().version.to_string();
        assert_eq!(output["version"]["datasetVersion"], json!(version));
        assert_eq!(output["cohortium_consolidation"]["parts"]["south"], json!("05".repeat(32)));
    }

    /// What the published schema requires of an event, a data set and a facet.
    #[test]
    fn every_event_data_set_and_facet_has_what_the_format_requires() {
        let run = Run { id: [1; 16], started: UnixMillis(1), completed: UnixMillis(2) };
        for event in open_lineage(&consolidation(), &run) {
            let has = |value: &Value, fields: &[&str]| fields.iter().all(|field| value[field].is_string());
            assert!(has(&event, &["eventTime", "producer", "schemaURL"]) && has(&event["job"], &["namespace", "name"]));
            assert!(has(&event["run"], &["runId"]));
            let sets = ["inputs", "outputs"].into_iter().flat_map(|list| event[list].as_array().unwrap());
            for holder in sets.chain([&event["run"]]) {
                assert!(has(holder, &["namespace", "name"]) || has(holder, &["runId"]));
                let facets = holder["facets"].as_object().unwrap();
                assert!(!facets.is_empty());
                assert!(facets.values().all(|facet| has(facet, &["_producer", "_schemaURL"])));
            }
        }
    }
}
