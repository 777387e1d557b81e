//! Arrow columns to a table: each cell of a quasi-identifier becomes a leaf, each sensitive value a number. A fault names the
//! column and the level, never the cell.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int32Type, Int64Type};
use cohortium_protocol::digest::sha256_for;

use crate::hierarchy::{Cell, Hierarchy};
use crate::table::{Quasi, Sensitive, Table, TableFault};

/// A column that is a quasi-identifier.
#[derive(Clone, Debug)]
pub struct QuasiRole {
    /// The column's name.
    pub column: String,
    /// Its hierarchy.
    pub hierarchy: Arc<Hierarchy>,
    /// The leaf of a null; without one, a null is a fault.
    pub missing: Option<String>,
}

/// A sensitive column.
#[derive(Clone, Debug)]
pub struct SensitiveRole {
    /// The column's name.
    pub column: String,
    /// The hierarchy of its values, for hierarchical distance.
    pub tree: Option<Arc<Hierarchy>>,
}

/// What each column is. Columns that are not named here do not leave; direct identifiers cannot be named.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// Quasi-identifiers, in the order of the release.
    pub quasi: Vec<QuasiRole>,
    /// Sensitive columns.
    pub sensitive: Vec<SensitiveRole>,
    /// Columns that leave as they are, beside the sensitive ones: measures that were brought to their declared precision.
    pub measures: Vec<String>,
    /// The column that says whose a row is; without one each row is a patient of its own.
    pub patient: Option<String>,
    /// The column that says which member a row came from.
    pub member: Option<String>,
}

/// A table, and what its members are called.
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Encoded {
    /// The table.
    pub table: Table,
    /// Names of members by their number.
    pub members: Vec<String>,
}

/// Reads columns of batches into a table.
///
/// # Errors
///
/// A column that is missing or has a type that its role cannot have, nulls, numbers that are not finite, cells that are not
/// in their hierarchy, too many rows or members.
pub fn encode(batches: &[RecordBatch], roles: &Roles) -> Result<Encoded, TableFault> {
    let columns = |name: &str| -> Result<Vec<ArrayRef>, TableFault> {
        let of = |batch: &RecordBatch| batch.column_by_name(name).cloned();
        let found: Option<Vec<ArrayRef>> = batches.iter().map(of).collect();
        found.ok_or_else(|| TableFault::NoColumn { column: name.to_owned() })
    };
    let mut quasi = Vec::with_capacity(roles.quasi.len());
    for role in &roles.quasi {
        let mut leaves = Vec::new();
        for array in columns(&role.column)? {
            leaves_of(&array, &role.column, &role.hierarchy, role.missing.as_deref(), &mut leaves)?;
        }
        quasi.push(Quasi::new(&role.column, Arc::clone(&role.hierarchy), leaves)?);
    }
    let mut table = Table::new(quasi)?;
    for role in &roles.sensitive {
        table = table.with_sensitive(sensitive(&columns(&role.column)?, role)?)?;
    }
    if let Some(name) = &roles.patient {
        let (numbers, _) = numbered(&columns(name)?, name)?;
        table = table.with_patients(&numbers.into_iter().map(u64::from).collect::<Vec<u64>>())?;
    }
    let mut members = Vec::new();
    if let Some(name) = &roles.member {
        let (numbers, names) = numbered(&columns(name)?, name)?;
        table = table.with_members(&numbers)?;
        members = names;
    }
    Ok(Encoded { table, members })
}

/// The patient of each row as a number that is the same in every release: a whole number is its own, a text has one by its
/// digest, which is cut to 64 bits.
///
/// # Errors
///
/// A column that is missing, has a null or is neither.
pub fn patient_numbers(batches: &[RecordBatch], column: &str) -> Result<Vec<u64>, TableFault> {
    let mut numbers = Vec::new();
    for batch in batches {
        let array = batch.column_by_name(column);
        let array = plain(array.ok_or_else(|| TableFault::NoColumn { column: column.to_owned() })?, column)?;
        if array.logical_null_count() > 0 {
            return Err(TableFault::Null { column: column.to_owned() });
        }
        match array.data_type() {
            DataType::Int64 => {
                numbers.extend(array.as_primitive::<Int64Type>().values().iter().map(|number| number.cast_unsigned()));
            }
            DataType::Utf8 => numbers.extend(array.as_string::<i32>().iter().flatten().map(number_of)),
            _ => return Err(TableFault::Kind { column: column.to_owned() }),
        }
    }
    Ok(numbers)
}

