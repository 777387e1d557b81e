//! What a client says that it understands, in the header `delta-sharing-capabilities`.

use axum::http::HeaderMap;

use crate::refusal::Refusal;

/// The header's name, in requests and answers.
pub(crate) const HEADER: &str = "delta-sharing-capabilities";

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    /// The protocol's own objects.
    Parquet,
    /// Delta's actions, wrapped.
    Delta,
}

/// What a client said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) format: Format,
    /// Whether the last line may say that it is the last. Some clients cannot read such a line.
    pub(crate) end_wanted: bool,
}

impl Capabilities {
    /// Reads the headers. Of two formats that a client understands it gets Delta: its reader asks for each part of a file
    /// once, where that of the other asks for the whole of it again and again.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for no header that is text, and for formats of which this server writes none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut said = Self { format: Format::Parquet, end_wanted: false };
        for header in headers.get_all(HEADER) {
            let text = header.to_str().map_err(|_| Refusal::Malformed("the capabilities are no text"))?;
            for (key, value) in text.split(';').filter_map(|part| part.split_once('=')) {
                let value = value.trim().to_ascii_lowercase();
                match key.trim().to_ascii_lowercase().as_str() {
                    "responseformat" => said.format = format_of(&value)?,
                    "includeendstreamaction" => said.end_wanted = value == "true",
                    // Reader features: no table here needs one. Others: a client may say more than we know.
                    _ => {}
                }
            }
        }
        Ok(said)
    }

    /// What the answer's header says.
    pub(crate) fn answered(self) -> &'static str {
        match (self.format, self.end_wanted) {
            (Format::Parquet, false) => "responseformat=parquet",
            (Format::Parquet, true) => "responseformat=parquet;includeendstreamaction=true",
            (Format::Delta, false) => "responseformat=delta",
            (Format::Delta, true) => "responseformat=delta;includeendstreamaction=true",
        }
    }
}

fn format_of(value: &str) -> Result<Format, Refusal> {
    let known = value.split(',').filter_map(|format| match format.trim() {
        "parquet" => Some(Format::Parquet),
        "delta" => Some(Format::Delta),
        _ => None,
    });
    known.max().ok_or(Refusal::Malformed("the response format is neither parquet nor delta"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    // DSS-8
    #[test]
    fn the_format_is_delta_for_who_reads_it_and_parquet_otherwise() {
        let said = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_str(text).unwrap());
            Capabilities::of(&headers).map(|said| (said.format, said.end_wanted))
        };
        assert_eq!(Capabilities::of(&HeaderMap::new()).unwrap().format, Format::Parquet);
        let cases = [
            ("", (Format::Parquet, false)),
            ("responseformat=delta", (Format::Delta, false)),
            ("responseformat=delta,parquet;readerfeatures=deletionvectors,columnmapping", (Format::Delta, false)),
            ("responseformat=parquet", (Format::Parquet, false)),
            ("ResponseFormat=Delta;IncludeEndStreamAction=True", (Format::Delta, true)),
            ("responseformat=avro,delta ; includeendstreamaction=false", (Format::Delta, false)),
            ("somethingnew=1;asyncquery=true", (Format::Parquet, false)),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text), Ok(expected), "{text}");
        }
        assert!(said("responseformat=avro").is_err());
        assert!(said("responseformat=").is_err());
    }
}
