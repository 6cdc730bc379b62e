//! A scenario file: its account, phones, prices; steps are in `step`, expectations in `expect`.

use crate::expect::Expectation;
use crate::sound::Voice;
use crate::step::{Action, Step};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One scenario, as written in its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// What happens and what should come of it, in one sentence.
    pub summary: String,
    /// The rules of the service that it shows, as in `R1`.
    pub rules: Vec<String>,
    /// The switches on which it can be played; empty = all.
    #[serde(default)]
    pub only_on: Vec<String>,
    /// The convener's account.
    #[serde(default)]
    pub account: Account,
    /// The people and their telephones.
    #[serde(default, rename = "phone")]
    pub phones: Vec<PhonePlan>,
    /// Prices by name, for the expected charges.
    #[serde(default, rename = "price")]
    pub prices: BTreeMap<String, Price>,
    /// What happens, in order.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// What must have come of it.
    #[serde(default, rename = "expect")]
    pub expectations: Vec<Expectation>,
}

/// The convener's account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Account {
    /// `sl` or `en`.
    pub language: String,
    /// How long the others wait when the convener's call ends.
    pub grace_seconds: u32,
    /// The most people in a conference, the convener included; the operator's limit without it.
    pub max_participants: Option<u32>,
}

impl Default for Account {
    fn default() -> Self {
        Self { language: "sl".to_owned(), grace_seconds: 0, max_participants: None }
    }
}

/// A person with a telephone, or a crowd of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhonePlan {
    /// How steps and expectations call it.
    pub name: String,
    /// The person's name in the conference; without it, the phone's name.
    pub person: Option<String>,
    /// The number; without it the runner gives one. For a crowd: how the numbers begin.
    pub number: Option<String>,
    /// How the phone behaves: a file of `tests/sipp`; without it nothing has that number.
    pub sipp: Option<String>,
    /// It is the convener's.
    #[serde(default)]
    pub convener: bool,
    /// What it says in a call: "tone 440", "speech", "silence" or "nothing".
    #[serde(default = "silence")]
    pub says: String,
    /// So many people with numbers in a row, on one process without audio.
    pub count: Option<u32>,
    /// The person is in the account's directory and is taken from there.
    #[serde(default)]
    pub in_directory: bool,
    /// More arguments for SIPp.
    #[serde(default)]
    pub arguments: Vec<String>,
}

fn silence() -> String {
    "silence".to_owned()
}

/// A price, as a person would write it down, to work out the expected charges by hand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Due once for each answered call.
    pub connect_fee: String,
    /// For 60 seconds.
    pub per_minute: String,
    /// First increment in seconds.
    pub first: u64,
    /// Following increments in seconds.
    pub next: u64,
    /// Seconds that cost nothing.
    #[serde(default)]
    pub free: u64,
    /// In percent.
    pub vat: String,
}

impl Scenario {
    /// Reads a scenario and checks that it makes sense.
    pub fn load(path: &Path, sipp: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut scenario = Self::parse(&text).with_context(|| format!("in {}", path.display()))?;
        scenario.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for file in scenario.sipp_files() {
            if !sipp.join(file).is_file() {
                bail!("in {}: there is no SIPp file {}", path.display(), sipp.join(file).display());
            }
        }
        Ok(scenario)
    }

    fn sipp_files(&self) -> impl Iterator<Item = &String> {
        let later = self.steps.iter().filter_map(|step| match &step.action {
            Action::Behave(behave) => Some(&behave.sipp),
            _ => None,
        });
        self.phones.iter().filter_map(|phone| phone.sipp.as_ref()).chain(later)
    }

    fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for phone in &scenario.phones {
            if !names.insert(phone.name.as_str()) {
                bail!("two phones are called `{}`", phone.name);
            }
            phone.says.parse::<Voice>().with_context(|| format!("the phone `{}`", phone.name))?;
        }
        if scenario.phones.iter().filter(|phone| phone.convener).count() > 1 {
            bail!("two phones are the convener's");
        }
        let mut steps = BTreeSet::new();
        for (index, step) in scenario.steps.iter().enumerate() {
            for name in step.action.phones() {
                scenario.phone(name).with_context(|| format!("step {} ({})", index + 1, step.verb))?;
            }
            if let Some(name) = &step.name
                && !steps.insert(name.as_str())
            {
                bail!("two steps are called `{name}`");
            }
        }
        for (index, expectation) in scenario.expectations.iter().enumerate() {
            let place = || format!("expectation {} ({})", index + 1, expectation.verb);
            for name in expectation.kind.phones() {
                scenario.phone(name).with_context(place)?;
            }
            for name in expectation.kind.steps() {
                if !steps.contains(name) {
                    bail!("{}: no step is called `{name}`", place());
                }
            }
            if let Some(price) = expectation.kind.price()
                && !scenario.prices.contains_key(price)
            {
                bail!("{}: there is no [price.{price}]", place());
            }
        }
        Ok(scenario)
    }

    /// The phone of a name.
    pub fn phone(&self, name: &str) -> Result<&PhonePlan> {
        self.phones.iter().find(|phone| phone.name == name).with_context(|| format!("no phone is called `{name}`"))
    }

    /// The convener's phone.
    pub fn convener(&self) -> Option<&PhonePlan> {
        self.phones.iter().find(|phone| phone.convener)
    }

    /// It breaks parts that other scenarios need, so it is played alone.
    pub fn breaks_things(&self) -> bool {
        self.steps.iter().any(|step| step.action.is_fault()) || self.phones.iter().any(|phone| phone.count.is_some())
    }

    /// It ends the switch itself.
    pub fn kills_switch(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, crate::step::Action::KillPbx(_) | crate::step::Action::StartPbx(_)))
    }

    /// It needs a real switch and telephones.
    pub fn needs_phones(&self) -> bool {
        self.steps.iter().any(|step| step.action.needs_phones())
    }
}

