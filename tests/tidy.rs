//! Keeps the house in order: what no compiler checks.

use std::path::{Path, PathBuf};

/// The folders whose code only decides: no clock, randomness, I/O, async or floating point (ARCHITECTURE.md).
const PURE: [&str; 3] = ["src/conference", "src/billing", "src/reception"];

/// What pure code does not name, and why.
const FORBIDDEN: [(&str, &str); 18] = [
    ("tokio", "no async runtime"),
    ("async", "no async"),
    ("await", "no async"),
    ("axum", "no web"),
    ("reqwest", "no web"),
    ("hyper", "no web"),
    ("diesel", "no database"),
    ("diesel_async", "no database"),
    ("lettre", "no mail"),
    ("clock", "the time is an argument"),
    ("Instant", "the time is an argument"),
    ("SystemTime", "the time is an argument"),
    ("rand", "identifiers are given or derived"),
    ("new_v4", "identifiers are given or derived"),
    ("now_v7", "identifiers are given or derived"),
    ("f32", "integers only"),
    ("f64", "integers only"),
    ("HashMap", "its order is random: a replay must give the same effects"),
];

/// Paths that reach outside.
const FORBIDDEN_PATHS: [&str; 7] = ["std::fs", "std::net", "std::env", "std::thread", "std::process", "std::io::std", "::fresh("];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code of a file: without comments, without text in quotes, and without its tests, which come last.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        code.extend(line.split('"').step_by(2));
        code.push('\n');
    }
    code
}

/// The faults of one file's code.
fn impure(text: &str) -> Vec<String> {
    let code = code(text);
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let words = || line.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
        for (word, why) in FORBIDDEN {
            if words().any(|found| found == word) {
                faults.push(format!("line {number} names `{word}`: {why}"));
            }
        }
        for path in FORBIDDEN_PATHS {
            if line.contains(path) {
                faults.push(format!("line {number} names `{path}`: nothing from outside, nothing drawn"));
            }
        }
        if line.contains("Timestamp::now") || line.contains("Zoned::now") {
            faults.push(format!("line {number} reads the clock: the time is an argument"));
        }
    }
    faults
}

