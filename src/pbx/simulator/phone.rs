//! How a made-up phone behaves, by the last three digits of its number: mostly the SIP status that it would answer with.

use std::time::Duration;

/// What a phone does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Rings, answers, and stays until somebody hangs up.
    Answers,
    /// Rings, answers, and hangs up so long after its answer.
    AnswersThenHangsUp(Duration),
    /// Sends sound, then answers.
    EarlyMediaThenAnswers,
    /// Rings until the time to ring is over.
    RingsForEver,
    /// Nothing is heard of it until the time to ring is over.
    OutOfReach,
    /// Nothing is ever heard of it, not even its end: what a lost event looks like.
    NeverAnything,
    /// Rings or not, and is refused.
    Refuses {
        /// SIP status of the refusal.
        sip: u16,
        /// Q.850 cause that goes with it.
        q850: u16,
        /// It alerts first.
        rings: bool,
    },
}

impl Behaviour {
    /// The table:
    ///
    /// | last three digits | behaviour |
    /// |---|---|
    /// | `201` to `299` | answers and hangs up 1 to 99 seconds after the answer (`201`: in the greeting) |
    /// | `183` | early media, then answers |
    /// | `302` | redirects; nobody follows (cause 23) |
    /// | `404` | wrong number |
    /// | `408` | rings and never answers |
    /// | `480` | rings, then says that it is unavailable |
    /// | `486` | busy |
    /// | `503` | no line free |
    /// | `603` | rings, then rejects |
    /// | `000` | out of reach: silence until the time to ring is over |
    /// | `999` | never any event at all |
    /// | anything else | answers and stays |
    #[must_use]
    pub fn of(number: &str) -> Self {
        let from = number.len().saturating_sub(3);
        let refuses = |sip, q850, rings| Self::Refuses { sip, q850, rings };
        match number.get(from..).unwrap_or_default() {
            "183" => Self::EarlyMediaThenAnswers,
            "302" => refuses(302, 23, false),
            "404" => refuses(404, 1, false),
            "408" => Self::RingsForEver,
            "480" => refuses(480, 19, true),
            "486" => refuses(486, 17, false),
            "503" => refuses(503, 34, false),
            "603" => refuses(603, 21, true),
            "000" => Self::OutOfReach,
            "999" => Self::NeverAnything,
            other => match other.strip_prefix('2').and_then(|seconds| seconds.parse().ok()) {
                Some(seconds) if other.len() == 3 && seconds > 0 => Self::AnswersThenHangsUp(Duration::from_secs(seconds)),
                _ => Self::Answers,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_digits_decide() {
        assert_eq!(Behaviour::of("+38659900001"), Behaviour::Answers);
        assert_eq!(Behaviour::of("+38659900200"), Behaviour::Answers);
        assert_eq!(Behaviour::of("+38659900205"), Behaviour::AnswersThenHangsUp(Duration::from_secs(5)));
        assert_eq!(Behaviour::of("+38659900486"), Behaviour::Refuses { sip: 486, q850: 17, rings: false });
        assert_eq!(Behaviour::of("12"), Behaviour::Answers);
        assert_eq!(Behaviour::of("čšž"), Behaviour::Answers);
        assert_eq!(Behaviour::of(""), Behaviour::Answers);
    }
}
