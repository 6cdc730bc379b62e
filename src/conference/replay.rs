//! The journal is a replay: entries in, conference out.

use jiff::Timestamp;

use super::effect::{Effect, Entry};
use super::input::Refusal;
use super::state::Conference;
use crate::ids::LegId;

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
    /// The conference of a journal that another release may have written: an entry that cannot be read (`None`), or that the rules of today
    /// refuse, changes nothing, and of the latter `skipped` is told the place and why.
    ///
    /// Such an entry may have lined up legs. `queued` says when those were lined up that are known otherwise, by their numbers:
    /// each keeps its number, and none is given twice.
    ///
    /// # Errors
    /// [`ReplayFault`] when the journal does not begin with an opening, or holds a second one.
    pub fn replay_past(
        entries: impl IntoIterator<Item = (Timestamp, Option<Entry>)>,
        queued: &[Timestamp],
        mut skipped: impl FnMut(usize, &Refusal),
    ) -> Result<Self, ReplayFault> {
        let mut entries = entries.into_iter();
        let Some((at, Some(Entry::Open { spec }))) = entries.next() else { return Err(ReplayFault::NoOpening) };
        let mut conference = Self::open(at, *spec);
        let mut gap = false;
        for (seq, (at, entry)) in (2..).zip(entries) {
            if gap {
                conference.number_from(Some(at), queued);
            }
            match entry {
                None => gap = true,
                Some(Entry::Open { .. }) => return Err(ReplayFault::SecondOpening { seq }),
                Some(Entry::Input { input }) => {
                    if let Err(refusal) = conference.handle(at, input) {
                        skipped(seq, &refusal);
                        gap = true;
                    }
                }
            }
        }
        if gap {
            conference.number_from(None, queued);
        }
        Ok(conference)
    }

    /// The next legs get the numbers of those that were lined up at this moment, or such as no leg has had.
    fn number_from(&mut self, at: Option<Timestamp>, queued: &[Timestamp]) {
        let free = |number: &u32| !self.legs.contains_key(&LegId::derive(self.spec.id, *number));
        let known = (0_u32..).zip(queued).filter(|(_, queued)| Some(**queued) == at).map(|(number, _)| number).find(free);
        let unused = || (u32::try_from(queued.len()).unwrap_or(u32::MAX)..).find(free);
        if let Some(number) = known.or_else(unused) {
            self.leg_count = number;
        }
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
