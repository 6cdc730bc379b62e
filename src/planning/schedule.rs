//! When a conference or a series of them takes place: by the clock on the wall, which stays when summer time comes and goes.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most conferences of a series.
const MOST: u32 = 104;

/// When a plan's conferences take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The first start, in wall-clock time.
    pub starts: DateTime,
    /// The time zone of that clock (IANA name).
    pub time_zone: String,
    /// How long each is to take, in minutes.
    pub length_minutes: u32,
    /// How it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
}

/// How a conference repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// How often.
    pub every: Every,
    /// How long.
    #[serde(flatten)]
    pub end: RepeatEnd,
}

/// How often a conference takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Every week, on the weekday of the first.
    Week,
    /// Every two weeks, on the weekday of the first.
    TwoWeeks,
    /// Every month, on the date of the first; a month without that date is left out.
    MonthByDate,
    /// Every month on the first's weekday: its first, second, third, fourth, or its last when the first is a fifth.
    MonthByWeekday,
}

/// How long a series goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatEnd {
    /// So many conferences, the first included.
    Count(u32),
    /// Until this day, in the time zone of the plan; it is included.
    Until(Date),
}

/// One conference of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// In wall-clock time, as the series gives it.
    pub starts: DateTime,
    /// The moment. A wall-clock time that the change to summer time leaves out is an hour later, one that comes twice is the first
    /// (RFC 5545 §3.3.5).
    pub at: Timestamp,
}

/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// There is no such time zone.
    #[error("there is no time zone {0:?}")]
    TimeZone(String),
    /// A series of no, or of too many conferences.
    #[error("a series has 2 to {MOST} conferences and ends within two years")]
    Count,
    /// It ends before it begins.
    #[error("the series ends before its second conference")]
    Until,
    /// A time that cannot be.
    #[error("this time is out of range")]
    Range,
}

impl Schedule {
    /// Its conferences, in order.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn occurrences(&self) -> Result<Vec<Occurrence>, ScheduleError> {
        let zone = self.zone()?;
        let starts = self.starts_in_series()?;
        starts.into_iter().map(|starts| Ok(Occurrence { starts, at: moment(&zone, starts)? })).collect()
    }

    /// The moment of a wall-clock time in this plan's time zone.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn moment(&self, starts: DateTime) -> Result<Timestamp, ScheduleError> {
        moment(&self.zone()?, starts)
    }

    fn zone(&self) -> Result<TimeZone, ScheduleError> {
        // `Etc/Unknown` is found, but it is the time of no place and has no name.
        let zone = TimeZone::get(&self.time_zone).ok().filter(|zone| zone.iana_name().is_some());
        zone.ok_or_else(|| ScheduleError::TimeZone(self.time_zone.chars().take(64).collect()))
    }

    /// The rule of the series (RFC 5545 §3.3.10), without its end.
    #[must_use]
    pub fn rule(&self) -> Option<String> {
        let day = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"][usize::from(self.starts.weekday().to_monday_zero_offset().unsigned_abs())];
        Some(match self.repeat?.every {
            Every::Week => format!("FREQ=WEEKLY;BYDAY={day}"),
            Every::TwoWeeks => format!("FREQ=WEEKLY;INTERVAL=2;BYDAY={day}"),
            Every::MonthByDate => format!("FREQ=MONTHLY;BYMONTHDAY={}", self.starts.day()),
            Every::MonthByWeekday => format!("FREQ=MONTHLY;BYDAY={}{day}", self.nth()),
        })
    }

    /// Which of its weekday in the month the first is: 1 to 4, or -1 for the last.
    fn nth(&self) -> i8 {
        match (self.starts.day() - 1) / 7 + 1 {
            5 => -1,
            nth => nth,
        }
    }

    fn starts_in_series(&self) -> Result<Vec<DateTime>, ScheduleError> {
        let Some(repeat) = self.repeat else { return Ok(vec![self.starts]) };
        let last_day = self.starts.date().checked_add(Span::new().years(2)).map_err(|_| ScheduleError::Range)?;
        let (most, until) = match repeat.end {
            RepeatEnd::Count(count) if (2..=MOST).contains(&count) => (count, last_day),
            RepeatEnd::Count(_) => return Err(ScheduleError::Count),
            RepeatEnd::Until(until) if until > last_day => return Err(ScheduleError::Count),
            RepeatEnd::Until(until) => (MOST + 1, until),
        };
        let mut found = Vec::new();
        // A month may be left out, so that steps and conferences are counted apart.
        for step in 0..=4 * i64::from(MOST) {
            let Some(date) = self.date_of_step(repeat.every, step)? else { continue };
            if date > until || u32::try_from(found.len()).unwrap_or(u32::MAX) >= most {
                break;
            }
            found.push(date.to_datetime(self.starts.time()));
        }
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        match repeat.end {
            RepeatEnd::Count(wanted) if count < wanted => Err(ScheduleError::Count),
            RepeatEnd::Until(_) if count < 2 => Err(ScheduleError::Until),
            _ if count > MOST => Err(ScheduleError::Count),
            _ => Ok(found),
        }
    }

    /// The day of the series' step, from 0; `None` when the month has no such day.
    fn date_of_step(&self, every: Every, step: i64) -> Result<Option<Date>, ScheduleError> {
        let first = self.starts.date();
        let out_of_range = |_| ScheduleError::Range;
        match every {
            Every::Week => first.checked_add(Span::new().weeks(step)).map(Some).map_err(out_of_range),
            Every::TwoWeeks => first.checked_add(Span::new().weeks(2 * step)).map(Some).map_err(out_of_range),
            Every::MonthByDate => {
                let month = first.first_of_month().checked_add(Span::new().months(step)).map_err(out_of_range)?;
                Ok(Date::new(month.year(), month.month(), first.day()).ok())
            }
            Every::MonthByWeekday => {
                let month = first.first_of_month().checked_add(Span::new().months(step)).map_err(out_of_range)?;
                let weekday: Weekday = first.weekday();
                month.nth_weekday_of_month(self.nth(), weekday).map(Some).map_err(out_of_range)
            }
        }
    }
}