#[test]
fn rules_and_rating_are_pure() {
    let mut faults = Vec::new();
    for folder in PURE {
        let mut files = Vec::new();
        rust_files(&root().join(folder), &mut files);
        assert!(!files.is_empty(), "{folder} holds no code");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            faults.extend(impure(&text).into_iter().map(|fault| format!("{name}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "code that only decides reaches outside:\n{}", faults.join("\n"));
}

/// The check itself can fail, and does not stumble over words in comments and texts.
#[test]
fn the_check_sees_what_it_should() {
    for bad in [
        "use tokio::sync::mpsc;",
        "let now = crate::clock::now();",
        "let x = jiff::Timestamp::now();",
        "let id = LegId::fresh();",
        "fn price(x: f64) {}",
        "use std::time::{Instant, Duration};",
        "let text = std::fs::read(\"a\");",
        "pub async fn go() {}",
        "use std::collections::HashMap;",
    ] {
        assert!(!impure(bad).is_empty(), "{bad}");
    }
    for good in [
        "// tokio is absent, and so is f64",
        "/// The switch's clock.",
        "let text = \"tokio\";",
        "let randomised = operand;",
        "let at: Timestamp = now;",
        "#[cfg(test)]\nmod tests { use std::fs; }",
    ] {
        assert_eq!(impure(good), Vec::<String>::new(), "{good}");
    }
}

/// What a migration takes away from a release that still runs beside the new one.
fn contracts(sql: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let text: String = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    for part in text.split(';') {
        let statement = part.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        let has = |words: &str| statement.contains(words);
        let mut fault = |why: &str| faults.push(format!("{why}: {statement}"));
        if ["DROP TABLE", "DROP COLUMN", "DROP VIEW", "DROP SEQUENCE", "DROP TYPE", "TRUNCATE"].iter().any(|words| has(words)) {
            fault("drops what the running release uses");
        }
        if has("RENAME ") {
            fault("renames what the running release uses");
        }
        if has(" TYPE ") && has("ALTER COLUMN") {
            fault("changes a column's type");
        }
        if has("SET NOT NULL") {
            fault("refuses rows that the running release writes");
        }
        // Of each column that is added.
        for column in statement.split("ADD COLUMN").skip(1) {
            let own = column.split(", ADD ").next().unwrap_or_default();
            if own.contains("NOT NULL") && !own.contains("DEFAULT") && !own.contains("GENERATED") {
                faults.push(format!("adds a column that the running release does not fill: {statement}"));
            }
        }
    }
    faults
}

/// Expand, then contract: the running release must work before and after each migration.
///
/// One that contracts says in its first line which release has not needed it any more: `-- contract: since 1.4.0`.
#[test]
fn migrations_expand_then_contract() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("sql/migrations")).unwrap() {
        let file = entry.unwrap().path().join("up.sql");
        let Ok(sql) = std::fs::read_to_string(&file) else { continue };
        seen += 1;
        let first = sql.lines().next().unwrap_or_default();
        let release = first.strip_prefix("-- contract: since ").map(str::trim);
        if release.is_some_and(|release| release.split('.').count() == 3 && release.split('.').all(|part| part.parse::<u32>().is_ok())) {
            continue;
        }
        let name = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        faults.extend(contracts(&sql).into_iter().map(|fault| format!("{name} {fault}")));
    }
    assert!(seen > 10, "only {seen} migrations were found");
    assert!(faults.is_empty(), "migrations that break the release which still runs:\n{}", faults.join("\n"));
}

#[test]
fn the_check_of_migrations_sees_what_it_should() {
    for bad in [
        "DROP TABLE legs;",
        "ALTER TABLE legs DROP COLUMN sip;",
        "ALTER TABLE legs RENAME COLUMN sip TO status;",
        "ALTER TABLE legs ALTER COLUMN sip TYPE bigint;",
        "ALTER TABLE legs ALTER sip SET NOT NULL;",
        "ALTER TABLE legs ADD COLUMN a text,\n ADD COLUMN b text NOT NULL;",
        "alter table legs add column b text not null;",
    ] {
        assert!(!contracts(bad).is_empty(), "{bad}");
    }
    for good in [
        "CREATE TABLE a (b text NOT NULL);",
        "ALTER TABLE legs ADD COLUMN b text NOT NULL DEFAULT '';",
        "ALTER TABLE legs ADD COLUMN b text;",
        "-- DROP TABLE legs;\nCREATE INDEX i ON legs (id);",
        "ALTER TABLE participants DROP CONSTRAINT participants_phone_form;",
    ] {
        assert_eq!(contracts(good), Vec::<String>::new(), "{good}");
    }
}

/// The files and folders that a source file takes into the binary, as its macros name them.
fn taken_in(file: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(file).unwrap();
    let here = file.parent().unwrap();
    let named = |mark: &str| -> Vec<String> { text.split(mark).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect() };
    let beside = named("include_str!(\"").into_iter().chain(named("include_bytes!(\"")).map(|path| here.join(path));
    let from_root = named("embed_migrations!(\"").into_iter().chain(named("#[folder = \"")).map(|path| root().join(path));
    beside.chain(from_root).collect()
}

/// Nobody here has a container engine: a file that the build needs and the container lacks would be found by its first user.
#[test]
fn the_container_is_given_all_that_the_build_takes_in() {
    let recipe = std::fs::read_to_string(root().join("packaging/Containerfile")).unwrap();
    let copied: Vec<PathBuf> = recipe
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .flat_map(|line| {
            let mut words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            words.pop();
            words
        })
        // What an earlier stage made lies under its own folder.
        .map(|path| root().join(path.strip_prefix("/sklic/").unwrap_or(path)))
        .collect();
    let made = |path: &Path| path.ends_with("web/dist") || path.ends_with("target/release/sklic");
    for path in &copied {
        assert!(path.exists() || made(path), "the container copies {}, which is not there", path.display());
    }
    let mut sources = Vec::new();
    rust_files(&root().join("src"), &mut sources);
    // Only the service is built there.
    sources.retain(|file| !file.starts_with(root().join("src/bin")));
    let needed: Vec<PathBuf> = sources.iter().flat_map(|file| taken_in(file)).collect();
    assert!(needed.iter().any(|path| path.ends_with("sql/migrations")) && needed.iter().any(|path| path.ends_with("web/dist")), "{needed:?}");
    for path in needed {
        let path = path.canonicalize().unwrap_or(path);
        assert!(copied.iter().any(|copy| path.starts_with(copy)), "the build takes in {}, which the container lacks", path.display());
    }
    for word in ["CMD [\"serve\"]", "ENTRYPOINT [\"/usr/bin/sklic\"]", "--bin sklic", "npm ci", "npm run --silent build"] {
        assert!(recipe.contains(word), "{word}");
    }
}
