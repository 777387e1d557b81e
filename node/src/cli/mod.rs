//! The command line: `cohortium [--home DIR] [--json] NOUN VERB`. Each noun is a file; this one reads arguments and ends
//! with an exit code. It asks the daemon over the control socket and decides nothing itself.

pub mod exit;
mod print;
mod budget;
mod call;
mod find;
mod when;
mod policy;
mod columns;
mod init;
mod found;
mod consortium;
mod join;
mod charter;
mod person;
mod linkage;
mod dataset;
mod remote;
mod drafted;
mod dry_run;
mod source;
mod account;
mod mapped;
mod check;
mod lineage;
mod consolidate;
mod sql;
mod pipeline;
mod share;
mod account_file;
mod project;
mod request_file;
mod release_page;
mod release;
mod mapping;
mod trial;
mod vocabulary;
mod shared;
mod subscription;
mod optout;
mod daemon;
mod act;
mod history;
mod doctor;
mod verify;
mod evidence;
mod log;
mod show;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::call::Cx;
use crate::cli::exit::{CliFault, exit_code};
use crate::cli::print::Shown;
use crate::home::Home;

/// What this version may be used for; shown by `init`, `run` and `--help`.
pub const BANNER: &str = "This version is for generated and public data only.";

/// The node of a hospital, operator or researcher in a consortium.
///
/// This version is for generated and public data only.
#[derive(Debug, Parser)]
#[command(name = "cohortium", version, disable_colored_help = true, propagate_version = true)]
struct Cli {
    /// The node's folder [default: ~/.cohortium]
    #[arg(long, global = true, env = "COHORTIUM_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Which consortium, by its title here or the beginning of its id, where the node is in several
    #[arg(long, global = true, value_name = "CONSORTIUM")]
    consortium: Option<String>,
    /// Whose order it is: a person of this node, or NAME=FILE for a key file elsewhere
    #[arg(long = "as", global = true, env = "COHORTIUM_PERSON", value_name = "PERSON")]
    person: Option<String>,
    /// A file whose first line is the passphrase of that person's key; without it, it is asked for
    #[arg(long, global = true, env = "COHORTIUM_PERSON_PASSPHRASE_FILE", value_name = "FILE")]
    person_passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    noun: Noun,
}

/// Every noun, and the verbs that stand alone.
#[derive(Debug, Subcommand)]
enum Noun {
    /// Make a node in a new folder
    Init(Box<init::Init>),
    /// Begin, join and watch over consortia
    #[command(subcommand)]
    Consortium(consortium::Verb),
    /// Read, propose and sign charter versions
    #[command(subcommand)]
    Charter(charter::Verb),
    /// People of this node, their roles and keys
    #[command(subcommand)]
    Person(person::Verb),
    /// The key that links a patient's rows across hospitals
    #[command(subcommand)]
    Linkage(linkage::Verb),
    /// Sources of this node
    #[command(subcommand)]
    Dataset(dataset::Verb),
    /// Files that may become sources; needs no daemon
    #[command(subcommand)]
    Source(source::Verb),
    /// How this node's sources become tables of the common schema
    #[command(subcommand)]
    Mapping(mapping::Verb),
    /// Vocabularies that codes are mapped with
    #[command(subcommand)]
    Vocabulary(vocabulary::Verb),
    /// Landed tables of all members as versions of one set
    #[command(subcommand)]
    Consolidate(consolidate::Verb),
    /// The quality of a mapping's tables as they would leave, before anything does
    Check(check::Check),
    /// Ask for consolidated rows by one SELECT, and say why
    Sql(sql::Sql),
    /// What happens by itself: on a landing, a new file or a schedule
    #[command(subcommand)]
    Pipeline(pipeline::Verb),
    /// What this node offers to others
    #[command(subcommand)]
    Share(share::Verb),
    /// Purposes under which releases are asked for
    #[command(subcommand)]
    Project(project::Verb),
    /// Rows and counts that may leave: asked for, signed, published, recalled, verified
    #[command(subcommand)]
    Release(release::Verb),
    /// What releases have cost each population, and what is left of its account
    Budget(budget::Budget),
    /// What this node and others have agreed about shares
    #[command(subcommand)]
    Subscription(subscription::Verb),
    /// Patients whose rows do not leave
    #[command(subcommand)]
    Optout(optout::Verb),
    /// Run the daemon in the foreground until SIGTERM or `shutdown`
    Run,
    /// Halt all output of this node at once
    Stop,
    /// Lift the halt
    Start,
    /// End the daemon gracefully
    Shutdown,
    /// What the node is, and how it stands in its consortia
    Status,
    /// Who did what, and when
    History(history::History),
    /// Look for what could keep the node from working
    Doctor(doctor::Doctor),
    /// Re-read everything stored and name the first thing that is wrong
    Verify,
    /// Check and prove the audit log offline
    #[command(subcommand)]
    Log(log::Verb),
    /// Show a signed document as JSON
    Show(show::Show),
    /// Print a completion script for a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
}

