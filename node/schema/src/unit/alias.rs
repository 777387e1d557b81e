//! How laboratories write units, and what UCUM calls them.
//!
//! Keys are without spaces and in lower case. A spelling is listed only where no laboratory means anything else by it in
//! either case: `mU/L` and `MU/L` are not, because they are milli and mega. The list was made from the spellings of units
//! in the laboratory results of the eICU demo set, and their usual variants.

/// Spelling, UCUM. In the order of the spellings.
const ALIASES: &[(&str, &str)] = &[
    ("%hb", "%"),
    ("%ofhgb", "%"),
    ("%sat.", "%"),
    ("%thb", "%"),
    ("%totalhgb", "%"),
    ("/(hpf)", "/[HPF]"),
    ("/cmm", "/mm3"),
    ("/cumm", "/mm3"),
    ("/hpf", "/[HPF]"),
    ("/lpf", "/[LPF]"),
    ("/mcl", "/uL"),
    ("/min", "/min"),
    ("/mm3", "/mm3"),
    ("/ul", "/uL"),
    ("10(3)/mcl", "10*3/uL"),
    ("10(3)mcl", "10*3/uL"),
    ("10(6)/mcl", "10*6/uL"),
    ("10*12/l", "10*12/L"),
    ("10*3/mcl", "10*3/uL"),
    ("10*3/ul", "10*3/uL"),
    ("10*6/mcl", "10*6/uL"),
    ("10*6/ul", "10*6/uL"),
    ("10*9/l", "10*9/L"),
    ("10^12/l", "10*12/L"),
    ("10^3/mcl", "10*3/uL"),
    ("10^3/mm3", "10*3/mm3"),
    ("10^3/ul", "10*3/uL"),
    ("10^6/mcl", "10*6/uL"),
    ("10^6/mm3", "10*6/mm3"),
    ("10^6/ul", "10*6/uL"),
    ("10^9/l", "10*9/L"),
    ("10e12/l", "10*12/L"),
    ("10e3/mcl", "10*3/uL"),
    ("10e3/ul", "10*3/uL"),
    ("10e6/mcl", "10*6/uL"),
    ("10e6/ul", "10*6/uL"),
    ("10e9/l", "10*9/L"),
    ("b/min", "/min"),
    ("beats/min", "/min"),
    ("bpm", "/min"),
    ("breaths", "/min"),
    ("breaths/min", "/min"),
    ("cells/ul", "/uL"),
    ("celsius", "Cel"),
    ("cm/h2o", "cm[H2O]"),
    ("cmh20", "cm[H2O]"),
    ("cmh2o", "cm[H2O]"),
    ("copies/ml", "/mL"),
    ("days", "d"),
    ("degc", "Cel"),
    ("degf", "[degF]"),
    ("degreec", "Cel"),
    ("degreef", "[degF]"),
    ("fahrenheit", "[degF]"),
    ("fl", "fL"),
    ("g/dl", "g/dL"),
    ("g/l", "g/L"),
    ("gm/dl", "g/dL"),
    ("gm/l", "g/L"),
    ("hours", "h"),
    ("hr", "h"),
    ("hrs", "h"),
    ("inches", "[in_i]"),
    ("iu/l", "[IU]/L"),
    ("iu/ml", "[IU]/mL"),
    ("k/cmm", "10*3/mm3"),
    ("k/mcl", "10*3/uL"),
    ("k/mm3", "10*3/mm3"),
    ("k/mmcu", "10*3/mm3"),
    ("k/ul", "10*3/uL"),
    ("kgs", "kg"),
    ("l/min", "L/min"),
    ("lb", "[lb_av]"),
    ("lbs", "[lb_av]"),
    ("lpm", "L/min"),
    ("m/cmm", "10*6/mm3"),
    ("m/mcl", "10*6/uL"),
    ("m/mm3", "10*6/mm3"),
    ("m/mmcu", "10*6/mm3"),
    ("m/ul", "10*6/uL"),
    ("mcg", "ug"),
    ("mcg/dl", "ug/dL"),
    ("mcg/l", "ug/L"),
    ("mcg/ml", "ug/mL"),
    ("mciu/ml", "u[IU]/mL"),
    ("mcmol/l", "umol/L"),
    ("meq/l", "meq/L"),
    ("mg/24hr", "mg/(24.h)"),
    ("mg/day", "mg/d"),
    ("mg/dl", "mg/dL"),
    ("mg/l", "mg/L"),
    ("mi/cumm", "10*6/mm3"),
    ("microiu/ml", "u[IU]/mL"),
    ("mil/cmm", "10*6/mm3"),
    ("mil/mcl", "10*6/uL"),
    ("mil/ul", "10*6/uL"),
    ("mill/cumm", "10*6/mm3"),
    ("mill/ul", "10*6/uL"),
    ("ml/dl", "mL/dL"),
    ("ml/hr", "mL/h"),
    ("ml/min", "mL/min"),
    ("ml/min/1.73m2", "mL/min/{1.73_m2}"),
    ("mls", "mL"),
    ("mm(hg)", "mm[Hg]"),
    ("mm/h", "mm/h"),
    ("mm/hr", "mm/h"),
    ("mm/hr.", "mm/h"),
    ("mmhg", "mm[Hg]"),
    ("mmol/l", "mmol/L"),
    ("mosm/kg", "mosm/kg"),
    ("mosm/l", "mosm/L"),
    ("ng/dl", "ng/dL"),
    ("ng/l", "ng/L"),
    ("ng/ml", "ng/mL"),
    ("nmol/l", "nmol/L"),
    ("pg", "pg"),
    ("pg/ml", "pg/mL"),
    ("pmol/l", "pmol/L"),
    ("sec", "s"),
    ("second(s)", "s"),
    ("seconds", "s"),
    ("secs", "s"),
    ("th/cmm", "10*3/mm3"),
    ("th/cumm", "10*3/mm3"),
    ("th/ul", "10*3/uL"),
    ("thou/cumm", "10*3/mm3"),
    ("thou/mcl", "10*3/uL"),
    ("thou/ul", "10*3/uL"),
    ("ths/ul", "10*3/uL"),
    ("u/l", "U/L"),
    ("u/ml", "U/mL"),
    ("ug/dl", "ug/dL"),
    ("ug/l", "ug/L"),
    ("ug/ml", "ug/mL"),
    ("uiu/ml", "u[IU]/mL"),
    ("umol/l", "umol/L"),
    ("unit/l", "U/L"),
    ("units/l", "U/L"),
    ("x10(3)/mcl", "10*3/uL"),
    ("x10(3)/ul", "10*3/uL"),
    ("x10(6)/mcl", "10*6/uL"),
    ("x10(6)/ul", "10*6/uL"),
    ("x10(9)/l", "10*9/L"),
    ("x10*9/l", "10*9/L"),
    ("x103/ul", "10*3/uL"),
    ("x106/ul", "10*6/uL"),
    ("x10^12/l", "10*12/L"),
    ("x10^3/ul", "10*3/uL"),
    ("x10^6/ul", "10*6/uL"),
    ("x10^9/l", "10*9/L"),
    ("x10e12/l", "10*12/L"),
    ("x10e3/ul", "10*3/uL"),
    ("x10e6/ul", "10*6/uL"),
    ("x10e9/l", "10*9/L"),
    ("°c", "Cel"),
    ("°f", "[degF]"),
    ("µg/dl", "ug/dL"),
    ("µg/l", "ug/L"),
    ("µg/ml", "ug/mL"),
    ("µiu/ml", "u[IU]/mL"),
    ("µmol/l", "umol/L"),
];

