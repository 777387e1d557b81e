//! The demo: an operator and members as real processes, the whole flow from charter to revocation, then every check.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cluster::{ClusterFault, Node};
use crate::drawn;
use crate::hospital::{Plan, public};
use crate::postgres::{PostgresFault, Programs, Server};
use crate::report::{Check, ReleaseLine};
use crate::source::{self, Member, SourceFault};

mod answers;
mod checks;
mod consortium;
mod intruder;
mod questions;
mod releases;
mod shares;
mod tables;

/// The operator's name in the demo's consortium.
const OPERATOR: &str = "operator";
/// Where public sets are, seen from the project's folder.
const SHARED_DATA: &str = "../shared/data";

/// Which data the members have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Data {
    /// Seeded hospitals.
    Generated,
    /// Microsoft length of stay, five facilities.
    Los,
    /// UCI heart disease, four hospitals.
    Heart,
    /// Both public sets, FHIR resources, and a hospital with a database.
    All,
}

/// What a demo is run with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which data.
    pub data: Data,
    /// Members, for generated data.
    pub members: u64,
    /// Encounters a member, for generated data; of the one with a database where there is one.
    pub rows: u64,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Where artefacts stay.
    pub out: Option<PathBuf>,
    /// Leave the network up.
    pub keep: bool,
}

/// Why a demo could not be run to its end.
#[derive(Debug)]
pub enum DemoFault {
    /// The data.
    Source(SourceFault),
    /// A public set.
    Public(public::PublicError),
    /// A node.
    Cluster(ClusterFault),
    /// The database of one member.
    Postgres(PostgresFault),
    /// A release that does not verify, or has no rows.
    Release(String),
    /// A file.
    Io(std::io::Error),
    /// `--out` names a folder that is there already.
    OutExists(PathBuf),
}

impl fmt::Display for DemoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(fault) => fault.fmt(f),
            Self::Public(fault) => fault.fmt(f),
            Self::Cluster(fault) => fault.fmt(f),
            Self::Postgres(fault) => fault.fmt(f),
            Self::Release(fault) => write!(f, "a release: {fault}"),
            Self::Io(fault) => write!(f, "{fault} while writing the demo's artefacts"),
            Self::OutExists(path) => write!(f, "{} is there already; name a new folder", path.display()),
        }
    }
}

impl std::error::Error for DemoFault {}

impl From<SourceFault> for DemoFault {
    fn from(fault: SourceFault) -> Self {
        Self::Source(fault)
    }
}

impl From<ClusterFault> for DemoFault {
    fn from(fault: ClusterFault) -> Self {
        Self::Cluster(fault)
    }
}

impl From<PostgresFault> for DemoFault {
    fn from(fault: PostgresFault) -> Self {
        Self::Postgres(fault)
    }
}

impl From<std::io::Error> for DemoFault {
    fn from(fault: std::io::Error) -> Self {
        Self::Io(fault)
    }
}

/// The running network and its data.
struct Network {
    dir: PathBuf,
    operator: Node,
    members: Vec<(Member, Node)>,
    checks: Vec<Check>,
    releases: Vec<ReleaseLine>,
    /// Rows in quarantine, a number a member.
    quarantined: Vec<u64>,
    /// The database of one member, where one has any.
    server: Option<Server>,
}