/// Runs the program with these arguments, the first of which is its own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(fault) => {
            // Help and version are no failure; clap knows which stream each goes to.
            let code = u8::try_from(fault.exit_code()).unwrap_or(2);
            let _ = fault.print();
            return ExitCode::from(code);
        }
    };
    let json = cli.json;
    match carry_out(cli) {
        Ok(shown) => {
            shown.write(json);
            shown.found.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(exit_code(kind)))
        }
        Err(fault) => {
            if json {
                print::write_line(&fault.to_json().to_string());
            }
            eprintln!("error: {}", print::visible(&fault.message));
            ExitCode::from(exit_code(fault.kind))
        }
    }
}

fn carry_out(cli: Cli) -> Result<Shown, CliFault> {
    let cx = Cx {
        home: Home::at(&home_path(cli.home)?),
        json: cli.json,
        consortium: cli.consortium,
        person: cli.person,
        person_passphrase: cli.person_passphrase_file,
    };
    match cli.noun {
        Noun::Init(init) => init::run(&cx, &init),
        Noun::Consortium(verb) => consortium::run(&cx, verb),
        Noun::Charter(verb) => charter::run(&cx, verb),
        Noun::Person(verb) => person::run(&cx, verb),
        Noun::Linkage(verb) => linkage::run(&cx, verb),
        Noun::Dataset(verb) => dataset::run(&cx, verb),
        Noun::Source(verb) => source::run(&cx, verb),
        Noun::Mapping(verb) => mapping::run(&cx, verb),
        Noun::Vocabulary(verb) => vocabulary::run(&cx, verb),
        Noun::Consolidate(verb) => consolidate::run(&cx, verb),
        Noun::Check(check) => check::run(&cx, &check),
        Noun::Sql(sql) => sql::run(&cx, &sql),
        Noun::Pipeline(verb) => pipeline::run(&cx, verb),
        Noun::Share(verb) => share::run(&cx, verb),
        Noun::Project(verb) => project::run(&cx, verb),
        Noun::Release(verb) => release::run(&cx, verb),
        Noun::Budget(budget) => budget::run(&cx, budget),
        Noun::Subscription(verb) => subscription::run(&cx, verb),
        Noun::Optout(verb) => optout::run(&cx, verb),
        Noun::Run => daemon::run(&cx),
        Noun::Stop => daemon::stop(&cx),
        Noun::Start => daemon::start(&cx),
        Noun::Shutdown => daemon::shutdown(&cx),
        Noun::Status => daemon::status(&cx),
        Noun::History(history) => history::run(&cx, &history),
        Noun::Doctor(doctor) => doctor::run(&cx, &doctor),
        Noun::Verify => verify::run(&cx),
        Noun::Log(verb) => log::run(&cx, verb),
        Noun::Show(show) => show::run(&cx, &show),
        Noun::Completions { shell } => Ok(completions(shell)),
    }
}

fn home_path(given: Option<PathBuf>) -> Result<PathBuf, CliFault> {
    let path = given.or_else(|| std::env::home_dir().map(|user| user.join(".cohortium")));
    let path = path.ok_or_else(|| CliFault::usage("there is no home folder; give --home DIR"))?;
    std::path::absolute(&path).map_err(|fault| CliFault::usage(format!("--home {}: {fault}", path.display())))
}

fn completions(shell: clap_complete::Shell) -> Shown {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cohortium", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Shown::new(serde_json::json!({"shell": shell.to_string(), "script": script}), script)
}

#[cfg(test)]
mod tests;
