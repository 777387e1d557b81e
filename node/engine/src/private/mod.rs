//! Private questions: from what is asked to exact whole numbers that one unit can move by no more than is declared. No noise is
//! drawn here, and nothing that is made here may be shown.
//!
//! [`compile`] reads the question and the catalogue alone: whatever it refuses says nothing of a row. `local` translates the
//! planner's nodes and `expression` its expressions, each an allow-list, into relations of terms, which are patient-local as
//! they are built; `declare` gives each measure its bounds and each key its values; `canonical` writes it all in one form.
//! [`bound`] runs it: `build` makes a plan of the relation, `groups`, `gather` and `unit` bound what each unit contributes.

mod refusal;
mod term;
mod keyed;
mod declared;
mod catalogue;
mod request;
mod total;
mod relation;
mod expression;
mod local;
mod measure;
mod having;
mod plan;
mod table;
mod canonical;
mod declare;
mod session;
mod compile;
mod groups;
mod unit;
mod bounded;
mod answer;
mod build;
mod gather;
mod run;

pub use self::answer::{AnswerColumn, MadeColumn};
pub use self::bounded::Bounded;
pub use self::catalogue::{Catalogue, ColumnRule, TableRule, Whose};
pub use self::compile::{compile, compile_table};
pub use self::declared::{Bounds, Contribution, Declared, Domain, Edges, Origin, Study, Wish};
pub use self::having::Having;
pub use self::keyed::SamplingKey;
pub use self::measure::{Counted, Part, Recipe, Sensitivity, What};
pub use self::plan::{Output, Plan, Top};
pub use self::refusal::{Reason, Refusal};
pub use self::request::{Ask, GroupBy, MeasureKind, Question, Request, RequestedMeasure, RequestedTop};
pub use self::run::{PrivateRows, PrivateTable, Room, Unanswered, bound, take_rows};
pub use self::session::columns_read;
pub use self::table::{TableColumn, TablePlan};
pub use self::term::Kind;
pub use self::unit::Taking;
