//! The steps of a scenario: what the convener, the phones and misfortune do.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};

/// One step: exactly one verb, and perhaps a name and words for the demo.
#[derive(Clone, Debug)]
pub struct Step {
    /// How expectations call it.
    pub name: Option<String>,
    /// What the demo says about it.
    pub say: Option<String>,
    /// The verb as written.
    pub verb: String,
    /// What is done.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Plans the conference.
    Create(Create),
    /// Starts it.
    Start(Done),
    /// Adds a person, who is called when the conference runs.
    Add(String),
    /// Calls a person again.
    Call(String),
    /// Calls everybody who is missing.
    CallMissing(Done),
    /// Closes a person's microphone.
    Mute(String),
    /// Opens it.
    Unmute(String),
    /// Takes a person out, or sends a waiting one away.
    Remove(String),
    /// Lets a waiting person in.
    Admit(String),
    /// Lowers a raised hand.
    LowerHand(String),
    /// Puts a person with `in_directory` into the directory, and into no conference.
    Contact(String),
    /// Looks on at the newest conference of the account: one that was started by phone.
    Follow(Done),
    /// Closes everybody's microphone but the convener's.
    MuteAll(Done),
    /// Opens them.
    UnmuteAll(Done),
    /// Lets nobody else in.
    Lock(Done),
    /// Lets people in again.
    Unlock(Done),
    /// Ends the conference for all.
    End(Done),
    /// A phone hangs up.
    HangUp(String),
    /// A phone that was told to ring until now answers.
    Answer(String),
    /// A phone vanishes without a word.
    Die(String),
    /// A phone says something else from now on.
    Speak(Speak),
    /// Keys are pressed on a phone.
    Key(Key),
    /// A phone calls a number of the switch.
    DialIn(DialIn),
    /// A phone behaves by another SIPp file from now on.
    Behave(Behave),
    /// Waits until something is so.
    Wait(Wait),
    /// Lets phones hear so much more.
    Listen(Listen),
    /// Any request to the API, with the answer it must get.
    Request(Request),
    /// SIGKILL for the service.
    KillService(Done),
    /// Starts the service again.
    StartService(Done),
    /// Stops the service's process without ending it, as a sleeping machine would (SIGSTOP).
    FreezeService(Done),
    /// Lets it go on (SIGCONT).
    ThawService(Done),
    /// Cuts the connection between service and switch.
    CutLink(Done),
    /// Mends it.
    RestoreLink(Done),
    /// Stops the database.
    StopPostgres(Done),
    /// Starts it again.
    StartPostgres(Done),
    /// SIGKILL for the switch.
    KillPbx(Done),
    /// The switch is ended in order (SIGTERM).
    StopPbx(Done),
    /// Starts it again.
    StartPbx(Done),
}

/// A verb that needs nothing more: written `true`.
#[derive(Clone, Copy, Debug)]
pub struct Done;

impl<'de> Deserialize<'de> for Done {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer) {
            Ok(true) => Ok(Self),
            _ => Err(D::Error::custom("write `true`")),
        }
    }
}

/// Plans the conference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its title.
    pub title: String,
    /// The phones of the people besides the convener.
    #[serde(default)]
    pub participants: Vec<String>,
    /// Those inside hear a beep when somebody comes in.
    pub entry_beep: Option<bool>,
    /// How long the others wait when the convener's call ends.
    pub grace_seconds: Option<u32>,
}

/// A phone says something else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speak {
    /// The phone.
    pub phone: String,
    /// "tone 440", "speech", "silence" or "nothing".
    pub says: String,
}

/// Keys are pressed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The phone.
    pub phone: String,
    /// 0 to 9, * and #; `{code:PHONE}`, `{user_number}` and `{pin}` are filled in.
    pub digits: String,
}

/// A phone calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialIn {
    /// The phone.
    pub phone: String,
    /// What it dials.
    pub number: String,
}

/// A phone changes its ways.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behave {
    /// The phone.
    pub phone: String,
    /// A file of `tests/sipp`.
    pub sipp: String,
}

/// Everything named here must be so at the same moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wait {
    /// The people meant by `state`, `muted` and `talking`.
    pub who: OneOrMany,
    /// Their state.
    pub state: Option<String>,
    /// Whether they are muted.
    pub muted: Option<bool>,
    /// Whether they are talking.
    pub talking: Option<bool>,
    /// Whether they have closed their microphones themselves.
    pub self_muted: Option<bool>,
    /// Whether their hands are raised.
    pub hand: Option<bool>,
    /// The conference's state.
    pub conference: Option<String>,
    /// Whether it is locked.
    pub locked: Option<bool>,
    /// Whether all are muted.
    pub all_muted: Option<bool>,
    /// What the service says of its link to the switch: `up` or `unknown`.
    pub link: Option<String>,
    /// A phone has been called, now or before.
    pub called: Option<String>,
    /// A phone's call is over.
    pub hung_up: OneOrMany,
    /// A phone has just heard this.
    pub heard: Option<String>,
    /// The phone that heard it.
    pub by: Option<String>,
    /// For so long.
    pub for_ms: Option<usize>,
    /// So many mails have arrived for the account.
    pub mails: Option<usize>,
    /// How long to wait for it.
    pub within_s: Option<f64>,
}

