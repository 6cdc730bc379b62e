//! An AMI server that does what a test tells it, also what a real one never would.

use std::collections::HashMap;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// An action of the adapter, by key; of a repeated key the last.
pub type Action = HashMap<String, String>;

pub struct FakeAmi {
    pub address: String,
    listener: TcpListener,
}

impl FakeAmi {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        Self { address, listener }
    }

    /// The adapter's next connection.
    pub async fn accept(&self) -> Connection {
        let (stream, _) = self.listener.accept().await.expect("it listens");
        Connection::new(stream)
    }

    /// The next connection, logged in and through all that the adapter asks at first.
    pub async fn session(&self) -> Connection {
        let mut connection = self.accept().await;
        connection.log_in().await;
        connection.boot().await;
        connection
    }
}

pub struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("the adapter reads");
    }

    /// A message of these lines.
    pub async fn say(&mut self, lines: &[&str]) {
        self.write((lines.join("\r\n") + "\r\n\r\n").as_bytes()).await;
    }

    /// The next action, whatever it is.
    pub async fn action(&mut self) -> Action {
        let mut action = Action::new();
        loop {
            let mut line = String::new();
            let length = self.reader.read_line(&mut line).await.expect("text");
            assert!(length > 0, "the adapter closed the connection");
            let Some((key, value)) = line.trim_end().split_once(": ") else { return action };
            action.insert(key.into(), value.into());
        }
    }

    /// The next action that is a wish; pings, signs of life and questions about Call-IDs are answered.
    pub async fn wish(&mut self) -> Action {
        loop {
            let action = self.action().await;
            match (action["Action"].as_str(), action.get("Variable").map(String::as_str)) {
                ("Ping", _) => self.pong(&action).await,
                ("Setvar", Some("SKLIC_ALIVE")) => self.answer(&action, &["Response: Success", "Message: Variable Set"]).await,
                ("Getvar", Some("CHANNEL(pjsip,call-id)")) => self.answer(&action, &["Response: Success", "Value: call@127.0.0.1"]).await,
                _ => return action,
            }
        }
    }

    /// Answers an action.
    pub async fn answer(&mut self, action: &Action, lines: &[&str]) {
        let id = format!("ActionID: {}", action["ActionID"]);
        let lines: Vec<&str> = lines[..1].iter().copied().chain([id.as_str()]).chain(lines[1..].iter().copied()).collect();
        self.say(&lines).await;
    }

    async fn pong(&mut self, action: &Action) {
        let now = sklic::clock::now();
        let now = format!("Timestamp: {}.{:06}", now.as_second(), now.subsec_microsecond());
        self.answer(action, &["Response: Success", "Ping: Pong", &now]).await;
    }

    /// Banner and login.
    pub async fn log_in(&mut self) {
        self.write(b"Asterisk Call Manager/11.0.0\r\n").await;
        let login = self.action().await;
        assert_eq!(login["Action"], "Login");
        assert_eq!((login["Username"].as_str(), login["Secret"].as_str()), ("sklic", "secret"));
        self.answer(&login, &["Response: Success", "Message: Authentication accepted"]).await;
    }

    /// The switch has booted, and has no channels.
    pub async fn boot(&mut self) {
        self.boot_with(&[]).await;
    }

    /// The switch has booted, and has these channels.
    pub async fn boot_with(&mut self, channels: &[&[&str]]) {
        self.say(&["Event: FullyBooted", "Privilege: system,all", "Uptime: 60", "Status: Fully Booted"]).await;
        let ping = self.action().await;
        assert_eq!(ping["Action"], "Ping");
        self.pong(&ping).await;
        let core = self.action().await;
        assert_eq!(core["Action"], "CoreStatus");
        self.answer(&core, &["Response: Success", "CoreStartupDate: 2026-11-22", "CoreStartupTime: 13:52:36"]).await;
        let status = self.action().await;
        assert_eq!(status["Action"], "Status");
        self.answer(&status, &["Response: Success", "EventList: start", "Message: Channel status will follow"]).await;
        let id = format!("ActionID: {}", status["ActionID"]);
        for channel in channels {
            let lines: Vec<&str> = ["Event: Status", id.as_str()].into_iter().chain(channel.iter().copied()).collect();
            self.say(&lines).await;
        }
        let count = format!("ListItems: {}", channels.len());
        self.say(&["Event: StatusComplete", &id, "EventList: Complete", &count]).await;
        let sounds = self.action().await;
        assert_eq!((sounds["Action"].as_str(), sounds["Variable"].as_str()), ("Getvar", "SKLIC_SOUNDS"));
        self.answer(&sounds, &["Response: Success", "Variable: SKLIC_SOUNDS", "Value: /usr/share/sklic/prompts"]).await;
    }
}
