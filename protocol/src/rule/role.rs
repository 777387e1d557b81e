//! Who may do what: a closed table of role and action. What is not in it is refused.

use crate::record::order::Command;
use crate::record::person::Role;
use crate::record::pipeline::Step;

/// What an order amounts to, for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Add, change or remove persons of this node.
    ManagePersons,
    /// Issue join tokens, propose charters.
    ManageMembership,
    /// Bind this node to a charter; compare fingerprints.
    BindNode,
    /// Make and wrap linkage keys.
    ManageLinkage,
    /// Name sources, define shares, take snapshots.
    PrepareShares,
    /// Let terms leave, invite, widen, reinstate.
    ReleaseShares,
    /// Answer invitations, pause, end, roll back, prune.
    ManageSubscriptions,
    /// Revoke, or shorten what runs.
    Restrict,
    /// Record that a patient opts out.
    RecordOptOut,
    /// See rows: a preview, or a landed version.
    SeeRows,
    /// Make table versions of what has landed, use others, publish them, or compare sites.
    ManageTables,
    /// Ask for releases under a project.
    AskForReleases,
    /// Object to a release, or bound what releases may cost this node's patients.
    GuardBudget,
    /// Halt all output.
    Halt,
    /// Lift the halt.
    Resume,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 15] = [
        Self::ManagePersons,
        Self::ManageMembership,
        Self::BindNode,
        Self::ManageLinkage,
        Self::PrepareShares,
        Self::ReleaseShares,
        Self::ManageSubscriptions,
        Self::Restrict,
        Self::RecordOptOut,
        Self::SeeRows,
        Self::ManageTables,
        Self::AskForReleases,
        Self::GuardBudget,
        Self::Halt,
        Self::Resume,
    ];

    /// As a person would say it, after "to".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::ManagePersons => "manage persons",
            Self::ManageMembership => "invite hospitals or propose charters",
            Self::BindNode => "bind this node to a charter or a party's key",
            Self::ManageLinkage => "make or wrap linkage keys",
            Self::PrepareShares => "define datasets and shares or take snapshots",
            Self::ReleaseShares => "let data leave",
            Self::ManageSubscriptions => "manage subscriptions",
            Self::Restrict => "revoke or shorten a share",
            Self::RecordOptOut => "record an opt-out",
            Self::SeeRows => "see rows",
            Self::ManageTables => "consolidate what has landed or publish it",
            Self::AskForReleases => "ask for releases",
            Self::GuardBudget => "object to a release or cap what releases cost",
            Self::Halt => "halt all output",
            Self::Resume => "lift the halt",
        }
    }

    /// The roles that may.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::ManagePersons | Self::ManageMembership => &[Role::SiteAdministrator],
            Self::BindNode | Self::ReleaseShares | Self::Resume | Self::ManageLinkage | Self::GuardBudget => {
                &[Role::PrivacyOfficer]
            }
            Self::PrepareShares | Self::ManageSubscriptions | Self::ManageTables => &[Role::DataSteward],
            Self::Restrict | Self::RecordOptOut | Self::SeeRows => &[Role::DataSteward, Role::PrivacyOfficer],
            Self::AskForReleases => &[Role::DataScientist],
            Self::Halt => &[Role::SiteAdministrator, Role::DataSteward, Role::PrivacyOfficer],
        }
    }
}

/// Whether a person with these roles may do this.
pub fn permits<'a>(roles: impl IntoIterator<Item = &'a Role>, action: Action) -> bool {
    roles.into_iter().any(|role| action.roles().contains(role))
}

/// The action of a step of a pipeline: that of the command which does the same once.
pub const fn action_of_step(step: &Step) -> Action {
    match step {
        Step::Check { .. } | Step::Share { .. } => Action::PrepareShares,
        Step::Consolidate | Step::Publish { .. } => Action::ManageTables,
    }
}