/// Runs the demo; tells whether every check passed.
///
/// # Errors
/// [`DemoFault`]; the processes that were started have ended.
pub fn run(options: &Options) -> Result<bool, DemoFault> {
    let began = Instant::now();
    let scratch = tempfile::tempdir()?;
    let dir = match &options.out {
        Some(out) if out.exists() => return Err(DemoFault::OutExists(out.clone())),
        Some(out) => std::path::absolute(out)?,
        None => scratch.path().to_owned(),
    };
    fs::create_dir_all(&dir)?;
    println!("Cohortium demo. For generated and public data only.\n");
    let mut network = Network::begin(options, &dir)?;
    network.agree()?;
    network.link()?;
    network.share()?;
    network.land()?;
    network.change_a_day(options.seed)?;
    network.consolidate()?;
    network.release()?;
    network.answer()?;
    network.share_back()?;
    network.revoke()?;
    let summary = network.check()?;
    fs::write(dir.join("summary.json"), serde_json::to_vec_pretty(&summary).map_err(io::Error::other)?)?;
    println!("\n{}", summary.to_text());
    if options.out.is_some() {
        println!("  artefacts: {}", dir.display());
    }
    println!(
        "  {:.1} s, {}",
        began.elapsed().as_secs_f64(),
        if summary.verified { "verified" } else { "NOT verified" }
    );
    if options.keep {
        network.stay()?;
    }
    network.end()?;
    Ok(summary.verified)
}

impl Network {
    fn begin(options: &Options, dir: &Path) -> Result<Self, DemoFault> {
        step("data", "each member's files, in its own way of writing");
        let sources = dir.join("sources");
        fs::create_dir_all(&sources)?;
        let server = match options.data {
            Data::All => database()?,
            Data::Generated | Data::Los | Data::Heart => None,
        };
        let members = members(options, server.as_ref(), &sources)?;
        let nodes = dir.join("nodes");
        fs::create_dir_all(&nodes)?;
        let operator = Node::new(OPERATOR, &nodes)?;
        let members = members
            .into_iter()
            .map(|member| Node::new(&member.name, &nodes).map(|node| (member, node)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            dir: dir.to_owned(),
            operator,
            members,
            checks: Vec::new(),
            releases: Vec::new(),
            quarantined: Vec::new(),
            server,
        })
    }

    fn note(&mut self, claim: &str, seen: String, holds: bool) {
        self.checks.push(Check { claim: claim.to_owned(), seen, holds });
    }

    /// Waits for the end of standard input, or a line.
    fn stay(&self) -> Result<(), DemoFault> {
        println!("\n  The network stays up. Homes are below {}; try", self.dir.join("nodes").display());
        println!("    cohortium --home {} status", self.operator.home.display());
        println!("  Press Enter to end it.");
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    }

    fn end(mut self) -> Result<(), DemoFault> {
        for (_, node) in &mut self.members {
            node.stop()?;
        }
        self.operator.stop()?;
        self.server.map_or(Ok(()), |server| Ok(server.stop()?))
    }
}

/// A server of the demo's own, and a line that says why not where PostgreSQL is not installed.
fn database() -> Result<Option<Server>, DemoFault> {
    let Some(programs) = Programs::find() else {
        println!("    skipped: the member with a database, because PostgreSQL is not installed; README.md says how");
        return Ok(None);
    };
    Ok(Some(Server::start(&programs)?))
}

/// What each member has.
fn members(options: &Options, server: Option<&Server>, sources: &Path) -> Result<Vec<Member>, DemoFault> {
    let shared = Path::new(SHARED_DATA);
    let plan = Plan { seed: options.seed, sites: options.members, rows_per_site: options.rows, ..Plan::default() };
    let los = || {
        let sites = public::los(shared).map_err(DemoFault::Public)?;
        Ok::<_, DemoFault>(source::public_set(sites, source::LENGTH_OF_STAY, sources)?)
    };
    let heart = || {
        let sites = public::heart(shared).map_err(DemoFault::Public)?;
        Ok::<_, DemoFault>(source::public_set(sites, source::HEART, sources)?)
    };
    match options.data {
        Data::Generated => Ok(source::generated(&plan, sources)?),
        Data::Los => los(),
        Data::Heart => heart(),
        Data::All => {
            let mut all = los()?;
            all.extend(heart()?);
            all.push(drawn::fhir(shared, sources)?);
            if let Some(server) = server {
                all.push(drawn::database(server, &plan, sources)?);
            }
            Ok(all)
        }
    }
}

fn step(name: &str, what: &str) {
    println!("  {name:<14} {what}");
    // A reader of a pipe sees each step when it begins.
    let _ = std::io::stdout().flush();
}
