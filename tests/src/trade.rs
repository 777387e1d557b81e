//! The people who share: datasets, terms, approvals, invitations, answers, snapshots, and all changes of mind.

use std::collections::BTreeSet;
use std::sync::Arc;

use cohortium_protocol::ident::{DatasetId, Name, ShareId, SubscriptionId};
use cohortium_protocol::record::acceptance::{Answer, StandingState};
use cohortium_protocol::record::charter::{LandedRows, PartyKind};
use cohortium_protocol::record::dataset::{Dataset, DateFormat, LinkageColumns, Source as Place};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::order::{Command, OptOutChoice, Unchecked};
use cohortium_protocol::record::revocation::Change;
use cohortium_protocol::record::schedule::{Schedule, ScheduleFields};
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use cohortium_protocol::record::share::{Content, Form, Linkage, Share, ShareFields, TableTerms};
use cohortium_protocol::record::text_form::TextForm;
use cohortium_protocol::state::subscription::{Side, Subscription};
use cohortium_protocol::time::Seconds;

use crate::people::{ANYBODY, EITHER, OFFICER, STEWARD, Wish};
use crate::worker::{Row, Source, opt_out_entry};
use crate::world::{OPERATOR, World};

impl World {
    pub(crate) fn wish_trade(&mut self, node: usize) -> Option<Wish> {
        match self.dice.below(100) {
            0..6 => self.wish_dataset(node),
            6..14 => self.wish_share(node),
            14..26 => self.wish_approval(node),
            26..42 => self.wish_invitation(node),
            42..57 => self.wish_answer(node),
            57..75 => self.wish_snapshot(node),
            75..79 => self.wish_standing(node),
            79..86 => self.wish_change(node),
            86..90 => self.wish_opt_out(node),
            90..95 => self.wish_reading(node),
            95..97 => Some(if self.state(node).stopped { (Command::Start, OFFICER) } else { (Command::Stop, ANYBODY) }),
            _ => self.state(node).stopped.then_some((Command::Start, OFFICER)),
        }
    }

    fn wish_dataset(&mut self, node: usize) -> Option<Wish> {
        if self.nodes[node].sources.len() >= 3 {
            return None;
        }
        let dataset = DatasetId(self.dice.bytes());
        let files = self.dice.percent(25);
        let source = if files { self.new_files() } else { self.new_rows() };
        self.nodes[node].sources.insert(dataset, source);
        let name = format!("d{}", self.dice.below(1_000_000)).parse().expect("a letter and digits");
        let path = "/data/source".parse().expect("a plain path");
        let place = if files { Place::Files { folder: path } } else { Place::Csv { path, form: TextForm::default() } };
        let column = |name: &str| name.parse().expect("a plain column name");
        let keyed = !files && self.dice.percent(75);
        let links = LinkageColumns {
            given: column("name"),
            family: column("name"),
            birth: column("age"),
            birth_format: DateFormat::Iso,
        };
        let dataset = Dataset {
            dataset,
            name,
            source: place,
            key: if keyed { vec![column("eid")] } else { Vec::new() },
            patient: (!files).then(|| column("eid")),
            linkage: (!files && self.dice.percent(60)).then_some(links),
        };
        Some((Command::DefineDataset(dataset), STEWARD))
    }

    fn new_rows(&mut self) -> Source {
        let narrow = |n: u64| u32::try_from(n).unwrap_or(0);
        // Now and then so many that a blob has several chunk groups.
        let count = if self.dice.percent(4) { 5000 } else { self.dice.between(8, 60) };
        let mut source = Source::default();
        for place in 0..count {
            let (patient, measure) = (narrow(self.dice.below(40)), narrow(self.dice.below(1000)));
            source.rows.insert(narrow(place), Row { patient, measure });
        }
        source
    }

    fn new_files(&mut self) -> Source {
        let mut source = Source::default();
        for n in 0..self.dice.between(1, 5) {
            // Now and then a file of several ranges.
            let len =
                if self.dice.percent(3) { self.dice.between(4_194_304, 8_700_000) } else { self.dice.below(3000) };
            let fill = u8::try_from(self.dice.below(200)).unwrap_or(0);
            let mut bytes = vec![fill; usize::try_from(len).unwrap_or(0)];
            bytes.extend_from_slice(&n.to_le_bytes());
            if self.dice.percent(10) {
                bytes.clear();
            }
            source.files.insert(format!("f{n:02}"), Arc::new(bytes));
        }
        source
    }

    /// Members share with the operator, the operator with members.
    fn consumers(&self, node: usize) -> Vec<Name> {
        let state = self.state(node);
        let Some(binding) = state.charters.binding(&state.party) else { return Vec::new() };
        let kind = if node == OPERATOR { PartyKind::Member } else { PartyKind::Operator };
        binding.charter.roster.iter().filter(|(_, party)| party.kind == kind).map(|(name, _)| name.clone()).collect()
    }

