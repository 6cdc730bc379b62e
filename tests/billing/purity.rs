//! `conference/` and `billing/` stay pure: no runtime, no I/O, no clock, no floating point.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that must not stand in the code of a pure module, and why.
const FORBIDDEN: [(&str, &str); 11] = [
    ("tokio", "an asynchronous runtime"),
    ("axum", "HTTP"),
    ("diesel", "the database"),
    ("reqwest", "HTTP"),
    ("clock", "the time is an argument"),
    ("async", "nothing to wait for"),
    ("rand", "the same input gives the same output"),
    ("SystemTime", "the time is an argument"),
    ("Instant", "the time is an argument"),
    ("f32", "money and time are integers"),
    ("f64", "money and time are integers"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The forbidden words in a source, line by line, comments aside.
fn offences(source: &str) -> Vec<(usize, &'static str)> {
    let mut offences = Vec::new();
    for (line, text) in (1..).zip(source.lines()) {
        let code = text.split("//").next().unwrap_or_default();
        let words = code.split(|character: char| !character.is_alphanumeric() && character != '_');
        for word in words {
            offences.extend(FORBIDDEN.iter().filter(|(forbidden, _)| *forbidden == word).map(|(word, _)| (line, *word)));
        }
    }
    offences
}

#[test]
fn conference_and_billing_are_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in ["conference", "billing"] {
        let sources = sources(&root.join(module));
        assert!(!sources.is_empty(), "{module} has no sources");
        for path in sources {
            let source = fs::read_to_string(&path).unwrap();
            let found: Vec<_> = offences(&source);
            assert!(found.is_empty(), "{}: {found:?} – {FORBIDDEN:?}", path.display());
        }
    }
}

#[test]
fn the_check_sees_what_it_looks_for() {
    assert_eq!(offences("// no tokio here\nuse tokio::time;\nlet clockwise = 1;\n"), [(2, "tokio")]);
    assert_eq!(offences("use crate::clock;"), [(1, "clock")]);
    assert_eq!(offences("fn half(x: f64) -> f32 {"), [(1, "f64"), (1, "f32")]);
}
