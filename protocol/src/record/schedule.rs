//! When a share is taken: a rule in a time zone, to the minute. Computing the next time needs a zone table: the node does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::Text;

/// When the provider takes a new snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ScheduleFields", into = "ScheduleFields")]
pub struct Schedule(ScheduleFields);

/// A schedule's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleFields {
    /// When a person says so.
    Manual,
    /// Every so many minutes from midnight of the zone, 1 to 1,440.
    Every {
        /// IANA time zone name.
        zone: Text,
        /// Minutes between two runs.
        minutes: u16,
    },
    /// At a minute of some days of the week.
    Daily {
        /// IANA time zone name.
        zone: Text,
        /// Minute of the local day, 0 to 1,439.
        minute: u16,
        /// Days: bit 0 is Monday, bit 6 Sunday; at least one.
        days: u8,
    },
}

/// Why fields do not make a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleFault {
    /// Not 1 to 1,440 minutes apart.
    Interval,
    /// No such minute of a day.
    Minute,
    /// No day, or a bit beyond Sunday.
    Days,
}

impl fmt::Display for ScheduleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interval => "the interval is not 1 to 1,440 minutes",
            Self::Minute => "the minute is not 0 to 1,439",
            Self::Days => "the days are none, or not Monday to Sunday",
        })
    }
}

impl std::error::Error for ScheduleFault {}

impl Schedule {
    /// Taken only when a person says so.
    pub const MANUAL: Self = Self(ScheduleFields::Manual);

    /// The fields.
    pub const fn fields(&self) -> &ScheduleFields {
        &self.0
    }
}

impl TryFrom<ScheduleFields> for Schedule {
    type Error = ScheduleFault;

    fn try_from(fields: ScheduleFields) -> Result<Self, ScheduleFault> {
        match &fields {
            ScheduleFields::Every { minutes, .. } if !(1..=1440).contains(minutes) => Err(ScheduleFault::Interval),
            ScheduleFields::Daily { minute, .. } if *minute > 1439 => Err(ScheduleFault::Minute),
            ScheduleFields::Daily { days, .. } if *days == 0 || *days > 0x7f => Err(ScheduleFault::Days),
            ScheduleFields::Manual | ScheduleFields::Every { .. } | ScheduleFields::Daily { .. } => Ok(Self(fields)),
        }
    }
}

impl From<Schedule> for ScheduleFields {
    fn from(schedule: Schedule) -> Self {
        schedule.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SHARE-6
    #[test]
    fn a_schedule_names_real_minutes_and_days() {
        let zone: Text = "Europe/Berlin".parse().unwrap();
        let every = |minutes| Schedule::try_from(ScheduleFields::Every { zone: zone.clone(), minutes }).err();
        assert_eq!(
            [0, 1, 1440, 1441].map(every),
            [Some(ScheduleFault::Interval), None, None, Some(ScheduleFault::Interval)]
        );
        let daily = |minute, days| Schedule::try_from(ScheduleFields::Daily { zone: zone.clone(), minute, days }).err();
        assert_eq!(daily(1439, 0x7f), None);
        assert_eq!(daily(1440, 1), Some(ScheduleFault::Minute));
        assert_eq!([daily(0, 0), daily(0, 0x80)], [Some(ScheduleFault::Days), Some(ScheduleFault::Days)]);
    }
}