    fn wish_share(&mut self, node: usize) -> Option<Wish> {
        let offers: Vec<Share> = self.state(node).offers.values().map(|offer| offer.share.clone()).collect();
        let share = if offers.len() < 3 && self.dice.percent(60) {
            self.new_share(node)?
        } else {
            let last = self.dice.pick(&offers)?;
            self.next_share(node, ShareFields::from(last))
        };
        Share::try_from(share).ok().map(|share| (Command::DefineShare(share), STEWARD))
    }

    fn new_share(&mut self, node: usize) -> Option<ShareFields> {
        let datasets: Vec<Dataset> = self.state(node).datasets.values().cloned().collect();
        let dataset = self.dice.pick(&datasets)?;
        let files = matches!(dataset.source, Place::Files { .. });
        let charter_links = self.state(node).charters.binding(&self.nodes[node].name)?.charter.linkage.is_some();
        let links = dataset.linkage.is_some() && charter_links && self.dice.percent(70);
        let linkage = if links { Linkage::Token } else { Linkage::None };
        let wide = self.dice.percent(50);
        let content =
            if files { Content::UncheckedFiles } else { Content::Table(TableTerms::of(columns(wide), linkage)) };
        let rows = [LandedRows::Keep, LandedRows::Exclude, LandedRows::Erase];
        let short = self.dice.percent(12);
        let runs = Seconds(if short { self.dice.between(10, 90) } else { self.dice.between(3000, 90_000) });
        Some(ShareFields {
            consortium: self.consortium,
            provider: self.nodes[node].name.clone(),
            share: ShareId(self.dice.bytes()),
            name: "share".parse().expect("a plain name"),
            version: 1,
            dataset: dataset.dataset,
            form: Form::Snapshot,
            content,
            purpose: "a study".parse().expect("plain words"),
            consumers: self.consumers(node).into_iter().collect::<BTreeSet<_>>(),
            expires: self.nodes[node].clock.wall(self.now).plus(runs),
            landed_rows: self.dice.pick(&rows)?,
            schedule: self.schedule(),
            ext: Extensions::default(),
        })
    }

    fn schedule(&mut self) -> Schedule {
        if self.dice.percent(50) {
            return Schedule::MANUAL;
        }
        let zone = "Europe/Berlin".parse().expect("plain words");
        let minutes = u16::try_from(self.dice.between(1, 1440)).unwrap_or(1);
        Schedule::try_from(ScheduleFields::Every { zone, minutes }).unwrap_or(Schedule::MANUAL)
    }

    /// Later terms: narrower, wider, or the same with another expiry.
    fn next_share(&mut self, node: usize, mut fields: ShareFields) -> ShareFields {
        fields.version += 1;
        let consumers = self.consumers(node);
        match self.dice.below(5) {
            0 => fields.content = recolumned(&fields.content, false),
            1 => fields.content = recolumned(&fields.content, true),
            2 => fields.consumers = consumers.into_iter().collect(),
            3 => fields.landed_rows = LandedRows::Erase,
            _ => fields.expires = self.nodes[node].clock.wall(self.now).plus(Seconds(self.dice.between(60, 90_000))),
        }
        fields
    }

    fn wish_approval(&mut self, node: usize) -> Option<Wish> {
        let offers = self.state(node).offers.values();
        let open: Vec<_> = offers
            .filter(|offer| offer.approved_now().is_none())
            .map(|offer| (offer.share.share, offer.terms, offer.share.content == Content::UncheckedFiles))
            .collect();
        let (share, terms, files) = self.dice.pick(&open)?;
        let honest = !self.dice.percent(5);
        let unchecked = if files == honest { Unchecked::Acknowledged } else { Unchecked::No };
        Some((Command::ApproveShare { share, terms, unchecked }, OFFICER))
    }

    fn wish_invitation(&mut self, node: usize) -> Option<Wish> {
        let offers: Vec<_> = self.state(node).offers.values().map(|offer| offer.share.clone()).collect();
        let share = self.dice.pick(&offers)?;
        let consumers: Vec<Name> = share.consumers.iter().cloned().collect();
        let consumer = self.dice.pick(&consumers)?;
        let known = self.subscriptions(node, Side::Provider);
        let known: Vec<SubscriptionId> = known
            .iter()
            .filter(|found| found.peer == consumer && found.invitation.share.share == share.share)
            .map(|found| found.id)
            .collect();
        let again = !known.is_empty() && self.dice.percent(70);
        let subscription = if again { self.dice.pick(&known)? } else { SubscriptionId(self.dice.bytes()) };
        let answer_by = self.nodes[node].clock.wall(self.now).plus(Seconds(self.dice.between(30, 10_000)));
        Some((Command::Invite { share: share.share, consumer, subscription, answer_by }, OFFICER))
    }

    pub(crate) fn subscriptions(&self, node: usize, side: Side) -> Vec<&Subscription> {
        self.state(node).subscriptions.values().filter(|found| found.side == side).collect()
    }

    fn wish_answer(&mut self, node: usize) -> Option<Wish> {
        let open: Vec<_> = self
            .subscriptions(node, Side::Consumer)
            .iter()
            .filter(|found| found.answer.is_none())
            .map(|found| (found.id, found.invitation_digest))
            .collect();
        let (subscription, invitation) = self.dice.pick(&open)?;
        let answer = if self.dice.percent(90) { Answer::Accept } else { Answer::Refuse };
        Some((Command::AnswerInvitation { subscription, invitation, answer }, STEWARD))
    }

