//! A mapping over the columns that its sources really have: what each source's policy is, and each rule compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::{fmt, iter};

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::dataset::Dataset;
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use cohortium_protocol::record::suspicion::suspicion;
use cohortium_schema::schema::{CommonSchema, Field, Kind};
use cohortium_schema::vocabulary::Vocabulary;

use datafusion::common::DFSchema;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::prelude::SessionConfig;

use crate::batch::SourceColumn;
use crate::columnar::column_type;
use crate::mapping::cell::{CONCEPT_COLUMN, Expression, Maker, Making};
use crate::mapping::codes::{Codes, Finder};
use crate::mapping::expression::{called, is_steady, naming, unwrapping};
use crate::mapping::file::{CodeSetting, Fact, Mapping, Setting, Several, SourceRules, Word};
use crate::mapping::unit::Converter;
use crate::policy::ROW_COLUMN;

/// Why a mapping does not fit its sources. Texts are the mapping's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanFault {
    /// An expression that is no SQL, or names a column that is not there or may not be seen.
    Expression {
        /// The rule, from 1.
        rule: usize,
        /// The column that it is for, or `where`.
        column: String,
        /// The expression as the mapping has it.
        text: String,
    },
    /// A constant that is not of the column's kind.
    Constant {
        /// The rule.
        rule: usize,
        /// The column.
        column: String,
    },
    /// A unit that is none.
    Unit {
        /// The rule.
        rule: usize,
        /// The column.
        column: String,
    },
    /// A word in braces that an entry of `each` does not have.
    Word {
        /// The rule.
        rule: usize,
        /// The word.
        word: String,
    },
    /// A column that a source's rules list and that the source does not have.
    NoColumn {
        /// The source.
        source: String,
        /// The column.
        column: ColumnName,
    },
    /// A column that names a patient or a row, made by something else than the functions that make keyed ids.
    NotKeyed {
        /// The rule.
        rule: usize,
        /// The column.
        column: String,
        /// The functions of which one must make it.
        functions: &'static [&'static str],
    },
    /// An expression that asks for chance or the clock.
    Unsteady {
        /// The rule.
        rule: usize,
        /// The column, or `where`.
        column: String,
        /// The expression as the mapping has it.
        text: String,
    },
}

impl fmt::Display for PlanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression { rule, column, text } => {
                write!(
                    f,
                    "rule {rule}, {column}: the expression {text} is no SQL over columns that a rule may see; free text and \
                     columns with nested values cannot be seen"
                )
            }
            Self::Constant { rule, column } => {
                write!(f, "rule {rule}, {column}: the constant is not of the column's kind")
            }
            Self::Unit { rule, column } => write!(f, "rule {rule}, {column}: the unit that leaves is no UCUM unit"),
            Self::Word { rule, word } => write!(f, "rule {rule}: an entry of each has no word {word}"),
            Self::NoColumn { source, column } => write!(f, "source {source}: there is no column {column}"),
            Self::NotKeyed { rule, column, functions } => write!(
                f,
                "rule {rule}, {column}: it names a patient or a row, and must be a call of {}(...) and nothing around it",
                functions.join("(...) or ")
            ),
            Self::Unsteady { rule, column, text } => {
                write!(
                    f,
                    "rule {rule}, {column}: the expression {text} asks for chance or the clock, and not for the row"
                )
            }
        }
    }
}

impl std::error::Error for PlanFault {}

