//! Who is who: charters, node records, hospitals that join, and whom the operator tells of them.

use std::sync::Arc;

use super::{Known, State, known};
use crate::digest::DocumentDigest;
use crate::ident::Name;
use crate::key::signed::Signed;
use crate::message::document::Document;
use crate::record::charter::Charter;
use crate::record::node_record::NodeRecord;

impl State {
    pub(super) fn apply_charter(&mut self, signed: &Signed<Charter>, peer: Option<&Name>) {
        let Ok(version) = self.charters.check(signed) else { return };
        let operates = version.charter.operator().0 == &self.party;
        let decides = operates || peer.is_some() || version.charter.version == 1;
        let in_force = if decides {
            self.charters.take(version.clone()).is_some()
        } else {
            self.charters.note(version.clone());
            false
        };
        let merged = self.charters.chain().iter().chain(self.charters.proposals());
        let Some(merged) = merged.into_iter().find(|known| known.digest == version.digest).cloned() else { return };
        let operator = merged.charter.operator().0.clone();
        for (name, party) in &merged.charter.roster {
            let joining = self.joining.get(name).filter(|known| known.record.root == party.root).cloned();
            let Some(known) = joining else { continue };
            if self.is_newer_record(&known.record) {
                self.records.insert(name.clone(), known);
            }
            // One that is only proposed may have to be proposed again.
            if in_force {
                self.joining.remove(name);
            }
        }
        let document = Arc::new(Document::Charter(merged.signed.clone()));
        if self.party == operator {
            let all: Vec<Name> = merged.charter.members().map(|(name, _)| name.clone()).collect();
            let proposed = peer.is_none();
            let news = if in_force || proposed { all } else { Vec::new() };
            for name in news {
                self.send_charter(&name, &document);
            }
            if in_force {
                self.introduce(&merged.charter);
            }
        } else if peer.is_none() {
            self.mail.entry(operator).or_default().push(document);
        }
    }

    /// The operator tells new members of every other's node record, and the others of theirs.
    fn introduce(&mut self, charter: &Charter) {
        let before = self.charters.chain().iter().rev().nth(1).map(|version| version.charter.clone());
        let is_new = |name: &Name| before.as_ref().is_none_or(|before| !before.roster.contains_key(name));
        for (member, _) in charter.members() {
            for (other, known) in &self.records {
                let news = other != member && charter.roster.contains_key(other) && (is_new(member) || is_new(other));
                if news && *other != self.party {
                    let document = Arc::new(Document::NodeRecord(known.signed.clone()));
                    self.mail.entry(member.clone()).or_default().push(document);
                }
            }
            if is_new(member) {
                self.tell_schema(charter, member);
                self.tell_projects(charter, member);
                self.tell_debits(charter, member);
            }
        }
    }

    /// A party first gets what it lacks of the chain, so that it can check what comes: all of it at the beginning, and
    /// what came into force without it after a proposal with it came to nothing.
    fn send_charter(&mut self, name: &Name, document: &Arc<Document>) {
        let chain: Vec<Arc<Document>> =
            self.charters.chain().iter().map(|version| Arc::new(Document::Charter(version.signed.clone()))).collect();
        let mailbox = self.mail.entry(name.clone()).or_default();
        for earlier in chain.into_iter().filter(|earlier| earlier != document) {
            if !mailbox.holds(&earlier) {
                mailbox.push(earlier);
            }
        }
        mailbox.push(Arc::clone(document));
    }

    pub(super) fn apply_record(&mut self, signed: &Signed<NodeRecord>) {
        let record = known(signed);
        if !self.is_newer_record(&record) {
            return;
        }
        let party = record.party.clone();
        self.records.insert(party.clone(), Known { signed: signed.clone(), record });
        let document = Arc::new(Document::NodeRecord(signed.clone()));
        self.relay_record(&party, &document);
    }

    /// Whether a record says more than the one that is known. Records of different roots are not compared: after a
    /// handover the new root begins anew, whatever the old one signed.
    pub fn is_newer_record(&self, record: &NodeRecord) -> bool {
        let same_root = self.records.get(&record.party).filter(|have| have.record.root == record.root);
        same_root.is_none_or(|have| have.record.sequence < record.sequence)
    }

    /// The operator tells every member of every other's record; a member tells the operator of its own.
    fn relay_record(&mut self, party: &Name, document: &Arc<Document>) {
        let Some(head) = self.charters.head() else { return };
        let (operator, members) = (head.charter.operator().0.clone(), head.charter.members());
        let to: Vec<Name> = match self.party == operator {
            true => members.map(|(name, _)| name.clone()).filter(|name| name != party).collect(),
            false if *party == self.party => vec![operator],
            false => Vec::new(),
        };
        for name in to {
            self.mail.entry(name).or_default().push(Arc::clone(document));
        }
    }

    pub(super) fn apply_join(&mut self, secret: DocumentDigest, signed: &Signed<NodeRecord>) {
        let record = known(signed);
        if let Some(found) = self.secrets.get_mut(&secret) {
            found.used_by = Some(record.root);
        }
        self.joining.insert(record.party.clone(), Known { signed: signed.clone(), record });
    }
}
