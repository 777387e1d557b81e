//! Steps of the demo from every member's sources to one set of tables, and what is known of its quality.

use crate::demo::{DemoFault, Network, OPERATOR, step};
use crate::mapped::{self, Account};
use crate::quality;

impl Network {
    /// Every member maps its sources to the common schema and checks them; the mapped tables land and become one set.
    pub(super) fn consolidate(&mut self) -> Result<(), DemoFault> {
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
        self.look_at_quality(&accounts)?;
        self.compare()
    }

    /// What each member knew before it sent anything, beside what the operator finds in what it has received.
    fn look_at_quality(&mut self, accounts: &[Account]) -> Result<(), DemoFault> {
        step("quality", "each member's report before anything left, and the operator's of what has landed");
        let mut equal = 0;
        for ((member, _), account) in self.members.iter().zip(accounts) {
            let there = quality::at_operator(&self.operator, &member.name)?;
            equal += usize::from(account.checked.equals(&there));
            println!("{}", account.checked.line(&member.name, &there));
        }
        let verdicts: Vec<_> = accounts.iter().map(|account| &account.checked).collect();
        for line in quality::failures(&verdicts) {
            println!("{line}");
        }
        let seen = format!("{equal} of {}", accounts.len());
        self.note("the operator finds the quality that each member had seen", seen, equal == accounts.len());
        Ok(())
    }

    /// All members beside each other, where there are enough of them.
    fn compare(&mut self) -> Result<(), DemoFault> {
        if self.members.len() < quality::SITES_COMPARED_MIN {
            step("comparison", "of too few sites is refused");
            let refused = quality::is_refused(&self.operator)?;
            let seen = format!("{} sites", self.members.len());
            self.note("a comparison of fewer than five sites is refused", seen, refused);
            return Ok(());
        }
        step(
            "comparison",
            "all members beside each other; what departs is told to the operator and to that member alone",
        );
        let comparison = quality::compare(&self.operator)?;
        for line in comparison.lines() {
            println!("{line}");
        }
        let departing = comparison.departing();
        let mut right = 0;
        for (member, node) in &self.members {
            if !departing.contains(&member.name.as_str()) {
                right += usize::from(quality::notice(node)?.is_empty());
                continue;
            }
            let lines = quality::await_notice(node)?;
            right += 1;
            if departing.first() == Some(&member.name.as_str()) {
                println!("    {} reads of itself with `check --notices`: {}", member.name, lines.join("; "));
            }
        }
        let (departing, members) = (departing.len(), self.members.len());
        let seen = format!("{departing} of {} sites depart, {right} of {members} as due", comparison.sites);
        let holds = right == members && comparison.sites == members;
        self.note("each site that departs has its notice, and no other site", seen, holds);
        Ok(())
    }
}