    fn wish_snapshot(&mut self, node: usize) -> Option<Wish> {
        let offers: Vec<(ShareId, DatasetId)> =
            self.state(node).offers.values().map(|offer| (offer.share.share, offer.share.dataset)).collect();
        let (share, dataset) = self.dice.pick(&offers)?;
        if self.dice.percent(60) {
            self.change_source(node, dataset);
        }
        Some((Command::TakeSnapshot { share }, STEWARD))
    }

    pub(crate) fn somebody_changes_sources(&mut self, node: usize) -> bool {
        let datasets: Vec<DatasetId> = self.nodes[node].sources.keys().copied().collect();
        let Some(dataset) = self.dice.pick(&datasets) else { return false };
        self.change_source(node, dataset);
        true
    }

    fn wish_standing(&mut self, node: usize) -> Option<Wish> {
        let mine: Vec<_> =
            self.subscriptions(node, Side::Consumer).iter().map(|found| (found.id, found.standing)).collect();
        let (subscription, standing) = self.dice.pick(&mine)?;
        let state = match standing {
            StandingState::Paused => StandingState::Active,
            _ if self.dice.percent(25) => StandingState::Ended,
            _ => StandingState::Paused,
        };
        Some((Command::SetStanding { subscription, state }, STEWARD))
    }

    fn wish_change(&mut self, node: usize) -> Option<Wish> {
        let mine = self.subscriptions(node, Side::Provider);
        let mine: Vec<_> = mine.iter().map(|found| (found.id, found.revoked, found.expires)).collect();
        let (subscription, revoked, expires) = self.dice.pick(&mine)?;
        let now = self.nodes[node].clock.wall(self.now);
        let change = match self.dice.below(10) {
            0..5 if !revoked => Change::Revoke,
            0..7 if revoked => Change::Reinstate,
            7 => Change::Expires(now.plus(Seconds(self.dice.between(0, 40)))),
            8 => Change::Expires(now.plus(Seconds(self.dice.between(1000, 90_000)))),
            _ => Change::Schedule(self.schedule()),
        };
        let shortens = match change {
            Change::Revoke => true,
            Change::Expires(at) => at <= expires,
            Change::Reinstate | Change::Schedule(_) => false,
        };
        let roles = if shortens { EITHER } else { OFFICER };
        Some((Command::ChangeSubscription { subscription, change, reason: None }, roles))
    }

    fn wish_opt_out(&mut self, node: usize) -> Option<Wish> {
        let datasets: Vec<DatasetId> = self.state(node).datasets.keys().copied().collect();
        let dataset = self.dice.pick(&datasets)?;
        let patient = u32::try_from(self.dice.below(40)).unwrap_or(0);
        let choice = if self.dice.percent(80) { OptOutChoice::Out } else { OptOutChoice::In };
        Some((Command::OptOut { dataset, entry: opt_out_entry(patient), choice }, EITHER))
    }

    fn wish_reading(&mut self, node: usize) -> Option<Wish> {
        let mine = self.subscriptions(node, Side::Consumer);
        let mine: Vec<_> =
            mine.iter().map(|found| (found.id, found.snapshots.iter().map(|s| s.id).collect::<Vec<_>>())).collect();
        let offers: Vec<ShareId> = self.state(node).offers.keys().copied().collect();
        if self.dice.percent(15) {
            return self.dice.pick(&offers).map(|share| (Command::Preview { share }, EITHER));
        }
        let (subscription, snapshots) = self.dice.pick(&mine)?;
        match self.dice.below(3) {
            0 => Some((Command::ReadLanded { subscription }, EITHER)),
            1 => {
                let keep = u32::try_from(self.dice.below(4)).unwrap_or(0);
                Some((Command::Prune { subscription, keep }, STEWARD))
            }
            _ => self.dice.pick(&snapshots).map(|snapshot| (Command::RollBack { subscription, snapshot }, STEWARD)),
        }
    }
}

fn columns(wide: bool) -> Vec<Column> {
    let column = |name: &str, role, treatment| {
        Column::new(name.parse().expect("a plain column name"), ColumnType::Text, role, treatment)
    };
    let age = if wide { Treatment::Keep } else { Treatment::Drop };
    let eid = if wide { Treatment::Pseudonym } else { Treatment::Drop };
    vec![
        column("eid", ColumnRole::DirectIdentifier, eid),
        column("name", ColumnRole::DirectIdentifier, Treatment::Drop),
        column("age", ColumnRole::QuasiIdentifier, age),
        column("los", ColumnRole::Measure, Treatment::Round(0)),
    ]
}

fn recolumned(content: &Content, wide: bool) -> Content {
    match content {
        Content::Table(table) => Content::Table(TableTerms::of(columns(wide), table.linkage)),
        Content::UncheckedFiles | Content::Release { .. } => content.clone(),
    }
}