/// The action of a command. `shortens` says whether a change of a subscription only takes away.
pub const fn action_of(command: &Command, shortens: bool) -> Action {
    match command {
        Command::EnrolPerson(_) => Action::ManagePersons,
        Command::IssueJoinToken { .. } | Command::ProposeCharter(_) | Command::StateSchema { .. } => {
            Action::ManageMembership
        }
        Command::SignCharter(_) | Command::ConfirmRoot { .. } => Action::BindNode,
        Command::MakeLinkageKey { .. } | Command::WrapLinkageKey { .. } => Action::ManageLinkage,
        Command::DefineDataset(_)
        | Command::DefineShare(_)
        | Command::TakeSnapshot { .. }
        | Command::Profile
        | Command::DefineMapping(_)
        | Command::RunMapping { .. }
        | Command::RunMappingDespite { .. }
        | Command::LoadVocabulary { .. }
        | Command::DefinePipeline(_)
        | Command::ChangePipeline { .. }
        | Command::DefineProject(_) => Action::PrepareShares,
        Command::Consolidate | Command::UseTables { .. } | Command::Publish { .. } | Command::CompareSites => {
            Action::ManageTables
        }
        Command::AnswerInvitation { .. }
        | Command::SetStanding { .. }
        | Command::RollBack { .. }
        | Command::Prune { .. }
        | Command::Import { .. } => Action::ManageSubscriptions,
        Command::ChangeSubscription { .. } if shortens => Action::Restrict,
        Command::ApproveShare { .. }
        | Command::Invite { .. }
        | Command::ChangeSubscription { .. }
        | Command::Export { .. }
        | Command::ApproveProject { .. }
        | Command::SignRelease { .. }
        | Command::RefuseRelease { .. }
        | Command::WithdrawRelease { .. } => Action::ReleaseShares,
        Command::RequestRelease { .. } => Action::AskForReleases,
        Command::Object { .. } | Command::Cap { .. } => Action::GuardBudget,
        Command::OptOut { .. } => Action::RecordOptOut,
        Command::Preview { .. }
        | Command::ReadLanded { .. }
        | Command::ReadMapped { .. }
        | Command::ReadTables { .. }
        | Command::CheckMapping { .. }
        | Command::CheckTables { .. }
        | Command::Query { .. } => Action::SeeRows,
        Command::Stop => Action::Halt,
        Command::Start => Action::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::publish_place::{AbsentTable, PublishPlace, WrittenIds};
    use crate::record::remote::{Address, DatabasePlace, Privacy};

    // ROLE-1
    #[test]
    fn the_site_administrator_sees_no_row_and_lets_nothing_leave() {
        let admin = [Role::SiteAdministrator];
        let may: Vec<Action> = Action::ALL.into_iter().filter(|action| permits(&admin, *action)).collect();
        assert_eq!(may, [Action::ManagePersons, Action::ManageMembership, Action::Halt]);
    }

    // ROLE-2
    #[test]
    fn only_the_privacy_officer_lets_data_leave() {
        for action in [Action::ReleaseShares, Action::Resume, Action::ManageLinkage, Action::BindNode] {
            let may: Vec<Role> = Role::ALL.into_iter().filter(|role| permits([role], action)).collect();
            assert_eq!(may, [Role::PrivacyOfficer], "{action:?}");
        }
    }

    fn place() -> PublishPlace {
        let place = DatabasePlace {
            address: Address::Socket { path: "/run/postgres".parse().unwrap() },
            privacy: Privacy::WithinMachine,
            database: "tables".parse().unwrap(),
            user: "node".parse().unwrap(),
            password: None,
            statement_seconds: 60,
        };
        PublishPlace { place, schema: None, absent: AbsentTable::Refuse, ids: WrittenIds::Whole }
    }

    // PIPE-3
    #[test]
    fn no_step_of_a_pipeline_lets_data_leave_or_sees_rows() {
        let (mapping, share) = ("los".parse().unwrap(), crate::ident::ShareId([1; 16]));
        for step in [
            Step::Check { mapping, thresholds: std::collections::BTreeMap::new() },
            Step::Share { share },
            Step::Consolidate,
            Step::Publish { into: Box::new(place()) },
        ] {
            let roles = action_of_step(&step).roles();
            assert!(!roles.contains(&Role::PrivacyOfficer), "what a privacy officer alone may do is never automated");
        }
    }

    // ROLE-3
    #[test]
    fn a_data_scientist_asks_for_releases_an_auditor_does_nothing_and_nobody_may_do_anything_without_a_role() {
        for action in Action::ALL {
            let asks = action == Action::AskForReleases;
            assert_eq!(permits(&[Role::Auditor, Role::DataScientist], action), asks, "{action:?}");
            assert!(!permits(&[Role::Auditor], action), "{action:?}");
            assert!(!permits(&[], action), "{action:?}");
        }
        assert_eq!(Action::AskForReleases.roles(), [Role::DataScientist]);
    }
}
