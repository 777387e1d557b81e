//! `cohortium consortium`: begin one, invite and join, compare fingerprints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ConsortiumId, Name, Nonce, Text};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::message::join::{JoinToken, secret_digest};
use cohortium_protocol::quantity::AnonymityK;
use cohortium_protocol::record::charter::{
    Charter, CharterFields, CharterKind, LandedRows, Party, PartyKind, ReleasePolicy, Terms,
};
use cohortium_protocol::record::common_schema::{CommonSchema as Stated, CommonSchemaFields};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::journal_entry::Act;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::wire::codec;
use cohortium_schema::schema::CommonSchema;
use cohortium_store::seal;
use cohortium_transport::HostPort;
use serde_json::{Value, json};

use crate::cli::call::{Cx, now};
use crate::cli::exit::CliFault;
use crate::cli::found::{self, NodeKeys};
use crate::cli::join;
use crate::cli::mapped::schema_of_file;
use crate::cli::print::{Shown, Table, from_word, short, word, yes};
use crate::cli::when;
use crate::config::secret;
use crate::control::View;
use crate::home::{self, Home, MembershipFile};

/// How a token begins, so that a person and a script know what it is.
const TOKEN_PREFIX: &str = "cohortium-join:";
/// The longest token file.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Operator: write and sign the first charter. The daemon must not run
    Create(Create),
    /// Operator: make a one-time token with which a hospital can ask to join
    Invite(Invite),
    /// Hospital: join with a token, or a file that holds it. The daemon must not run
    Join {
        /// The token, or a file that holds it
        token: String,
        /// What people here call the consortium; without it, the charter's title
        #[arg(long)]
        title: Option<Text>,
    },
    /// The consortia that this node is in
    List,
    /// The parties of a consortium, with the fingerprints to compare by voice
    Parties,
    /// Record that a person has compared a party's fingerprint by another channel
    Confirm {
        /// The party
        name: Name,
        /// The fingerprint that was read out
        fingerprint: String,
    },
}

/// The first charter.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// The consortium's title
    #[arg(long)]
    title: Text,
    /// rehearsal (generated or public data, keys of its own) or production; never changes
    #[arg(long, value_parser = from_word::<CharterKind>)]
    kind: CharterKind,
    /// This node's name in it
    #[arg(long)]
    name: Name,
    /// Where members dial this node
    #[arg(long, value_name = "HOST:PORT")]
    address: HostPort,
    /// Member signatures that a change needs
    #[arg(long, default_value_t = 1)]
    threshold: u16,
    /// The least k of microdata that leaves
    #[arg(long, default_value_t = 11)]
    k: u32,
    /// Counts below this are suppressed
    #[arg(long, default_value_t = 11)]
    small_cell: u32,
    /// The least strict answer for landed rows of an ended share: exclude, keep or erase
    #[arg(long, default_value = "exclude", value_parser = from_word::<LandedRows>)]
    landed_rows: LandedRows,
    /// The longest a share may run
    #[arg(long, default_value_t = 366)]
    share_days: u32,
    /// The consortium's own common schema in TOML [default: OMOP CDM 5.4, not named]
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

/// A token.
#[derive(Debug, clap::Args)]
pub(crate) struct Invite {
    /// The name the hospital will have
    #[arg(long)]
    name: Name,
    /// Its title
    #[arg(long)]
    title: Text,
    /// How long the token can be used
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=30))]
    days: u32,
    /// Where the hospital dials, if not the address given to `create`
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<HostPort>,
    /// Write the token to this new file instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Create(create) => make(cx, create),
        Verb::Invite(wanted) => invite(cx, wanted),
        Verb::Join { token, title } => join::run(cx, &read_token(&token)?, title),
        Verb::List => list(cx),
        Verb::Parties => Ok(parties(&cx.view()?)),
        Verb::Confirm { name, fingerprint } => confirm(cx, &name, &fingerprint),
    }
}

fn make(cx: &Cx, create: Create) -> Result<Shown, CliFault> {
    let config = cx.config()?;
    cx.daemon_must_rest()?;
    let first = found::first_person(&config)?;
    let mut keystore = secret::open_keystore(&cx.home, &config.key)?;
    let keys = NodeKeys::of(&keystore)?;
    let (party, address, title) = (create.name.clone(), create.address.to_string(), create.title.clone());
    let schema = create.schema.as_deref().map(|file| schema_of_file(Some(file))).transpose()?;
    let named = schema.as_ref().map(CommonSchema::digest);
    let charter = Signed::sign(&first_charter(create, named, keys.root.public())?, &keys.root);
    let consortium = ConsortiumId(charter.digest().0);
    let kind = charter.claimed().map_err(|fault| CliFault::local(fault.to_string()))?.kind;
    let membership = MembershipFile {
        consortium,
        party: party.clone(),
        operator_root: keys.root.public(),
        operator_tls: keys.tls.public(),
        operator_address: None,
        public_address: Some(address),
        title: Some(title),
        kind,
    };
    let mut documents = vec![Act::Charter(charter), Act::NodeRecord(keys.record(consortium, &party)?)];
    if let Some(schema) = schema {
        documents.push(Act::CommonSchema(stated(consortium, &schema, &keys)?));
    }
    let acts = found::first_acts(&keys, &membership, documents, first);
    found::begin(&cx.home, &mut keystore, &membership, acts)?;
    let fingerprint = keys.root.public().fingerprint();
    let text = format!("Consortium {consortium}\n  this node    {party}, its operator\n  fingerprint  {fingerprint}\n");
    Ok(Shown::new(json!({"consortium": consortium, "party": party, "kind": kind, "fingerprint": fingerprint}), text))
}

