//! Frames, versions, names.

use cohortium_protocol::ident::{ColumnName, MissingMark, Name, NameFault, RelPath, Text};
use cohortium_protocol::wire::frame::FrameHeader;
use cohortium_protocol::wire::version::{VersionRange, WireVersion};
use serde_json::{Value, json};

use crate::{Outcome, array, code_of, text};

pub(crate) fn frame_header(input: &Value) -> Outcome {
    let header = FrameHeader::parse(array(input, "hex")).map_err(|fault| code_of(&fault))?;
    Ok(json!({ "type": header.kind.code(), "payload_bytes": header.payload_bytes }))
}

pub(crate) fn agree_version(input: &Value) -> Outcome {
    let range = |name: &str| {
        let [oldest, newest] =
            [0, 1].map(|end| WireVersion(u16::try_from(input[name][end].as_u64().unwrap()).unwrap()));
        VersionRange { oldest, newest }
    };
    range("ours").agree(range("theirs")).map(|version| json!(version.0)).ok_or_else(|| "none".to_owned())
}

pub(crate) fn check_text(input: &Value) -> Outcome {
    let read = text(input, "text");
    let shown = |parsed: Result<String, NameFault>| parsed.map(Value::from).map_err(|fault| code_of(&fault));
    match text(input, "type") {
        "name" => shown(read.parse().map(|name: Name| name.to_string())),
        "text" => shown(read.parse().map(|text: Text| text.to_string())),
        "path" => shown(read.parse().map(|path: RelPath| path.to_string())),
        "column" => shown(read.parse().map(|column: ColumnName| column.to_string())),
        "mark" => shown(read.parse().map(|mark: MissingMark| mark.to_string())),
        unknown => panic!("no text type {unknown}"),
    }
}