impl PhonePlan {
    /// The name of the person in the conference; of a crowd, the one with this index.
    pub fn person(&self, index: u32) -> String {
        let name = self.person.as_deref().unwrap_or(&self.name);
        if self.count.is_some() { format!("{name} {}", index + 1) } else { name.to_owned() }
    }
}

/// The scenario files of a folder, by name.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    Ok(files)
}

/// What `sklic-qa new` writes: a scenario that can be played as it is.
pub const TEMPLATE: &str = r#"summary = "The convener calls one person; both hear each other; the convener ends it by hanging up."
rules = ["R1", "R2", "R6"]

# Every phone is a person. `sipp` is a file of tests/sipp and says how the phone behaves.
[[phone]]
name = "ana"
person = "Ana Novak"
convener = true
sipp = "uas-answer.xml"
says = "tone 440"

[[phone]]
name = "boris"
person = "Boris Kovač"
sipp = "uas-answer.xml"
says = "tone 600"

# Steps happen one after another; each waits until it has succeeded.
[[step]]
create = { title = "A first scenario", participants = ["boris"] }

[[step]]
start = true

[[step]]
wait = { who = ["ana", "boris"], state = "in" }

[[step]]
name = "both talk"
listen = { by = ["ana", "boris"], ms = 1500 }

[[step]]
hang_up = "ana"

[[step]]
wait = { conference = "ended" }

# All of these must be true at the end.
[[expect]]
first_and_alone = "ana"

[[expect]]
heard = { by = "boris", what = "greeting" }

[[expect]]
heard = { by = "boris", what = "tone 440", during = "both talk", min_ms = 1000 }

[[expect]]
heard = { by = "boris", what = "closing" }

[[expect]]
outcome = { who = "boris", outcome = "answered" }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_scenario() {
        let scenario = Scenario::parse(TEMPLATE).unwrap();
        assert_eq!(scenario.phones.len(), 2);
        assert!(!scenario.breaks_things());
    }

    #[test]
    fn all_scenarios_of_the_repository_are_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = files(&root.join("tests/scenarios")).unwrap();
        assert!(!files.is_empty());
        for file in files {
            let scenario = Scenario::load(&file, &root.join("tests/sipp")).unwrap_or_else(|error| panic!("{error:#}"));
            assert!(scenario.rules.iter().all(|rule| rule.starts_with('R')), "{}: rules", scenario.name);
            assert!(!scenario.expectations.is_empty(), "{} expects nothing", scenario.name);
        }
    }

    #[test]
    fn the_readme_names_every_verb() {
        let readme = include_str!("../../../tests/scenarios/README.md");
        for what in ["[[step]]", "[[expect]]"] {
            let text = format!("summary = \"x\"\nrules = []\n{what}\nno_such_verb = true\n");
            let error = format!("{:#}", Scenario::parse(&text).unwrap_err());
            let verbs: Vec<&str> = error.rsplit("expected one of").next().unwrap().split('`').skip(1).step_by(2).collect();
            assert!(verbs.len() > 10, "{error}");
            for verb in verbs {
                let named = [format!("`{verb} ="), format!("`{verb}`")].iter().any(|word| readme.contains(word.as_str()));
                assert!(named, "tests/scenarios/README.md does not name {what} {verb}");
            }
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (mistake, told) in [
            ("mute = \"cene\"", "no phone is called `cene`"),
            ("moot = \"ana\"", "`moot`"),
            ("wait = { who = \"ana\", stat = \"in\" }", "stat"),
            ("start = true\nmute = \"ana\"", "one"),
        ] {
            let text = format!("summary = \"x\"\nrules = []\n[[phone]]\nname = \"ana\"\nsipp = \"uas-answer.xml\"\n[[step]]\n{mistake}\n");
            let error = format!("{:#}", Scenario::parse(&text).unwrap_err());
            assert!(error.contains(told), "{mistake}: {error}");
        }
        for (mistake, told) in [
            ("heard = { by = \"ana\", what = \"tone 440\", during = \"nowhere\" }", "no step is called `nowhere`"),
            ("heard = { by = \"ana\", what = \"singing\" }", "singing"),
            ("charge = { who = \"ana\", component = \"call\", price = \"gold\" }", "[price.gold]"),
        ] {
            let text = format!("summary = \"x\"\nrules = []\n[[phone]]\nname = \"ana\"\nsipp = \"uas-answer.xml\"\n[[expect]]\n{mistake}\n");
            let error = format!("{:#}", Scenario::parse(&text).unwrap_err());
            assert!(error.contains(told), "{mistake}: {error}");
        }
    }
}
