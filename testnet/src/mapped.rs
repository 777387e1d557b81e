//! The demo's part from sources to one set of tables: mappings, what each owes by the generator's own knowledge, shares of
//! the mapped tables, and their consolidation.

use std::path::PathBuf;

use serde_json::Value;

use crate::cluster::{ClusterFault, Node, wait};
use crate::quality::{self, Verdict};
use crate::source::Member;

/// What a member's mapping came to.
pub(crate) struct Account {
    /// The mapping's name.
    pub(crate) mapping: String,
    /// The tables, each with its emitted rows.
    pub(crate) tables: Vec<(String, u64)>,
    /// Rows of sources that are in quarantine, whole or in part.
    pub(crate) quarantined: u64,
    /// Whether every row and fact is accounted for, also against what the generator knows.
    pub(crate) balances: bool,
    /// What `check` says of its tables before anything leaves.
    pub(crate) checked: Verdict,
    /// The page to look at.
    pub(crate) page: PathBuf,
}

impl Account {
    /// Rows of all its tables.
    pub(crate) fn emitted(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }

    /// For people.
    pub(crate) fn line(&self, member: &str) -> String {
        let (emitted, aside, quality) = (self.emitted(), self.quarantined, &self.checked.outcome);
        let page = self.page.display();
        format!("    {member:<12} {emitted:>7} facts, {aside:>4} rows in quarantine, quality {quality}, {page}")
    }
}

/// Maps a member's sources and reads the account.
pub(crate) fn map(member: &Member, node: &Node) -> Result<Account, ClusterFault> {
    let file = member.mapping.to_str().unwrap_or_default();
    let defined = node.call(&["mapping", "define", file])?;
    let mapping = defined["mapping"].as_str().unwrap_or_default().to_owned();
    node.call(&["mapping", "run", &mapping])?;
    let page = member.folder.join("quality.html");
    let report = node.call(&["mapping", "report", &mapping, "--html", page.to_str().unwrap_or_default()])?;
    let mut balances = true;
    let mut quarantined = 0;
    for count in entries(&report, "sources").map(|(_, count)| count) {
        let of = |key: &str| count[key].as_u64().unwrap_or(0);
        balances &=
            of("accepted") + of("partial") + of("quarantined") + of("opted_out") == of("rows") && of("rows") > 0;
        quarantined += of("partial") + of("quarantined");
    }
    let mut tables = Vec::new();
    for (table, count) in entries(&report, "tables") {
        let of = |key: &str| count[key].as_u64().unwrap_or(0);
        balances &= of("emitted") + of("quarantined") == of("due");
        tables.push((table.clone(), of("emitted")));
    }
    // What the generator knows of its own files, which the mapping had no part in.
    if let Some(site) = &member.site {
        let due = site.due_in(&member.folder);
        let act = format!("reading the files of {} again", member.name);
        let due = due.map_err(|source| ClusterFault::Io { act, source })?;
        for (table, count) in entries(&report, "tables") {
            balances &= due.facts.get(table.as_str()).copied() == count["due"].as_u64();
        }
    }
    let checked = quality::at_member(node, &mapping)?;
    Ok(Account { mapping, tables, quarantined, balances, checked, page })
}

fn entries<'r>(report: &'r Value, key: &str) -> impl Iterator<Item = (&'r String, &'r Value)> {
    report.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// Shares every mapped table with the operator and takes a snapshot of each.
pub(crate) fn share(node: &Node, account: &Account, operator: &str) -> Result<(), ClusterFault> {
    let purpose = "one set of tables of all members";
    node.call(&["mapping", "offer", &account.mapping, "--to", operator, "--purpose", purpose, "--days", "90"])?;
    for (table, _) in &account.tables {
        let share = format!("{}.{table}", account.mapping);
        node.call(&["share", "approve", &share])?;
        node.call(&["share", "invite", &share, "--to", operator])?;
    }
    Ok(())
}

/// Accepts at the operator, and takes at the member.
pub(crate) fn take(operator: &Node, member: &Member, node: &Node, account: &Account) -> Result<(), ClusterFault> {
    for (table, _) in &account.tables {
        let share = format!("{}.{table}", account.mapping);
        let name = format!("{share}@{}", member.name);
        wait(
            &format!("the invitation to {name}"),
            || Ok(operator.exit_code(&["subscription", "accept", &name])? == 0),
        )?;
        node.call(&["share", "take", &share])?;
    }
    Ok(())
}

/// Waits for a member's tables; tells how many of their rows the operator's worker found.
pub(crate) fn landed(operator: &Node, member: &Member, account: &Account) -> Result<u64, ClusterFault> {
    let mut landed = 0;
    for (table, _) in &account.tables {
        let name = format!("{}.{table}@{}", account.mapping, member.name);
        let mut rows = None;
        wait(&format!("{name} to land"), || {
            rows = operator.call(&["subscription", "count", &name]).ok().and_then(|count| count["rows"].as_u64());
            Ok(rows.is_some())
        })?;
        landed += rows.unwrap_or(0);
    }
    Ok(landed)
}
