//! The constants of a view: a FHIR value becomes the literal that paths see in its place.

use crate::decimal::Decimal;
use crate::document::Value;
use crate::element::{Kind, typed_name};
use crate::json::Form;
use crate::path::compile::Fixed;
use crate::temporal::Temporal;

/// The types that a constant can have. Source: SQL on FHIR, `ViewDefinition.constant.value[x]`.
const TYPES: [&str; 20] = [
    "base64Binary",
    "boolean",
    "canonical",
    "code",
    "date",
    "dateTime",
    "decimal",
    "id",
    "instant",
    "integer",
    "integer64",
    "markdown",
    "oid",
    "positiveInt",
    "string",
    "time",
    "unsignedInt",
    "uri",
    "url",
    "uuid",
];

/// The value of a constant, and its kind.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn read(constant: Value<'_>) -> Result<(Fixed, Kind), &'static str> {
    let mut values = constant.properties().filter(|(name, _)| name.starts_with("value"));
    let (Some((name, value)), None) = (values.next(), values.next()) else {
        return Err("a constant has one value, such as valueString: this one has none, or several");
    };
    let found = TYPES.iter().find(|fhir_type| typed_name("value", fhir_type) == name);
    let fhir_type = *found.ok_or("this type of value is none that a constant can have: use a primitive type")?;
    let kind = Kind::of_type(fhir_type).unwrap_or(Kind::Any);
    let fixed = match kind {
        Kind::Boolean => value.boolean().map(Fixed::Boolean),
        Kind::Integer => integer(value, fhir_type).map(Fixed::Integer),
        Kind::Decimal if value.form() == Form::Number => Decimal::parse(value.text()).map(Fixed::Decimal),
        Kind::Date | Kind::DateTime | Kind::Time => {
            let text = value.string().filter(|text| Temporal::parse(text).is_some());
            text.map(|text| Fixed::Text(Box::from(&*text)))
        }
        Kind::Text => value.string().map(|text| Fixed::Text(Box::from(&*text))),
        _ => None,
    };
    Ok((fixed.ok_or("the value is not of the type that its name says")?, kind))
}

/// A whole number in the bounds of its type; `integer64` may be a text, as it is in FHIR's JSON.
fn integer(value: Value<'_>, fhir_type: &str) -> Option<i64> {
    let number = match value.form() {
        Form::Number => value.text().parse().ok()?,
        Form::Plain if fhir_type == "integer64" => value.string()?.parse().ok()?,
        _ => return None,
    };
    let lowest = match fhir_type {
        "positiveInt" => 1,
        "unsignedInt" => 0,
        _ => i64::MIN,
    };
    (number >= lowest).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn each_type_takes_its_own_values_only() {
        let good = [
            "\"valueBase64Binary\":\"YQ==\"",
            "\"valueBoolean\":false",
            "\"valueCanonical\":\"u\"",
            "\"valueCode\":\"c\"",
            "\"valueDate\":\"2020-01\"",
            "\"valueDateTime\":\"2020-01-01T10:00:00Z\"",
            "\"valueDecimal\":1.50",
            "\"valueId\":\"a\"",
            "\"valueInstant\":\"2020-01-01T10:00:00Z\"",
            "\"valueInteger\":-1",
            "\"valueInteger64\":\"9007199254740993\"",
            "\"valueInteger64\":1",
            "\"valueOid\":\"urn:oid:1.2\"",
            "\"valuePositiveInt\":1",
            "\"valueString\":\"\"",
            "\"valueTime\":\"10:00:00\"",
            "\"valueUnsignedInt\":0",
            "\"valueUri\":\"u\"",
            "\"valueUrl\":\"u\"",
            "\"valueUuid\":\"urn:uuid:1\"",
            "\"name\":\"n\",\"valueCode\":\"c\"",
        ];
        let bad = [
            "",
            "\"valueString\":1",
            "\"valueBoolean\":\"true\"",
            "\"valueInteger\":1.5",
            "\"valueInteger\":\"1\"",
            "\"valueDate\":\"yesterday\"",
            "\"valueDecimal\":\"1\"",
            "\"valuePositiveInt\":0",
            "\"valueUnsignedInt\":-1",
            "\"valueCode\":\"a\",\"valueString\":\"b\"",
            "\"valueQuantity\":{\"value\":1}",
            "\"valueThing\":1",
            "\"value\":1",
            "\"valueString\":null",
            "\"valueDecimal\":1e400",
        ];
        let is_good = |text: &str| read(Document::read(&format!("{{{text}}}")).unwrap().root()).is_ok();
        for text in good {
            assert!(is_good(text), "{text}");
        }
        for text in bad {
            assert!(!is_good(text), "{text}");
        }
    }
}
