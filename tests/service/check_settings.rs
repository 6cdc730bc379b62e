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
    let secret = file(patient.folder.path(), "secret", "kxv4u6VK7zS69pJ1YuIsdqN\n");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    patient.suffers("secrets.readable", &["chmod 0640"]).await;
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
        (patient.database.url_at(closed()), "whether PostgreSQL runs"),
        (format!("{user}:wrong-but-long-enough@{at}"), "right user and password"),
        (format!("{before}@{}", at.replace("sklic_test", "sklic_tset")), "CREATE DATABASE"),
    ] {
        patient.section("database").insert("url".into(), broken.into());
        patient.suffers("database.url", &["database.url", words]).await;
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
    patient.config.remove("mail");
    patient.suffers("mail.absent", &["outbox"]).await;
}

/// A Kannel that knows one password.
async fn kannel() -> std::net::SocketAddr {
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
                if line.contains("password=the-right-one") { (400, "Missing receiver number") } else { (403, "Authorization failed") };
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}", words.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn faults_of_an_sms_gateway() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let gateway = |address: std::net::SocketAddr, secret: &str| {
        let text = format!(
            "[[sms_gateway]]\nname = \"kannel\"\nkind = \"kannel\"\nurl = \"http://{address}/cgi-bin/sendsms\"\nusername = \"sklic\"\nsecret = \"{secret}\"\n"
        );
        text.parse::<toml::Table>().unwrap()
    };
    let kannel = kannel().await;
    patient.config.extend(gateway(kannel, "the-right-one"));
    patient.is_healthy("all").await;
    patient.config.extend(gateway(kannel, "another-one"));
    patient.suffers("sms.refused", &["kannel", "sendsms-user"]).await;
    patient.config.extend(gateway(closed(), "the-right-one"));
    patient.suffers("sms.unreachable", &["kannel", "firewall"]).await;
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