fn moment(zone: &TimeZone, starts: DateTime) -> Result<Timestamp, ScheduleError> {
    zone.to_ambiguous_timestamp(starts).compatible().map_err(|_| ScheduleError::Range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(starts: &str, every: Every, end: RepeatEnd) -> Schedule {
        Schedule { starts: starts.parse().unwrap(), time_zone: "Europe/Ljubljana".into(), length_minutes: 60, repeat: Some(Repeat { every, end }) }
    }

    fn told(schedule: &Schedule) -> Vec<String> {
        schedule.occurrences().unwrap().iter().map(|one| format!("{} {}", one.starts, one.at)).collect()
    }

    #[test]
    fn a_series_keeps_its_time_over_both_changes() {
        let spring = schedule("2027-03-21T09:00", Every::Week, RepeatEnd::Count(3));
        let wanted =
            ["2027-03-21T09:00:00 2027-03-21T08:00:00Z", "2027-03-28T09:00:00 2027-03-28T07:00:00Z", "2027-04-04T09:00:00 2027-04-04T07:00:00Z"];
        assert_eq!(told(&spring), wanted);
        let autumn = schedule("2027-10-17T09:00", Every::TwoWeeks, RepeatEnd::Until("2027-10-31".parse().unwrap()));
        assert_eq!(told(&autumn), ["2027-10-17T09:00:00 2027-10-17T07:00:00Z", "2027-10-31T09:00:00 2027-10-31T08:00:00Z"]);
        // In the night itself: 2.30 does not exist in March, and comes twice in October.
        let gap = schedule("2027-03-21T02:30", Every::Week, RepeatEnd::Count(2));
        assert_eq!(told(&gap)[1], "2027-03-28T02:30:00 2027-03-28T01:30:00Z");
        let fold = schedule("2027-10-24T02:30", Every::Week, RepeatEnd::Count(2));
        assert_eq!(told(&fold)[1], "2027-10-31T02:30:00 2027-10-31T00:30:00Z");
    }

    #[test]
    fn months_by_date_and_by_weekday() {
        let days = |schedule: &Schedule| schedule.occurrences().unwrap().iter().map(|one| one.starts.date().to_string()).collect::<Vec<_>>();
        let date = schedule("2027-01-31T10:00", Every::MonthByDate, RepeatEnd::Count(3));
        assert_eq!(
            (days(&date), date.rule().unwrap()),
            (vec!["2027-01-31".into(), "2027-03-31".into(), "2027-05-31".into()], "FREQ=MONTHLY;BYMONTHDAY=31".into())
        );
        let second = schedule("2027-02-09T10:00", Every::MonthByWeekday, RepeatEnd::Count(3));
        assert_eq!(
            (days(&second), second.rule().unwrap()),
            (vec!["2027-02-09".into(), "2027-03-09".into(), "2027-04-13".into()], "FREQ=MONTHLY;BYDAY=2TU".into())
        );
        let last = schedule("2027-01-29T10:00", Every::MonthByWeekday, RepeatEnd::Until("2027-03-31".parse().unwrap()));
        assert_eq!(
            (days(&last), last.rule().unwrap()),
            (vec!["2027-01-29".into(), "2027-02-26".into(), "2027-03-26".into()], "FREQ=MONTHLY;BYDAY=-1FR".into())
        );
    }

    #[test]
    fn wrong_schedules_are_refused() {
        let of = |starts, end| schedule(starts, Every::Week, end).occurrences();
        assert_eq!(of("2027-01-01T10:00", RepeatEnd::Count(1)), Err(ScheduleError::Count));
        assert_eq!(of("2027-01-01T10:00", RepeatEnd::Count(105)), Err(ScheduleError::Count));
        assert_eq!(of("2027-01-01T10:00", RepeatEnd::Count(u32::MAX)), Err(ScheduleError::Count));
        assert_eq!(of("2027-01-01T10:00", RepeatEnd::Until("2026-01-01".parse().unwrap())), Err(ScheduleError::Until));
        assert_eq!(of("2027-01-01T10:00", RepeatEnd::Until("2029-01-02".parse().unwrap())), Err(ScheduleError::Count));
        assert_eq!(of("9999-12-30T10:00", RepeatEnd::Count(3)), Err(ScheduleError::Range));
        let nowhere = Schedule { time_zone: "Mars/Olympus".into(), repeat: None, ..schedule("2027-01-01T10:00", Every::Week, RepeatEnd::Count(2)) };
        assert_eq!(nowhere.occurrences(), Err(ScheduleError::TimeZone("Mars/Olympus".into())));
        assert_eq!(
            schedule("2027-01-31T10:00", Every::MonthByDate, RepeatEnd::Count(20)).occurrences(),
            Err(ScheduleError::Count),
            "beyond two years"
        );
    }
}
