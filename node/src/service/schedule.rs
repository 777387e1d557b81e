//! Schedules: when each share and pipeline is due, to the minute of its time zone.

use std::collections::BTreeSet;
use std::time::Duration;

use cohortium_protocol::endpoint::io::Input;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::record::schedule::{Schedule, ScheduleFields};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::driver::queue::Queue;
use crate::driver::shown::{Due, What};

/// The longest sleep: a wall clock that is set right must not be noticed an hour late.
const SLEEP_MAX: Duration = Duration::from_secs(20);

/// Tells the core of everything that is due, until the core ends. What was due while the node was down is not made up
/// for: the next time counts.
pub(crate) async fn run(queue: Queue, mut schedules: watch::Receiver<Vec<Due>>) {
    let mut plan = Plan::default();
    loop {
        plan.update(&schedules.borrow_and_update(), Timestamp::now());
        for (consortium, what) in plan.due(Timestamp::now()) {
            let due = match what {
                What::Share(share) => Input::RunDue { consortium, share },
                What::Pipeline(pipeline) => Input::PipelineDue { consortium, pipeline, cause: None },
            };
            if !queue.input(due).await {
                return;
            }
        }
        if timeout(plan.sleep(Timestamp::now()), schedules.changed()).await.is_ok_and(|changed| changed.is_err()) {
            return;
        }
    }
}

/// Every schedule with its next time. A share may have several: one of its terms, others by later changes.
#[derive(Default)]
struct Plan(Vec<(Due, Option<Timestamp>)>);

impl Plan {
    /// A schedule that is new or has changed is planned anew.
    fn update(&mut self, schedules: &[Due], now: Timestamp) {
        let known = std::mem::take(&mut self.0);
        let kept = |due: &Due| known.iter().find(|(have, _)| have == due).map(|(_, at)| *at);
        self.0 = schedules.iter().map(|due| (due.clone(), kept(due).unwrap_or_else(|| next(&due.2, now)))).collect();
    }

    /// What is due, each once; its schedules are planned anew.
    fn due(&mut self, now: Timestamp) -> BTreeSet<(ConsortiumId, What)> {
        let mut due = BTreeSet::new();
        for ((consortium, what, schedule), at) in &mut self.0 {
            if at.is_some_and(|at| at <= now) {
                *at = next(schedule, now);
                due.insert((*consortium, what.clone()));
            }
        }
        due
    }

    fn sleep(&self, now: Timestamp) -> Duration {
        let first = self.0.iter().filter_map(|(_, at)| *at).min();
        let until = first.map(|at| at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs());
        until.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
    }
}

/// The first time after `now`; `None` for a manual schedule, or for a time zone that is not known here.
pub(crate) fn next(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    match schedule.fields() {
        ScheduleFields::Manual => None,
        ScheduleFields::Every { zone, minutes } => next_interval(&local(zone.as_str(), now)?, *minutes),
        ScheduleFields::Daily { zone, minute, days } => next_daily(&local(zone.as_str(), now)?, *minute, *days),
    }
}

fn local(zone: &str, now: Timestamp) -> Option<Zoned> {
    let found = TimeZone::get(zone).ok();
    if found.is_none() {
        tracing::warn!(event = "zone-unknown", zone);
    }
    found.map(|zone| now.to_zoned(zone))
}

/// Counted in real minutes from the last midnight; each midnight begins anew.
fn next_interval(now: &Zoned, minutes: u16) -> Option<Timestamp> {
    let midnight = now.start_of_day().ok()?;
    let passed = now.duration_since(&midnight).as_mins();
    let step = i64::from(minutes);
    let at = midnight.timestamp() + SignedDuration::from_mins((passed / step + 1) * step);
    let tomorrow = now.tomorrow().ok()?.start_of_day().ok()?.timestamp();
    Some(at.min(tomorrow))
}

/// A minute that a change to summer time leaves out comes as much later; one that comes twice counts the first time.
fn next_daily(now: &Zoned, minute: u16, days: u8) -> Option<Timestamp> {
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    for ahead in 0_i64..=8 {
        let date = now.date().checked_add(Span::new().days(ahead)).ok()?;
        if days >> day_bit(date.weekday()) & 1 == 0 {
            continue;
        }
        let at = date.at(hour, minute, 0, 0).to_zoned(now.time_zone().clone()).ok()?.timestamp();
        if at > now.timestamp() {
            return Some(at);
        }
    }
    None
}