/// The columns of a source as its policy treats them: what identifies a patient becomes a pseudonym; names that tokens
/// are made of, free text and what no expression could read are dropped.
///
/// What its dataset declares stands over what the mapping says: the patient and the key identify, and of the key only a
/// column that the mapping lists as plain does not. The day of birth that tokens are made of is a column like any other.
///
/// # Errors
/// [`PlanFault::NoColumn`].
pub(crate) fn columns_of(
    name: &str,
    rules: &SourceRules,
    patient: Option<&ColumnName>,
    dataset: &Dataset,
    found: &[SourceColumn],
) -> Result<Vec<Column>, PlanFault> {
    // Where nothing names a patient, each row is one: its own id stands for it.
    let is_there =
        |column: &&ColumnName| column.as_str() == ROW_COLUMN || found.iter().any(|found| &&found.name == column);
    let listed = rules.identifiers.iter().chain(&rules.plain).chain(patient);
    if let Some(column) = listed.into_iter().find(|column| !is_there(column)) {
        return Err(PlanFault::NoColumn { source: name.to_owned(), column: column.clone() });
    }
    let names = dataset.linkage.iter().flat_map(|linkage| [&linkage.given, &linkage.family]);
    let names: BTreeSet<&ColumnName> = names.collect();
    let column = |found: &SourceColumn| {
        let kind = column_type(&found.kind);
        let is_patient = patient == Some(&found.name) || dataset.patient.as_ref() == Some(&found.name);
        let is_key = dataset.key.contains(&found.name) && !rules.plain.contains(&found.name);
        let is_name = names.contains(&found.name) && !is_patient;
        let role = if rules.identifiers.contains(&found.name) || is_patient || is_key || is_name {
            ColumnRole::DirectIdentifier
        } else {
            match suspicion(found.name.as_str()).role {
                ColumnRole::DirectIdentifier | ColumnRole::FreeText if rules.plain.contains(&found.name) => {
                    ColumnRole::QuasiIdentifier
                }
                role => role,
            }
        };
        let treatment = match (role, kind) {
            _ if is_name => Treatment::Drop,
            (_, None) | (ColumnRole::FreeText, _) => Treatment::Drop,
            (ColumnRole::DirectIdentifier, _) => Treatment::Pseudonym,
            _ => Treatment::Keep,
        };
        let leaves =
            if treatment == Treatment::Pseudonym { ColumnType::Text } else { kind.unwrap_or(ColumnType::Other) };
        // What a rule sees stays at the member: its tables have terms of their own before anything leaves.
        let role = if role == ColumnRole::Measure { ColumnRole::QuasiIdentifier } else { role };
        Column::new(found.name.clone(), leaves, role, treatment)
    };
    Ok(found.iter().map(column).collect())
}

/// A compiled rule.
pub(crate) struct Rule {
    /// The table.
    pub(crate) table: String,
    pub(crate) filter: Option<Expression>,
    /// The code of which each concept makes a fact.
    pub(crate) spread: Option<Spread>,
    /// One for each field of the table, in its order.
    pub(crate) makers: Vec<Maker>,
}

/// A code of which each concept makes a fact of its own.
pub(crate) struct Spread {
    pub(crate) code: Expression,
    pub(crate) on: Option<Expression>,
    pub(crate) finder: Finder,
}

/// The columns that a rule with a [`Spread`] sees.
pub(crate) fn with_concept(seen: &Schema) -> SchemaRef {
    let concept = Arc::new(arrow::datatypes::Field::new(CONCEPT_COLUMN, DataType::Utf8, false));
    Arc::new(Schema::new(seen.fields().iter().cloned().chain([concept]).collect::<Vec<_>>()))
}

impl Rule {
    /// The columns of a source that facts are made of, by their places. The filter's are not among them.
    pub(crate) fn reads(&self) -> BTreeSet<usize> {
        let spread = self.spread.iter().flat_map(|spread| iter::once(&spread.code).chain(&spread.on));
        let made = self.makers.iter().flat_map(|maker| maker.making.expressions());
        spread.chain(made).flat_map(collect_columns).map(|column| column.index()).collect()
    }

    /// How often recorded defaults were used since the last call, by column.
    pub(crate) fn defaults_used(&mut self) -> Vec<(String, u64)> {
        let used =
            self.makers.iter_mut().map(|maker| (maker.field.name.clone(), std::mem::take(&mut maker.defaults_used)));
        used.filter(|(_, used)| *used > 0).collect()
    }
}

/// Compiles rules over one source's columns.
pub(crate) struct Compiler<'a> {
    context: SessionContext,
    schema: DFSchema,
    mapping: &'a Mapping,
    common: &'a CommonSchema,
    spread: DFSchema,
    listed: BTreeMap<String, Codes>,
    vocabulary: Option<Arc<Vocabulary>>,
}

impl<'a> Compiler<'a> {
    /// For a source whose rows reach the rules with these columns.
    pub(crate) fn new(
        seen: &Schema,
        functions: Vec<ScalarUDF>,
        mapping: &'a Mapping,
        common: &'a CommonSchema,
    ) -> Self {
        let config = SessionConfig::new().set_bool("datafusion.sql_parser.enable_ident_normalization", false);
        let context = SessionContext::new_with_config(config);
        for function in functions {
            context.register_udf(function);
        }
        let schema = DFSchema::try_from(seen.clone()).expect("a source's columns have names of their own");
        let spread = DFSchema::try_from(with_concept(seen).as_ref().clone()).unwrap_or_else(|_| schema.clone());
        let listed = mapping.codes.iter().map(|(name, codes)| (name.clone(), Codes::Listed(Arc::new(codes.clone()))));
        let files = mapping.code_files().into_iter().map(|(name, map, vocabulary)| {
            let codes = Codes::File { map: Arc::new(map), vocabulary: vocabulary.to_owned() };
            (name.to_owned(), codes)
        });
        let listed = listed.chain(files).collect();
        Self { context, schema, mapping, common, spread, listed, vocabulary: None }
    }

