//! Vocabularies: the user's own Athena download, code maps that a mapping brings along, and what neither can map.
//!
//! Nothing of a licensed vocabulary is shipped. A download is read once into a compact index that can be kept sealed.

mod code_map;
mod index;
mod load;
mod table;
mod unmapped;

#[cfg(test)]
mod tests;

pub use self::code_map::{CodeMap, CodeMapFault, CodeMapRow, CodeMapWrong, Target};
pub use self::index::{Entry, MapsTo, NotAnIndex, Validity, Vocabulary};
pub use self::load::Loader;
pub use self::table::{LoadFault, Wrong};
pub use self::unmapped::{Unmapped, UnmappedCode};