fn number_of(text: &str) -> u64 {
    let digest = sha256_for("patient number", text.as_bytes());
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A column as one of the few types that are read.
pub(crate) fn plain(array: &ArrayRef, column: &str) -> Result<ArrayRef, TableFault> {
    let to = match array.data_type() {
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        DataType::Dictionary(_, value) => (**value).clone(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => DataType::Utf8,
        kind if kind.is_integer() => DataType::Int64,
        kind if kind.is_floating() => DataType::Float64,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => DataType::Float64,
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        _ => return Err(TableFault::Kind { column: column.to_owned() }),
    };
    let read = cast(array, &to).map_err(|_| TableFault::Kind { column: column.to_owned() })?;
    // An integer of 64 bits without sign may not fit: what became null by the cast is not a null of the table.
    if read.null_count() != array.null_count() {
        return Err(TableFault::Kind { column: column.to_owned() });
    }
    Ok(read)
}

fn leaves_of(
    array: &ArrayRef,
    column: &str,
    hierarchy: &Hierarchy,
    missing: Option<&str>,
    leaves: &mut Vec<u32>,
) -> Result<(), TableFault> {
    let array = plain(array, column)?;
    let outside = || TableFault::NotInHierarchy { column: column.to_owned(), level: 0 };
    let null = match missing {
        Some(label) => Some(hierarchy.leaf(Cell::Text(label)).ok_or_else(outside)?),
        None => None,
    };
    let null = || null.ok_or_else(|| TableFault::Null { column: column.to_owned() });
    leaves.reserve(array.len());
    match array.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let values = dictionary.values().as_string::<i32>();
            // A value that no row refers to is not looked at: it is no cell.
            let known: Vec<Option<u32>> = values.iter().map(|text| hierarchy.leaf(Cell::Text(text?))).collect();
            for key in dictionary.keys() {
                leaves.push(match key {
                    Some(key) if values.is_valid(key as usize) => known[key as usize].ok_or_else(outside)?,
                    _ => null()?,
                });
            }
        }
        DataType::Utf8 => {
            for text in array.as_string::<i32>() {
                leaves.push(match text {
                    Some(text) => hierarchy.leaf(Cell::Text(text)).ok_or_else(outside)?,
                    None => null()?,
                });
            }
        }
        DataType::Int64 => {
            let mut seen: HashMap<i64, u32> = HashMap::new();
            for number in array.as_primitive::<Int64Type>() {
                let Some(number) = number else {
                    leaves.push(null()?);
                    continue;
                };
                leaves.push(match seen.get(&number) {
                    Some(leaf) => *leaf,
                    None => *seen.entry(number).or_insert(hierarchy.leaf(Cell::Whole(number)).ok_or_else(outside)?),
                });
            }
        }
        DataType::Float64 => {
            for number in array.as_primitive::<Float64Type>() {
                leaves.push(match number {
                    Some(number) if !number.is_finite() => {
                        return Err(TableFault::NotANumber { column: column.to_owned() });
                    }
                    Some(number) => hierarchy.leaf(Cell::Real(number)).ok_or_else(outside)?,
                    None => null()?,
                });
            }
        }
        _ => {
            for day in array.as_primitive::<Date32Type>() {
                leaves.push(match day {
                    Some(day) => hierarchy.leaf(Cell::Day(day)).ok_or_else(outside)?,
                    None => null()?,
                });
            }
        }
    }
    Ok(())
}