    /// With a vocabulary that was loaded.
    pub(crate) fn with(self, vocabulary: Option<Arc<Vocabulary>>) -> Self {
        Self { vocabulary, ..self }
    }

    /// A source's rules, each as often as its `each` says, those first whose tables others refer to.
    pub(crate) fn rules(&self, source: &str) -> Result<Vec<Rule>, PlanFault> {
        let mut rules = Vec::new();
        for table in self.common.in_order() {
            let numbered = self.mapping.fact.iter().zip(1..);
            for (fact, number) in numbered.filter(|(fact, _)| fact.from == source && fact.table == table.name) {
                let once = [BTreeMap::new()];
                let entries = if fact.each.is_empty() { &once[..] } else { &fact.each };
                for words in entries {
                    rules.push(self.rule(fact, number, words)?);
                }
            }
        }
        Ok(rules)
    }

    fn rule(&self, fact: &Fact, rule: usize, words: &BTreeMap<String, Word>) -> Result<Rule, PlanFault> {
        let text = |raw: &str| with_words(raw, words).map_err(|word| PlanFault::Word { rule, word });
        let filter = match &fact.filter {
            None => None,
            Some(raw) => Some(self.expression(&text(raw)?, rule, "where")?),
        };
        let spread = match fact.spread() {
            None => None,
            Some((column, code)) => Some(Spread {
                code: self.expression(&text(&code.code)?, rule, column)?,
                on: code.on.as_ref().map(|on| self.expression(&text(on)?, rule, column)).transpose()?,
                finder: self.finder(code),
            }),
        };
        let seen = if spread.is_some() { &self.spread } else { &self.schema };
        let fields = self.common.table(&fact.table).map(|table| &table.fields[..]).unwrap_or_default();
        let makers = fields.iter().map(|field| {
            let making = match fact.set.get(&field.name) {
                None => Making::Constant(arrow::array::new_null_array(&field.kind.arrow(), 1)),
                Some(setting) => {
                    let at = At { rule, field, seen };
                    let making = self.making(setting, &at, &text)?;
                    self.check_naming(fact, &at, &text)?;
                    making
                }
            };
            Ok(Maker { field: field.clone(), making, defaults_used: 0 })
        });
        Ok(Rule { table: fact.table.clone(), filter, spread, makers: makers.collect::<Result<_, _>>()? })
    }

    fn finder(&self, code: &CodeSetting) -> Finder {
        let loaded = code.vocabulary.as_ref().zip(self.vocabulary.as_ref());
        let codes = match loaded {
            Some((name, all)) => Codes::Loaded { all: Arc::clone(all), vocabulary: name.clone() },
            None => self.listed.get(code.list()).cloned().unwrap_or_else(|| Codes::Listed(Arc::default())),
        };
        Finder::new(codes)
    }

    /// A column that names a patient or a row is a keyed id, whatever the mapping says.
    fn check_naming(
        &self,
        fact: &Fact,
        at: &At<'_>,
        text: &impl Fn(&str) -> Result<String, PlanFault>,
    ) -> Result<(), PlanFault> {
        let Some(functions) = naming(&fact.table, at.field) else { return Ok(()) };
        let made = match fact.set.get(&at.field.name) {
            Some(Setting::Sql(raw)) => self.context.state().create_logical_expr(&text(raw)?, at.seen).ok(),
            _ => None,
        };
        match made.as_ref().and_then(called) {
            Some(function) if functions.contains(&function) => Ok(()),
            _ => Err(PlanFault::NotKeyed { rule: at.rule, column: at.field.name.clone(), functions }),
        }
    }

