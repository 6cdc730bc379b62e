//! How far the events have told of a call.

/// What the events have told of a call so far, each step once.
///
/// It is kept beside what the lists show: a list may be ahead of the events, and the service may pass it over,
/// so a step that a list has shown is still told when its event comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing.
    #[default]
    Asked,
    /// The far end alerts.
    Ringing,
    /// Somebody answered.
    Answered,
}

impl Progress {
    /// Goes on to a step; says whether it is news.
    pub fn reach(&mut self, step: Self) -> bool {
        let news = *self < step;
        if news {
            *self = step;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_news_once_and_never_goes_back() {
        let mut progress = Progress::default();
        let steps = [Progress::Ringing, Progress::Ringing, Progress::Answered, Progress::Answered, Progress::Ringing];
        assert_eq!(steps.map(|step| progress.reach(step)), [true, false, true, false, false]);
    }
}
