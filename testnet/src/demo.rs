//! The demo: an operator and members as real processes, the whole flow from charter to revocation, then every check.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::canary;
use crate::cluster::{ClusterFault, Node, free_port, wait};
use crate::hospital::{Plan, public};
use crate::mapped;
use crate::report::{Check, MemberLine, Summary};
use crate::source::{self, Member, SourceFault, Table};

/// The operator's name in the demo's consortium.
const OPERATOR: &str = "operator";
/// Where public sets are, seen from the project's folder.
const SHARED_DATA: &str = "../shared/data";
/// Rows that a day of change touches.
const CHANGE_PERCENT: u32 = 1;

/// Which data the members have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Data {
    /// Seeded hospitals.
    Generated,
    /// Microsoft length of stay, five facilities.
    Los,
    /// UCI heart disease, four hospitals.
    Heart,
}

/// What a demo is run with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which data.
    pub data: Data,
    /// Members, for generated data.
    pub members: u64,
    /// Encounters a member, for generated data.
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
    /// Rows in quarantine, a number a member.
    quarantined: Vec<u64>,
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
        let shared = Path::new(SHARED_DATA);
        let members = match options.data {
            Data::Generated => {
                let plan =
                    Plan { seed: options.seed, sites: options.members, rows_per_site: options.rows, ..Plan::default() };
                source::generated(&plan, &sources)?
            }
            Data::Los => {
                source::public_set(public::los(shared).map_err(DemoFault::Public)?, source::LENGTH_OF_STAY, &sources)?
            }
            Data::Heart => {
                source::public_set(public::heart(shared).map_err(DemoFault::Public)?, source::HEART, &sources)?
            }
        };
        let nodes = dir.join("nodes");
        fs::create_dir_all(&nodes)?;
        let operator = Node::new(OPERATOR, &nodes)?;
        let members = members
            .into_iter()
            .map(|member| Node::new(&member.name, &nodes).map(|node| (member, node)))
            .collect::<Result<_, _>>()?;
        Ok(Self { dir: dir.to_owned(), operator, members, checks: Vec::new(), quarantined: Vec::new() })
    }

    /// A charter, tokens by mail, joins, and signatures to the threshold.
    fn agree(&mut self) -> Result<(), DemoFault> {
        step("consortium", "charter, invitations, joins, signatures");
        let keys = self.dir.join("keys");
        fs::create_dir_all(&keys)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let listen = ["--listen-udp", &address, "--listen-tcp", &address];
        init(&self.operator, &keys, &listen)?;
        let title = "Demo consortium";
        self.operator.call(&[
            "consortium",
            "create",
            "--title",
            title,
            "--kind",
            "rehearsal",
            "--name",
            OPERATOR,
            "--address",
            &address,
            "--threshold",
            "2",
        ])?;
        self.operator.start()?;
        for (member, node) in &mut self.members {
            let token = self.dir.join(format!("{}.token", member.name));
            let token = token.to_str().unwrap_or_default();
            self.operator.call(&[
                "consortium",
                "invite",
                "--name",
                &member.name,
                "--title",
                &member.title,
                "-o",
                token,
            ])?;
            init(node, &keys, &[])?;
            node.call(&["consortium", "join", token])?;
            node.start()?;
        }
        let maker = self.members.first().map(|(member, _)| member.name.clone()).unwrap_or_default();
        self.operator.call(&["charter", "propose", "--admit-all", "--key-maker", &maker])?;
        for (member, node) in &self.members {
            wait(&format!("the charter at {}", member.name), || Ok(node.exit_code(&["charter", "sign", "2"])? == 0))?;
        }
        for (member, node) in &self.members {
            wait(&format!("the charter in force at {}", member.name), || {
                Ok(node.call(&["charter", "show"])?["charter"]["version"] == 2)
            })?;
        }
        Ok(())
    }

    /// The first member makes the linkage key; people compare fingerprints; it goes wrapped through the operator.
    fn link(&mut self) -> Result<(), DemoFault> {
        step("linkage", "one member makes the key, the others receive it, the operator cannot open it");
        let Some(((maker_data, maker), others)) = self.members.split_first() else { return Ok(()) };
        for (member, node) in others {
            confirm(maker, &member.name)?;
            confirm(node, &maker_data.name)?;
        }
        maker.call(&["linkage", "make"])?;
        wait(&format!("the key at {}", maker_data.name), || held(maker))?;
        wait("every member's node record at the key maker", || {
            let parties = maker.call(&["consortium", "parties"])?;
            Ok(parties["parties"].as_object().is_some_and(|all| all.len() == others.len() + 2))
        })?;
        maker.call(&["linkage", "wrap"])?;
        for (member, node) in others {
            wait(&format!("the linkage key at {}", member.name), || held(node))?;
        }
        Ok(())
    }

    /// Each member names its tables, defines and approves a share of each, and invites the operator, which accepts.
    fn share(&mut self) -> Result<(), DemoFault> {
        step("shares", "datasets, policies, the privacy officer's approval, invitations, countersigned terms");
        for (member, node) in &self.members {
            for table in &member.tables {
                add_dataset(node, table)?;
                define_share(node, table)?;
                node.call(&["share", "approve", &table.name])?;
                node.call(&["share", "invite", &table.name, "--to", OPERATOR])?;
            }
        }
        for (member, _) in &self.members {
            for table in &member.tables {
                let name = format!("{}@{}", table.name, member.name);
                wait(&format!("the invitation to {name}"), || {
                    Ok(self.operator.exit_code(&["subscription", "accept", &name])? == 0)
                })?;
            }
        }
        Ok(())
    }

    /// A full snapshot of every table, landed at the operator.
    fn land(&mut self) -> Result<(), DemoFault> {
        step("snapshots", "full copies, verified range by range, landed and looked at by the operator's worker");
        self.take_all()?;
        self.await_landed(1)
    }

    fn take_all(&self) -> Result<(), DemoFault> {
        for (member, node) in &self.members {
            for table in &member.tables {
                wait(&format!("{}'s {} to be free", member.name, table.name), || {
                    Ok(node.exit_code(&["share", "take", &table.name])? == 0)
                })?;
            }
        }
        Ok(())
    }

    /// Waits until every member's tables have landed up to this snapshot number.
    fn await_landed(&self, number: u64) -> Result<(), DemoFault> {
        let tables: usize = self.members.iter().map(|(member, _)| member.tables.len()).sum();
        wait(&format!("snapshot {number} of {tables} tables to land"), || {
            let all = self.operator.call(&["subscription", "list"])?;
            let landed = all.as_array().into_iter().flatten().filter(|one| {
                let snapshots = one["snapshots"].as_array();
                let last = snapshots.and_then(|snapshots| snapshots.last());
                one["side"] == "consumer" && last.is_some_and(|s| s["state"] == "landed" && s["sequence"] == number)
            });
            Ok(landed.count() == tables)
        })?;
        Ok(())
    }

    /// A day passes at generated hospitals: some rows change, some come, some go. Only these travel.
    fn change_a_day(&mut self, seed: u64) -> Result<(), DemoFault> {
        if self.members.iter().all(|(member, _)| member.site.is_none()) {
            return Ok(());
        }
        step("deltas", "a day of change at every hospital; only what changed travels");
        let full = self.bytes_stated()?;
        for (member, _) in &mut self.members {
            let Some(site) = &member.site else { continue };
            let day = site.mutate(&member.folder, seed.wrapping_add(1), CHANGE_PERCENT)?;
            for table in &mut member.tables {
                if let Some(change) = day
                    .iter()
                    .find(|(kind, _)| kind.file_name().trim_end_matches(".csv") == table.name)
                    .map(|(_, change)| change)
                {
                    table.rows = change.after;
                }
            }
        }
        self.take_all()?;
        self.await_landed(2)?;
        let both = self.bytes_stated()?;
        let delta = both.saturating_sub(full);
        self.note("a delta is small", format!("{delta} bytes after {full} in full"), delta * 2 < full);
        Ok(())
    }

    /// Bytes of all snapshots that the operator was told of.
    fn bytes_stated(&self) -> Result<u64, DemoFault> {
        let all = self.operator.call(&["subscription", "list"])?;
        let snapshots = all.as_array().into_iter().flatten().filter_map(|one| one["snapshots"].as_array());
        Ok(snapshots.flatten().filter_map(|snapshot| snapshot["bytes"].as_u64()).sum())
    }

    /// Every member maps its sources to the common schema and checks them; the mapped tables land and become one set.
    fn consolidate(&mut self) -> Result<(), DemoFault> {
        step("mapping", "every member's sources to one schema, each row and fact accounted for, quality checked");
        let mut accounts = Vec::new();
        for (member, node) in &self.members {
            let account = mapped::map(member, node)?;
            mapped::share(node, &account, OPERATOR)?;
            accounts.push(account);
        }
        self.members
            .iter()
            .zip(&accounts)
            .for_each(|((member, _), account)| println!("{}", account.line(&member.name)));
        let balanced = accounts.iter().filter(|account| account.balances).count();
        let seen = format!("{balanced} of {}", accounts.len());
        self.note("every source row and every fact due is accounted for", seen, balanced == accounts.len());
        step("consolidation", "the mapped tables land and become one set of versions");
        for ((member, node), account) in self.members.iter().zip(&accounts) {
            mapped::take(&self.operator, member, node, account)?;
        }
        let (mut emitted, mut landed) = (0, 0);
        for ((member, _), account) in self.members.iter().zip(&accounts) {
            emitted += account.emitted();
            landed += mapped::landed(&self.operator, member, account)?;
        }
        self.note("every mapped fact landed", format!("{landed} of {emitted}"), landed == emitted && emitted > 0);
        let made = self.operator.call(&["consolidate", "run"])?;
        let again = self.operator.call(&["consolidate", "run"])?;
        let tables = made["tables"].as_array().map_or(0, Vec::len);
        let same = again["unchanged"] == true && made["unchanged"] == false;
        self.note("the same snapshots twice make one consolidation", format!("{tables} tables"), same && tables > 0);
        self.quarantined = accounts.iter().map(|account| account.quarantined).collect();
        Ok(())
    }

    /// The operator shares a code list with every member, through exactly the same code.
    fn share_back(&mut self) -> Result<(), DemoFault> {
        step("the other way", "the operator shares a code list with every member");
        let path = self.dir.join("sources").join("codes.csv");
        fs::write(&path, "code,meaning,unit\n2160-0,creatinine,mg/dL\n2345-7,glucose,mg/dL\n718-7,hemoglobin,g/dL\n")?;
        let path = path.to_str().unwrap_or_default().to_owned();
        self.operator.call(&["dataset", "add", "codes", "--csv", &path, "--key", "code"])?;
        let names: Vec<&str> = self.members.iter().map(|(member, _)| member.name.as_str()).collect();
        self.operator.call(&[
            "share",
            "define",
            "codes",
            "--dataset",
            "codes",
            "--to",
            &names.join(","),
            "--purpose",
            "common codes",
            "--days",
            "30",
            "--keep-role",
            "code=quasi-identifier,meaning=quasi-identifier,unit=quasi-identifier",
        ])?;
        self.operator.call(&["share", "approve", "codes"])?;
        for (member, node) in &self.members {
            self.operator.call(&["share", "invite", "codes", "--to", &member.name])?;
            wait(&format!("the operator's invitation at {}", member.name), || {
                Ok(node.exit_code(&["subscription", "accept", "codes"])? == 0)
            })?;
        }
        self.operator.call(&["share", "take", "codes"])?;
        let mut landed = 0;
        for (member, node) in &self.members {
            let mut rows = None;
            wait(&format!("the codes at {}", member.name), || {
                rows = node.call(&["subscription", "count", "codes"]).ok().and_then(|count| count["rows"].as_u64());
                Ok(rows.is_some())
            })?;
            landed += u64::from(rows == Some(3));
        }
        let members = self.members.len();
        self.note(
            "the operator's share landed at every member",
            format!("{landed} of {members}"),
            landed == members as u64,
        );
        Ok(())
    }

    /// One member takes a table back: nothing of it may be read or sent any more.
    fn revoke(&mut self) -> Result<(), DemoFault> {
        step("revocation", "one member takes one table back");
        // Counted before: a revoked table cannot be counted any more.
        let lines = self.count()?;
        let Some((member, node)) = self.members.last() else { return Ok(()) };
        let Some(table) = member.tables.last() else { return Ok(()) };
        let name = format!("{}@{}", table.name, member.name);
        node.call(&["share", "revoke", &table.name, "--reason", "end of the demo"])?;
        wait("the revocation at the operator", || {
            let shown = self.operator.call(&["subscription", "list"])?;
            let revoked = shown.as_array().into_iter().flatten().any(|one| one["state"] == "revoked");
            Ok(revoked)
        })?;
        let code = self.operator.exit_code(&["subscription", "count", &name])?;
        self.note(
            "a revoked table can no longer be read",
            format!("`subscription count {name}` ends with {code}"),
            code == 3,
        );
        fs::write(self.dir.join("members.json"), serde_json::to_vec(&lines).map_err(io::Error::other)?)?;
        let whole = lines.iter().all(|line| line.rows_source == line.rows_landed && line.rows_source > 0);
        let (source, landed): (u64, u64) =
            lines.iter().fold((0, 0), |(a, b), line| (a + line.rows_source, b + line.rows_landed));
        self.note("every row of every member landed", format!("{landed} of {source}"), whole);
        Ok(())
    }

    /// One line a member; landed rows are counted by the operator's worker in what has landed.
    fn count(&self) -> Result<Vec<MemberLine>, DemoFault> {
        let mut lines = Vec::new();
        for (number, (member, _)) in self.members.iter().enumerate() {
            let mut landed = 0;
            for table in &member.tables {
                let name = format!("{}@{}", table.name, member.name);
                landed += self.operator.call(&["subscription", "count", &name])?["rows"].as_u64().unwrap_or(0);
            }
            lines.push(MemberLine {
                name: member.name.clone(),
                rows_source: member.tables.iter().map(|table| table.rows).sum(),
                rows_landed: landed,
                rows_quarantined: self.quarantined.get(number).copied().unwrap_or(0),
                bytes_sent: 0,
            });
        }
        Ok(lines)
    }

    /// Logs, stores and canaries; then the summary.
    fn check(&mut self) -> Result<Summary, DemoFault> {
        step("checks", "every store and log read again, every file searched for identifiers");
        let text = fs::read(self.dir.join("members.json"))?;
        let mut lines: Vec<Value> = serde_json::from_slice(&text).unwrap_or_default();
        let mut members = Vec::new();
        for (line, (member, node)) in lines.iter_mut().zip(&self.members) {
            wait("served bytes to be written down", || Ok(bytes_served(node)? > 0))?;
            let figure = |name: &str| line[name].as_u64().unwrap_or(0);
            members.push(MemberLine {
                name: member.name.clone(),
                rows_source: figure("rows_source"),
                rows_landed: figure("rows_landed"),
                rows_quarantined: figure("rows_quarantined"),
                bytes_sent: bytes_served(node)?,
            });
        }
        let nodes = || std::iter::once(&self.operator).chain(self.members.iter().map(|(_, node)| node));
        let mut failed = Vec::new();
        for node in nodes() {
            for command in [&["verify"][..], &["log", "verify"]] {
                if let Err(fault) = node.call(command) {
                    failed.push(fault.to_string());
                }
            }
        }
        let count = nodes().count();
        let seen = if failed.is_empty() { format!("{count} nodes") } else { failed.join("; ") };
        self.note("stores, journals and logs verify", seen, failed.is_empty());
        let canaries: Vec<String> = self.members.iter().flat_map(|(member, _)| member.canaries.clone()).collect();
        if !canaries.is_empty() {
            let (found, files) = canary::files_with(&canaries, &self.dir.join("nodes"))?;
            let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            let seen = format!("{} canaries, {files} files, found in {}", canaries.len(), names.len());
            self.note("no file of any node holds an identifier", seen, names.is_empty());
        }
        Ok(Summary::new(members, std::mem::take(&mut self.checks)))
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
        Ok(self.operator.stop()?)
    }
}