    fn making(
        &self,
        setting: &Setting,
        at: &At<'_>,
        text: &impl Fn(&str) -> Result<String, PlanFault>,
    ) -> Result<Making, PlanFault> {
        let (rule, column) = (at.rule, at.field.name.as_str());
        let constant = |word: &Word| constant(word, at.field.kind).ok_or_else(|| bad_constant(rule, column));
        let expression = |raw: &str| self.expression_over(at.seen, &text(raw)?, rule, column);
        Ok(match setting {
            Setting::Integer(value) => Making::Constant(constant(&Word::Integer(*value))?),
            Setting::Float(value) => Making::Constant(constant(&Word::Float(*value))?),
            Setting::Sql(raw) => Making::Expression(expression(raw)?),
            Setting::Code(set) => {
                let code = expression(&set.code)?;
                let on = set.on.as_ref().map(|on| expression(on)).transpose()?;
                let (map, default) = (set.list().to_owned(), set.default);
                match set.several {
                    Several::Each => Making::Spread { code, on, map, default },
                    several => Making::Code { code, on, map, finder: self.finder(set), several, default },
                }
            }
            Setting::Unit(unit) => Making::Unit {
                value: expression(&unit.value)?,
                unit: expression(&unit.unit)?,
                converter: Converter::new(&text(&unit.to)?, unit.molar_mass)
                    .map_err(|_| PlanFault::Unit { rule, column: column.to_owned() })?,
                known: BTreeMap::new(),
            },
            Setting::Default(default) => Making::Default {
                expression: default.sql.as_ref().map(|raw| expression(raw)).transpose()?,
                default: constant(&default.default)?,
            },
        })
    }

    fn expression(&self, text: &str, rule: usize, column: &str) -> Result<Expression, PlanFault> {
        self.expression_over(&self.schema, text, rule, column)
    }

    fn expression_over(&self, seen: &DFSchema, text: &str, rule: usize, column: &str) -> Result<Expression, PlanFault> {
        let fault = || PlanFault::Expression { rule, column: column.to_owned(), text: text.to_owned() };
        let state = self.context.state();
        let logical = state.create_logical_expr(text, seen).map_err(|_| fault())?;
        if !is_steady(&logical) {
            return Err(PlanFault::Unsteady { rule, column: column.to_owned(), text: text.to_owned() });
        }
        let physical = state.create_physical_expr(logical, seen);
        let physical = physical.and_then(|made| unwrapping(made, seen.as_arrow())).map_err(|_| fault())?;
        if column == "where" && physical.data_type(seen.as_arrow()).ok() != Some(DataType::Boolean) {
            return Err(fault());
        }
        Ok(physical)
    }
}

/// Where a setting stands, and what it sees.
struct At<'a> {
    rule: usize,
    field: &'a Field,
    seen: &'a DFSchema,
}

fn bad_constant(rule: usize, column: &str) -> PlanFault {
    PlanFault::Constant { rule, column: column.to_owned() }
}

/// A constant as an array of one row.
fn constant(word: &Word, kind: Kind) -> Option<ArrayRef> {
    let raw: ArrayRef = match word {
        Word::Integer(value) => Arc::new(Int64Array::from(vec![*value])),
        Word::Float(value) => Arc::new(Float64Array::from(vec![*value])),
        Word::Text(value) => Arc::new(StringArray::from(vec![value.as_str()])),
    };
    let fits = match word {
        Word::Integer(_) => matches!(kind, Kind::Integer | Kind::Float),
        Word::Float(_) => kind == Kind::Float,
        Word::Text(_) => matches!(kind, Kind::Text | Kind::Date | Kind::Timestamp | Kind::Boolean),
    };
    let made = arrow::compute::cast(&raw, &kind.arrow()).ok()?;
    (fits && made.null_count() == 0).then_some(made)
}

/// The text with each `{word}` replaced; the word that is not there.
fn with_words(raw: &str, words: &BTreeMap<String, Word>) -> Result<String, String> {
    let mut made = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((word, behind)) = after.split_once('}') else { break };
        let found = words.get(word).ok_or_else(|| word.to_owned())?;
        made.push_str(before);
        made.push_str(&found.to_string());
        rest = behind;
    }
    made.push_str(rest);
    Ok(made)
}

/// The order in which sources are read: those first that make what others refer to, the patients' own before all.
pub(crate) fn reading_order<'m>(mapping: &'m Mapping, common: &CommonSchema) -> Vec<&'m str> {
    let tables: Vec<&str> = common.in_order().map(|table| table.name.as_str()).collect();
    let rank = |source: &str| {
        let facts = mapping.fact.iter().filter(|fact| fact.from == source);
        facts.filter_map(|fact| tables.iter().position(|table| *table == fact.table)).min().unwrap_or(usize::MAX)
    };
    let used: BTreeSet<&str> = mapping.fact.iter().map(|fact| fact.from.as_str()).collect();
    let mut order: Vec<&str> = used.into_iter().collect();
    order.sort_by_key(|source| (*source != mapping.patients.source, rank(source), *source));
    order
}
