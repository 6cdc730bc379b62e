//! The expectations of a scenario: what must have come of its steps.

use crate::hearing;
use crate::step::{OneOrMany, one_verb};
use serde::Deserialize;
use serde::de::Error as _;

/// One expectation: exactly one kind, and perhaps words for the demo.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// What the demo says when it was so.
    pub say: Option<String>,
    /// The kind as written.
    pub verb: String,
    /// What is expected.
    pub kind: Kind,
}

/// What is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A participant went through these states, in this order, and the last one was the last.
    States(States),
    /// The conference went through these states, in this order, and the last one was the last.
    ConferenceStates(Vec<String>),
    /// The reason that stands on the conference at the end.
    Reason(String),
    /// The outcome that stands on a participant at the end.
    Outcome(Outcome),
    /// A phone heard something.
    Heard(Heard),
    /// A phone did not hear something.
    NotHeard(Heard),
    /// This phone was called first, and nobody else before its beep was over.
    FirstAndAlone(String),
    /// These phones were called and nobody else.
    Called(Vec<String>),
    /// A phone was called so many times.
    Calls(Calls),
    /// The switch or the phone ended the phone's last call.
    EndedBy(EndedBy),
    /// A row of the report.
    Report(ReportRow),
    /// A charge.
    Charge(Charge),
    /// These people cost nothing.
    NoCharge(OneOrMany),
    /// So many charges in all.
    ChargeRows(usize),
    /// The mails that arrived.
    Mail(Mail),
    /// A step took at most so long.
    Took(Took),
}

/// States of one participant, or of each of several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct States {
    /// Whose.
    pub who: OneOrMany,
    /// In this order; others may lie between.
    pub are: Vec<String>,
}

/// An outcome of one participant, or of each of several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Whose.
    pub who: OneOrMany,
    /// The word of the design.
    pub outcome: String,
}

/// Something in a recording.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// The phones.
    pub by: OneOrMany,
    /// "tone 600", "beep", or a prompt such as "greeting", "closing".
    pub what: Sound,
    /// While this step was going on.
    pub during: Option<String>,
    /// After this step was done.
    pub after: Option<String>,
    /// Before this step began.
    pub before: Option<String>,
    /// For at least so long in all (a tone).
    pub min_ms: Option<usize>,
    /// Exactly so many times (a beep or prompt).
    pub times: Option<usize>,
}

/// Something that can be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound {
    /// A tone of so many hertz.
    Tone(u32),
    /// The beep on entering.
    Beep,
    /// A prompt by the name of its file.
    Prompt(String),
}

/// The prompts that the dialplan has.
pub fn prompts() -> Vec<String> {
    let fixed = sklic::pbx::Phrase::FIXED.iter().flat_map(|phrase| phrase.files());
    std::iter::once("greeting".to_owned()).chain(fixed).collect()
}

impl std::str::FromStr for Sound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(' ') {
            None if text == "beep" => Ok(Self::Beep),
            None if prompts().iter().any(|name| name == text) => Ok(Self::Prompt(text.to_owned())),
            Some(("tone", hertz)) => hertz.parse().map(Self::Tone).map_err(|_| format!("`{hertz}` is no frequency")),
            _ => Err(format!("`{text}` is no sound: use \"tone 440\", \"beep\" or one of {}", prompts().join(", "))),
        }
    }
}

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Sound {
    /// Where it sounds in samples; `prompt` gives the samples of a prompt.
    pub fn find(&self, samples: &[i16], prompt: impl Fn(&str) -> anyhow::Result<Vec<i16>>) -> anyhow::Result<Vec<hearing::Stretch>> {
        Ok(match self {
            Self::Tone(hertz) => hearing::tone(samples, *hertz),
            Self::Beep => hearing::beep(samples),
            Self::Prompt(name) => hearing::prompt(samples, &prompt(name)?).into_iter().map(|(stretch, _)| stretch).collect(),
        })
    }
}

