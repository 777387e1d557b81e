//! Steps of the demo by which tables travel: shares, full snapshots, what a day changes, and a share of the operator's own.

use std::fs;
use std::path::Path;

use crate::cluster::{Node, wait};
use crate::demo::{DemoFault, Network, OPERATOR, step};
use crate::postgres::{DATABASE, READER};
use crate::source::{Origin, Table};

/// Rows that a day of change touches.
const CHANGE_PERCENT: u32 = 1;

impl Network {
    /// Each member names its tables, defines and approves a share of each, and invites the operator, which accepts.
    pub(super) fn share(&mut self) -> Result<(), DemoFault> {
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
    pub(super) fn land(&mut self) -> Result<(), DemoFault> {
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
    pub(super) fn change_a_day(&mut self, seed: u64) -> Result<(), DemoFault> {
        if self.members.iter().any(|(member, _)| member.site.is_none()) {
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

    /// The operator shares a code list with every member, through exactly the same code.
    pub(super) fn share_back(&mut self) -> Result<(), DemoFault> {
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
}

fn add_dataset(node: &Node, table: &Table) -> Result<(), DemoFault> {
    let mut args = vec!["dataset".to_owned(), "add".to_owned(), table.name.clone()];
    let mut say = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    let text = |path: &Path| path.to_str().unwrap_or_default().to_owned();
    match &table.origin {
        Origin::Text { path, delimiter } => {
            let delimiter = if *delimiter == '\t' { "tab".to_owned() } else { delimiter.to_string() };
            say(&["--csv", &text(path), "--delimiter", &delimiter]);
        }
        Origin::Fhir { path, view } => say(&["--fhir", &text(path), "--view", &text(view)]),
        Origin::Postgres { socket, password } => {
            say(&["--postgres", &text(socket), "--database", DATABASE, "--table", &format!("public.{}", table.name)]);
            say(&["--user", READER, "--password-file", &text(password)]);
        }
    }
    if let Some(key) = &table.key {
        say(&["--key", key]);
    }
    if let Some(patient) = &table.patient {
        say(&["--patient", patient]);
    }
    if let Some([given, family, birth, format]) = &table.linkage {
        say(&["--link-given", given, "--link-family", family, "--link-birth", birth, "--birth-format", format]);
    }
    node.call(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
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
