//! Signing labels: the payload type of each signed document, and the bytes that are signed.

/// Begins every payload type; the wire version and the record's own version follow (spec DOC-2).
pub const PREFIX: &str = "application/vnd.cohortium.v1.";

/// The bytes that are signed and that a document is named by: DSSE pre-authentication encoding,
/// `"DSSEv1" SP len(type) SP type SP len(payload) SP payload` with lengths in decimal (spec DOC-1).
///
/// Source: DSSE protocol, "Signature Definition".
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    // DOC-1
    #[test]
    fn the_encoding_equals_the_published_example() {
        let bytes = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
