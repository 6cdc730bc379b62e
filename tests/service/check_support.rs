//! A healthy configuration for `sklic check`, and ways to break it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use sklic::billing::{Currency, ImportOptions, parse_tariff};
use sklic::cli::check::{Machine, Report, examine};
use sklic::storage::tariffs;
use tokio::net::UdpSocket;

use crate::database::{self, Database};
use crate::smtp;

/// A configuration with which all is right: a database with schema, account and tariff, a mail server, and a trunk that answers.
pub struct Patient {
    pub database: Database,
    pub config: toml::Table,
    pub folder: tempfile::TempDir,
    pub machine: Machine,
}

/// The words of a mail server that takes us.
const MAIL: &[&str] = &["220 mail.example.test", "250 mail.example.test", "250 sender", "250 recipient", "250 forgotten", "221 bye"];

impl Patient {
    /// `None`, said aloud, without a database server.
    pub async fn healthy() -> Option<Self> {
        let database = Database::fresh().await?;
        database::account(&database, "1001").await;
        let mail = smtp::scripted(MAIL).await;
        let trunk = answering_trunk().await;
        let folder = tempfile::tempdir().unwrap();
        let secret = file(folder.path(), "secret", "kxv4u6VK7zS69pJ1YuIsdqN\n");
        let text = format!(
            "[database]\nurl = {url:?}\n[[pbx]]\nname = \"pbx1\"\nkind = \"simulator\"\nsecret_file = {secret:?}\ntrunk = \"sip:{trunk}\"\n\
             [conference]\nallowed_prefixes = [\"+386\"]\n[mail]\nsmtp = \"smtp://{mail}\"\nfrom = \"Sklic <sklic@example.test>\"\n",
            url = database.url,
        );
        let patient = Self { database, config: text.parse().unwrap(), folder, machine: Machine::default() };
        patient.tariff("call,+386,Slovenia,0,0.05,60,60,0,0.0001,22,,\nconference,+,World,0,0.01,60,60,0,0.0001,22,,\n").await;
        Some(patient)
    }

    /// Makes these rows the newest version of the tariff.
    pub async fn tariff(&self, rows: &str) {
        let head = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to\n";
        let mut connection = self.database.connection().await;
        let version = tariffs::next_version(&mut connection, "base").await.unwrap();
        // Each version comes into force later than the one before, and all before now.
        let valid_from = database::noon() + SignedDuration::from_secs(i64::from(version));
        let options = ImportOptions { version, valid_from, time_zone: jiff::tz::TimeZone::UTC };
        let parsed = parse_tariff(format!("{head}{rows}").as_bytes(), &options).expect("a good list");
        let currency: Currency = "EUR".parse().unwrap();
        let hash = [u8::try_from(version).unwrap(); 32];
        tariffs::add(&mut connection, "base", currency, &parsed, &hash, valid_from).await.unwrap();
    }

    /// The section of the switch.
    pub fn pbx(&mut self) -> &mut toml::Table {
        self.config["pbx"][0].as_table_mut().unwrap()
    }

    /// A section, made if need be.
    pub fn section(&mut self, name: &str) -> &mut toml::Table {
        let section = self.config.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        section.as_table_mut().unwrap()
    }

    /// Writes the configuration and looks at everything.
    pub async fn examine(&self) -> Report {
        let path = file(self.folder.path(), "sklic.toml", &self.config.to_string());
        examine(&path, &self.machine).await
    }

    /// All is right.
    pub async fn is_healthy(&self, before: &str) {
        let report = self.examine().await;
        assert_eq!(report.status, "ok", "before {before}:\n{report}");
    }

    /// Exactly this is found, and its words hold these.
    pub async fn suffers(&self, id: &str, words: &[&str]) {
        let report = self.shows(id, words).await;
        assert_ne!(report.exit_status(), 0, "{report}");
    }

    /// Exactly this could not be looked at, which is no fault, and its words hold these.
    pub async fn leaves_open(&self, id: &str, words: &[&str]) {
        let report = self.shows(id, words).await;
        assert_eq!((report.status, report.exit_status()), ("unknown", 0), "{report}");
    }

    async fn shows(&self, id: &str, words: &[&str]) -> Report {
        let report = self.examine().await;
        let ids: Vec<&str> = report.findings().map(|finding| finding.id).collect();
        assert_eq!(ids, [id], "\n{report}");
        for finding in report.findings() {
            let text = format!("{}: {} → {}", finding.place, finding.problem, finding.remedy);
            for word in words {
                assert!(text.contains(word), "{word:?} is not in: {text}");
            }
            assert!(!text.contains("kxv4u6VK7zS69pJ1YuIsdqN"), "it tells a secret: {text}");
        }
        report
    }
}

/// Writes a file that only its owner can read.
pub fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A SIP element that answers every OPTIONS; it lives as long as the test's runtime.
pub async fn answering_trunk() -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4000];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let kept = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
            let headers: String =
                request.lines().filter(|line| kept.iter().any(|name| line.starts_with(name))).map(|line| format!("{line}\r\n")).collect();
            let _ = socket.send_to(format!("SIP/2.0 200 OK\r\n{headers}Content-Length: 0\r\n\r\n").as_bytes(), peer).await;
        }
    });
    address
}