/// Lets phones hear so much more, so that what follows has something to be judged by.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The phones.
    pub by: OneOrMany,
    /// For so long.
    pub ms: usize,
}

/// Any request to the API. In path and body, `{conference}`, `{participant:NAME}` and `{phone:NAME}` are filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// From `/api/v1` on.
    pub path: String,
    /// JSON, written as text.
    pub body: Option<String>,
    /// A JSON body of about so many bytes instead.
    pub body_bytes: Option<usize>,
    /// Who asks: nothing = the account, "stranger" = another account, "nobody" = without a token.
    #[serde(default, rename = "as")]
    pub by: String,
    /// The status that must come.
    pub status: u16,
    /// The field that the problem document must name.
    pub field: Option<String>,
    /// The code that it must give for it.
    pub code: Option<String>,
}

/// One name or several.
#[derive(Clone, Debug, Default)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(String),
            Many(Vec<String>),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::One(name)) => Ok(Self(vec![name])),
            Ok(Written::Many(names)) => Ok(Self(names)),
            Err(_) => Err(D::Error::custom("write a name, or several as [\"a\", \"b\"]")),
        }
    }
}

/// Reads a table of which all but `known` is one verb with its value.
pub fn one_verb<T: DeserializeOwned>(mut table: toml::Table, known: &[&str]) -> Result<(String, T, Vec<Option<String>>), String> {
    let mut words = Vec::new();
    for name in known {
        match table.remove(*name) {
            None => words.push(None),
            Some(toml::Value::String(text)) => words.push(Some(text)),
            Some(_) => return Err(format!("`{name}` must be text")),
        }
    }
    let verbs: Vec<String> = table.keys().cloned().collect();
    let [verb] = verbs.as_slice() else {
        return Err(format!("needs exactly one thing to do or to expect, but has {}: {}", verbs.len(), verbs.join(", ")));
    };
    let action = T::deserialize(toml::Value::Table(table)).map_err(|error| format!("`{verb}`: {}", error.to_string().trim()))?;
    Ok((verb.clone(), action, words))
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        let (verb, action, mut words) = one_verb(table, &["name", "say"]).map_err(D::Error::custom)?;
        let say = words.pop().flatten();
        let name = words.pop().flatten();
        Ok(Self { name, say, verb, action })
    }
}

impl Action {
    /// The phones that it names.
    pub fn phones(&self) -> Vec<&str> {
        match self {
            Self::Create(create) => create.participants.iter().map(String::as_str).collect(),
            Self::Add(who) | Self::Call(who) | Self::Mute(who) | Self::Unmute(who) | Self::Remove(who) => vec![who],
            Self::Admit(who) | Self::LowerHand(who) | Self::Contact(who) => vec![who],
            Self::HangUp(who) | Self::Answer(who) | Self::Die(who) => vec![who],
            Self::Speak(speak) => vec![&speak.phone],
            Self::Key(key) => vec![&key.phone],
            Self::DialIn(dial_in) => vec![&dial_in.phone],
            Self::Behave(behave) => vec![&behave.phone],
            Self::Listen(listen) => listen.by.0.iter().map(String::as_str).collect(),
            Self::Wait(wait) => {
                let many = wait.who.0.iter().chain(&wait.hung_up.0);
                many.chain(&wait.called).chain(&wait.by).map(String::as_str).collect()
            }
            _ => Vec::new(),
        }
    }

    /// It breaks or mends a part that all scenarios share.
    pub fn is_fault(&self) -> bool {
        use Action::{
            CutLink, FreezeService, KillPbx, KillService, RestoreLink, StartPbx, StartPostgres, StartService, StopPbx, StopPostgres, ThawService,
        };
        let service = matches!(self, KillService(_) | StartService(_) | FreezeService(_) | ThawService(_));
        service || matches!(self, CutLink(_) | RestoreLink(_) | StopPostgres(_) | StartPostgres(_) | KillPbx(_) | StopPbx(_) | StartPbx(_))
    }

    /// It needs a real switch and telephones.
    pub fn needs_phones(&self) -> bool {
        match self {
            Self::Wait(wait) => wait.heard.is_some() || wait.called.is_some(),
            Self::HangUp(_) | Self::Answer(_) | Self::Die(_) | Self::Speak(_) | Self::Key(_) => true,
            Self::DialIn(_) | Self::Behave(_) => true,
            other => other.is_fault(),
        }
    }
}
