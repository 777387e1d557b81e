//! The property names that a view asks for, each with a small number. What has none is checked and passed over.

use std::collections::BTreeMap;

use crate::element;

/// The number of a property name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(u16);

impl Name {
    /// Any name that the view does not ask for, and what has no name.
    pub(crate) const OTHER: Self = Self(0);
    /// `resourceType`, which every view asks for.
    pub(crate) const RESOURCE_TYPE: Self = Self(1);
    /// `resource`, under which an entry of a bundle has one.
    pub(crate) const RESOURCE: Self = Self(2);
}

/// What is known of a name.
#[derive(Debug, Clone)]
struct Entry {
    text: Box<str>,
    /// The element that this name is one type of: `value` for `valueQuantity`.
    choice: Option<(Name, &'static str)>,
}

/// The names of one view.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    entries: Vec<Entry>,
    numbers: BTreeMap<Box<str>, Name>,
    /// Open addressing by [`hash`]; a power of two, at most half full.
    table: Vec<Name>,
}

impl Names {
    pub(crate) fn new() -> Self {
        let nothing = Entry { text: Box::from(""), choice: None };
        let mut names = Self { entries: vec![nothing], numbers: BTreeMap::new(), table: vec![Name::OTHER; 16] };
        names.intern("resourceType");
        names.intern("resource");
        names
    }

    /// The number of this name, a new one if need be. A view is short enough for 16 bits: see `VIEW_BYTES_MAX`.
    pub(crate) fn intern(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        let Ok(number) = u16::try_from(self.entries.len()) else { return Name::OTHER };
        let name = Name(number);
        self.entries.push(Entry { text: Box::from(text), choice: None });
        self.numbers.insert(Box::from(text), name);
        self.rebuild();
        name
    }

    /// The numbers of all names that a choice element can have in JSON.
    pub(crate) fn intern_choice(&mut self, element: &str) -> Name {
        let base = self.intern(element);
        for fhir_type in element::TYPES {
            self.intern_typed(base, element, fhir_type);
        }
        base
    }

    /// The number of a choice element's name for one type.
    pub(crate) fn intern_typed(&mut self, base: Name, element: &str, fhir_type: &'static str) -> Name {
        let name = self.intern(&element::typed_name(element, fhir_type));
        if name != Name::OTHER {
            self.entries[usize::from(name.0)].choice = Some((base, fhir_type));
        }
        name
    }

    /// The number of the property that stands beside a primitive element.
    pub(crate) fn intern_beside(&mut self, name: Name) -> Name {
        let beside = format!("_{}", self.entries[usize::from(name.0)].text);
        self.intern(&beside)
    }

    /// Whether there are more names than numbers.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() > usize::from(u16::MAX)
    }

    /// The element and type of a name such as `valueQuantity`.
    pub(crate) fn choice(&self, name: Name) -> Option<(Name, &'static str)> {
        self.entries[usize::from(name.0)].choice
    }

    /// The number of a name in a record.
    pub(crate) fn find(&self, text: &[u8], hash: u64) -> Name {
        let mask = self.table.len() - 1;
        let mut at = slot(hash, mask);
        loop {
            let name = self.table[at];
            if name == Name::OTHER || self.entries[usize::from(name.0)].text.as_bytes() == text {
                return name;
            }
            at = (at + 1) & mask;
        }
    }

    fn rebuild(&mut self) {
        if self.entries.len() * 2 > self.table.len() {
            self.table = vec![Name::OTHER; self.table.len() * 2];
            for at in 1..self.entries.len() {
                self.place(at);
            }
        } else {
            self.place(self.entries.len() - 1);
        }
    }

    fn place(&mut self, entry: usize) {
        let mask = self.table.len() - 1;
        let mut at = slot(hash(self.entries[entry].text.as_bytes()), mask);
        while self.table[at] != Name::OTHER {
            at = (at + 1) & mask;
        }
        self.table[at] = u16::try_from(entry).map_or(Name::OTHER, Name);
    }
}

/// The place to begin at; the high bits of the hash are the good ones.
fn slot(hash: u64, mask: usize) -> usize {
    usize::try_from(hash >> 40).unwrap_or(0) & mask
}

/// A quick hash of a name. Names that collide on purpose cost a comparison, never a wrong answer.
pub(crate) fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = u64::try_from(text.len()).unwrap_or(0);
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        state = (state ^ u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]))
            .wrapping_mul(FACTOR);
        state ^= state >> 32;
    }
    let rest = words.remainder().iter().fold(0, |rest, byte| (rest << 8) | u64::from(*byte));
    (state ^ rest).wrapping_mul(FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_and_another_is_not() {
        let mut names = Names::new();
        let many: Vec<Name> = (0..500).map(|n| names.intern(&format!("element{n}"))).collect();
        for (n, name) in many.iter().enumerate() {
            let text = format!("element{n}");
            assert_eq!(names.find(text.as_bytes(), hash(text.as_bytes())), *name);
        }
        assert_eq!(names.find(b"element500", hash(b"element500")), Name::OTHER);
        assert_eq!(names.find(b"resourceType", hash(b"resourceType")), Name::RESOURCE_TYPE);
    }

    #[test]
    fn a_choice_knows_its_element() {
        let mut names = Names::new();
        let value = names.intern_choice("value");
        let quantity = names.intern("valueQuantity");
        assert_eq!(names.choice(quantity), Some((value, "Quantity")));
        assert_eq!(names.choice(value), None);
    }
}
