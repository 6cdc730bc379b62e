//! `sklic-qa bench`: what is measured, and beside what.

mod calls;
mod rating;

pub use calls::{bench as calls, calls_per_second};
pub use rating::bench as rating;

/// What a debug build adds to a verdict about speed.
fn build_words() -> &'static str {
    if cfg!(debug_assertions) { " (a debug build: measure a release build, `make bench`)" } else { "" }
}
