//! The driver: feeds every input to the endpoint in the order it happened, and carries out every effect.
//!
//! It decides nothing: what may be said, served and stored is the endpoint's. Read `core` for the turn, `queue` for what
//! comes in, `hands` for what effects are carried out with.

pub(crate) mod clock;
pub(crate) mod fresh;
pub(crate) mod files;
pub(crate) mod carried;
pub(crate) mod wires;
pub(crate) mod books;
pub(crate) mod queue;
pub(crate) mod listen;
pub(crate) mod keys;
pub(crate) mod cuts;
pub(crate) mod landings;
pub(crate) mod listings;
pub(crate) mod bulk;
pub(crate) mod linkage;
pub(crate) mod sweeps;
pub(crate) mod audit;
pub(crate) mod witness;
pub(crate) mod subject;
pub(crate) mod finder;
pub(crate) mod shown;
pub(crate) mod told;
pub(crate) mod hands;
pub(crate) mod making;
pub(crate) mod sets;
pub(crate) mod draft;
pub(crate) mod draw;
pub(crate) mod release_folder;
pub(crate) mod row_index;
pub(crate) mod run;
pub(crate) mod mapping;
pub(crate) mod vocabulary;
pub(crate) mod meter;
pub(crate) mod landed;
pub(crate) mod quality;
pub(crate) mod exported;
pub(crate) mod consolidation;
pub(crate) mod publish;
pub(crate) mod on_time;
pub(crate) mod release;
pub(crate) mod sweep;
pub(crate) mod jobs;
pub(crate) mod entry;
pub(crate) mod core;
