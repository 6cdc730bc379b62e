//! Plays every scenario under `scenarios/`.
//!
//! Beside what a scenario expects, the invariants are checked after each of its steps, its journal is replayed,
//! and with nothing but ticks from its last step on the conference comes to an end.

use std::fmt::Write as _;
use std::path::Path;

use crate::script::Scenario;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Scenario>,
}

fn check(scenario: &Scenario) -> Result<(), String> {
    let mut world = scenario.play()?;
    world.check_replay()?;
    world.run_out().map_err(|fault| format!("run out: {fault}"))?;
    world.check_replay().map_err(|fault| format!("run out: {fault}"))
}

#[test]
fn scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conference/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let (mut played, mut faults) = (0, String::new());
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        let file: File = toml::from_str(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        for scenario in &file.scenario {
            played += 1;
            if let Err(fault) = check(scenario) {
                let _ = writeln!(faults, "{}: {}\n    {fault}\n", path.file_name().unwrap().display(), scenario.name);
            }
        }
    }
    println!("{played} scenarios in {} files", files.len());
    assert!(faults.is_empty(), "\n{faults}");
    assert!(played > 0, "no scenarios found");
}
