//! The dialogue with one caller: welcome, code, PIN, words for what was wrong.

use crate::ids::{AccountId, ContactId, LegId};
use crate::pbx::{Ask, Command, Keys, Language, Phrase};

/// The longest code, user number or PIN that is listened to.
const MOST_DIGITS: u8 = 20;

/// How callers are asked.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Tries in one call.
    pub tries: u8,
    /// How long the first key is waited for, in seconds.
    pub key_wait_seconds: u8,
}

/// Whom a number that was keyed belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody; or the line, the number or the access number is locked out, which sounds the same.
    Nobody,
    /// The code of a person in an account's directory.
    Participant {
        /// Whose directory.
        account: AccountId,
        /// The person.
        contact: ContactId,
    },
    /// An account's user number.
    Convener {
        /// The account.
        account: AccountId,
    },
}

/// What happens to a caller.
#[derive(Clone, Debug)]
pub enum Input {
    /// He keyed something, or nothing, in answer to a question.
    Keyed {
        /// The question.
        ask: u32,
        /// The digits.
        keys: Keys,
    },
    /// Whose number he keyed.
    Found(Found),
    /// Whether the PIN was right.
    PinChecked(bool),
    /// There is nothing to let him into, or he may not.
    Refused(Phrase),
    /// His conference has not begun: he waits.
    Waits,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A wish to the switch.
    Command(Command),
    /// Look up whose number this is; answered by [`Input::Found`].
    LookUp(Keys),
    /// Check a PIN; answered by [`Input::PinChecked`].
    CheckPin {
        /// Whose.
        account: AccountId,
        /// What was keyed.
        keys: Keys,
    },
    /// Let a participant into his convener's conference.
    Enter {
        /// Whose directory.
        account: AccountId,
        /// The person.
        contact: ContactId,
    },
    /// Start or enter the account's conference as its convener.
    Convene {
        /// The account.
        account: AccountId,
    },
    /// Nothing follows but the end of his call.
    Done,
}

#[derive(Clone, Debug)]
enum Phase {
    Code,
    LookingUp,
    Pin(AccountId),
    CheckingPin(AccountId),
    /// A conference takes him, or he waits for one.
    Known,
    Leaving,
}

/// One caller, from his answer until a conference takes him.
#[derive(Clone, Debug)]
pub struct Dialogue {
    leg: LegId,
    language: Language,
    rules: Rules,
    phase: Phase,
    asks: u32,
    failures: u8,
}

impl Dialogue {
    /// A caller at an access number: he is welcomed and asked for his code.
    #[must_use]
    pub fn open(leg: LegId, language: Language, rules: Rules) -> (Self, Vec<Effect>) {
        let mut dialogue = Self { leg, language, rules, phase: Phase::Code, asks: 0, failures: 0 };
        let effects = vec![dialogue.ask(vec![Phrase::Welcome, Phrase::EnterCode])];
        (dialogue, effects)
    }

    /// A caller who is turned away at once.
    #[must_use]
    pub fn refuse(leg: LegId, language: Language, words: Phrase) -> Vec<Effect> {
        vec![Effect::Command(Command::Dismiss { leg, language, say: vec![words] }), Effect::Done]
    }

    /// A caller who was known before the service was started anew, and waits.
    #[must_use]
    pub fn resume(leg: LegId, language: Language, rules: Rules) -> (Self, Vec<Effect>) {
        let dialogue = Self { leg, language, rules, phase: Phase::Known, asks: 0, failures: 0 };
        let hold = Command::Hold { leg, language, say: Vec::new() };
        (dialogue, vec![Effect::Command(hold)])
    }

    fn ask(&mut self, say: Vec<Phrase>) -> Effect {
        self.asks += 1;
        Effect::Command(Command::Ask(Ask {
            leg: self.leg,
            ask: self.asks,
            language: self.language,
            say,
            most_digits: MOST_DIGITS,
            wait_seconds: self.rules.key_wait_seconds,
        }))
    }

    fn dismiss(&mut self, say: Vec<Phrase>) -> Vec<Effect> {
        self.phase = Phase::Leaving;
        vec![Effect::Command(Command::Dismiss { leg: self.leg, language: self.language, say }), Effect::Done]
    }

    /// One try is used up: the next question, or goodbye.
    fn again(&mut self, wrong: Phrase, question: Phrase, phase: Phase) -> Vec<Effect> {
        self.failures += 1;
        if self.failures >= self.rules.tries {
            return self.dismiss(vec![wrong, Phrase::TooManyTries]);
        }
        self.phase = phase;
        vec![self.ask(vec![wrong, question])]
    }

    /// Says again what he may not have heard: the link to the switch was lost meanwhile.
    pub fn repeat(&mut self) -> Vec<Effect> {
        match self.phase {
            Phase::Code => vec![self.ask(vec![Phrase::EnterCode])],
            Phase::Pin(_) => vec![self.ask(vec![Phrase::EnterPin])],
            Phase::LookingUp | Phase::CheckingPin(_) => Vec::new(),
            Phase::Known => vec![Effect::Command(Command::Hold { leg: self.leg, language: self.language, say: Vec::new() })],
            Phase::Leaving => self.dismiss(vec![Phrase::Goodbye]),
        }
    }