/// Spellings whose case tells what is meant: milli, not mega.
const CASED: &[(&str, &str)] = &[("mIU/L", "m[IU]/L"), ("mIU/mL", "m[IU]/mL"), ("mUnits/L", "mU/L")];

/// What UCUM calls a unit that a laboratory wrote, where the list knows it.
pub(crate) fn ucum_of(written: &str) -> Option<&'static str> {
    if let Some((_, ucum)) = CASED.iter().find(|(spelling, _)| *spelling == written) {
        return Some(ucum);
    }
    // Two characters look like a micro sign: U+00B5, which the list has, and the Greek letter U+03BC.
    let key: String = written.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let key = key.replace('\u{3bc}', "\u{b5}");
    let place = ALIASES.binary_search_by(|(alias, _)| (*alias).cmp(key.as_str())).ok()?;
    ALIASES.get(place).map(|(_, ucum)| *ucum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_in_lower_case_and_names_units_of_ucum() {
        assert!(ALIASES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (alias, ucum) in ALIASES.iter().chain(CASED) {
            assert_eq!(ucum_of(alias), Some(*ucum), "{alias}");
            assert!(octofhir_ucum::analyse(ucum).is_ok(), "{ucum}");
        }
    }

    #[test]
    fn case_and_spaces_do_not_matter_and_both_micro_signs_are_one() {
        for written in ["mg/dl", "MG/DL", " mg / dL "] {
            assert_eq!(ucum_of(written), Some("mg/dL"));
        }
        assert_eq!((ucum_of("\u{b5}mol/L"), ucum_of("\u{3bc}mol/L")), (Some("umol/L"), Some("umol/L")));
        assert_eq!((ucum_of("x10E9/L"), ucum_of("X 10^9/L")), (Some("10*9/L"), Some("10*9/L")));
    }

    #[test]
    fn what_has_two_meanings_is_not_listed() {
        for written in ["mU/L", "MU/L", "MIU/L", "miu/l", "C", "F", "units", "10", "x10 (3)", "U3", "mm/l", ""] {
            assert_eq!(ucum_of(written), None, "{written}");
        }
    }
}