/// The statement of a schema that the first charter names.
fn stated(consortium: ConsortiumId, schema: &CommonSchema, keys: &NodeKeys) -> Result<Signed<Stated>, CliFault> {
    let fields = CommonSchemaFields { consortium, text: schema.canonical(), ext: Extensions::default() };
    let stated = Stated::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))?;
    Ok(Signed::sign(&stated, &keys.signing))
}

fn first_charter(create: Create, schema: Option<DocumentDigest>, root: PublicKey) -> Result<Charter, CliFault> {
    let operator = Party { kind: PartyKind::Operator, title: create.title.clone(), root, succeeds: None };
    let fields = CharterFields {
        consortium: None,
        version: 1,
        previous: None,
        title: create.title,
        kind: create.kind,
        at: now(),
        roster: BTreeMap::from([(create.name, operator)]),
        threshold: create.threshold,
        schema,
        policy: ReleasePolicy { anonymity_k_min: AnonymityK(create.k), small_cell_min: create.small_cell },
        accounts: BTreeMap::new(),
        terms: Terms {
            landed_rows: create.landed_rows,
            share_validity_max: when::days(create.share_days),
            contract: None,
        },
        linkage: None,
        ext: Extensions::default(),
    };
    Charter::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))
}

fn invite(cx: &Cx, wanted: Invite) -> Result<Shown, CliFault> {
    let membership = cx.membership()?;
    if membership.operator_address.is_some() {
        return Err(CliFault::refused("only the operator's node invites hospitals"));
    }
    let address = wanted.address.as_ref().map(ToString::to_string).or_else(|| membership.public_address.clone());
    let address = address.ok_or_else(|| CliFault::usage("where does the hospital dial: give --address HOST:PORT"))?;
    let address: Text = address.parse().map_err(|fault| CliFault::usage(format!("--address {fault}")))?;
    if wanted.output.as_ref().is_some_and(|path| path.exists()) {
        return Err(CliFault::refused("the file for the token is there already; give another name"));
    }
    let (secret, expires) = (Nonce(seal::random()), now().plus(when::days(wanted.days)));
    let command = Command::IssueJoinToken {
        secret: secret_digest(&secret),
        party: wanted.name.clone(),
        title: wanted.title,
        expires,
    };
    cx.give(&cx.view()?, command)?;
    let token = JoinToken {
        consortium: membership.consortium,
        party: wanted.name.clone(),
        operator: membership.operator_root,
        tls: membership.operator_tls,
        address,
        secret,
        expires,
    };
    let line = write_token(&token);
    let mut json = json!({"party": wanted.name, "expires": expires.to_string()});
    let text = if let Some(path) = &wanted.output {
        home::create_private(path, format!("{line}\n").as_bytes())?;
        json["file"] = json!(path.display().to_string());
        format!("Token for {} in {}, until {expires}\n", wanted.name, path.display())
    } else {
        json["token"] = json!(line);
        format!("{line}\n")
    };
    Ok(Shown::new(json, text))
}

/// A token as one line.
fn write_token(token: &JoinToken) -> String {
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(codec::encode(token)))
}

/// A token from its line, or from a file that holds it.
fn read_token(given: &str) -> Result<JoinToken, CliFault> {
    let line = if given.starts_with(TOKEN_PREFIX) {
        given.to_owned()
    } else {
        let bytes = home::read_bounded(std::path::Path::new(given), TOKEN_BYTES_MAX)?;
        String::from_utf8_lossy(&bytes).trim().to_owned()
    };
    let wrong = || CliFault::usage("this is no join token: it begins with cohortium-join: and is one line");
    let text = line.strip_prefix(TOKEN_PREFIX).ok_or_else(wrong)?;
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| wrong())?;
    codec::decode(&bytes, 4096).map_err(|_| wrong())
}

fn list(cx: &Cx) -> Result<Shown, CliFault> {
    let memberships = Home::open(cx.home.path())?.memberships()?;
    let mut table = Table::new(["CONSORTIUM", "TITLE", "THIS NODE", "KIND", "OPERATOR AT"]);
    for each in &memberships {
        table.row([
            short(&each.consortium),
            each.title.as_ref().map(ToString::to_string).unwrap_or_default(),
            each.party.to_string(),
            word(&each.kind),
            each.operator_address.clone().unwrap_or_else(|| "this node".to_owned()),
        ]);
    }
    Ok(Shown::new(json!(memberships), table.or("This node is in no consortium.\n")))
}

