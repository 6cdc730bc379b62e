//! What can be said on a line: fixed words, recorded or spoken in advance, and numbers.
//!
//! Nothing that a person wrote is ever said or sent to a switch; every phrase is a file of the prompts' folder.

use serde::{Deserialize, Serialize};

use super::Language;

/// The largest number that can be said.
pub const LARGEST_NUMBER: u16 = 999;

/// One piece of what is said; several are said one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phrase {
    // --- a caller at the access number -------------------------------------------------------------------
    /// Welcome to the service.
    Welcome,
    /// Key your user number and the hash key.
    EnterCode,
    /// That number is not known; also said to a line that is locked out.
    WrongCode,
    /// Nothing was keyed.
    NothingKeyed,
    /// Key your PIN and the hash key.
    EnterPin,
    /// The PIN is wrong.
    WrongPin,
    /// Too many tries, goodbye.
    TooManyTries,
    /// There is no conference for this number now, goodbye.
    NoConference,
    /// The convener has not joined yet, please wait.
    Waiting,
    /// You have waited long and the conference has not begun; we are sorry, goodbye.
    WaitedTooLong,
    /// The convener has been asked to let you in, please wait.
    AwaitAdmission,
    /// Your line cannot be told, so that this number cannot be used; the other access numbers can. Goodbye.
    NoIdentity,
    /// This line may not start conferences (eligibility, limits), goodbye.
    NotAllowed,
    /// The conference is locked, goodbye.
    Locked,
    /// The conference is full, goodbye.
    Full,
    /// The conference has ended, with thanks.
    Closing,
    /// Thanks and goodbye.
    Goodbye,
    /// The service is not available, please call later, goodbye.
    Apology,
    // --- a member, heard by him alone --------------------------------------------------------------------
    /// Your microphone is closed.
    MicrophoneClosed,
    /// Your microphone is open.
    MicrophoneOpen,
    /// The convener has closed your microphone; raise a hand to speak.
    ClosedByConvener,
    /// Your hand is raised.
    HandRaised,
    /// Your hand is lowered.
    HandLowered,
    /// In the conference are … (a number follows).
    Inside,
    /// All microphones but yours are closed.
    AllClosed,
    /// All microphones are open.
    AllOpen,
    /// The conference is locked now; nobody else comes in.
    NowLocked,
    /// The conference is open again.
    NowUnlocked,
    /// Those who are missing are being called.
    CallingMissing,
    /// There is nobody to call.
    NobodyMissing,
    /// To end the conference for everybody, press the same keys again.
    EndAgain,
    /// This is not possible now.
    NotPossible,
    /// The amount that may be spent is nearly used up.
    SpendWarning,
    /// The amount that may be spent is used up; nobody else is called.
    SpendReached,
    /// The conference will end soon, for it has nearly lasted as long as it may.
    LengthWarning,
    // --- a number ----------------------------------------------------------------------------------------
    /// A number from 0 to [`LARGEST_NUMBER`]; a larger one is said as that.
    Number(u16),
}

impl Phrase {
    /// Every fixed phrase, for the prompts' script and its test.
    pub const FIXED: [Self; 35] = [
        Self::Welcome,
        Self::EnterCode,
        Self::WrongCode,
        Self::NothingKeyed,
        Self::EnterPin,
        Self::WrongPin,
        Self::TooManyTries,
        Self::NoConference,
        Self::Waiting,
        Self::WaitedTooLong,
        Self::AwaitAdmission,
        Self::NoIdentity,
        Self::NotAllowed,
        Self::Locked,
        Self::Full,
        Self::Closing,
        Self::Goodbye,
        Self::Apology,
        Self::MicrophoneClosed,
        Self::MicrophoneOpen,
        Self::ClosedByConvener,
        Self::HandRaised,
        Self::HandLowered,
        Self::Inside,
        Self::AllClosed,
        Self::AllOpen,
        Self::NowLocked,
        Self::NowUnlocked,
        Self::CallingMissing,
        Self::NobodyMissing,
        Self::EndAgain,
        Self::NotPossible,
        Self::SpendWarning,
        Self::SpendReached,
        Self::LengthWarning,
    ];