fn init(node: &Node, keys: &Path, more: &[&str]) -> Result<(), DemoFault> {
    let key = keys.join(format!("{}.key", node.name));
    let key = key.to_str().unwrap_or_default().to_owned();
    let mut args = vec!["init", "--key-file", &key, "--admin", "ada", "--roles", "data-steward,privacy-officer"];
    args.push("--no-person-passphrase");
    args.extend(more);
    node.call(&args)?;
    Ok(())
}

/// Two people compare a fingerprint by telephone; here one process reads it out to itself.
fn confirm(node: &Node, party: &str) -> Result<(), DemoFault> {
    let parties = node.call(&["consortium", "parties"])?;
    let fingerprint = parties["parties"][party]["fingerprint"].as_str().unwrap_or_default().to_owned();
    node.call(&["consortium", "confirm", party, &fingerprint])?;
    Ok(())
}

fn held(node: &Node) -> Result<bool, ClusterFault> {
    Ok(node.call(&["linkage", "show"])?["held"].as_u64().is_some())
}

fn bytes_served(node: &Node) -> Result<u64, ClusterFault> {
    let all = node.call(&["subscription", "list"])?;
    Ok(all.as_array().into_iter().flatten().filter_map(|one| one["bytes_served"].as_u64()).sum())
}

