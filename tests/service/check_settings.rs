//! `sklic check` without a switch: each point is broken in turn and finds its own message and no other.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use diesel_async::SimpleAsyncConnection as _;

use crate::check_support::{Patient, file};
use crate::smtp;

/// A port on which nobody listens.
fn closed() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn faults_of_the_configuration() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.is_healthy("all").await;
    let healthy = patient.config.clone();

    patient.section("conference").insert("ring_timeuot_seconds".into(), 30.into());
    patient.suffers("configuration.unknown_key", &["ring_timeuot_seconds", "conference"]).await;
    patient.config = healthy.clone();

    patient.section("service").insert("time_zone".into(), "Europe/Lublana".into());
    patient.suffers("configuration.time_zone", &["Europe/Lublana", "IANA"]).await;
    patient.config = healthy.clone();

    patient.section("conference").insert("ring_timeout_seconds".into(), 0.into());
    patient.suffers("configuration.value", &["conference.ring_timeout_seconds"]).await;
    patient.config = healthy.clone();

    let twice = "[[access_number]]\nnumber = \"19819\"\nway_of_entry = \"onnet_short\"\nforms = [\"19819\"]\n".repeat(2);
    let twice: toml::Table = twice.parse().unwrap();
    patient.config.extend(twice);
    patient.suffers("configuration.access_number", &["19819", "forms"]).await;
    patient.config = healthy.clone();

    patient.config.remove("pbx");
    patient.suffers("configuration.no_switch", &["[[pbx]]"]).await;
    patient.config = healthy.clone();

    let report = sklic::cli::check::examine(&patient.folder.path().join("none.toml"), &patient.machine).await;
    assert_eq!(report.findings().map(|finding| finding.id).collect::<Vec<_>>(), ["configuration.unreadable"]);
}

#[tokio::test]
async fn faults_of_secrets() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.is_healthy("all").await;
    patient.section("http").insert("metrics_token".into(), "ClueCon".into());
    patient.suffers("secrets.weak", &["http.metrics_token", "openssl rand"]).await;
    patient.section("http").remove("metrics_token");
    let healthy = patient.config.clone();
    let mail = smtp::scripted(&["220 mail", "250-mail\r\n250 AUTH PLAIN", "235 welcome", "250 sender", "250 recipient", "250 forgotten"]).await;
    patient.section("mail").insert("smtp".into(), format!("smtp://sklic:geslo@{mail}").into());
    patient.suffers("secrets.weak", &["mail.smtp"]).await;
    patient.config = healthy.clone();
    patient.config.extend(kannel_section(kannel("geslo").await, "secret = \"geslo\""));
    patient.suffers("secrets.weak", &["the SMS gateway kannel"]).await;
    patient.config = healthy.clone();
    let endpoint = |secret: &str| -> toml::Table {
        format!("[[webhooks.endpoint]]\nname = \"billing\"\nurl = \"http://127.0.0.1:1/\"\n{secret}\n").parse().unwrap()
    };
    patient.config.extend(endpoint("secret = \"aaaaaaaaaaaaaaaaaaaa\""));
    patient.suffers("secrets.weak", &["the webhook billing"]).await;
    patient.config = healthy.clone();

    // Each file of a secret that all may read.
    let open = |name: &str, text: &str| {
        let path = file(patient.folder.path(), name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        format!("secret_file = {path:?}")
    };
    let (gateway, report, webhook) =
        (open("gateway", "the-right-one\n"), open("report", "kxv4u6VK7zS69pJ1\n"), open("webhook", "kxv4u6VK7zS69pJ1\n"));
    let kannel = kannel("the-right-one").await;
    patient.config.extend(kannel_section(kannel, &gateway));
    patient.suffers("secrets.readable", &["/gateway", "chmod 0640"]).await;
    patient.config.extend(kannel_section(kannel, &format!("secret = \"the-right-one\"\nreport = {{ {report} }}")));
    patient.suffers("secrets.readable", &["/report"]).await;
    patient.config = healthy.clone();
    patient.config.extend(endpoint(&webhook));
    patient.suffers("secrets.readable", &["/webhook"]).await;
    patient.config = healthy;
    std::fs::set_permissions(patient.folder.path().join("secret"), std::fs::Permissions::from_mode(0o644)).unwrap();
    patient.suffers("secrets.readable", &["/secret", "chmod 0640"]).await;
}

