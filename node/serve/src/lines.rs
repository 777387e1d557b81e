//! Answers about a table, one JSON object a line, in both of the protocol's formats.

use cohortium_protocol::time::UnixMillis;
use serde_json::{Value, json};

use crate::capabilities::Format;
use crate::catalogue::{DataFile, Table, Version};

/// A file as one line tells of it.
pub(crate) struct FileLine {
    /// What becomes of it.
    pub(crate) act: Act,
    pub(crate) file: DataFile,
    /// Where it is read.
    pub(crate) url: String,
    /// Until when.
    pub(crate) expires: UnixMillis,
    /// The version that it belongs to, or that took it away.
    pub(crate) version: u64,
    /// When that was.
    pub(crate) released: UnixMillis,
    /// Whether the line says so: not when the latest version was asked for and nothing else.
    pub(crate) dated: Dated,
}

/// What a line says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The version has it.
    File,
    /// The version brought it.
    Add,
    /// The version took it away.
    Remove,
}

/// A 128-bit id as a UUID is written.
pub(crate) fn uuid(id: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(id));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The line that says which version of the format a reader needs: the first, as no table here has a feature.
pub(crate) fn protocol(format: Format) -> Value {
    match format {
        Format::Parquet => json!({"protocol": {"minReaderVersion": 1}}),
        Format::Delta => json!({"protocol": {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 4}}}),
    }
}

/// Whether a line says which version it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dated {
    Yes,
    No,
}

/// The line about a version's columns, which hold from the version `since` on where that is told. Some readers refuse a
/// length that is not exact.
pub(crate) fn metadata(format: Format, table: &Table, version: &Version, since: Option<u64>) -> Value {
    let mut inner = json!({
        "id": uuid(table.id),
        "name": table.name.table.as_str(),
        "format": {"provider": "parquet"},
        "schemaString": version.schema_text(),
        "partitionColumns": [],
    });
    if let Some(description) = &table.description {
        inner["description"] = json!(description);
    }
    let mut outer = match format {
        Format::Parquet => {
            inner["configuration"] = json!({"enableChangeDataFeed": "true"});
            inner
        }
        Format::Delta => {
            inner["configuration"] = json!({"delta.enableChangeDataFeed": "true"});
            inner["format"]["options"] = json!({});
            inner["createdTime"] = json!(version.released.0);
            json!({"deltaMetadata": inner})
        }
    };
    outer["size"] = json!(version.bytes());
    outer["numFiles"] = json!(version.files.len());
    if let Some(since) = since {
        outer["version"] = json!(since);
    }
    json!({"metaData": outer})
}

/// The line about a file.
pub(crate) fn file(format: Format, line: &FileLine) -> Value {
    let id = line.file.digest.to_string();
    let mut inner = match format {
        Format::Parquet => json!({"url": line.url, "id": id, "partitionValues": {}, "size": line.file.bytes}),
        Format::Delta => json!({"id": id, "size": line.file.bytes, "deltaSingleAction": delta_action(line)}),
    };
    inner["expirationTimestamp"] = json!(line.expires.0);
    if line.dated == Dated::Yes {
        inner["version"] = json!(line.version);
        inner["timestamp"] = json!(line.released.0);
    }
    match (format, line.act) {
        (Format::Delta, _) | (Format::Parquet, Act::File) => json!({"file": inner}),
        (Format::Parquet, Act::Add) => json!({"add": inner}),
        (Format::Parquet, Act::Remove) => json!({"remove": inner}),
    }
}

fn delta_action(line: &FileLine) -> Value {
    let at = line.released.0;
    let mut action = json!({"path": line.url, "partitionValues": {}, "size": line.file.bytes, "dataChange": true});
    match line.act {
        Act::File | Act::Add => {
            action["modificationTime"] = json!(at);
            json!({"add": action})
        }
        Act::Remove => {
            action["deletionTimestamp"] = json!(at);
            action["extendedFileMetadata"] = json!(true);
            json!({"remove": action})
        }
    }
}

/// The last line, for who asked for it.
pub(crate) fn end(next_page: Option<&str>, expires: UnixMillis) -> Value {
    let mut inner = json!({"minUrlExpirationTimestamp": expires.0});
    if let Some(token) = next_page {
        inner["nextPageToken"] = json!(token);
    }
    json!({"endStreamAction": inner})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_id_is_written_as_a_uuid() {
        assert_eq!(uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }

    // DSS-7
    #[test]
    fn metadata_tells_the_exact_size() {
        let table = fixture::table("a.b.c", 1, vec![fixture::version(0, 5, &[1, 2])]);
        let bytes = fixture::file(1).bytes + fixture::file(2).bytes;
        let parquet = metadata(Format::Parquet, &table, table.latest(), None);
        assert_eq!((&parquet["metaData"]["size"], &parquet["metaData"]["numFiles"]), (&json!(bytes), &json!(2)));
        assert!(parquet["metaData"].get("version").is_none());
        let delta = metadata(Format::Delta, &table, table.latest(), Some(0));
        assert_eq!((&delta["metaData"]["size"], &delta["metaData"]["version"]), (&json!(bytes), &json!(0)));
        assert_eq!(delta["metaData"]["deltaMetadata"]["schemaString"], parquet["metaData"]["schemaString"]);
    }

    // DSS-23
    #[test]
    fn no_line_tells_how_many_rows_there_are() {
        let mut line = FileLine {
            act: Act::File,
            file: DataFile { rows: 123_456_789, ..fixture::file(1) },
            url: "u".to_owned(),
            expires: UnixMillis(1),
            version: 3,
            released: UnixMillis(2),
            dated: Dated::No,
        };
        for format in [Format::Parquet, Format::Delta] {
            for act in [Act::File, Act::Add, Act::Remove] {
                line.act = act;
                let text = file(format, &line).to_string();
                assert!(!text.contains("123456789") && !text.contains("stats"), "{text}");
            }
        }
    }
}
