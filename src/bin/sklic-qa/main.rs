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

use crate::scenario::Scenario;
use crate::stage::{Stage, Wishes};
use anyhow::{Result, bail, ensure};
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
            let scenarios = chosen(&root, &names, &rule, usual)?;
            on_stage(&root, usual, async |stage| {
                let began = Instant::now();
                let verdicts = run::run_all(&scenarios, stage, keep, jobs).await;
                if let Some(file) = &junit {
                    std::fs::write(file, junit::xml(&verdicts))?;
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
    scenarios.retain(|scenario| rules.is_empty() || rules.iter().any(|rule| scenario.rules.iter().any(|its| its.eq_ignore_ascii_case(rule))));
    ensure!(!scenarios.is_empty(), "no scenario is called {} or shows {}; see: sklic-qa list", names.join(", "), rules.join(", "));
    Ok(scenarios)
}

fn list(root: &Path, names: &[String], rules: &[String]) -> Result<bool> {
    let rows = picked(root, names, rules)?.into_iter().map(|scenario| vec![scenario.name, scenario.rules.join(" "), scenario.summary]);
    demo::table(&["scenario", "rules", "summary"], rows.collect());
    Ok(true)
}

fn chosen(root: &Path, names: &[String], rules: &[String], wishes: Wishes<'_>) -> Result<Vec<Scenario>> {
    let mut scenarios = picked(root, names, rules)?;
    scenarios.retain(|scenario| {
        let fits = scenario.only_on.is_empty() || scenario.only_on.iter().any(|other| other == wishes.pbx);
        let fits = fits && (wishes.pbx != "simulator" || !scenario.needs_phones());
        if !fits {
            println!("skipped  {} (not for the {})", scenario.name, wishes.pbx);
        }
        // Nobody's own switch is killed.
        let kills = wishes.own.is_some() && scenario.kills_switch();
        if kills {
            println!("skipped  {} (it kills the switch)", scenario.name);
        }
        fits && !kills
    });
    Ok(scenarios)
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
