//! An event socket that plays recorded frames and does what a test tells it, also what a real one never would.
//!
//! The events are those of FreeSWITCH 1.10.12 in the lab, recorded to `recorded/` with all their headers.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A request of the adapter: its line, and its job if it names one.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub job: String,
}

pub struct FakeEsl {
    pub address: String,
    listener: TcpListener,
}

impl FakeEsl {
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

    /// The next connection, logged in and through all that the adapter asks at first. `core` names the run of the switch.
    pub async fn session(&self, core: &str) -> Connection {
        let mut connection = self.accept().await;
        connection.log_in().await;
        connection.introduce(core).await;
        connection
    }
}

/// The frame of an event.
pub fn event(json: &str) -> Vec<u8> {
    format!("Content-Length: {}\nContent-Type: text/event-json\n\n{json}", json.len()).into_bytes()
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

    pub async fn event(&mut self, json: &str) {
        self.write(&event(json)).await;
    }

    /// The next request, whatever it is.
    pub async fn request(&mut self) -> Request {
        let (mut first, mut job) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let length = self.reader.read_line(&mut line).await.expect("text");
            assert!(length > 0, "the adapter closed the connection");
            let line = line.trim_end_matches('\n');
            if line.is_empty() {
                // An empty line before a request wakes the switch and is none.
                if first.is_empty() {
                    continue;
                }
                return Request { line: first, job };
            }
            if first.is_empty() {
                first = line.to_owned();
            } else if let Some(id) = line.strip_prefix("Job-UUID: ") {
                job = id.to_owned();
            }
        }
    }

    /// The next request that is no sign of life; signs of life are answered.
    pub async fn wish(&mut self) -> Request {
        loop {
            let request = self.request().await;
            if request.line != "api strmicroepoch" {
                return request;
            }
            self.tell_clock().await;
        }
    }

    /// Waits for the empty line that has the switch tell at once.
    pub async fn is_woken(&mut self) {
        let mut line = String::new();
        self.reader.read_line(&mut line).await.expect("text");
        assert_eq!(line, "\n");
    }

    /// Answers a request for the switch's words.
    pub async fn answer(&mut self, body: &str) {
        self.write(format!("Content-Type: api/response\nContent-Length: {}\n\n{body}", body.len()).as_bytes()).await;
    }

    /// Answers a request to the socket itself.
    pub async fn reply(&mut self, text: &str) {
        self.write(format!("Content-Type: command/reply\nReply-Text: {text}\n\n").as_bytes()).await;
    }

    async fn tell_clock(&mut self) {
        let now = sklic::clock::now().as_microsecond().to_string();
        self.answer(&now).await;
    }

    /// Greeting, login, and the request for the events.
    pub async fn log_in(&mut self) {
        self.write(b"Content-Type: auth/request\n\n").await;
        assert_eq!(self.request().await.line, "auth secret");
        self.reply("+OK accepted").await;
        assert!(self.request().await.line.starts_with("event json "));
        self.reply("+OK event listener enabled json").await;
    }

    /// What the adapter asks before it says that the link is up.
    pub async fn introduce(&mut self, core: &str) {
        let mut noted = None;
        loop {
            let line = self.request().await.line;
            match line.as_str() {
                "api global_getvar core_uuid" => self.answer(core).await,
                "api uptime s" => self.answer("60\n").await,
                "api strmicroepoch" => self.tell_clock().await,
                "api global_getvar sklic_booted_at" => match noted.take() {
                    None => self.answer("-ERR no reply\n").await,
                    Some(at) => self.answer(at).await,
                },
                "api global_getvar sklic_sounds" => self.answer("/usr/share/sklic/prompts").await,
                "api global_getvar sklic_music" => return self.answer("local_stream://sklic").await,
                set => {
                    assert!(set.starts_with("api global_setvar sklic_booted_at="), "{set}");
                    self.answer("+OK").await;
                    noted = Some("1795366231000000");
                }
            }
        }
    }
}