fn day_bit(day: Weekday) -> i8 {
    day.to_monday_zero_offset()
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::ident::ShareId;

    use super::*;

    fn every(zone: &str, minutes: u16) -> Schedule {
        Schedule::try_from(ScheduleFields::Every { zone: zone.parse().unwrap(), minutes }).unwrap()
    }

    fn daily(zone: &str, minute: u16, days: u8) -> Schedule {
        Schedule::try_from(ScheduleFields::Daily { zone: zone.parse().unwrap(), minute, days }).unwrap()
    }

    fn after(schedule: &Schedule, now: &str) -> Option<String> {
        next(schedule, now.parse().unwrap()).map(|at| at.to_string())
    }

    #[test]
    fn a_daily_run_follows_its_zone_through_summer_time() {
        let six_thirty = daily("Europe/Berlin", 6 * 60 + 30, 0x7f);
        let cases = [
            ("2026-01-10T05:29:59Z", "2026-01-10T05:30:00Z"),
            ("2026-01-10T05:30:00Z", "2026-01-11T05:30:00Z"),
            ("2026-03-28T12:00:00Z", "2026-03-29T04:30:00Z"),
            ("2026-10-24T12:00:00Z", "2026-10-25T05:30:00Z"),
        ];
        for (now, at) in cases {
            assert_eq!(after(&six_thirty, now).as_deref(), Some(at), "{now}");
        }
        // 02:30 does not exist on 29 March and exists twice on 25 October.
        let in_the_gap = daily("Europe/Berlin", 150, 0x7f);
        assert_eq!(after(&in_the_gap, "2026-03-28T12:00:00Z").as_deref(), Some("2026-03-29T01:30:00Z"));
        assert_eq!(after(&in_the_gap, "2026-10-24T12:00:00Z").as_deref(), Some("2026-10-25T00:30:00Z"));
        assert_eq!(after(&in_the_gap, "2026-10-25T00:30:00Z").as_deref(), Some("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn only_the_days_that_are_named_count() {
        // 10 January 2026 is a Saturday; bit 0 is Monday.
        let monday = daily("UTC", 0, 1);
        assert_eq!(after(&monday, "2026-01-10T00:00:00Z").as_deref(), Some("2026-01-12T00:00:00Z"));
        let saturday = daily("UTC", 0, 1 << 5);
        assert_eq!(after(&saturday, "2026-01-10T00:00:00Z").as_deref(), Some("2026-01-17T00:00:00Z"));
    }

    #[test]
    fn an_interval_is_counted_from_midnight_of_its_zone() {
        let seven_hours = every("America/New_York", 420);
        let cases = [
            ("2026-01-10T05:00:00Z", "2026-01-10T12:00:00Z"),
            ("2026-01-10T12:00:00Z", "2026-01-10T19:00:00Z"),
            ("2026-01-11T02:30:00Z", "2026-01-11T05:00:00Z"),
        ];
        for (now, at) in cases {
            assert_eq!(after(&seven_hours, now).as_deref(), Some(at), "{now}");
        }
        assert_eq!(after(&every("UTC", 1), "2026-01-10T00:00:30Z").as_deref(), Some("2026-01-10T00:01:00Z"));
        assert_eq!(after(&every("UTC", 1440), "2026-01-10T00:00:00Z").as_deref(), Some("2026-01-11T00:00:00Z"));
    }

    #[test]
    fn a_manual_or_unknown_schedule_is_never_due() {
        assert_eq!(after(&Schedule::MANUAL, "2026-01-10T00:00:00Z"), None);
        assert_eq!(after(&every("Mars/Olympus", 1), "2026-01-10T00:00:00Z"), None);
    }

    #[test]
    fn a_share_is_due_once_a_time_and_anew_when_its_schedule_changes() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let (consortium, share) = (ConsortiumId([1; 32]), What::Share(ShareId([2; 16])));
        let mut plan = Plan::default();
        plan.update(&[(consortium, share.clone(), every("UTC", 10))], at("2026-01-10T00:05:00Z"));
        assert!(plan.due(at("2026-01-10T00:09:59Z")).is_empty());
        assert_eq!(plan.due(at("2026-01-10T00:10:00Z")), BTreeSet::from([(consortium, share.clone())]));
        assert!(plan.due(at("2026-01-10T00:10:01Z")).is_empty());
        plan.update(&[(consortium, share.clone(), every("UTC", 11))], at("2026-01-10T00:10:30Z"));
        assert_eq!(plan.due(at("2026-01-10T00:11:00Z")), BTreeSet::from([(consortium, share.clone())]));
        let twice = [(consortium, share.clone(), every("UTC", 10)), (consortium, share.clone(), every("UTC", 20))];
        plan.update(&twice, at("2026-01-10T00:15:00Z"));
        assert_eq!(plan.due(at("2026-01-10T00:20:00Z")).len(), 1, "two schedules that meet are one run");
        plan.update(&[], at("2026-01-10T00:11:00Z"));
        assert!(plan.due(at("2026-01-11T00:00:00Z")).is_empty());
    }
}
