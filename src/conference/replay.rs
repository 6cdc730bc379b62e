//! The journal is a replay: entries in, conference out.

use jiff::Timestamp;

use super::effect::{Effect, Entry};
use super::input::Refusal;
use super::state::Conference;

/// Why a journal does not replay. Entries are only written after the rules have taken them, so this is a fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFault {
    /// The first entry does not open a conference.
    #[error("the journal does not begin with the opening of a conference")]
    NoOpening,
    /// A later entry opens another one.
    #[error("entry {seq} opens the conference a second time")]
    SecondOpening {
        /// Its place, from 1.
        seq: usize,
    },
    /// The rules refuse what they once took.
    #[error("entry {seq} is refused: {refusal}")]
    Refused {
        /// Its place, from 1.
        seq: usize,
        /// Why.
        #[source]
        refusal: Refusal,
    },
}

impl Conference {
    /// The conference of a journal that an earlier release may have written: an entry that the rules of today refuse changes nothing,
    /// and `skipped` is told its place and why.
    ///
    /// # Errors
    /// [`ReplayFault`] when the journal does not begin with an opening, or holds a second one.
    pub fn replay_past(entries: impl IntoIterator<Item = (Timestamp, Entry)>, mut skipped: impl FnMut(usize, &Refusal)) -> Result<Self, ReplayFault> {
        let mut entries = entries.into_iter();
        let Some((at, Entry::Open { spec })) = entries.next() else { return Err(ReplayFault::NoOpening) };
        let mut conference = Self::open(at, *spec);
        for (seq, (at, entry)) in (2..).zip(entries) {
            match entry {
                Entry::Open { .. } => return Err(ReplayFault::SecondOpening { seq }),
                Entry::Input { input } => {
                    if let Err(refusal) = conference.handle(at, input) {
                        skipped(seq, &refusal);
                    }
                }
            }
        }
        Ok(conference)
    }

    /// The conference of a journal; `seen` is told each entry's place and effects.
    ///
    /// # Errors
    /// [`ReplayFault`] names the entry that does not fit.
    pub fn replay(
        entries: impl IntoIterator<Item = (Timestamp, Entry)>,
        mut seen: impl FnMut(usize, &Conference, &[Effect]),
    ) -> Result<Self, ReplayFault> {
        let mut conference: Option<Self> = None;
        for (index, (at, entry)) in entries.into_iter().enumerate() {
            let seq = index + 1;
            match (entry, &mut conference) {
                (Entry::Open { spec }, None) => {
                    let opened = Self::open(at, *spec);
                    seen(seq, &opened, &[]);
                    conference = Some(opened);
                }
                (Entry::Open { .. }, Some(_)) => return Err(ReplayFault::SecondOpening { seq }),
                (Entry::Input { .. }, None) => return Err(ReplayFault::NoOpening),
                (Entry::Input { input }, Some(conference)) => {
                    let effects = conference.handle(at, input).map_err(|refusal| ReplayFault::Refused { seq, refusal })?;
                    seen(seq, conference, &effects);
                }
            }
        }
        conference.ok_or(ReplayFault::NoOpening)
    }
}