fn add_dataset(node: &Node, table: &Table) -> Result<(), DemoFault> {
    let path = table.path.to_str().unwrap_or_default();
    let delimiter = if table.delimiter == '\t' { "tab".to_owned() } else { table.delimiter.to_string() };
    let mut args = vec!["dataset", "add", &table.name, "--csv", path, "--delimiter", &delimiter];
    if let Some(key) = &table.key {
        args.extend(["--key", key]);
    }
    if let Some(patient) = &table.patient {
        args.extend(["--patient", patient]);
    }
    if let Some([given, family, birth, format]) = &table.linkage {
        args.extend(["--link-given", given, "--link-family", family, "--link-birth", birth, "--birth-format", format]);
    }
    node.call(&args)?;
    Ok(())
}

fn define_share(node: &Node, table: &Table) -> Result<(), DemoFault> {
    let policy = table.policy.to_str().unwrap_or_default();
    let mut args = vec!["share", "define", &table.name, "--dataset", &table.name, "--to", OPERATOR];
    args.extend(["--purpose", "length of stay and readmission", "--days", "90", "--policy", policy]);
    if table.linkage.is_some() {
        args.push("--link");
    }
    node.call(&args)?;
    Ok(())
}

fn step(name: &str, what: &str) {
    println!("  {name:<14} {what}");
    // A reader of a pipe sees each step when it begins.
    let _ = std::io::stdout().flush();
}
