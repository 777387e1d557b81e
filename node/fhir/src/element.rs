//! What FHIR R4 says of elements and types, as far as JSON does not show it: choice elements, and types by name.
//!
//! Source: the element definitions of FHIR 4.0.1. An element name stands here only if it has this one type wherever R4
//! uses it; where it has several, a view must say the type.

/// The type of a value, as far as it is known before any data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not known.
    Any,
    Boolean,
    Integer,
    Decimal,
    Text,
    Date,
    DateTime,
    Time,
    /// An object.
    Complex,
}

impl Kind {
    /// The kind of a type of FHIR (`dateTime`, `Period`) or of FHIRPath (`DateTime`, `System.String`).
    pub(crate) fn of_type(name: &str) -> Option<Self> {
        let name = name.strip_prefix("System.").or_else(|| name.strip_prefix("FHIR.")).unwrap_or(name);
        Some(match name {
            "boolean" | "Boolean" => Self::Boolean,
            "integer" | "Integer" | "positiveInt" | "unsignedInt" | "integer64" | "Long" => Self::Integer,
            "decimal" | "Decimal" => Self::Decimal,
            "date" | "Date" => Self::Date,
            "dateTime" | "DateTime" | "instant" => Self::DateTime,
            "time" | "Time" => Self::Time,
            "string" | "String" | "code" | "id" | "uri" | "url" | "canonical" | "oid" | "uuid" | "markdown"
            | "base64Binary" | "xhtml" => Self::Text,
            _ if name.starts_with(|c: char| c.is_ascii_uppercase()) => Self::Complex,
            _ => return None,
        })
    }

    /// Whether the kind is a date, a time or both.
    pub(crate) fn is_temporal(self) -> bool {
        matches!(self, Self::Date | Self::DateTime | Self::Time)
    }

    /// The kind of an element, by its name and the element or type that it is in.
    pub(crate) fn of_element(parent: &str, name: &str) -> Self {
        let listed = |names: &str| has_word(names, name);
        let quantity =
            ["Age", "Count", "Distance", "Duration", "Money", "Quantity"].iter().any(|q| parent.ends_with(q));
        if let Some(kind) = choice_type(name).and_then(Self::of_type) {
            return kind;
        }
        match (parent, name) {
            ("accident" | "payment", "date") | ("Goal", "statusDate") | ("Immunization", "expirationDate") => {
                Self::Date
            }
            ("low" | "high" | "numerator" | "denominator", "value") => Self::Decimal,
            (_, "value") if quantity => Self::Decimal,
            (_, "created" | "date" | "end" | "expirationDate" | "start") => Self::DateTime,
            _ if listed(BOOLEANS) => Self::Boolean,
            _ if listed(INTEGERS) => Self::Integer,
            _ if listed(DECIMALS) => Self::Decimal,
            _ if listed(DATES) => Self::Date,
            _ if listed(DATE_TIMES) => Self::DateTime,
            _ if listed(TIMES) => Self::Time,
            _ => Self::Any,
        }
    }
}

/// Whether a name is one of these, which single spaces separate.
fn has_word(names: &str, name: &str) -> bool {
    names.split(' ').any(|word| word == name)
}

/// Whether an element has its type in its name, somewhere in R4.
pub(crate) fn is_choice(element: &str) -> bool {
    has_word(CHOICES, element)
}

/// The JSON name of a choice element: `value` and `dateTime` give `valueDateTime`.
pub(crate) fn typed_name(element: &str, fhir_type: &str) -> String {
    let mut name = String::with_capacity(element.len() + fhir_type.len());
    name.push_str(element);
    let mut letters = fhir_type.chars();
    name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    name.push_str(letters.as_str());
    name
}

/// The type as it is spelled in FHIR, if a choice element can have it.
pub(crate) fn known_type(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|known| known.eq_ignore_ascii_case(name)).copied()
}

/// The type in a name such as `valueDateTime`.
fn choice_type(name: &str) -> Option<&'static str> {
    let mut base = CHOICES.split(' ').filter(|base| name.len() > base.len() && name.starts_with(base));
    base.find_map(|base| TYPES.iter().find(|kind| typed_name(base, kind) == name)).copied()
}

/// The types that choice elements have in R4, and `integer64` of R5.
pub(crate) const TYPES: [&str; 51] = [
    "Address",
    "Age",
    "Annotation",
    "Attachment",
    "base64Binary",
    "boolean",
    "canonical",
    "code",
    "CodeableConcept",
    "Coding",
    "ContactDetail",
    "ContactPoint",
    "Contributor",
    "Count",
    "DataRequirement",
    "date",
    "dateTime",
    "decimal",
    "Distance",
    "Dosage",
    "Duration",
    "Expression",
    "HumanName",
    "id",
    "Identifier",
    "instant",
    "integer",
    "integer64",
    "markdown",
    "Meta",
    "Money",
    "oid",
    "ParameterDefinition",
    "Period",
    "positiveInt",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "RelatedArtifact",
    "SampledData",
    "Signature",
    "string",
    "time",
    "Timing",
    "TriggerDefinition",
    "unsignedInt",
    "uri",
    "url",
    "UsageContext",
    "uuid",
];