pub(crate) fn parties(view: &View) -> Shown {
    let mut table = Table::new(["PARTY", "KIND", "TITLE", "FINGERPRINT", "CONFIRMED", "CONNECTED"]);
    for (name, party) in &view.parties {
        let this = *name == view.party;
        let connected = if this { "this node".to_owned() } else { yes(party.connected).to_owned() };
        let confirmed = if this { "-" } else { yes(party.confirmed) }.to_owned();
        let kind = word(&party.kind);
        table.row([name.to_string(), kind, party.title.clone(), party.fingerprint.clone(), confirmed, connected]);
    }
    for (name, joining) in &view.joining {
        table.row([
            name.to_string(),
            "joining".to_owned(),
            String::new(),
            joining.fingerprint.clone(),
            "no".to_owned(),
            "no".to_owned(),
        ]);
    }
    Shown::new(json!({"parties": view.parties, "joining": view.joining}), table.or("No parties yet.\n"))
}

fn confirm(cx: &Cx, name: &Name, given: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let root = root_of(&view, name)?;
    let expected = root.fingerprint();
    if !same_fingerprint(given, &expected) {
        return Err(CliFault::wrong(format!(
            "the fingerprint read out is not that of {name} here, which is {expected}; do not go on before you know why"
        )));
    }
    cx.give(&view, Command::ConfirmRoot { party: name.clone(), root })?;
    let json: Value = json!({"party": name, "fingerprint": expected, "confirmed": true});
    Ok(Shown::new(json, format!("{name} is confirmed\n")))
}

/// The root key that this node knows of a party: in the charter in force, in one that waits, or as it joined.
fn root_of(view: &View, name: &Name) -> Result<PublicKey, CliFault> {
    let waiting = view.proposals.iter().map(|proposal| &proposal.charter);
    let party = view.charter.iter().chain(waiting).find_map(|charter| charter.roster.get(name));
    let joining = || view.joining.get(name).and_then(|joining| joining.root.parse().ok());
    let root = party.map(|party| party.root).or_else(joining);
    root.ok_or_else(|| {
        CliFault::not_found(format!("there is no party {name}; `cohortium consortium parties` lists them"))
    })
}

/// Compares what was read out, whatever stands between the groups.
fn same_fingerprint(given: &str, expected: &str) -> bool {
    let digits = |text: &str| text.chars().filter(|c| !matches!(c, '-' | ' ' | ':')).collect::<String>().to_lowercase();
    digits(given) == digits(expected)
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::key::pair::KeyPair;
    use cohortium_protocol::time::UnixMillis;

    use super::*;

    #[test]
    fn a_token_is_one_line_that_reads_back_whole() {
        let key = |seed: u8| KeyPair::from_seed(&[seed; 32]).public();
        let token = JoinToken {
            consortium: ConsortiumId([1; 32]),
            party: "north".parse().unwrap(),
            operator: key(1),
            tls: key(2),
            address: "op.example:7411".parse().unwrap(),
            secret: Nonce([3; 16]),
            expires: UnixMillis(5),
        };
        let line = write_token(&token);
        assert!(!line.contains(['\n', ' ', '=']), "{line}");
        assert_eq!(read_token(&line), Ok(token.clone()));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, format!("{line}\n")).unwrap();
        assert_eq!(read_token(file.to_str().unwrap()), Ok(token));
        for cut in [&line[..line.len() - 1], "cohortium-join:", "cohortium-join:!!"] {
            assert!(read_token(cut).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_fingerprint_is_compared_by_its_digits_alone() {
        assert!(same_fingerprint("AB12 cd34", "ab12-cd34"));
        assert!(!same_fingerprint("ab12", "ab12-cd34"));
        assert!(!same_fingerprint("ab12-cd35", "ab12-cd34"));
    }

    #[test]
    fn a_production_charter_below_the_floor_is_not_begun() {
        let create = |kind, k| Create {
            title: "T".parse().unwrap(),
            kind,
            name: "op".parse().unwrap(),
            address: "op.example:1".parse().unwrap(),
            threshold: 1,
            k,
            small_cell: 11,
            landed_rows: LandedRows::Exclude,
            share_days: 1,
            schema: None,
        };
        let root = KeyPair::from_seed(&[1; 32]).public();
        for (kind, k, taken) in [
            (CharterKind::Production, 10, false),
            (CharterKind::Production, 11, true),
            (CharterKind::Rehearsal, 2, true),
            (CharterKind::Rehearsal, 0, false),
        ] {
            assert_eq!(first_charter(create(kind, k), None, root).is_ok(), taken, "{kind:?} {k}");
        }
    }
}