    /// Takes one input; what does not fit changes nothing (an answer to a question that was taken back).
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        match (&self.phase, input) {
            (Phase::Code, Input::Keyed { ask, keys }) if ask == self.asks => {
                if keys.expose().is_empty() {
                    return self.again(Phrase::NothingKeyed, Phrase::EnterCode, Phase::Code);
                }
                self.phase = Phase::LookingUp;
                vec![Effect::LookUp(keys)]
            }
            (Phase::LookingUp, Input::Found(Found::Nobody)) => self.again(Phrase::WrongCode, Phrase::EnterCode, Phase::Code),
            (Phase::LookingUp, Input::Found(Found::Participant { account, contact })) => {
                self.phase = Phase::Known;
                vec![Effect::Enter { account, contact }]
            }
            (Phase::LookingUp, Input::Found(Found::Convener { account })) => {
                self.phase = Phase::Pin(account);
                vec![self.ask(vec![Phrase::EnterPin])]
            }
            (&Phase::Pin(account), Input::Keyed { ask, keys }) if ask == self.asks => {
                if keys.expose().is_empty() {
                    return self.again(Phrase::NothingKeyed, Phrase::EnterPin, Phase::Pin(account));
                }
                self.phase = Phase::CheckingPin(account);
                vec![Effect::CheckPin { account, keys }]
            }
            (&Phase::CheckingPin(account), Input::PinChecked(true)) => {
                self.phase = Phase::Known;
                vec![Effect::Convene { account }]
            }
            (&Phase::CheckingPin(account), Input::PinChecked(false)) => self.again(Phrase::WrongPin, Phrase::EnterPin, Phase::Pin(account)),
            (Phase::Known, Input::Waits) => {
                vec![Effect::Command(Command::Hold { leg: self.leg, language: self.language, say: vec![Phrase::Waiting] })]
            }
            (Phase::Leaving, _) => Vec::new(),
            (_, Input::Refused(words)) => self.dismiss(vec![words]),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { tries: 3, key_wait_seconds: 6 };
    const LEG: LegId = LegId(uuid::Uuid::nil());
    const ACCOUNT: AccountId = AccountId(uuid::Uuid::nil());

    fn open() -> Dialogue {
        let (dialogue, effects) = Dialogue::open(LEG, Language::Sl, RULES);
        assert_eq!(said(&effects), ["ask welcome enter-code"]);
        dialogue
    }

    fn said(effects: &[Effect]) -> Vec<String> {
        let words = |say: &[Phrase]| say.iter().flat_map(|phrase| phrase.files()).map(|file| format!(" {file}")).collect::<String>();
        effects
            .iter()
            .map(|effect| match effect {
                Effect::Command(Command::Ask(ask)) => format!("ask{}", words(&ask.say)),
                Effect::Command(Command::Dismiss { say, .. }) => format!("dismiss{}", words(say)),
                Effect::Command(Command::Hold { say, .. }) => format!("hold{}", words(say)),
                Effect::Command(other) => format!("{other:?}"),
                Effect::LookUp(_) => "look up".into(),
                Effect::CheckPin { .. } => "check pin".into(),
                Effect::Enter { .. } => "enter".into(),
                Effect::Convene { .. } => "convene".into(),
                Effect::Done => "done".into(),
            })
            .collect()
    }

    fn keyed(dialogue: &mut Dialogue, digits: &str) -> Vec<String> {
        let ask = dialogue.asks;
        said(&dialogue.handle(Input::Keyed { ask, keys: Keys::new(digits) }))
    }

    #[test]
    fn a_good_code_leads_in() {
        let mut dialogue = open();
        assert_eq!(keyed(&mut dialogue, "12345678"), ["look up"]);
        let found = Found::Participant { account: ACCOUNT, contact: ContactId(uuid::Uuid::nil()) };
        assert_eq!(said(&dialogue.handle(Input::Found(found))), ["enter"]);
        assert_eq!(said(&dialogue.handle(Input::Waits)), ["hold waiting"]);
    }

    #[test]
    fn three_tries_then_goodbye() {
        let mut dialogue = open();
        for _ in 0..2 {
            assert_eq!(keyed(&mut dialogue, "1"), ["look up"]);
            assert_eq!(said(&dialogue.handle(Input::Found(Found::Nobody))), ["ask wrong-code enter-code"]);
        }
        assert_eq!(keyed(&mut dialogue, "1"), ["look up"]);
        assert_eq!(said(&dialogue.handle(Input::Found(Found::Nobody))), ["dismiss wrong-code too-many-tries", "done"]);
        assert_eq!(keyed(&mut dialogue, "12345678"), [""; 0], "nothing counts after goodbye");
    }

    #[test]
    fn keying_nothing_is_a_try_too() {
        let mut dialogue = open();
        assert_eq!(keyed(&mut dialogue, ""), ["ask nothing-keyed enter-code"]);
        assert_eq!(keyed(&mut dialogue, ""), ["ask nothing-keyed enter-code"]);
        assert_eq!(keyed(&mut dialogue, ""), ["dismiss nothing-keyed too-many-tries", "done"]);
    }

    #[test]
    fn the_convener_is_asked_for_his_pin() {
        let mut dialogue = open();
        keyed(&mut dialogue, "1001");
        assert_eq!(said(&dialogue.handle(Input::Found(Found::Convener { account: ACCOUNT }))), ["ask enter-pin"]);
        assert_eq!(keyed(&mut dialogue, "0000"), ["check pin"]);
        assert_eq!(said(&dialogue.handle(Input::PinChecked(false))), ["ask wrong-pin enter-pin"]);
        assert_eq!(keyed(&mut dialogue, "4711"), ["check pin"]);
        assert_eq!(said(&dialogue.handle(Input::PinChecked(true))), ["convene"]);
        assert_eq!(said(&dialogue.handle(Input::Refused(Phrase::NotAllowed))), ["dismiss not-allowed", "done"]);
    }

    #[test]
    fn an_old_answer_counts_for_nothing() {
        let mut dialogue = open();
        keyed(&mut dialogue, "");
        let late = Input::Keyed { ask: 1, keys: Keys::new("12345678") };
        assert_eq!(said(&dialogue.handle(late)), [""; 0]);
    }
}