/// Sensitive values numbered in their order: leaves of their hierarchy, numbers by size, texts by bytes; nulls last.
fn sensitive(arrays: &[ArrayRef], role: &SensitiveRole) -> Result<Sensitive, TableFault> {
    if let Some(tree) = &role.tree {
        let mut values = Vec::new();
        for array in arrays {
            leaves_of(array, &role.column, tree, None, &mut values)?;
        }
        return Ok(Sensitive::new(&role.column, values, Some(Arc::clone(tree))));
    }
    let floats = arrays.iter().any(|array| array.data_type().is_floating());
    let whole = arrays.iter().all(|array| array.data_type().is_integer() || *array.data_type() == DataType::Date32);
    let values = if floats {
        ranked(arrays, &role.column, |array| {
            let number = |at| array.is_valid(at).then(|| order_of(array.as_primitive::<Float64Type>().value(at)));
            (0..array.len()).map(number).collect()
        })?
    } else if whole && !arrays.is_empty() {
        let as_whole = |array: &ArrayRef| cast(array, &DataType::Int64).ok();
        let arrays: Option<Vec<ArrayRef>> = arrays.iter().map(as_whole).collect();
        let arrays = arrays.ok_or_else(|| TableFault::Kind { column: role.column.clone() })?;
        ranked(&arrays, &role.column, |array| array.as_primitive::<Int64Type>().iter().collect())?
    } else {
        numbered_with_nulls(arrays, &role.column)?.0
    };
    Ok(Sensitive::new(&role.column, values, None))
}

/// An integer that sorts as the number does.
fn order_of(number: f64) -> i64 {
    let bits = number.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

fn ranked(
    arrays: &[ArrayRef],
    column: &str,
    read: impl Fn(&ArrayRef) -> Vec<Option<i64>>,
) -> Result<Vec<u32>, TableFault> {
    let mut found = Vec::new();
    for array in arrays {
        found.extend(read(&plain(array, column)?));
    }
    let mut known: Vec<i64> = found.iter().filter_map(|value| *value).collect();
    known.sort_unstable();
    known.dedup();
    let rank = |value: &Option<i64>| match value {
        Some(value) => known.partition_point(|other| other < value) as u32,
        None => known.len() as u32,
    };
    Ok(found.iter().map(rank).collect())
}

/// Texts or whole numbers, numbered in their order, and their names; a null is a fault.
fn numbered(arrays: &[ArrayRef], column: &str) -> Result<(Vec<u32>, Vec<String>), TableFault> {
    let (numbers, names) = numbered_with_nulls(arrays, column)?;
    if arrays.iter().any(|array| array.logical_null_count() > 0) {
        return Err(TableFault::Null { column: column.to_owned() });
    }
    Ok((numbers, names))
}

fn numbered_with_nulls(arrays: &[ArrayRef], column: &str) -> Result<(Vec<u32>, Vec<String>), TableFault> {
    let kind = || TableFault::Kind { column: column.to_owned() };
    let as_text = |array: &ArrayRef| cast(array, &DataType::Utf8).map_err(|_| kind());
    let texts: Vec<ArrayRef> = arrays.iter().map(as_text).collect::<Result<_, _>>()?;
    let mut known: Vec<&str> = Vec::new();
    let mut first: HashMap<&str, u32> = HashMap::new();
    let mut found: Vec<Option<u32>> = Vec::new();
    for text in texts.iter().flat_map(AsArray::as_string::<i32>) {
        found.push(text.map(|text| {
            *first.entry(text).or_insert_with(|| {
                known.push(text);
                (known.len() - 1) as u32
            })
        }));
    }
    let mut order: Vec<u32> = (0..known.len() as u32).collect();
    order.sort_by_key(|at| known[*at as usize]);
    let mut rank = vec![0; known.len()];
    for (place, at) in order.iter().enumerate() {
        rank[*at as usize] = place as u32;
    }
    let number = |at: &Option<u32>| at.map_or(known.len() as u32, |at| rank[at as usize]);
    Ok((found.iter().map(number).collect(), order.iter().map(|at| known[*at as usize].to_owned()).collect()))
}
