//! Every parser of what the network sends, fed with mutated real input for a bounded time.
//!
//! `make fuzz` gives each target `SKLIC_FUZZ_SECONDS` (60); as an ordinary test each runs for a second.
//! Nothing here measures coverage, for that needs a compiler that is not the stable one: the mutations start from lines of the real
//! switches and put pieces of other lines, lengths, breaks and odd bytes into them.
//! An input that breaks a property is written to `tests/fuzz/crashes/`, where it is played again in every run from then on.

mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Mutator;
use targets::{TARGETS, Target};

fn crashes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/crashes")
}

fn seconds() -> u64 {
    std::env::var("SKLIC_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs one input; its panic, if it has one.
fn breaks(target: &Target, input: &[u8]) -> Option<String> {
    let caught = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let panic = caught.err()?;
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Some(words.unwrap_or("it panicked without words").to_owned())
}

/// Cuts pieces out of an input for as long as it still breaks.
fn smallest(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at + piece <= input.len() {
            let shorter = [&input[..at], &input[at + piece..]].concat();
            if breaks(target, &shorter).is_some() { input = shorter } else { at += piece }
        }
        piece /= 2;
    }
    input
}

fn fuzz(target: &Target) {
    let until = Instant::now() + Duration::from_secs(seconds());
    let seed = std::env::var("SKLIC_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random::<u64>);
    let mut mutator = Mutator::new(seed, target.seeds);
    let mut runs = 0_u64;
    while Instant::now() < until {
        let input = mutator.next();
        runs += 1;
        if let Some(words) = breaks(target, &input) {
            let input = smallest(target, input);
            let file = crashes().join(format!("{}-{seed:016x}-{runs}", target.name));
            std::fs::write(&file, &input).expect("the folder of crashes is there");
            panic!("{}: {words}\nseed {seed}, input in {}: {:?}", target.name, file.display(), String::from_utf8_lossy(&input));
        }
    }
    println!("{}: {runs} inputs in {} s, seed {seed}, nothing broke", target.name, seconds());
}

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of this name")
}

macro_rules! fuzzed {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                fuzz(target(stringify!($name)));
            }
        )+
        #[test]
        fn every_target_is_run() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$(stringify!($name)),+]);
        }
    };
}

fuzzed!(ami_frames, esl_frames, esl_events, numbers, keys_and_identities, prices);

#[test]
fn what_once_broke_is_mended() {
    for entry in std::fs::read_dir(crashes()).expect("the folder of crashes is there") {
        let file = entry.expect("its entries can be read").path();
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(target) = TARGETS.iter().find(|target| name.starts_with(target.name)) else { continue };
        let input = std::fs::read(&file).expect("it can be read");
        assert_eq!(breaks(target, &input), None, "{name}");
    }
}

#[test]
fn seeds_are_good_input() {
    for target in TARGETS {
        for seed in target.seeds {
            assert_eq!(breaks(target, seed), None, "{}", target.name);
        }
    }
}
