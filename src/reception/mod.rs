//! The reception, pure: who calls, what he is asked, and when he is locked out (R7).
//!
//! A [`Dialogue`] holds one caller from his answer until a conference takes him, and knows no clock, I/O or async.
//! What it cannot know by itself it asks for as [`Effect`]s: a look-up of a code, a check of a PIN.

mod dialogue;
mod identity;
mod lock_out;

pub use dialogue::{Dialogue, Effect, Found, Input, Rules};
pub use identity::{Identity, access_number, identify, number_dialled};
pub use lock_out::{Counter, LockOutRules, Subject};