    /// The names of its files in a language's folder, without the ending, in the order in which they are said.
    ///
    /// Hundreds and the rest are files of their own: `n-200`, `n-17`.
    #[must_use]
    pub fn files(self) -> Vec<String> {
        let name = match self {
            Self::Welcome => "welcome",
            Self::EnterCode => "enter-code",
            Self::WrongCode => "wrong-code",
            Self::NothingKeyed => "nothing-keyed",
            Self::EnterPin => "enter-pin",
            Self::WrongPin => "wrong-pin",
            Self::TooManyTries => "too-many-tries",
            Self::NoConference => "no-conference",
            Self::Waiting => "waiting",
            Self::WaitedTooLong => "waited-too-long",
            Self::AwaitAdmission => "await-admission",
            Self::NoIdentity => "no-identity",
            Self::NotAllowed => "not-allowed",
            Self::Locked => "locked",
            Self::Full => "full",
            Self::Closing => "closing",
            Self::Goodbye => "goodbye",
            Self::Apology => "apology",
            Self::MicrophoneClosed => "microphone-closed",
            Self::MicrophoneOpen => "microphone-open",
            Self::ClosedByConvener => "closed-by-convener",
            Self::HandRaised => "hand-raised",
            Self::HandLowered => "hand-lowered",
            Self::Inside => "inside",
            Self::AllClosed => "all-closed",
            Self::AllOpen => "all-open",
            Self::NowLocked => "now-locked",
            Self::NowUnlocked => "now-unlocked",
            Self::CallingMissing => "calling-missing",
            Self::NobodyMissing => "nobody-missing",
            Self::EndAgain => "end-again",
            Self::NotPossible => "not-possible",
            Self::SpendWarning => "spend-warning",
            Self::SpendReached => "spend-reached",
            Self::LengthWarning => "length-warning",
            Self::Number(number) => {
                let number = number.min(LARGEST_NUMBER);
                let (hundreds, rest) = (number / 100 * 100, number % 100);
                let mut files = Vec::new();
                if hundreds > 0 {
                    files.push(format!("n-{hundreds}"));
                }
                if rest > 0 || hundreds == 0 {
                    files.push(format!("n-{rest}"));
                }
                return files;
            }
        };
        vec![name.into()]
    }
}

/// The files of what is said in a language, in order, below the prompts' folder and without the ending: `sl/welcome`.
#[must_use]
pub fn files(say: &[Phrase], language: Language) -> Vec<String> {
    say.iter().flat_map(|phrase| phrase.files()).map(|name| format!("{}/{name}", language.code())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_in_at_most_two_pieces() {
        let said = |number| Phrase::Number(number).files();
        assert_eq!(said(0), ["n-0"]);
        assert_eq!(said(99), ["n-99"]);
        assert_eq!(said(100), ["n-100"]);
        assert_eq!(said(217), ["n-200", "n-17"]);
        assert_eq!(said(5000), ["n-900", "n-99"]);
    }

    #[test]
    fn files_have_plain_names_and_none_twice() {
        let mut names: Vec<String> = Phrase::FIXED.iter().flat_map(|phrase| phrase.files()).collect();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Phrase::FIXED.len());
    }

    #[test]
    fn every_phrase_has_its_words_in_every_language() {
        let texts = [(Language::Sl, include_str!("../../dialplan/prompts/sl.txt")), (Language::En, include_str!("../../dialplan/prompts/en.txt"))];
        let all: Vec<Phrase> = Phrase::FIXED.into_iter().chain((0..=LARGEST_NUMBER).map(Phrase::Number)).collect();
        for (language, text) in texts {
            let spoken: std::collections::BTreeSet<&str> = text.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
            for file in files(&all, language) {
                let name = file.strip_prefix(language.code()).and_then(|rest| rest.strip_prefix('/')).expect("the language's folder");
                assert!(spoken.contains(name), "{file} has no words");
            }
            assert_eq!(spoken.len(), text.lines().filter(|line| line.contains(" = ")).count(), "a name comes twice in {}", language.code());
        }
    }
}
