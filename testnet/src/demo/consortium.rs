//! Steps of the demo that make a consortium: charter, joins, signatures, and the key that links patients.

use std::fs;
use std::path::Path;

use crate::cluster::{ClusterFault, Node, free_port, wait};
use crate::demo::{DemoFault, Network, OPERATOR, step};

/// The exit code of what cannot be reached now.
const UNREACHABLE: i32 = 6;

impl Network {
    /// A charter, tokens by mail, joins, and signatures to the threshold.
    pub(super) fn agree(&mut self) -> Result<(), DemoFault> {
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
            join(node, token)?;
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
    pub(super) fn link(&mut self) -> Result<(), DemoFault> {
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

/// The operator lets a few join at a time, and asks the others to come again.
fn join(node: &Node, token: &str) -> Result<(), DemoFault> {
    wait(&format!("{} to be let in", node.name), || {
        let said = node.say(&["consortium", "join", token])?;
        match said.code {
            0 => Ok(true),
            UNREACHABLE => Ok(false),
            _ => {
                let command = "consortium join".to_owned();
                Err(ClusterFault::Command { node: node.name.clone(), command, message: said.error })
            }
        }
    })?;
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
