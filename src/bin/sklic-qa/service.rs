//! The service under test: its configuration, its commands, its process.

use anyhow::{Context, Result, bail, ensure};
use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// What the configuration says about the parts around the service.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub database_url: String,
    /// `asterisk`, `freeswitch` or `simulator`.
    pub pbx: String,
    /// User and dial string of an operator's own switch; absent: those of the lab's.
    pub login: Option<(String, String)>,
    /// By what the phones' calls arrive at an operator's own switch.
    pub trunk: Option<String>,
    /// Where the switch takes commands.
    pub switch: SocketAddr,
    /// The password there.
    pub secret: String,
    /// The mail server's port.
    pub smtp_port: u16,
    /// How many calls the switch is asked for in a second.
    pub calls_per_second: u32,
    /// Where the service listens; 0 = any free port.
    pub http_port: u16,
}

/// The service, running or not. Dropping it ends its process.
#[derive(Debug)]
pub struct Service {
    /// Where its API is.
    pub url: String,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its log.
    pub log: PathBuf,
    binary: PathBuf,
    process: Option<Child>,
}

impl Service {
    /// Writes the configuration, makes the schema and loads the tariff; does not start it.
    pub async fn prepare(folder: &Path, parts: &Parts, tariff: &Path) -> Result<Self> {
        let port = match parts.http_port {
            0 => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
            port => port,
        };
        let url = format!("http://127.0.0.1:{port}");
        let config = folder.join("sklic.toml");
        std::fs::write(&config, configuration(parts, port, &url))?;
        let binary = std::env::current_exe()?.with_file_name("sklic");
        if !binary.is_file() {
            bail!("the service is not built: {} is missing (cargo build)", binary.display());
        }
        let service = Self { url, config, log: folder.join("service.log"), binary, process: None };
        service.command(&["migrate"], None).await?;
        let tariff = tariff.to_string_lossy();
        service.command(&["tariff", "import", &tariff, "--name", "base", "--valid-from", "2026-01-01"], None).await?;
        Ok(service)
    }

    /// Runs one of its commands and gives what it prints.
    pub async fn command(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let mut child = Command::new(&self.binary)
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may have closed its input already.
            let _ = stdin.write_all(input.unwrap_or("").as_bytes()).await;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("sklic {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts it and waits until it says that it is ready; gives the time that took.
    pub async fn start(&mut self) -> Result<Duration> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let process = Command::new(&self.binary)
            .arg("--config")
            .arg(&self.config)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        self.process = Some(process);
        self.linked().await
    }

    /// Waits until it is linked to database and switch, and says how long that took.
    pub async fn linked(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let client = reqwest::Client::new();
        while began.elapsed() < Duration::from_secs(20) {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("the service ended at once ({status}); its last words: {}", self.last_words());
            }
            let ready = client.get(format!("{}/readyz", self.url)).timeout(Duration::from_secs(2)).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the service is not ready after 20 s; its last words: {}", self.last_words())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Whether its process lives.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Its process number, while it lives.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Child::id)
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// A signal by its name, such as `STOP`.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let id = self.process_id().context("the service does not run")?;
        let status = Command::new("kill").args(["-s", name, &id.to_string()]).status().await?;
        ensure!(status.success(), "the service could not be sent SIG{name}");
        Ok(())
    }

    /// SIGTERM, and SIGKILL if that is not enough.
    pub async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        if let Some(id) = process.id() {
            let _ = Command::new("kill").arg(id.to_string()).status().await;
        }
        if tokio::time::timeout(Duration::from_secs(10), process.wait()).await.is_err() {
            let _ = process.kill().await;
        }
    }
}

fn configuration(parts: &Parts, port: u16, url: &str) -> String {
    let Parts { database_url, pbx, switch, secret, smtp_port, calls_per_second, .. } = parts;
    let (user, dial) = match pbx.as_str() {
        "freeswitch" => ("", "sofia/gateway/trunk/{number}"),
        _ => ("sklic", "PJSIP/{number}@trunk"),
    };
    let (user, dial) = parts.login.as_ref().map_or((user, dial), |(user, dial)| (user.as_str(), dial.as_str()));
    // The lab's endpoint on Asterisk, and its profile on FreeSWITCH.
    let trusted = parts.trunk.as_deref().map_or_else(|| vec!["trunk", "lab"], |trunk| vec![trunk]);
    format!(
        r#"# Written by sklic-qa for its own runs.
[service]
language = "sl"
time_zone = "Europe/Ljubljana"
[http]
listen = "127.0.0.1:{port}"
public_url = "{url}"
[database]
url = "{database_url}"
[[pbx]]
name = "lab"
kind = "{pbx}"
address = "{switch}"
username = "{user}"
secret = "{secret}"
dial = "{dial}"
caller_id = "+38613099396"
calls_per_second = {calls_per_second}
max_members = 400
[numbering]
country = "SI"
short_codes = ["19819"]
accept_prefixes = ["+386599"]
[conference]
ring_timeout_seconds = 6
command_timeout_seconds = 5
max_participants = 500
allowed_prefixes = ["+386", "+385"]
[dial_in]
trusted_trunks = {trusted:?}
key_wait_seconds = 3
wait_limit_seconds = 25
[dial_in.lock_out]
line_failures = 4
first_seconds = 30
[mail]
smtp = "smtp://127.0.0.1:{smtp_port}"
from = "Sklic <sklic@example.test>"
[billing]
currency = "EUR"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_an_own_switch_are_believed_by_the_trunk_on_which_they_come() {
        let parts = |trunk: Option<&str>| Parts {
            database_url: "postgres://127.0.0.1/x".into(),
            pbx: "asterisk".into(),
            login: Some(("sklic".into(), "PJSIP/{number}@test".into())),
            trunk: trunk.map(Into::into),
            switch: SocketAddr::from((Ipv4Addr::LOCALHOST, 5038)),
            secret: "x".into(),
            smtp_port: 25,
            calls_per_second: 1,
            http_port: 0,
        };
        let trusted = |trunk| {
            let text = configuration(&parts(trunk), 8080, "http://127.0.0.1:8080");
            let config: toml::Table = toml::from_str(&text).expect("TOML");
            let trunks = config["dial_in"]["trusted_trunks"].as_array().expect("a list");
            trunks.iter().map(|trunk| trunk.as_str().unwrap_or_default().to_owned()).collect::<Vec<String>>()
        };
        assert_eq!(trusted(Some("test")), ["test"]);
        assert_eq!(trusted(None), ["trunk", "lab"]);
    }
}
