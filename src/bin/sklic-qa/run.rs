//! Runs scenarios and tells how they went.

use crate::judge::{self, Judgement, Papers};
use crate::play::Play;
use crate::scenario::Scenario;
use crate::sound;
use crate::stage::Stage;
use crate::tell::Teller;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a scenario went.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its name.
    pub name: String,
    /// What went wrong; empty = passed.
    pub failures: Vec<String>,
    /// How many expectations were judged.
    pub judged: usize,
    /// The first run, when it failed and the scenario was played again with nothing beside it.
    pub first: Option<First>,
    /// How long it took.
    pub took: Duration,
    /// Where traces and recordings lie, if they were kept.
    pub kept: Option<PathBuf>,
}

/// A first run that failed.
#[derive(Clone, Debug)]
pub struct First {
    /// What went wrong.
    pub failures: Vec<String>,
    /// Where its traces and recordings lie.
    pub kept: Option<PathBuf>,
}

impl Verdict {
    /// Nothing went wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// It failed, and passed when it was played again.
    pub fn second_try(&self) -> bool {
        self.passed() && self.first.is_some()
    }
}

/// What is left of a played scenario, for the demo.
pub struct Left {
    /// The expectations.
    pub judgements: Vec<Judgement>,
    /// Report, charges, mails.
    pub papers: Papers,
}

/// Plays one scenario and judges it; with `keep`, traces and recordings stay although it passed.
pub async fn run(scenario: &Scenario, stage: &Stage, teller: Teller, keep: bool) -> (Verdict, Option<Left>) {
    let began = Instant::now();
    let mut verdict = Verdict { name: scenario.name.clone(), failures: Vec::new(), judged: 0, first: None, took: Duration::ZERO, kept: None };
    let folder = match stage.lab.fresh_folder(&scenario.name) {
        Ok(folder) => folder,
        Err(error) => {
            verdict.failures.push(format!("{error:#}"));
            return (verdict, None);
        }
    };
    let logs = [stage.log.clone(), stage.log.with_file_name("switch.log")];
    let before = logs.each_ref().map(|log| std::fs::metadata(log).map_or(0, |data| data.len()));
    let left = match play(scenario, stage, &folder, teller).await {
        Ok(left) => {
            verdict.judged = left.judgements.len();
            let failed = left.judgements.iter().filter_map(|judgement| Some(format!("{}: {}", judgement.expected, judgement.instead.as_ref()?)));
            verdict.failures.extend(failed);
            Some(left)
        }
        Err(error) => {
            verdict.failures.push(format!("{error:#}"));
            None
        }
    };
    if let Err(error) = mend(stage).await {
        verdict.failures.push(format!("afterwards the lab could not be mended: {error:#}"));
    }
    if keep || !verdict.passed() {
        for (log, before) in logs.iter().zip(before) {
            keep_log(log, before, &folder);
        }
        verdict.kept = Some(folder);
    } else {
        // Nobody will look; what cannot be removed is overwritten by the next run.
        let _ = std::fs::remove_dir_all(&folder);
    }
    verdict.took = began.elapsed();
    (verdict, left)
}

async fn play(scenario: &Scenario, stage: &Stage, folder: &Path, teller: Teller) -> Result<Left> {
    let mut play = Play::prepare(scenario, stage, folder.to_owned(), teller).await?;
    let result = async {
        play.steps().await?;
        let papers = judge::fetch(&play).await?;
        Ok(Left { judgements: tokio::task::block_in_place(|| judge::judge(&play, &papers)), papers })
    }
    .await;
    let saved = save_recordings(&play, folder);
    play.clear().await;
    result.and_then(|left| saved.map(|()| left))
}

fn save_recordings(play: &Play<'_>, folder: &Path) -> Result<()> {
    for (name, phone) in &play.phones {
        for (index, recording) in phone.rtp.iter().flat_map(|rtp| rtp.recordings()).enumerate() {
            sound::write_wav(&folder.join(format!("{name}-heard-{}.wav", index + 1)), &recording.samples)?;
        }
    }
    Ok(())
}

/// Puts right what a scenario has broken, so that the next one finds everything running.
async fn mend(stage: &Stage) -> Result<()> {
    if let Some(link) = &stage.link {
        link.mend();
        let parts = ["start", "postgres", stage.switch_part()];
        stage.lab.verb(if stage.is_own { &parts[..2] } else { &parts }).await?;
    }
    let mut service = stage.service.lock().await;
    if !service.runs() {
        service.start().await?;
    }
    // A switch that was just started is not linked yet, and the next scenario's start would be refused.
    service.linked().await.map(drop)
}

