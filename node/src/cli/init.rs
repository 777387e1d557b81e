//! `cohortium init`: a new node with keys of its own and its first person.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cohortium_protocol::ident::Name;
use cohortium_protocol::key::pair::{KeyPair, PublicKey};
use cohortium_protocol::record::person::Role;
use cohortium_store::keystore::{Keystore, create_key_file};
use cohortium_store::seal;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::BANNER;
use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, from_word, word};
use crate::config::file::{ConfigFile, FirstPersonSection, KeySection, KeySourceKind};
use crate::config::resolve::{Config, ConfigFault};
use crate::config::secret::{self, Ask};
use crate::home::{self, Home, HomeFault, NODE_SECRETS};
use crate::person::{self, Protection};

/// What a new node is made with.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// A file whose first line is the passphrase of the keystore; without this and --key-file it is asked for
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// A file of 32 random bytes that opens the keystore, made if there is none; best on another medium
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Where QUIC listens, such as 0.0.0.0:7411; a member that only dials needs none
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_udp: Option<String>,
    /// Where TLS over TCP listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_tcp: Option<String>,
    /// The HTTP CONNECT proxy of this network
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<String>,
    /// The first person, a site administrator
    #[arg(long, value_name = "NAME", default_value = "admin")]
    admin: Name,
    /// More roles of that person, for a small site: data-steward, privacy-officer, data-scientist, auditor
    #[arg(long, value_name = "ROLE,..", value_delimiter = ',', value_parser = from_word::<Role>)]
    roles: Vec<Role>,
    /// Protect that person's key by the file's permissions alone, without a passphrase
    #[arg(long)]
    no_person_passphrase: bool,
}

pub(crate) fn run(cx: &Cx, init: &Init) -> Result<Shown, CliFault> {
    let mut file = as_written(init)?;
    // Everything that can be refused is refused before the folder is made.
    let place = Config::resolve(&file, cx.home.path()).map_err(|fault| refused(&fault))?.key;
    if cx.home.path().is_dir() && cx.home.path().read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(HomeFault::Exists { path: cx.home.path().to_owned() }.into());
    }
    if let Some(path) = init.key_file.as_ref().filter(|path| !path.exists()) {
        create_key_file(path).map_err(|fault| CliFault::local(fault.to_string()))?;
    }
    let source = secret::key_source(&place, Ask::Twice)?;
    let home = Home::create(cx.home.path())?;
    let root = make_keys(&mut Keystore::create(&home.keystore(), &source)?)?;
    let protection = if init.no_person_passphrase {
        Protection::FileOnly
    } else {
        Protection::Passphrase(cx.person_passphrase.clone())
    };
    let key = person::create(&person::key_path(&home, &init.admin), &protection)?;
    let roles: BTreeSet<Role> = init.roles.iter().copied().chain([Role::SiteAdministrator]).collect();
    file.first_person =
        Some(FirstPersonSection { name: init.admin.clone(), roles: roles.clone(), key: key.to_string() });
    file.person = Some(init.admin.to_string());
    // The configuration makes the folder a node's: written last, so that a broken init is no node.
    home::create_private(&home.config_file(), file.to_text().as_bytes())?;
    Ok(shown(&home, &root, &init.admin, &roles))
}

fn refused(fault: &ConfigFault) -> CliFault {
    CliFault::usage(fault.to_string())
}

fn as_written(init: &Init) -> Result<ConfigFile, CliFault> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).map_err(|fault| CliFault::usage(format!("{}: {fault}", path.display())))
    };
    let key = match (&init.key_file, &init.passphrase_file) {
        (Some(path), _) => KeySection { source: KeySourceKind::KeyFile, path: Some(absolute(path)?) },
        (None, Some(path)) => KeySection { source: KeySourceKind::PassphraseFile, path: Some(absolute(path)?) },
        (None, None) => KeySection { source: KeySourceKind::Prompt, path: None },
    };
    Ok(ConfigFile {
        listen_udp: init.listen_udp.clone(),
        listen_tcp: init.listen_tcp.clone(),
        proxy: init.proxy.clone(),
        ..ConfigFile::new(key)
    })
}

/// Makes the node's own keys. Returns the root's public half.
fn make_keys(keystore: &mut Keystore) -> Result<PublicKey, CliFault> {
    for name in NODE_SECRETS {
        let seed = Zeroizing::new(seal::random::<32>());
        keystore.put_secret(name, seed.as_ref())?;
    }
    Ok(KeyPair::from_seed(&*secret::seed(keystore, "root")?).public())
}

fn shown(home: &Home, root: &PublicKey, admin: &Name, roles: &BTreeSet<Role>) -> Shown {
    let fingerprint = root.fingerprint();
    let path = home.path().display().to_string();
    let names: Vec<String> = roles.iter().map(word).collect();
    let json = json!({
        "home": path,
        "root": root,
        "fingerprint": fingerprint,
        "person": {"name": admin, "roles": roles},
    });
    let text = format!(
        "A node in {path}\n  fingerprint  {fingerprint}\n  person       {admin} ({})\n{BANNER}\n",
        names.join(", ")
    );
    Shown::new(json, text)
}