impl std::fmt::Display for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tone(hertz) => write!(f, "a tone of {hertz} Hz"),
            Self::Beep => f.write_str("the beep"),
            Self::Prompt(name) => write!(f, "the announcement `{name}`"),
        }
    }
}

/// How often a phone was called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// The phone.
    pub who: OneOrMany,
    /// How often.
    pub count: usize,
}

/// Who ended the last call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndedBy {
    /// The phones.
    pub who: OneOrMany,
    /// `switch` or `phone`.
    pub side: String,
}

/// A row of the report.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRow {
    /// Whose.
    pub who: OneOrMany,
    /// Which of the person's calls, from 1; without it, the last.
    pub call: Option<usize>,
    /// The outcome.
    pub outcome: Option<String>,
    /// The way of entry.
    pub way: Option<String>,
    /// How many rows the person has in all.
    pub rows: Option<usize>,
    /// What the evidence column says.
    pub evidence: Option<String>,
}

/// A charge, worked out from the seconds that the phone saw.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Whose leg.
    pub who: OneOrMany,
    /// Which of the person's answered calls, from 1; without it, the first.
    pub call: Option<usize>,
    /// `call` or `conference`.
    pub component: String,
    /// `convener` or `caller`.
    #[serde(default = "convener")]
    pub payer: String,
    /// `rated`, or `informational` for what another network charges.
    #[serde(default = "rated")]
    pub status: String,
    /// A `[price.NAME]` of this scenario.
    pub price: String,
    /// What it must come to, net; for scenarios whose calls stay inside one increment.
    pub net: Option<String>,
}

fn convener() -> String {
    "convener".to_owned()
}

fn rated() -> String {
    "rated".to_owned()
}

/// The mails of the account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Exactly so many.
    pub count: usize,
    /// The subject contains this.
    pub subject: Option<String>,
    /// The text contains each of these.
    #[serde(default)]
    pub contains: Vec<String>,
    /// The text contains the names and numbers of these.
    #[serde(default)]
    pub names: Vec<String>,
}

/// The time that a step took.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Took {
    /// The step whose end counts.
    pub step: String,
    /// The step whose beginning counts; without it, the same.
    pub from: Option<String>,
    /// At most so long.
    pub at_most_s: f64,
}

impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        let (verb, kind, mut words) = one_verb(table, &["say"]).map_err(D::Error::custom)?;
        Ok(Self { say: words.pop().flatten(), verb, kind })
    }
}

impl Kind {
    /// The phones that it names.
    pub fn phones(&self) -> Vec<&str> {
        let who = match self {
            Self::States(states) => &states.who.0,
            Self::Outcome(outcome) => &outcome.who.0,
            Self::Heard(heard) | Self::NotHeard(heard) => &heard.by.0,
            Self::FirstAndAlone(who) => return vec![who],
            Self::Called(who) => who,
            Self::Calls(calls) => &calls.who.0,
            Self::EndedBy(ended) => &ended.who.0,
            Self::Report(row) => &row.who.0,
            Self::Charge(charge) => &charge.who.0,
            Self::NoCharge(who) => &who.0,
            Self::Mail(mail) => &mail.names,
            _ => return Vec::new(),
        };
        who.iter().map(String::as_str).collect()
    }

    /// The steps that it names.
    pub fn steps(&self) -> Vec<&str> {
        match self {
            Self::Heard(heard) | Self::NotHeard(heard) => {
                [&heard.during, &heard.after, &heard.before].into_iter().flatten().map(String::as_str).collect()
            }
            Self::Took(took) => took.from.iter().map(String::as_str).chain([took.step.as_str()]).collect(),
            _ => Vec::new(),
        }
    }

    /// The price that it names.
    pub fn price(&self) -> Option<&str> {
        match self {
            Self::Charge(charge) => Some(&charge.price),
            _ => None,
        }
    }

    /// It can only be judged with audio and phones.
    pub fn needs_phones(&self) -> bool {
        matches!(self, Self::Heard(_) | Self::NotHeard(_) | Self::FirstAndAlone(_) | Self::Called(_) | Self::Calls(_) | Self::EndedBy(_))
    }
}