/// Elements whose type stands in their JSON name.
const CHOICES: &str = "abatement additive age allowed amount answer asNeeded author born bounds characteristic chargeItem code \
    collected content created date deceased defaultValue definingSubstance definition detail diagnosis dose \
    doseNumber due effective entity event example fastingStatus fixed identified indication item legallyBinding \
    location manufacturer maxValue medication minValue minimumVolume module multipleBirth name occurred occurrence \
    offset onset participantEffective pattern performed probability procedure product quantity rate reported \
    scheduled seriesDoses serviced source start statusReason studyEffective subject substance target time timing \
    topic used value when";

/// Elements of type `boolean`.
const BOOLEANS: &str = "abstract active actual affectsState allDay allergenicIndicator alternate appliesToAll appointmentRequired \
    authorizationRequired autocreate autodelete caseSensitive compositional conditionalCreate conditionalUpdate \
    contributedToDeath cors deleted doNotPerform encodeRequestUrl estimatedAge exact excluded experimental focal \
    hierarchical immutable inactive incomplete inforce initialSelected initiatorActive isActive isDefault \
    isDefining isDerived isModifier isSubpotent isSummary multipleAnd multipleOr multipleResultsAllowed \
    navigationLinks needsMap onHold orderable ordered overbooked paging pause preferred readHistory readOnly \
    receiverActive repeats sliceIsConstraining subrogation subsumption translations updateCreate userSelected \
    validated verified versionNeeded warningOnly wasSubstituted";

/// Elements of type `integer`, `positiveInt` or `unsignedInt`.
const INTEGERS: &str = "axis careTeamSequence coordinateSystem count countMax decimalPrecision denominatorCount detailSequence \
    diagnosisSequence dimensions frames frequencyMax groupSize index informationSequence itemSequence maxLength \
    min minutesDuration noteNumber numFN numFP numTP numberOfInstances numberOfParticipants numberOfRepeatsAllowed \
    numberOfSeries numberOfStudies numberOfSubunits numberOfUnits numeratorCount offset precedence \
    procedureSequence rank readCoverage reliableCache repetitions securityLabelNumber size subDetailSequence \
    subdetailSequence supportingInfoSequence windowEnd windowStart";

/// Elements of type `decimal`.
const DECIMALS: &str = "add altitude backCurve conversionFactor cylinder diameter durationMax fMeasure fScore factor factorOverride \
    from gtFP latitude level longitude lowerLimit periodMax points power precision queryFP queryTP recall \
    relativeRisk sensitivity sphere temperature to truthFN truthTP upperLimit";

/// Elements of type `date`.
const DATES: &str = "approvalDate birthDate lastReviewDate lockedDate nextScheduled";

/// Elements of type `dateTime` or `instant`.
const DATE_TIMES: &str = "authored authoredOn creation dateAsserted dateOfFirstAuthorization dateWritten detected enteredDate expiry \
    ifModifiedSince internationalBirthDate issued lastModified lastOccurrence lastPerformed lastUpdated \
    manufactureDate presentationDate publicationDate received receivedTime recorded recordedDate recordedOn \
    releaseDate restoreDate sent started timestamp validTo validationDate verificationDate whenHandedOver \
    whenPrepared";

/// Elements of type `time`.
const TIMES: &str = "availableEndTime availableStartTime closingTime openingTime timeOfDay";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_has_two_types() {
        let tables = [BOOLEANS, INTEGERS, DECIMALS, DATES, DATE_TIMES, TIMES];
        let names: Vec<&str> = tables.iter().flat_map(|table| table.split(' ')).collect();
        let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), distinct.len());
        assert!(names.len() > 150 && !distinct.contains(""));
    }

    #[test]
    fn types_follow_from_names_where_r4_has_one() {
        let cases = [
            ("Patient", "birthDate", Kind::Date),
            ("Patient", "active", Kind::Boolean),
            ("Patient", "deceasedDateTime", Kind::DateTime),
            ("Observation", "valueQuantity", Kind::Complex),
            ("Quantity", "value", Kind::Decimal),
            ("valueQuantity", "value", Kind::Decimal),
            ("identifier", "value", Kind::Any),
            ("period", "start", Kind::DateTime),
            ("Immunization", "expirationDate", Kind::Date),
            ("batch", "expirationDate", Kind::DateTime),
            ("hoursOfOperation", "openingTime", Kind::Time),
            ("name", "family", Kind::Any),
            ("repeat", "count", Kind::Integer),
        ];
        for (parent, name, kind) in cases {
            assert_eq!(Kind::of_element(parent, name), kind, "{parent}.{name}");
        }
    }
}
