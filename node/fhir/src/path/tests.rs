//! What paths give: a table of expressions over one record.

use std::collections::BTreeMap;

use super::*;
use crate::json::{Bounds, Tape};
use crate::names::Names;
use crate::path::compile::{Compiler, Focus};
use crate::path::parse::parse;

const PATIENT: &str = r##"{
  "resourceType": "Patient", "id": "p1", "active": true, "birthDate": "1970-06",
  "_birthDate": {"extension": [{"url": "u", "valueDateTime": "1970-06-02T01:00:00Z"}]},
  "name": [{"use": "official", "family": "A\u00e9", "given": ["x", null, "y"], "_given": [null, {"extension": [{"url": "w", "valueString": "gone"}]}]},
           {"use": "usual", "family": "B", "given": ["z"]}],
  "multipleBirthInteger": 2, "deceasedDateTime": "2020-01-01T00:00:00+01:00",
  "contact": [{"period": {"start": "2019-01", "end": "2019-02-03"}}, {"gender": "other"}],
  "extension": [{"url": "n", "extension": [{"url": "i", "valueQuantity": {"value": 1.50, "unit": "mg"}}]}, {"url": "c", "valueCode": "F"}],
  "managingOrganization": {"reference": "Organization/o1/_history/3"},
  "generalPractitioner": [{"reference": "#p"}, {"reference": "http://x/Practitioner/1"}, {"reference": "Practitioner/2"}, {"reference": "urn:uuid:7"}],
  "link": [{"n": 1}, {"n": 2.0}, {"n": 2}, {"n": 1e2}]
}"##;

/// The values of an expression, as JSON would show them, or the reason why there are none.
fn result(path: &str) -> Result<String, Reason> {
    let mut names = Names::new();
    let constants = BTreeMap::from([
        ("use".to_owned(), (Fixed::Text(Box::from("usual")), Kind::Text)),
        ("day".to_owned(), (Fixed::Text(Box::from("1970-06-01")), Kind::Date)),
    ]);
    let mut compiler = Compiler { names: &mut names, constants: &constants, resource: "Patient" };
    let expr = compiler.compile(&parse(path).unwrap(), &Focus::new(Kind::Complex, "Patient")).unwrap().expr;
    let mut tape = Tape::default();
    tape.read(PATIENT, Some(&names), Bounds { depth: 64, values: 1000 }).unwrap();
    let record = Record { text: PATIENT, tape: &tape, names: &names, root: 0 };
    let values = Scope { record, row_index: 3 }.all(&expr, &Item::Node(0))?;
    let shown = values.iter().map(|item| match record.scalar(item) {
        Scalar::Missing => "null".to_owned(),
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Number(raw) => raw.to_owned(),
        Scalar::Decimal(value) => value.to_string(),
        Scalar::Text(text) => format!("'{text}'"),
        Scalar::Complex(raw) => raw.chars().take(12).collect(),
    });
    Ok(shown.collect::<Vec<_>>().join(" "))
}

/// Paths and operators of FHIRPath.
const PATHS: [(&str, &str); 45] = [
    ("id", "'p1'"),
    ("Patient.name.given", "'x' 'y' 'z'"),
    ("name[1].family", "'B'"),
    ("name[7].family", ""),
    ("name[0].family", "'A\u{e9}'"),
    ("name.where(use = %use).given", "'z'"),
    ("name.first().given.last()", "'y'"),
    ("name.select(given.first())", "'x' 'z'"),
    ("name.given.count()", "3"),
    ("name.exists(use = 'old')", "false"),
    ("name.exists()", "true"),
    ("where(active).id", "'p1'"),
    ("where(multipleBirth.ofType(integer) > 2).exists()", "false"),
    ("photo.empty()", "true"),
    ("photo.exists()", "false"),
    ("name.all(family.exists())", "true"),
    ("name.all(use = 'usual')", "false"),
    ("active.not()", "false"),
    ("photo.not()", ""),
    ("photo = 1", ""),
    ("name.use = name.use", "true"),
    ("name[0] = name[1]", "false"),
    ("name[0] = name[0]", "true"),
    ("name.use | 'official' | 'x'", "'official' 'usual' 'x'"),
    ("'usual' in name.use", "true"),
    ("name.use contains 'old'", "false"),
    ("name.given.join('-')", "'x-y-z'"),
    ("name.given.join()", "'xyz'"),
    ("photo.join(',')", ""),
    ("name[0].family + 'x' & photo", "'A\u{e9}x'"),
    ("name[0].family + photo", ""),
    ("%rowIndex + 1", "4"),
    ("7 div 2 + 7 mod 2", "4"),
    ("7 / 2", "3.5"),
    ("1 / 0", ""),
    ("1.5 + 1", "2.5"),
    ("-2 * 3", "-6"),
    ("link.n.where($this = 2)", "2.0 2"),
    ("link.where(n > 1.5).n", "2.0 2 1e2"),
    ("active and photo", ""),
    ("active or photo", "true"),
    ("active xor false", "true"),
    ("photo implies active", "true"),
    ("iif(active, 'a', 'b')", "'a'"),
    ("iif(photo, 'a')", ""),
];

