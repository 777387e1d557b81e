//! An operator and members as processes, with a charter in force.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "only tests call this; what goes wrong fails them")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cohortium_testnet::cluster::free_port;
use tempfile::TempDir;

use super::relay::Relay;
use super::site::Site;
use super::until;

/// How members reach the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// QUIC, directly.
    Quic,
    /// TLS over TCP, through a relay that counts, slows and cuts.
    Relayed,
}

/// What a network is made with.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The program that is node and worker.
    pub program: &'a str,
    /// The members' names.
    pub members: &'a [&'a str],
    /// How they reach the operator.
    pub way: Way,
    /// Which member makes the linkage key, if any.
    pub key_maker: Option<&'a str>,
    /// The folder that all homes are made in; the system's for temporary files without it.
    pub within: Option<&'a Path>,
}

impl<'a> Plan<'a> {
    /// One member, `north`, over QUIC.
    pub const fn pair(program: &'a str) -> Self {
        Self { program, members: &["north"], way: Way::Quic, key_maker: None, within: None }
    }

    /// One member, `north`, over TCP through a relay.
    pub const fn relayed(program: &'a str) -> Self {
        Self { program, members: &["north"], way: Way::Relayed, key_maker: None, within: None }
    }
}

/// A consortium whose daemons run.
#[derive(Debug)]
pub struct Network {
    /// The operator, `op`.
    pub op: Site,
    /// The members, in the plan's order.
    pub members: Vec<Site>,
    /// What stands between them, where the plan says so.
    pub relay: Option<Relay>,
    /// Where the operator listens itself.
    pub address: SocketAddr,
    // Dropped last: the daemons have ended by then.
    dir: TempDir,
}

impl Network {
    /// Makes it, up to a charter in force that every member has signed.
    ///
    /// # Panics
    /// When anything of it does not come about.
    pub fn new(plan: Plan<'_>) -> Self {
        let dir = plan.within.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let address: SocketAddr = ([127, 0, 0, 1], free_port().unwrap()).into();
        let mut op = Site::new("op", dir.path(), plan.program);
        let listen = address.to_string();
        let listening: &[&str] = match plan.way {
            Way::Quic => &["--listen-udp", &listen, "--listen-tcp", &listen],
            Way::Relayed => &["--listen-tcp", &listen],
        };
        init(&op, dir.path(), listening);
        let relay = (plan.way == Way::Relayed).then(|| Relay::new(address));
        let public = relay.as_ref().map_or(address, Relay::address).to_string();
        create(&op, &public, "rehearsal");
        op.up();
        let mut network = Self { op, members: Vec::new(), relay, address, dir };
        for name in plan.members {
            let member = network.join(name, plan);
            network.members.push(member);
        }
        let mut propose = vec!["charter", "propose", "--admit-all"];
        if let Some(maker) = plan.key_maker {
            propose.extend(["--key-maker", maker]);
        }
        network.op.tell(&propose);
        network.sign("2");
        network
    }

    /// A node that has joined with a token and runs; it is not admitted yet.
    pub fn join(&self, name: &str, plan: Plan<'_>) -> Site {
        let token = self.text(&format!("{name}.token"));
        self.op.tell(&["consortium", "invite", "--name", name, "--title", name, "-o", &token]);
        let mut member = Site::new(name, self.dir.path(), plan.program);
        init(&member, self.dir.path(), &[]);
        if plan.way == Way::Relayed {
            configure(&member, "routes = [\"tcp\"]");
        }
        member.tell(&["consortium", "join", &token]);
        member.up();
        member
    }

    /// Every member signs a charter version; waits until each is bound by it.
    pub fn sign(&self, version: &str) {
        for member in &self.members {
            member.tell_soon(&["charter", "sign", version]);
        }
        self.until_bound(version);
    }

    /// Waits until every node is bound by a charter version.
    pub fn until_bound(&self, version: &str) {
        let number: u64 = version.parse().unwrap();
        for site in std::iter::once(&self.op).chain(&self.members) {
            until(&format!("charter {version} at {}", site.name), || {
                (site.view()["charter"]["version"] == number).then_some(())
            });
        }
    }

    /// The first member.
    pub fn north(&self) -> &Site {
        &self.members[0]
    }

    /// The first member, to be stopped and started.
    pub fn north_mut(&mut self) -> &mut Site {
        &mut self.members[0]
    }

    /// The relay.
    ///
    /// # Panics
    /// When the plan has none.
    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().unwrap()
    }

    /// A path in the network's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text, for a command line.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Defines, approves and invites: the consumer accepts. Nothing is taken yet.
    pub fn offer(&self, offer: &Offer<'_>) {
        let Offer { from, to, name, source, define, approve } = offer;
        from.tell(&[&["dataset", "add", name], *source].concat());
        let to_name = to.name.as_str();
        let base = ["share", "define", name, "--dataset", name, "--to", to_name, "--purpose", "Test", "--days", "30"];
        from.tell_soon(&[&base[..], define].concat());
        from.tell(&[&["share", "approve", name], *approve].concat());
        from.tell(&["share", "invite", name, "--to", to_name]);
        to.tell_soon(&["subscription", "accept", name]);
        from.until_state(name, "active");
    }

    /// A table `NAME.csv` of the first member, offered to the operator. `eid` leaves as a pseudonym, `name` not at all.
    pub fn offer_table(&self, name: &str) {
        let path = self.text(&format!("{name}.csv"));
        self.offer(&Offer {
            from: self.north(),
            to: &self.op,
            name,
            source: &["--csv", &path, "--key", "eid", "--patient", "eid"],
            define: &TABLE_POLICY,
            approve: &[],
        });
    }

    /// A folder `NAME` of files of the first member, offered to the operator.
    pub fn offer_files(&self, name: &str) {
        let path = self.text(name);
        fs::create_dir_all(&path).unwrap();
        self.offer(&Offer {
            from: self.north(),
            to: &self.op,
            name,
            source: &["--files", &path],
            define: &[],
            approve: &["--unchecked"],
        });
    }
}

/// What leaves of a [`super::source::table`].
pub const TABLE_POLICY: [&str; 8] =
    ["--pseudonym", "eid", "--drop", "name", "--keep-role", "age=quasi-identifier", "--round", "sodium=0"];

/// One share from one node to another.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The provider.
    pub from: &'a Site,
    /// The consumer.
    pub to: &'a Site,
    /// The name of dataset and share.
    pub name: &'a str,
    /// What `dataset add` says of the source.
    pub source: &'a [&'a str],
    /// What else `share define` says.
    pub define: &'a [&'a str],
    /// What else `share approve` says.
    pub approve: &'a [&'a str],
}

/// Makes a node whose first person has all the roles that a small site needs.
pub fn init(site: &Site, keys: &Path, more: &[&str]) {
    let key = keys.join(format!("{}.key", site.name)).display().to_string();
    let base = ["init", "--key-file", &key, "--admin", "ada", "--roles", "data-steward,privacy-officer"];
    site.tell(&[&base[..], &["--no-person-passphrase"], more].concat());
}

/// Makes a node the operator of a new consortium.
pub fn create(op: &Site, address: &str, kind: &str) {
    let title = format!("A {kind}");
    let what = ["consortium", "create", "--title", &title, "--kind", kind, "--name", &op.name, "--address", address];
    op.tell(&what);
}

/// Puts a line before all tables of a node's configuration.
///
/// # Panics
/// When there is no configuration.
pub fn configure(site: &Site, line: &str) {
    let path = site.home.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{line}\n{text}")).unwrap();
}
