//! Views that are refused, with the place; and what is worked out of those that are not.

use super::*;

fn parsed(json: &str) -> Result<View, ViewFault> {
    View::parse(json.as_bytes())
}

/// A view with these selects.
fn of_selects(selects: &str) -> Result<View, ViewFault> {
    parsed(&format!("{{\"resource\":\"Patient\",\"select\":[{selects}]}}"))
}

fn place(view: Result<View, ViewFault>) -> String {
    view.err().map_or("accepted".to_owned(), |fault| fault.place)
}

#[test]
fn the_frame_of_a_view_is_checked() {
    let select = "\"select\":[{\"column\":[{\"name\":\"a\",\"path\":\"id\"}]}]";
    let cases = [
        ("", ""),
        ("[]", ""),
        ("{}", "resource"),
        ("{\"resource\":\"Patient\"}", "select"),
        ("{\"resource\":\"Patient\",\"select\":[]}", "select"),
        ("{\"resource\":\"Patient\",\"select\":{}}", "select"),
        ("{\"resource\":\"Patient\",\"select\":[1]}", "select[0]"),
        ("{\"resource\":\"Patient\",\"resource\":\"Patient\"}", ""),
        (&format!("{{\"resource\":1,{select}}}"), "resource"),
        (&format!("{{\"resource\":\"patient\",{select}}}"), "resource"),
        (&format!("{{\"resource\":\"Patient/\",{select}}}"), "resource"),
        (&format!("{{\"resourceType\":\"Patient\",\"resource\":\"Patient\",{select}}}"), "resourceType"),
        (&format!("{{\"name\":\"a b\",\"resource\":\"Patient\",{select}}}"), "name"),
        (&format!("{{\"resource\":\"Patient\",\"where\":[{{}}],{select}}}"), "where[0].path"),
        (&format!("{{\"resource\":\"Patient\",\"where\":[{{\"path\":\"birthDate\"}}],{select}}}"), "where[0].path"),
        (&format!("{{\"resource\":\"Patient\",\"constant\":[{{\"name\":\"c\"}}],{select}}}"), "constant[0]"),
        (&format!("{{\"resource\":\"Patient\",\"constant\":[{{\"valueCode\":\"c\"}}],{select}}}"), "constant[0]"),
        (
            &format!("{{\"resource\":\"Patient\",\"constant\":[{{\"name\":\"_c\",\"valueCode\":\"c\"}}],{select}}}"),
            "constant[0].name",
        ),
        (
            &format!(
                "{{\"resource\":\"Patient\",\"constant\":[{{\"name\":\"rowIndex\",\"valueInteger\":1}}],{select}}}"
            ),
            "constant[0]",
        ),
        (
            &format!(
                "{{\"resource\":\"Patient\",\"constant\":[{{\"name\":\"c\",\"valueCode\":\"c\"}},{{\"name\":\"c\",\"valueCode\":\"d\"}}],{select}}}"
            ),
            "constant[1]",
        ),
        (
            &format!(
                "{{\"resourceType\":\"ViewDefinition\",\"name\":\"a_b\",\"resource\":\"Patient\",\"where\":[{{\"path\":\"active\"}}],{select}}}"
            ),
            "accepted",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(place(parsed(json)), expected, "{json}");
    }
    let long = format!("{{\"x\":\"{}\"}}", "a".repeat(VIEW_BYTES_MAX));
    assert!(parsed(&long).unwrap_err().what.contains("bytes"));
    assert_eq!(View::parse(b"\xff").unwrap_err().what, "the file is not UTF-8");
}

#[test]
fn selects_and_columns_are_checked() {
    let a = "{\"name\":\"a\",\"path\":\"id\"}";
    let cases = [
        ("{}", "select[0]"),
        ("{\"column\":[]}", "select[0]"),
        ("{\"forEach\":\"name\"}", "select[0]"),
        (&format!("{{\"forEach\":1,\"column\":[{a}]}}"), "select[0].forEach"),
        (&format!("{{\"forEach\":\"@@\",\"column\":[{a}]}}"), "select[0].forEach"),
        (&format!("{{\"foreach\":\"name\",\"column\":[{a}]}}"), "select[0]"),
        (&format!("{{\"forEach\":\"name\",\"forEachOrNull\":\"name\",\"column\":[{a}]}}"), "select[0]"),
        (&format!("{{\"forEach\":\"name\",\"repeat\":[\"name\"],\"column\":[{a}]}}"), "select[0]"),
        (&format!("{{\"repeat\":\"name\",\"column\":[{a}]}}"), "repeat"),
        (&format!("{{\"repeat\":[],\"column\":[{a}]}}"), "select[0].repeat"),
        (&format!("{{\"repeat\":[\"$this\"],\"column\":[{a}]}}"), "select[0].repeat[0]"),
        (&format!("{{\"repeat\":[\"'x'\"],\"column\":[{a}]}}"), "select[0].repeat[0]"),
        (&format!("{{\"column\":[{a},{a}]}}"), "select[0].column[1]"),
        (&format!("{{\"column\":[{a}]}},{{\"select\":[{{\"column\":[{a}]}}]}}"), "select[1].select[0].column[0]"),
        ("{\"column\":[{\"path\":\"id\"}]}", "select[0].column[0]"),
        ("{\"column\":[{\"name\":\"a\"}]}", "select[0].column[0]"),
        ("{\"column\":[{\"name\":\"1a\",\"path\":\"id\"}]}", "select[0].column[0].name"),
        ("{\"column\":[{\"name\":\"a\",\"path\":\"id\",\"Type\":\"id\"}]}", "select[0].column[0]"),
        ("{\"column\":[{\"name\":\"a\",\"path\":\"id\",\"type\":\"dattime\"}]}", "select[0].column[0].type"),
        ("{\"column\":[{\"name\":\"a\",\"path\":\"id\",\"collection\":\"yes\"}]}", "select[0].column[0]"),
        ("{\"column\":[{\"name\":\"a\",\"path\":\"%none\"}]}", "select[0].column[0].path"),
        ("{\"column\":[{\"name\":\"a\",\"path\":\"frob()\"}]}", "select[0].column[0].path"),
        (
            &format!("{{\"unionAll\":[{{\"column\":[{a}]}},{{\"column\":[{{\"name\":\"b\",\"path\":\"id\"}}]}}]}}"),
            "select[0].unionAll[1]",
        ),
        (
            &format!("{{\"unionAll\":[{{\"column\":[{a}]}},{{\"column\":[{a},{{\"name\":\"b\",\"path\":\"id\"}}]}}]}}"),
            "select[0].unionAll[1]",
        ),
        (
            "{\"unionAll\":[{\"column\":[{\"name\":\"a\",\"path\":\"id\",\"type\":\"id\"}]},{\"column\":[{\"name\":\"a\",\"path\":\"active\",\"type\":\"boolean\"}]}]}",
            "select[0].unionAll[1]",
        ),
        (&format!("{{\"column\":[{a}],\"unionAll\":[{{\"column\":[{a}]}}]}}"), "select[0].unionAll[0].column[0]"),
        (&format!("{{\"unionAll\":[{{\"column\":[{a}]}},{{\"forEach\":\"name\",\"column\":[{a}]}}]}}"), "accepted"),
    ];
    for (selects, expected) in cases {
        assert_eq!(place(of_selects(selects)), expected, "{selects}");
    }
}

#[test]
fn a_fault_says_where_in_the_path_and_what_to_do() {
    let fault = of_selects("{\"column\":[{\"name\":\"a\",\"path\":\"name.firts()\"}]}").unwrap_err().to_string();
    assert!(
        fault.starts_with("select[0].column[0].path: byte 6 of the path: firts is no function of views"),
        "{fault}"
    );
}

#[test]
fn columns_have_the_declared_type_or_the_one_that_the_path_says() {
    let cases = [
        ("id", "\"id\"", CellType::Text),
        ("id", "\"http://hl7.org/fhir/StructureDefinition/positiveInt\"", CellType::Integer),
        ("id", "\"http://hl7.org/fhirpath/System.Boolean\"", CellType::Boolean),
        ("id", "\"decimal\"", CellType::Decimal),
        ("id", "\"instant\"", CellType::Text),
        ("name", "\"HumanName\"", CellType::Json),
        ("active", "null", CellType::Boolean),
        ("birthDate", "null", CellType::Text),
        ("name.count()", "null", CellType::Integer),
        ("name.family", "null", CellType::Untyped),
        ("name[0]", "null", CellType::Untyped),
        ("multipleBirth.ofType(integer) / 2", "null", CellType::Decimal),
        ("%rowIndex", "null", CellType::Integer),
    ];
    for (path, declared, cell) in cases {
        let view = of_selects(&format!("{{\"column\":[{{\"name\":\"a\",\"path\":\"{path}\",\"type\":{declared}}}]}}"))
            .unwrap();
        assert_eq!(view.columns()[0].cell, cell, "{path} {declared}");
    }
}

#[test]
fn hostile_views_are_refused_or_read_and_nothing_panics() {
    let view = "{\"resource\":\"Patient\",\"constant\":[{\"name\":\"c\",\"valueDecimal\":1.5}],\"where\":[{\"path\":\"active = true\"}],\
                \"select\":[{\"forEachOrNull\":\"name.where(use = 'a')\",\"column\":[{\"name\":\"a\",\"path\":\"family.first() & 'x'\"}],\
                \"unionAll\":[{\"column\":[{\"name\":\"b\",\"path\":\"%c + 1\",\"type\":\"decimal\"}]}]}]}";
    let mut dice = crate::dice::Dice(7);
    let mut accepted = 0;
    for _ in 0..3000 {
        accepted += u32::from(View::parse(&dice.mutated(view.as_bytes())).is_ok());
    }
    assert!(View::parse(view.as_bytes()).is_ok());
    assert!((1..2900).contains(&accepted), "{accepted}");
}
