//! The bare switch: just enough of the Asterisk Manager Interface for a script that measures the floor.

use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A connection to the switch, logged in.
#[derive(Debug)]
pub struct Ami {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// One message of the switch.
pub type Event = HashMap<String, String>;

impl Ami {
    /// Connects and logs in.
    pub async fn login(address: SocketAddr, secret: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting to the switch")?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut ami = Self { reader: BufReader::new(reader), writer };
        let mut greeting = String::new();
        ami.reader.read_line(&mut greeting).await?;
        ami.send(&[("Action", "Login"), ("Username", "sklic"), ("Secret", secret)]).await?;
        let answer = ami.until(Duration::from_secs(5), |event| event.contains_key("Response")).await?;
        if answer.get("Response").is_none_or(|response| response != "Success") {
            bail!("the switch refuses the login: {answer:?}");
        }
        Ok(ami)
    }

    /// Sends an action. The values are the runner's own; nothing from outside is sent here.
    pub async fn send(&mut self, fields: &[(&str, &str)]) -> Result<()> {
        let mut text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        text.push_str("\r\n");
        self.writer.write_all(text.as_bytes()).await?;
        Ok(())
    }

    /// The next message.
    pub async fn next(&mut self) -> Result<Event> {
        let mut event = Event::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.reader.read_until(b'\n', &mut line).await? == 0 {
                bail!("the switch has closed the connection");
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if text.is_empty() {
                return Ok(event);
            }
            if let Some((name, value)) = text.split_once(": ") {
                event.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The next message that is wanted.
    pub async fn until(&mut self, patience: Duration, mut wanted: impl FnMut(&Event) -> bool) -> Result<Event> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = tokio::time::timeout(left, self.next()).await.context("the switch did not say what was awaited")??;
            if wanted(&event) {
                return Ok(event);
            }
        }
    }
}
