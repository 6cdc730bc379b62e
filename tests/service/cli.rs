//! The operator's commands, run as he runs them.

use std::path::Path;
use std::process::{Command, Output};

use sklic::storage::accounts;

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

#[test]
fn before_a_start_a_database_that_is_away_is_no_failure_and_a_configuration_that_cannot_be_used_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sklic.toml");
    let migrate = |text: &str, option: &str| {
        std::fs::write(&path, text).unwrap();
        sklic(&path, "", &format!("migrate {option}"))
    };
    // Port 1 (tcpmux) is never a database.
    let away = "[database]\nurl = \"postgres://sklic:secret@127.0.0.1:1/sklic\"\n";
    let waits = migrate(away, "--if-reachable");
    assert!(waits.status.success() && said(&waits).contains("could not be looked at"), "{}", said(&waits));
    assert!(!migrate(away, "").status.success());
    for (text, words) in [
        ("[database]\nurl_file = \"/nowhere/database-url\"\n", "/nowhere/database-url"),
        ("[database]\nurl = \"postgres://127.0.0.1:1/sklic\"\nurll = \"\"\n", "urll"),
    ] {
        let refused = migrate(text, "--if-reachable");
        assert!(!refused.status.success() && said(&refused).contains(words), "{}", said(&refused));
    }
}

#[tokio::test]
async fn an_account_has_its_telephone_as_its_line_unless_another_is_given() {
    let Some(database) = Database::fresh().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(&database, folder.path());
    let lines = folder.path().join("lines.csv");
    std::fs::write(&lines, "line\n+38613099396\n+38613099397\n").unwrap();
    let more = format!("{}\n[lines]\nfile = {:?}\n", std::fs::read_to_string(&config).unwrap(), lines);
    std::fs::write(&config, more).unwrap();
    let add = |user_number: &str, phone: &str, line: &str| {
        let account = format!("account add --user-number {user_number} --name Ana --phone {phone} --email ana@example.test {line} --password-stdin");
        sklic(&config, "", &format!("{account} <<< 'zelo dolgo geslo'"))
    };
    let line_of =
        async |user_number: &str| accounts::find_by_user_number(&mut *database.connection().await, user_number).await.unwrap().unwrap().line;
    let good = add("100300", "+38613099396", "");
    assert!(good.status.success(), "{}", said(&good));
    assert_eq!(line_of("100300").await.as_deref(), Some("+38613099396"));
    let good = add("100301", "+38640123456", "--line 013099397");
    assert!(good.status.success(), "{}", said(&good));
    assert_eq!(line_of("100301").await.as_deref(), Some("+38613099397"));
    for line in ["", "--line -", "--line 013099398"] {
        let refused = add("100302", "+38640123456", line);
        assert!(!refused.status.success() && said(&refused).contains("not in the operator's inventory"), "{line}: {}", said(&refused));
    }
    let refused = sklic(&config, "", "account set --user-number 100301 --line -");
    assert!(!refused.status.success() && said(&refused).contains("not in the operator's inventory"), "{}", said(&refused));
    let back = sklic(&config, "", "account set --user-number 100300 --line -");
    assert!(back.status.success(), "{}", said(&back));
    assert_eq!(line_of("100300").await.as_deref(), Some("+38613099396"));
}

#[tokio::test]
async fn an_earlier_price_list_that_is_imported_again_is_in_force_again() {
    let Some(database) = Database::fresh().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(&database, folder.path());
    let list = |name: &str, price: &str| {
        let file = folder.path().join(name);
        let header = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to";
        std::fs::write(&file, format!("{header}\ncall,+,x,0,{price},60,30,0,0.0001,22,,\n")).unwrap();
        file
    };
    let (dear, cheap) = (list("a.csv", "0.30"), list("b.csv", "0.03"));
    let import = |file: &Path, more: &str| said(&sklic(&config, "", &format!("tariff import {} --name base --valid-from {more}", file.display())));
    assert!(import(&dear, "2026-01-01").contains("version 1:"));
    assert!(import(&dear, "2026-01-01").contains("in force already as version 1"));
    assert!(import(&cheap, "2026-01-01").contains("version 2:"));
    let back = import(&dear, "2026-01-01");
    assert!(back.contains("version 3:"), "{back}");
    assert!(import(&dear, "2026-01-01").contains("in force already as version 3"));
    // A time of day would be lost, and with it half a day's prices.
    for wrong in ["2026-07-01T12:00", "2026-07-01 12:00", "20260701", "tomorrow"] {
        let refused = import(&dear, &format!("'{wrong}'"));
        assert!(refused.contains("not a date such as 2026-01-31"), "{wrong}: {refused}");
    }
}

#[tokio::test]
async fn the_dates_of_a_price_list_are_midnights_where_the_service_is() {
    let Some(database) = Database::fresh().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(&database, folder.path());
    std::fs::write(&config, format!("{}\n[service]\ntime_zone = \"America/New_York\"\n", std::fs::read_to_string(&config).unwrap())).unwrap();
    let file = folder.path().join("a.csv");
    let header = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to";
    std::fs::write(&file, format!("{header}\ncall,+,x,0,0.30,60,30,0,0.0001,22,,\n")).unwrap();
    let run = |command: &str, more: &str| said(&sklic(&config, "", &format!("tariff {command} {} --valid-from 2026-01-01{more}", file.display())));
    assert!(run("check", "").contains("from 2026-01-01T05:00:00Z, nothing wrong"), "{}", run("check", ""));
    assert!(run("import", "").contains("from 2026-01-01T05:00:00Z"));
    assert!(run("import", " --time-zone UTC").contains("from 2026-01-01T00:00:00Z"));
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
