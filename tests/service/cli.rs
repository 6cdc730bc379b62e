//! The operator's commands, run as he runs them.

use std::path::Path;
use std::process::{Command, Output};

use crate::accounting::{ended_conference, import, rate_missing};
use crate::database::{Database, account};

/// A configuration for the database, in this folder.
fn configure(database: &Database, folder: &Path) -> std::path::PathBuf {
    let path = folder.join("sklic.toml");
    std::fs::write(&path, format!("[database]\nurl = {:?}\n", database.url)).unwrap();
    path
}

/// Runs `sklic` under these shell words before it; gives what came of it.
fn sklic(config: &Path, before: &str, arguments: &str) -> Output {
    let line = format!("{before} exec {} --config {} {arguments}", env!("CARGO_BIN_EXE_sklic"), config.display());
    Command::new("bash").args(["-c", &line]).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_disk_that_is_full_leaves_no_batch_and_the_next_export_has_it_all() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    ended_conference(&database, ana, 20).await;
    import(&database, "base", "0.10").await;
    rate_missing(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let config = configure(&database, folder.path());
    let to = folder.path().join("out");
    std::fs::create_dir(&to).unwrap();
    // No file may grow beyond four kilobytes, and the signal for it is ignored, as on a full disk the write fails.
    let full = sklic(&config, "trap '' XFSZ; ulimit -f 4;", &format!("charges export --to {}", to.display()));
    assert!(!full.status.success(), "{}", said(&full));
    assert!(said(&full).contains("cannot write to"), "{}", said(&full));
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
    assert!(said(&sklic(&config, "", "charges batches")).is_empty());
    let good = sklic(&config, "", &format!("charges export --to {}", to.display()));
    assert!(good.status.success() && said(&good).contains("Batch 1: 38 charges."), "{}", said(&good));
    assert!(said(&good).contains("38 charges in EUR: net 7.6000, VAT 1.6720, gross 9.2720"), "{}", said(&good));
    let nothing = sklic(&config, "", &format!("charges export --to {}", to.display()));
    assert!(said(&nothing).contains("Nothing waits"), "{}", said(&nothing));
}

#[tokio::test]
async fn a_price_list_with_one_bad_row_loads_nothing() {
    let Some(database) = Database::fresh().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(&database, folder.path());
    let header = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to";
    let row = |prefix: &str, price: &str, from: &str, to: &str| format!("call,{prefix},x,0,{price},60,30,0,0.0001,22,{from},{to}\n");
    let mut long: String = (0..100_000).map(|prefix| row(&format!("+386{prefix:05}"), "0.03", "", "")).collect();
    long.push_str(&row("+43", "-0.01", "", ""));
    for (name, rows, reason) in [
        (
            "gap",
            row("+43", "0.1", "2026-01-01", "2026-02-01") + &row("+43", "0.1", "2026-02-02", ""),
            "line 3, column valid_from: gap in the validity of call +43",
        ),
        (
            "overlap",
            row("+43", "0.1", "2026-01-01", "2026-02-02") + &row("+43", "0.1", "2026-02-01", ""),
            "line 3, column valid_from: overlap in the validity of call +43",
        ),
        ("prefix", row("0043", "0.1", "", ""), "line 2, column prefix: \"0043\": not a prefix"),
        ("price", row("+43", "-0.1", "", ""), "line 2, column price_per_minute: -0.10 is negative"),
        ("long", long, "line 100002, column price_per_minute: -0.01 is negative"),
    ] {
        let file = folder.path().join(format!("{name}.csv"));
        std::fs::write(&file, format!("{header}\n{rows}")).unwrap();
        let import = sklic(&config, "", &format!("tariff import {} --name base --valid-from 2026-01-01", file.display()));
        assert!(!import.status.success() && said(&import).contains(reason), "{name}: {}", said(&import));
        assert!(said(&import).contains("nothing is loaded"), "{name}: {}", said(&import));
    }
    let wrong = folder.path().join("column.csv");
    std::fs::write(&wrong, header.replace("connect_fee", "fee") + "\n" + &row("+43", "0.1", "", "")).unwrap();
    let import = sklic(&config, "", &format!("tariff import {} --name base --valid-from 2026-01-01", wrong.display()));
    assert!(!import.status.success() && said(&import).contains("line 1, column fee: unknown column"), "{}", said(&import));
    assert_eq!(said(&sklic(&config, "", "tariff show")), "", "nothing is loaded");
    let refused = sklic(
        &config,
        "",
        "account add --user-number 100300 --name Ana --phone +38615550201 --email ana@example.test --tariff base --password-stdin </dev/null",
    );
    assert!(!refused.status.success() && said(&refused).contains("there is no tariff \"base\""), "{}", said(&refused));
}

#[tokio::test]
async fn an_account_is_made_only_as_its_owner_could_write_it() {
    let Some(database) = Database::fresh().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(&database, folder.path());
    let add = |option: &str, value: &str, password: &str| {
        let usual = [("--user-number", "100300"), ("--name", "'Ana Novak'"), ("--phone", "+38615550201"), ("--email", "ana@example.test")];
        let given: String = usual.iter().filter(|(name, _)| *name != option).map(|(name, value)| format!(" {name} {value}")).collect();
        sklic(&config, &format!("printf '%s\\n' '{password}' |"), &format!("account add --password-stdin{given} {option} {value}"))
    };
    let (good, long) = ("zelo dolgo geslo", "x".repeat(201));
    for (option, value, password, reason) in [
        ("--name", "' '", good, "--name: this is needed"),
        ("--name", "$'Ana\\nNovak'", good, "--name: control characters"),
        ("--name", &long, good, "--name: at most 200"),
        ("--email", "ana@example.test,bor@example.test", good, "--email: this is not"),
        ("--email", "ana@x", good, "--email: this is not"),
        ("--email", "''", good, "--email: the report goes there"),
        ("--time-zone", "Mars/Olympus", good, "--time-zone: there is no such"),
        ("--allowed-prefixes", "+43", good, "--phone: numbers like +38615550201"),
        ("--language", "sl", "123456789", "a password has at least 10 characters"),
    ] {
        let refused = add(option, value, password);
        assert!(!refused.status.success() && said(&refused).contains(reason), "{option} {value}: {}", said(&refused));
    }
    assert_eq!(said(&sklic(&config, "", "account list")), "", "nobody was made");
    let made = add("--language", "sl", good);
    assert!(made.status.success(), "{}", said(&made));
}
