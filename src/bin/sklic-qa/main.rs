//! `sklic-qa`: plays the scenarios of `tests/scenarios` with real phones and judges what was seen and heard.

mod ami;
mod api;
mod bench;
mod demo;
mod expect;
mod g711;
mod hearing;
mod judge;
mod junit;
mod lab;
mod link;
mod mail;
mod network;
mod own;
mod phone;
mod play;
mod request;
mod rtp;
mod run;
mod scenario;
mod service;
mod sip;
mod sound;
mod stage;
mod step;
mod tell;
mod up;
mod wait;

use crate::junit::Skipped;
use crate::scenario::Scenario;
use crate::stage::{Stage, Wishes};
use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(name = "sklic-qa", about = "Plays conferences with real phones and judges what was seen and heard")]
struct Arguments {
    /// The switch: asterisk, freeswitch (where one is installed) or simulator.
    #[arg(long, global = true, default_value = "asterisk")]
    pbx: String,
    /// An operator's own test switch instead of the lab's: the file that describes it, see tests/scenarios/README.md.
    #[arg(long, global = true)]
    switch: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the scenarios with the rules they show.
    List {
        /// Parts of names; all without one.
        names: Vec<String>,
        /// Only those that show this rule, such as R6.
        #[arg(long)]
        rule: Vec<String>,
    },
    /// Plays scenarios: all, or those whose names contain one of the words.
    Run {
        /// `all`, names or parts of names.
        names: Vec<String>,
        /// Only those that show this rule, such as R6.
        #[arg(long)]
        rule: Vec<String>,
        /// Keeps traces and recordings also of those that passed.
        #[arg(long)]
        keep: bool,
        /// How many to play at once.
        #[arg(long, default_value_t = 3)]
        jobs: usize,
        /// Writes the verdicts as JUnit XML.
        #[arg(long)]
        junit: Option<PathBuf>,
    },
    /// Plays the demo and tells aloud what happens.
    Demo,
    /// Starts lab, service and demo phones, and stays until Ctrl-C.
    Up {
        /// The port of the service.
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Measures rating, and the service beside the bare switch.
    Bench {
        /// `rating` or `calls`; both without it.
        what: Option<Bench>,
        /// How many legs are rated from the database.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
        legs: u64,
    },
    /// Tells what can be recognised in a recording.
    Listen {
        /// A WAV file of 8 kHz, mono, 16 bit.
        file: PathBuf,
        /// Tones to look for, in hertz.
        #[arg(default_values_t = [440, 600, 750, 900, 1000])]
        tones: Vec<u32>,
    },
    /// Writes a new scenario to start from.
    New {
        /// Its name: situation and outcome, such as `convener-busy`.
        name: String,
    },
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    Rating,
    Calls,
}

/// More threads than cores: judging a recording keeps one busy, and the phones must go on talking.
const WORKERS: usize = 8;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    sklic::delivery::install_crypto();
    talk_before_others();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sklic-qa: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sklic-qa: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// On a busy machine the phones' packets come first, as they do on a telephone; without the right to it, they queue.
fn talk_before_others() {
    let id = std::process::id().to_string();
    let mut renice = std::process::Command::new("renice");
    renice.args(["-n", "-10", "-p", &id]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    // It is a help, not a need.
    let _ = renice.status();
}

async fn work(arguments: Arguments) -> Result<bool> {
    let root = lab::checkout();
    let own = arguments.switch.as_deref().map(own::OwnSwitch::load).transpose()?;
    let pbx = own.as_ref().map_or(arguments.pbx.as_str(), |own| own.kind.as_str());
    let usual = Wishes { pbx, http_port: 0, calls_per_second: 50, own: own.as_ref() };
    match arguments.command {
        Command::List { names, rule } => list(&root, &names, &rule),
        Command::Listen { file, tones } => listen(&root, &file, &tones).await,
        Command::New { name } => new(&root, &name),
        Command::Run { names, rule, keep, jobs, junit } => {
            let (scenarios, skipped) = chosen(&root, &names, &rule, usual)?;
            if let Some(file) = &junit {
                // Now, for nobody wants to hear it after half an hour.
                write_junit(file, "")?;
            }
            on_stage(&root, usual, async |stage| {
                let began = Instant::now();
                let verdicts = run::run_all(&scenarios, stage, keep, jobs).await;
                if let Some(file) = &junit {
                    write_junit(file, &junit::xml(&verdicts, &skipped))?;
                }
                println!("{}", run::totals(&verdicts, began.elapsed()));
                Ok(verdicts.iter().all(run::Verdict::passed))
            })
            .await
        }
        Command::Demo => {
            let scenario = Scenario::load(&root.join("tests/scenarios/demo.toml"), &root.join("tests/sipp"))?;
            on_stage(&root, usual, async |stage| Ok(demo::demo(&scenario, stage).await)).await
        }
        Command::Bench { what, legs } => {
            if what != Some(Bench::Calls) {
                bench::rating(&root, legs).await?;
            }
            if what == Some(Bench::Rating) {
                return Ok(true);
            }
            on_stage(&root, Wishes { calls_per_second: bench::calls_per_second(&arguments.pbx), ..usual }, async |stage| {
                bench::calls(stage).await.map(|()| true)
            })
            .await
        }
        Command::Up { port } => on_stage(&root, Wishes { http_port: port, ..usual }, async |stage| up::obey(up::furnish(stage).await?).await).await,
    }
}

/// Sets the stage, works on it until done or interrupted, and strikes it whatever happened.
async fn on_stage(root: &Path, wishes: Wishes<'_>, act: impl AsyncFnOnce(&Stage) -> Result<bool>) -> Result<bool> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut setting = std::pin::pin!(Stage::set(root, wishes));
    let mut interrupted = false;
    // A stage is set to the end even so, because half a stage cannot be struck.
    let mut stage = loop {
        tokio::select! {
            stage = &mut setting => break stage?,
            _ = interrupt.recv() => interrupted = true,
            _ = terminate.recv() => interrupted = true,
        }
    };
    if interrupted {
        stage.strike().await;
        bail!("interrupted");
    }
    let result = tokio::select! {
        result = act(&stage) => result,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("interrupted")),
    };
    stage.strike().await;
    result
}

fn load_all(root: &Path) -> Result<Vec<Scenario>> {
    let files = scenario::files(&root.join("tests/scenarios"))?;
    files.iter().map(|file| Scenario::load(file, &root.join("tests/sipp"))).collect()
}

/// The scenarios whose names contain one of the words (or all), and that show one of the rules (or any).
fn picked(root: &Path, names: &[String], rules: &[String]) -> Result<Vec<Scenario>> {
    let all = names.is_empty() || names.iter().any(|name| name == "all");
    let mut scenarios = load_all(root)?;
    scenarios.retain(|scenario| all || names.iter().any(|name| scenario.name.contains(name.as_str())));
    let named = scenarios.len();
    ensure!(named > 0, "no scenario's name contains {}; see: sklic-qa list", names.join(" or "));
    scenarios.retain(|scenario| rules.is_empty() || rules.iter().any(|rule| scenario.rules.iter().any(|its| its.eq_ignore_ascii_case(rule))));
    ensure!(!scenarios.is_empty(), "of {named} scenarios with such a name none shows {}; see: sklic-qa list", rules.join(" or "));
    Ok(scenarios)
}

fn list(root: &Path, names: &[String], rules: &[String]) -> Result<bool> {
    let rows = picked(root, names, rules)?.into_iter().map(|scenario| vec![scenario.name, scenario.rules.join(" "), scenario.summary]);
    demo::table(&["scenario", "rules", "summary"], rows.collect());
    Ok(true)
}

/// What is played, and what is left out for the sake of the switch.
fn chosen(root: &Path, names: &[String], rules: &[String], wishes: Wishes<'_>) -> Result<(Vec<Scenario>, Vec<Skipped>)> {
    let (mut scenarios, mut skipped) = (Vec::new(), Vec::new());
    for scenario in picked(root, names, rules)? {
        let Some(why) = unfit(&scenario, wishes) else {
            scenarios.push(scenario);
            continue;
        };
        println!("skipped  {} ({why})", scenario.name);
        skipped.push(Skipped { name: scenario.name, why });
    }
    if scenarios.is_empty() {
        let left_out: Vec<String> = skipped.iter().map(|one| format!("{} ({})", one.name, one.why)).collect();
        bail!("nothing is left to play: {}; choose others (sklic-qa list) or another switch (--pbx, --switch)", left_out.join(", "));
    }
    Ok((scenarios, skipped))
}

/// Why a scenario cannot be played on the switch.
fn unfit(scenario: &Scenario, wishes: Wishes<'_>) -> Option<String> {
    let elsewhere = !scenario.only_on.is_empty() && !scenario.only_on.iter().any(|other| other == wishes.pbx);
    if elsewhere || (wishes.pbx == "simulator" && scenario.needs_phones()) {
        return Some(format!("not for the {}", wishes.pbx));
    }
    // Nobody's own switch is killed.
    (wishes.own.is_some() && scenario.kills_switch()).then(|| "it kills the switch".to_owned())
}

fn write_junit(file: &Path, xml: &str) -> Result<()> {
    std::fs::write(file, xml).with_context(|| format!("--junit: {} cannot be written", file.display()))
}

async fn listen(root: &Path, file: &Path, tones: &[u32]) -> Result<bool> {
    let samples = sound::read_wav(file)?;
    let lab = lab::Lab::open(root, &[]).await?;
    let time = |sample: usize| format!("{:.2} s", sample as f64 / sound::RATE as f64);
    let row = |what: String, found: hearing::Stretch, alike: String| vec![time(found.start), time(found.end), what, alike];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for &hertz in tones {
        rows.extend(hearing::tone(&samples, hertz).into_iter().map(|found| row(format!("a tone of {hertz} Hz"), found, String::new())));
    }
    rows.extend(hearing::beep(&samples).into_iter().map(|found| row("the beep".to_owned(), found, String::new())));
    for language in ["sl", "en"] {
        for name in expect::prompts() {
            let prompt = sound::read_wav(&Path::new(lab.get("SKLIC_LAB_SOUNDS_DIR")?).join(language).join(format!("{name}.wav")))?;
            let found = hearing::prompt(&samples, &prompt).into_iter();
            rows.extend(found.map(|(found, score)| row(format!("the announcement `{name}` ({language})"), found, format!("{score:.2}"))));
        }
    }
    demo::table(&["from", "to", "heard", "alike"], rows);
    Ok(true)
}

fn new(root: &Path, name: &str) -> Result<bool> {
    let fits = !name.is_empty() && name.chars().all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-');
    ensure!(fits, "a scenario's name holds small letters, digits and hyphens: convener-busy");
    let file = root.join("tests/scenarios").join(format!("{name}.toml"));
    ensure!(!file.exists(), "{} exists already", file.display());
    std::fs::write(&file, scenario::TEMPLATE)?;
    println!("{}\nEdit it, then play it: sklic-qa run {name}", file.display());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(pbx: &str, names: &[&str], rules: &[&str]) -> Result<(Vec<Scenario>, Vec<Skipped>)> {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        chosen(&lab::checkout(), &owned(names), &owned(rules), Wishes { pbx, http_port: 0, calls_per_second: 1, own: None })
    }

    #[test]
    fn filters_that_leave_nothing_are_an_error_that_names_them() {
        let (on_asterisk, _) = choose("asterisk", &["all"], &[]).expect("scenarios");
        let with_phones = on_asterisk.iter().find(|scenario| scenario.needs_phones()).expect("one with phones");
        let told = format!("{:#}", choose("simulator", &[&with_phones.name], &[]).map(drop).expect_err("nothing is left"));
        assert!(told.contains(&format!("{} (not for the simulator)", with_phones.name)) && told.contains("--pbx"), "{told}");
        for (names, rules, words) in [(["no-such-scenario"], "R1", "no-such-scenario"), (["all"], "R999", "none shows R999")] {
            let told = format!("{:#}", choose("asterisk", &names, &[rules]).map(drop).expect_err("nothing is left"));
            assert!(told.contains(words), "{told}");
        }
        let (played, skipped) = choose("simulator", &["all"], &[]).expect("some need no phones");
        assert!(skipped.iter().any(|one| one.name == with_phones.name && one.why == "not for the simulator"), "{skipped:?}");
        assert!(played.iter().all(|scenario| !scenario.needs_phones()));
    }

    #[test]
    fn results_that_cannot_be_written_are_told_with_the_file() {
        let told = format!("{:#}", write_junit(Path::new("/no/such/folder/out.xml"), "").expect_err("no folder"));
        assert!(told.contains("--junit: /no/such/folder/out.xml"), "{told}");
    }
}