/// Types, dates, and what FHIR and SQL on FHIR add.
const FHIR: [(&str, &str); 41] = [
    ("multipleBirth", "2"),
    ("multipleBirth.ofType(integer)", "2"),
    ("multipleBirth.ofType(boolean)", ""),
    ("(multipleBirth as integer) + 1", "3"),
    ("multipleBirth is integer", "true"),
    ("multipleBirth is boolean", "false"),
    ("deceased is dateTime", "true"),
    ("Patient is Patient", "true"),
    ("$this is Observation", "false"),
    ("deceased.ofType(dateTime) = @2019-12-31T23:00:00Z", "true"),
    ("deceased < @2020-02-01", "true"),
    ("birthDate < %day", ""),
    ("birthDate < @1971", "true"),
    ("birthDate = '1970-06'", "true"),
    ("birthDate.lowBoundary()", "'1970-06-01'"),
    ("birthDate.highBoundary()", "'1970-06-30'"),
    ("birthDate.highBoundary(4)", "'1970'"),
    ("contact.period.lowBoundary()", "'2019-01-01T00:00:00.000+14:00'"),
    ("contact.period.highBoundary()", "'2019-02-03T23:59:59.999-12:00'"),
    ("extension('n').extension('i').value.ofType(Quantity).value.highBoundary()", "1.50500000"),
    ("extension('n').extension('i').value.value.lowBoundary(2)", "1.49"),
    ("extension('c').value.ofType(code)", "'F'"),
    ("extension('c').value.ofType(string)", ""),
    ("birthDate.extension('u').value.ofType(dateTime)", "'1970-06-02T01:00:00Z'"),
    ("birthDate.extension.url", "'u'"),
    ("name.given.extension('w').value", "'gone'"),
    ("name.first().given.first().extension('w').value", ""),
    ("getResourceKey()", "'p1'"),
    ("name.getResourceKey()", ""),
    ("managingOrganization.getReferenceKey()", "'o1'"),
    ("managingOrganization.getReferenceKey(Organization)", "'o1'"),
    ("managingOrganization.getReferenceKey('Patient')", ""),
    ("generalPractitioner.getReferenceKey()", "'2' '7'"),
    ("generalPractitioner.getReferenceKey(Practitioner)", "'2'"),
    ("name.where(%resource.active).use", "'official' 'usual'"),
    ("'  Usual ' ~ name[1].use", "true"),
    ("'USUAL' ~ name[1].use", "true"),
    ("photo ~ photo", "true"),
    ("birthDate.hasValue()", "true"),
    ("name.hasValue()", "false"),
    ("{}", ""),
];

#[test]
fn paths_give_what_the_specification_says() {
    for (path, expected) in PATHS.into_iter().chain(FHIR) {
        assert_eq!(result(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn what_is_not_defined_is_a_fault() {
    let cases = [
        ("name.given < 'x'", Reason::ManyValues),
        ("name.given.single()", Reason::ManyValues),
        ("name.use and active", Reason::ManyValues),
        ("name[active].use", Reason::Operand),
        ("active + 1", Reason::Operand),
        ("'a' < 1", Reason::Operand),
        ("'a' * 'b'", Reason::Operand),
        ("name[0].family.lowBoundary()", Reason::Operand),
        ("link.n.join(',')", Reason::Operand),
        ("9223372036854775807 + 1", Reason::NumberRange),
        ("-%rowIndex - 9223372036854775807", Reason::NumberRange),
    ];
    for (path, reason) in cases {
        assert_eq!(result(path), Err(reason), "{path}");
    }
}

#[test]
fn references_give_keys_only_where_a_row_can_be_meant() {
    let long = format!("Patient/{}", "a".repeat(65));
    let none = [
        "",
        "Patient",
        "Patient/",
        "patient/1",
        "Patient/1/x",
        "Patient/1/_history",
        "Patient/a b",
        "/Patient/1",
        &long,
    ];
    for reference in none {
        assert_eq!(reference_key(reference, None), None, "{reference}");
    }
    assert_eq!(reference_key("Patient/1/_history/2", Some("Patient")), Some("1"));
    assert_eq!(reference_key("urn:uuid:1-2", Some("Patient")), None);
}