/// Copies to the scenario's folder what was added to a log since the scenario began.
fn keep_log(log: &Path, from: u64, folder: &Path) {
    let words = std::fs::read(log).unwrap_or_default();
    let words = words.get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default();
    let kept = log.file_name().map(|name| std::fs::write(folder.join(name), words));
    if let Some(Err(error)) = kept {
        eprintln!("sklic-qa: {} was not kept: {error}", log.display());
    }
}

/// Runs scenarios one after another, or several at once; those that break things always run alone.
///
/// One that failed is played once more with nothing beside it: phones and switch share the machine with whatever else runs there,
/// and a switch that gets no processor for a second sounds like a fault. Both runs are told, and the totals count second tries.
pub async fn run_all(scenarios: &[Scenario], stage: &Stage, keep: bool, jobs: usize) -> Vec<Verdict> {
    use futures_util::StreamExt;
    let (alone, together): (Vec<&Scenario>, Vec<&Scenario>) = scenarios.iter().partition(|scenario| scenario.breaks_things());
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut running =
        futures_util::stream::iter(together).map(|scenario| run(scenario, stage, Teller::default(), keep)).buffer_unordered(jobs.max(1));
    while let Some((verdict, _)) = running.next().await {
        print_verdict(&verdict);
        verdicts.push(verdict);
    }
    for scenario in alone {
        let (verdict, _) = run(scenario, stage, Teller::default(), keep).await;
        print_verdict(&verdict);
        verdicts.push(verdict);
    }
    for verdict in verdicts.iter_mut().filter(|verdict| !verdict.passed()) {
        let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == verdict.name) else { continue };
        println!("again   {}", verdict.name);
        let first = First { failures: std::mem::take(&mut verdict.failures), kept: verdict.kept.take().map(put_aside) };
        let (again, _) = run(scenario, stage, Teller::default(), keep).await;
        *verdict = Verdict { first: Some(first), ..again };
        print_verdict(verdict);
    }
    verdicts
}

/// Renames a run's folder to `NAME.first`, so that the second run does not empty it, and gives where it is then.
fn put_aside(folder: PathBuf) -> PathBuf {
    let mut first = folder.clone().into_os_string();
    first.push(".first");
    let first = PathBuf::from(first);
    // An earlier run's; where it cannot be removed, the renaming fails and says so.
    let _ = std::fs::remove_dir_all(&first);
    match std::fs::rename(&folder, &first) {
        Ok(()) => first,
        Err(error) => {
            eprintln!("sklic-qa: {} could not be kept as {}: {error}", folder.display(), first.display());
            folder
        }
    }
}

/// Prints how one scenario went.
pub fn print_verdict(verdict: &Verdict) {
    let mark = if verdict.passed() { "ok    " } else { "FAILED" };
    println!("{mark}  {:<44} {:>3} expectations  {:>5.1} s", verdict.name, verdict.judged, verdict.took.as_secs_f64());
    for failure in &verdict.failures {
        println!("        {}", failure.replace('\n', "\n        "));
    }
    if let (false, Some(kept)) = (verdict.passed(), &verdict.kept) {
        println!("        traces, logs and recordings: {}", kept.display());
    }
    if let Some(kept) = verdict.first.as_ref().and_then(|first| first.kept.as_ref()) {
        println!("        those of the first run, which failed: {}", kept.display());
    }
}

/// The closing line.
pub fn totals(verdicts: &[Verdict], took: Duration) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    let again = verdicts.iter().filter(|verdict| verdict.second_try()).count();
    format!(
        "{} passed, {failed} failed; scenarios: {} run in {:.0} s, {again} passed at the second try",
        verdicts.len() - failed,
        verdicts.len(),
        took.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_run_is_put_aside_over_an_earlier_one() {
        let root = std::env::temp_dir().join(format!("sklic-qa-aside-{}", std::process::id()));
        let folder = root.join("busy");
        for words in ["old", "new"] {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("sse.log"), words).expect("written");
            let first = put_aside(folder.clone());
            assert_eq!(first, root.join("busy.first"));
            assert!(!folder.exists());
            assert_eq!(std::fs::read_to_string(first.join("sse.log")).expect("kept"), words);
        }
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
