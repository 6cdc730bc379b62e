//! Planned conferences, pure: when a series takes place, its iCalendar file, and whether there is room.

mod calendar;
mod places;
mod schedule;

pub use calendar::{Calendar, Event, Method, Person, render};
pub use places::free_places;
pub use schedule::{Every, Occurrence, Repeat, RepeatEnd, Schedule, ScheduleError};