#[tokio::test]
async fn faults_of_the_database() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.is_healthy("all").await;
    let healthy = patient.config.clone();
    let url = patient.database.url.clone();
    let (before, at) = url.split_once('@').unwrap();
    let (user, _) = before.rsplit_once(':').unwrap();
    for (broken, words) in [
        (patient.database.url_at(closed()), ["whether PostgreSQL runs", "Connection refused"]),
        ("host=127.0.0.1 port=1 user=sklic".to_owned(), ["whether PostgreSQL runs", "127.0.0.1:1: Connection refused"]),
        ("postgres://sklic@nowhere.invalid/sklic".to_owned(), ["host and port in database.url", "nowhere.invalid:5432: failed to lookup"]),
        ("postgres://sklic@127.0.0.1:port/sklic".to_owned(), ["invalid connection string", "write postgres://user:password@host:port/database"]),
        (format!("{user}:wrong-but-long-enough@{at}"), ["database.url", "right user and password"]),
        (format!("{before}@{}", at.replace("sklic_test", "sklic_tset")), ["database.url", "CREATE DATABASE"]),
    ] {
        patient.section("database").insert("url".into(), broken.into());
        patient.suffers("database.url", &words).await;
    }
    patient.config = healthy;

    let mut connection = patient.database.connection().await;
    let migrations = "CREATE TABLE kept AS SELECT * FROM __diesel_schema_migrations";
    connection.batch_execute(migrations).await.unwrap();
    connection.batch_execute("DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM kept)").await.unwrap();
    patient.suffers("database.schema_old", &["sklic migrate"]).await;
    connection.batch_execute("INSERT INTO __diesel_schema_migrations SELECT * FROM kept ON CONFLICT DO NOTHING").await.unwrap();
    connection.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')").await.unwrap();
    patient.suffers("database.schema_new", &["20990101000000", "install the release"]).await;
    connection.batch_execute("DELETE FROM __diesel_schema_migrations WHERE version = '20990101000000'").await.unwrap();

    connection.batch_execute("UPDATE accounts SET time_zone = 'Mars/Olympus'").await.unwrap();
    patient.suffers("accounts.time_zone", &["Mars/Olympus"]).await;
    connection.batch_execute("UPDATE accounts SET time_zone = 'Europe/Ljubljana'").await.unwrap();

    // A clock of the database that is wrong: a function of the same name comes before PostgreSQL's own.
    let name = url.rsplit('/').next().unwrap();
    connection
        .batch_execute(&format!(
            "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() - interval '90 s' $$;\
             ALTER DATABASE {name} SET search_path = public, pg_catalog"
        ))
        .await
        .unwrap();
    patient.suffers("database.clock", &["behind", "90"]).await;
    connection.batch_execute(&format!("ALTER DATABASE {name} RESET search_path")).await.unwrap();
    patient.is_healthy("the end").await;
}

#[tokio::test]
async fn faults_of_the_tariff() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.is_healthy("all").await;
    let healthy = patient.config.clone();
    patient.section("billing").insert("tariff".into(), "none".into());
    patient.suffers("tariff.missing", &["none", "sklic tariff import"]).await;
    patient.config = healthy.clone();
    patient.section("billing").insert("currency".into(), "CHF".into());
    patient.suffers("tariff.currency", &["EUR", "CHF"]).await;
    patient.config = healthy.clone();
    patient.section("conference").insert("allowed_prefixes".into(), vec!["+386", "+385"].into());
    patient.suffers("tariff.destination", &["+385", "call component"]).await;
    patient.section("conference").insert("allowed_prefixes".into(), Vec::<String>::new().into());
    patient.suffers("tariff.destination", &["+ may be dialled", "+1"]).await;
    patient.config = healthy;
    let mut connection = patient.database.connection().await;
    let own = |terms: &str| format!("UPDATE accounts SET tariff = NULL, allowed_prefixes = NULL; UPDATE accounts SET {terms}");
    connection.batch_execute(&own("tariff = 'gold'")).await.unwrap();
    patient.suffers("tariff.missing", &["the account 1001", "gold", "--name gold"]).await;
    connection.batch_execute(&own("allowed_prefixes = '[\"+386\", \"+385\"]'")).await.unwrap();
    patient.suffers("tariff.destination", &["the account 1001", "+385", "--allowed-prefixes"]).await;
    crate::database::account(&patient.database, "1002").await;
    connection.batch_execute("UPDATE accounts SET allowed_prefixes = '[\"+385\"]' WHERE user_number = '1002'").await.unwrap();
    patient.suffers("tariff.destination", &["the account 1001 and 1 more"]).await;
    connection.batch_execute("UPDATE accounts SET disabled_at = now()").await.unwrap();
    patient.is_healthy("accounts that are locked out").await;
    connection.batch_execute(&own("allowed_prefixes = '[]', disabled_at = NULL")).await.unwrap();
    patient.is_healthy("accounts that may call nobody").await;
    connection.batch_execute(&own("disabled_at = NULL")).await.unwrap();
    patient.is_healthy("terms of accounts").await;
    patient.tariff("call,+386,Slovenia,0,0.05,60,60,0,0.0001,22,,\n").await;
    patient.suffers("tariff.destination", &["conference component"]).await;
}

