//! Whole nodes on loopback, as real processes driven by their own command line: what `cohortium` promises, from the charter
//! to a revocation, and what it refuses. `COHORTIUM_LONG=1` makes the same tests larger.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong fails the test")]

/// The program that is node and worker.
const PROGRAM: &str = env!("CARGO_BIN_EXE_cohortium-under-test");

// Real servers, as the tests of `node/database` start them.
#[expect(dead_code, reason = "the tests of the package that it belongs to use more of it")]
#[path = "../../node/database/tests/databases/room.rs"]
mod room;
#[expect(dead_code, reason = "the tests of the package that it belongs to use more of it")]
#[path = "../../node/database/tests/databases/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "the tests of the package that it belongs to use more of it")]
#[path = "../../node/database/tests/databases/maria.rs"]
mod maria;

#[path = "e2e/tables.rs"]
mod tables;
#[path = "e2e/file_sets.rs"]
mod file_sets;
#[path = "e2e/revocation.rs"]
mod revocation;
#[path = "e2e/crashes.rs"]
mod crashes;
#[path = "e2e/damage.rs"]
mod damage;
#[path = "e2e/roles.rs"]
mod roles;
#[path = "e2e/linkage.rs"]
mod linkage;
#[path = "e2e/strangers.rs"]
mod strangers;
#[path = "e2e/sockets.rs"]
mod sockets;
#[path = "e2e/routes.rs"]
mod routes;
#[path = "e2e/by_hand.rs"]
mod by_hand;
#[path = "e2e/canaries.rs"]
mod canaries;
#[path = "e2e/leaving.rs"]
mod leaving;
#[path = "e2e/several.rs"]
mod several;
#[path = "e2e/charters.rs"]
mod charters;
#[path = "e2e/codes.rs"]
mod codes;
#[path = "e2e/ledger.rs"]
mod ledger;
#[path = "e2e/cosigning.rs"]
mod cosigning;
#[path = "e2e/drawn.rs"]
mod drawn;
#[path = "e2e/stored.rs"]
mod stored;
#[path = "e2e/drafts.rs"]
mod drafts;
#[path = "e2e/published.rs"]
mod published;
#[path = "e2e/quality.rs"]
mod quality;
#[path = "e2e/large.rs"]
mod large;
#[path = "e2e/hostile.rs"]
mod hostile;
#[path = "e2e/mappings.rs"]
mod mappings;
#[path = "e2e/releases.rs"]
mod releases;
#[path = "e2e/private.rs"]
mod private;
