//! Section `[retention]`: how long personal data are kept.

use serde::Deserialize;

/// Section `[retention]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Days after the end of a conference at which the personal data of its people are erased; 0 keeps them.
    /// An account may have a time of its own.
    pub days: u32,
}

impl RetentionConfig {
    /// The longest time, a hundred years.
    const MOST: u32 = 36_500;

    pub(super) fn check(self) -> Result<(), String> {
        if self.days > Self::MOST { Err(format!("days: {} is more than {}", self.days, Self::MOST)) } else { Ok(()) }
    }
}
