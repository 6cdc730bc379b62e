//! Mail servers for tests: the lab's, and one that follows a script.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Debian's own Python, whose packages hold aiosmtpd.
const PYTHON: &str = "/usr/bin/python3";

/// The lab's mail server, private to one test.
pub struct MailServer {
    pub port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl MailServer {
    /// `None`, said aloud, without aiosmtpd.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// With more arguments for the server, see `smtp_sink.py`.
    pub async fn start_with(more: &[&str]) -> Option<Self> {
        let has_it = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !has_it {
            eprintln!("SKIPPED: python3-aiosmtpd is not installed (vagrant/provision/lab.sh install)");
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(PYTHON)
            .arg("vagrant/provision/smtp_sink.py")
            .args(["--port", &port.to_string()])
            .arg("--directory")
            .arg(folder.path())
            .arg("--fault-file")
            .arg(folder.path().join("fault"))
            .args(more)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { port, folder, process };
        until("the mail server answers", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// A line of the fault file, see `smtp_sink.py`.
    pub fn fault(&self, line: &str) {
        std::fs::write(self.folder.path().join("fault"), line).unwrap();
    }

    pub fn mend(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("fault"));
    }

    /// The mails that were kept, in order of arrival.
    pub fn mails(&self) -> Vec<String> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
        files.sort();
        files.iter().map(|path| String::from_utf8(std::fs::read(path).unwrap()).unwrap()).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that says its lines one by one, each after one line of the client, the first unasked; then it closes.
pub async fn scripted(lines: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                for answer in lines {
                    if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                        return;
                    }
                    line.clear();
                    if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Waits for a state.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "never: {what}");
}
