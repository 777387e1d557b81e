//! The last steps of the demo: a table is taken back, rows are counted, and what is stored is read again.

use std::fs;
use std::io;

use serde_json::Value;

use crate::canary;
use crate::cluster::{ClusterFault, Node, wait};
use crate::demo::{DemoFault, Network, step};
use crate::report::{MemberLine, Summary};

impl Network {
    /// One member takes a table back: nothing of it may be read or sent any more.
    pub(super) fn revoke(&mut self) -> Result<(), DemoFault> {
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
    pub(super) fn check(&mut self) -> Result<Summary, DemoFault> {
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
        Ok(Summary::new(members, std::mem::take(&mut self.releases), std::mem::take(&mut self.checks)))
    }
}

fn bytes_served(node: &Node) -> Result<u64, ClusterFault> {
    let all = node.call(&["subscription", "list"])?;
    Ok(all.as_array().into_iter().flatten().filter_map(|one| one["bytes_served"].as_u64()).sum())
}