#[tokio::test]
async fn faults_of_the_mail_server() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.is_healthy("all").await;
    patient.section("mail").insert("smtp".into(), format!("smtp://{}", closed()).into());
    patient.suffers("mail.unreachable", &["mail.smtp", "firewall"]).await;
    let refusing = smtp::scripted(&["554 no service for you"]).await;
    patient.section("mail").insert("smtp".into(), format!("smtp://{refusing}").into());
    patient.suffers("mail.refused", &["no service for you"]).await;
    let strict = smtp::scripted(&["220 mail", "250-mail\r\n250 AUTH PLAIN", "535 5.7.8 wrong password"]).await;
    patient.section("mail").insert("smtp".into(), format!("smtp://sklic:not-the-right-one@{strict}").into());
    patient.suffers("mail.refused", &["535", "user and password"]).await;
    for (at_sender, at_recipient, found) in [
        ("550 5.7.1 not your domain", "", true),
        ("250 ok", "550 5.7.1 sender rejected", true),
        ("250 ok", "450 4.1.8 sender's domain not found", true),
        ("250 ok", "554 relay access denied", true),
        ("250 ok", "550 5.1.1 no such mailbox", false),
        ("250 ok", "451 4.7.1 greylisted", false),
    ] {
        let words: [&str; 6] = ["220 mail", "250 mail", at_sender, at_recipient, "250 forgotten", "221 bye"];
        let server = smtp::scripted(Vec::leak(words.to_vec())).await;
        patient.section("mail").insert("smtp".into(), format!("smtp://{server}").into());
        if found {
            let refusal = if at_recipient.is_empty() { at_sender } else { at_recipient };
            patient.suffers("mail.refused", &["mail.from", "Sklic <sklic@example.test>", &refusal[4..]]).await;
        } else {
            patient.is_healthy(at_recipient).await;
        }
    }
    let wants_login = smtp::scripted(&["220 mail", "250 mail", "530 5.7.0 authentication required"]).await;
    patient.section("mail").insert("smtp".into(), format!("smtp://{wants_login}").into());
    patient.suffers("mail.refused", &["530", "user and password"]).await;
    patient.config.remove("mail");
    patient.suffers("mail.absent", &["outbox"]).await;
}

/// A Kannel's section with these keys of its secrets.
fn kannel_section(address: std::net::SocketAddr, secret: &str) -> toml::Table {
    let text = format!(
        "[[sms_gateway]]\nname = \"kannel\"\nkind = \"kannel\"\nurl = \"http://{address}/cgi-bin/sendsms\"\nusername = \"sklic\"\n{secret}\n"
    );
    text.parse().unwrap()
}

/// A Kannel that knows one password.
async fn kannel(password: &'static str) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = tokio::io::BufReader::new(stream);
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                continue;
            }
            let (status, words) =
                if line.contains(&format!("password={password} ")) { (400, "Missing receiver number") } else { (403, "Authorization failed") };
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}", words.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn faults_of_an_sms_gateway() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let gateway = |address, secret: &str| kannel_section(address, &format!("secret = \"{secret}\""));
    let kannel = kannel("the-right-one").await;
    patient.config.extend(gateway(kannel, "the-right-one"));
    patient.is_healthy("all").await;
    patient.config.extend(gateway(kannel, "not-the-right-one"));
    patient.suffers("sms.refused", &["kannel", "sendsms-user"]).await;
    patient.config.extend(gateway(closed(), "the-right-one"));
    patient.suffers("sms.unreachable", &["kannel", "firewall"]).await;

    let template = |address: std::net::SocketAddr| -> toml::Table {
        let text = format!("[[sms_gateway]]\nname = \"carrier\"\nkind = \"template\"\nurl = \"http://{address}/send\"\nbody = \"{{to}} {{text}}\"\n");
        text.parse().unwrap()
    };
    patient.config.extend(template(kannel));
    patient.leaves_open("sms.untried", &["carrier", "was not tried"]).await;
    patient.config.extend(template(closed()));
    patient.suffers("sms.unreachable", &["carrier"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_people_and_monitoring() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let run = |patient: &Patient, more: &[&str]| {
        let path = file(patient.folder.path(), "sklic.toml", &patient.config.to_string());
        let output = Command::new(env!("CARGO_BIN_EXE_sklic")).arg("check").args(more).arg("--config").arg(path).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, words) = tokio::task::block_in_place(|| run(&patient, &[]));
    assert_eq!(status, Some(0), "{words}");
    assert!(words.contains("ok       database\n"), "{words}");
    patient.config.remove("mail");
    let (status, words) = tokio::task::block_in_place(|| run(&patient, &[]));
    assert_eq!(status, Some(1), "a warning:\n{words}");
    assert!(words.contains("WARNING  mail [mail.absent]") && words.contains("→ add the section [mail]"), "{words}");
    patient.section("billing").insert("tariff".into(), "none".into());
    let (status, words) = tokio::task::block_in_place(|| run(&patient, &["--json"]));
    assert_eq!(status, Some(2), "an error:\n{words}");
    let report: serde_json::Value = serde_json::from_str(&words).unwrap();
    assert_eq!(report["status"], "error");
    let found: Vec<&serde_json::Value> =
        report["checks"].as_array().unwrap().iter().flat_map(|check| check["findings"].as_array().unwrap()).collect();
    let of = |id: &str| found.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("{id} is not in {words}"));
    assert_eq!(of("tariff.missing")["severity"], "error");
    assert_eq!(of("mail.absent")["severity"], "warning");
    assert!(of("tariff.missing")["remedy"].as_str().unwrap().contains("sklic tariff import"));
}
