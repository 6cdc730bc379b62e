//! The service's API as a program uses it: requests with a token, and the live stream of a conference.

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The API with one account's token.
#[derive(Clone, Debug)]
pub struct Api {
    url: String,
    token: Option<String>,
    client: reqwest::Client,
}

impl Api {
    /// The API at a base URL.
    pub fn new(url: &str, token: Option<String>) -> Self {
        Self { url: url.to_owned(), token, client: reqwest::Client::new() }
    }

    /// Sends a request; the answer's body is JSON, or else text, or else null.
    pub async fn send(&self, method: &str, path: &str, body: Option<String>) -> Result<(u16, Value)> {
        let method: reqwest::Method = method.parse().with_context(|| format!("`{method}` is no method"))?;
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url)).timeout(Duration::from_secs(20));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status().as_u16();
        let text = answer.text().await.with_context(|| format!("the answer to {method} {path}"))?;
        let value = serde_json::from_str(&text).unwrap_or(if text.is_empty() { Value::Null } else { Value::String(text) });
        Ok((status, value))
    }

    /// Sends a request that must succeed.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let (status, value) = self.send(method, path, body.map(|body| body.to_string())).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} was answered with {status}: {value}");
        }
        Ok(value)
    }
}

/// A state that was seen on the stream.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it came.
    pub at: Instant,
    /// The participant's id; empty for the conference itself.
    pub who: String,
    /// The new state.
    pub state: String,
}

/// What the stream has shown so far.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The conference without its people.
    pub head: Map<String, Value>,
    /// The participants by id.
    pub people: BTreeMap<String, Map<String, Value>>,
    /// Every change of a state.
    pub history: Vec<Seen>,
    /// When each snapshot came.
    pub snapshots: Vec<Instant>,
    /// The stream is open.
    pub open: bool,
}

impl View {
    /// A field of a participant, as text or as JSON.
    pub fn field(&self, id: &str, name: &str) -> String {
        self.people.get(id).and_then(|person| person.get(name)).map_or_else(String::new, words)
    }

    /// A field of the conference.
    pub fn head(&self, name: &str) -> String {
        self.head.get(name).map_or_else(String::new, words)
    }

    /// The states of a participant, or of the conference (""), in order.
    pub fn states(&self, id: &str) -> Vec<&str> {
        self.history.iter().filter(|seen| seen.who == id).map(|seen| seen.state.as_str()).collect()
    }

    fn snapshot(&mut self, at: Instant, mut view: Map<String, Value>) {
        self.snapshots.push(at);
        let people = view.remove("participants");
        self.new_head(at, view);
        self.people(at, people);
    }

    fn delta(&mut self, at: Instant, mut delta: Map<String, Value>) {
        if let Some(Value::Object(head)) = delta.remove("conference") {
            self.new_head(at, head);
        }
        let people = delta.remove("participants");
        self.people(at, people);
        if let Some(Value::Array(removed)) = delta.get("removed") {
            self.people.retain(|id, _| !removed.iter().any(|gone| gone == id));
        }
    }

    /// Takes a new head over the old one; what may come and go is forgotten before.
    fn new_head(&mut self, at: Instant, head: Map<String, Value>) {
        let before = self.head("state");
        self.head.retain(|name, _| !["reason", "pending", "away_until"].contains(&name.as_str()));
        self.head.extend(head);
        let state = self.head("state");
        if state != before {
            self.history.push(Seen { at, who: String::new(), state });
        }
    }

    fn people(&mut self, at: Instant, people: Option<Value>) {
        let Some(Value::Array(people)) = people else {
            return;
        };
        for person in people {
            let Value::Object(person) = person else {
                continue;
            };
            let id = person.get("id").map(words).unwrap_or_default();
            let state = person.get("state").map(words).unwrap_or_default();
            if self.field(&id, "state") != state {
                self.history.push(Seen { at, who: id.clone(), state });
            }
            self.people.insert(id, person);
        }
    }
}

/// JSON as a person would write it: text without quotes.
pub fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The live stream of one conference, opened again whenever it breaks.
#[derive(Debug)]
pub struct Live {
    view: Arc<Mutex<View>>,
    changes: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Live {
    /// Opens the stream of a conference; everything that comes is also written to `log`.
    pub async fn open(api: &Api, conference: &str, log: &Path) -> Result<Self> {
        let view = Arc::new(Mutex::new(View::default()));
        let (changed, changes) = watch::channel(0);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let path = format!("/api/v1/conferences/{conference}/live");
        let task = tokio::spawn(follow(api.clone(), path, Arc::clone(&view), changed, log));
        let mut live = Self { view, changes, task };
        let opened =
            tokio::time::timeout(Duration::from_secs(5), async { while live.view().snapshots.is_empty() && live.changes.changed().await.is_ok() {} });
        opened.await.context("the live stream shows nothing within 5 s")?;
        Ok(live)
    }

    /// What it shows now.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Tells when something has come.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

async fn follow(api: Api, path: String, view: Arc<Mutex<View>>, changed: watch::Sender<u64>, mut log: std::fs::File) {
    let change = |edit: &mut dyn FnMut(&mut View)| {
        edit(&mut view.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        changed.send_modify(|count| *count += 1);
    };
    loop {
        let mut request = api.client.get(format!("{}{path}", api.url)).header("accept", "text/event-stream");
        if let Some(token) = &api.token {
            request = request.bearer_auth(token);
        }
        if let Ok(answer) = request.send().await
            && answer.status().is_success()
        {
            let mut stream = answer.bytes_stream();
            let mut text: Vec<u8> = Vec::new();
            while let Some(Ok(bytes)) = stream.next().await {
                let at = Instant::now();
                text.extend_from_slice(&bytes);
                while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                    let event = String::from_utf8_lossy(&text[..end]).into_owned();
                    text.drain(..end + 2);
                    // The log is for people; a full disk must not end the run.
                    let _ = writeln!(log, "{} {}", sklic::clock::now(), event.replace('\n', " | "));
                    if let Some((name, data)) = parse_event(&event) {
                        change(&mut |view| {
                            view.open = true;
                            match name {
                                "snapshot" => view.snapshot(at, data.clone()),
                                "delta" => view.delta(at, data.clone()),
                                _ => {}
                            }
                        });
                    }
                }
            }
        }
        change(&mut |view| view.open = false);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Name and data of one server-sent event; comments and keep-alives are none.
fn parse_event(event: &str) -> Option<(&str, Map<String, Value>)> {
    let (mut name, mut data) = ("message", String::new());
    for line in event.lines() {
        if let Some(rest) = line.strip_prefix("event:") {
            name = rest.trim();
        } else if let Some(rest) = line.strip_prefix("data:") {
            data.push_str(rest);
        }
    }
    match serde_json::from_str(&data) {
        Ok(Value::Object(data)) => Some((name, data)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_and_deltas_become_states_in_order() {
        let mut view = View::default();
        let at = Instant::now();
        let event = |text: &str| parse_event(text).unwrap().1;
        view.snapshot(at, event("event: snapshot\ndata: {\"state\":\"planned\",\"participants\":[{\"id\":\"a\",\"state\":\"not_called\"}]}"));
        view.delta(at, event("id: 2\nevent: delta\ndata: {\"seq\":2,\"conference\":{\"state\":\"failed\",\"reason\":\"busy\"},\"participants\":[{\"id\":\"a\",\"state\":\"busy\"}]}"));
        view.delta(at, event("event: delta\ndata: {\"participants\":[{\"id\":\"a\",\"state\":\"busy\",\"muted\":true}]}"));
        assert_eq!(view.states("a"), ["not_called", "busy"]);
        assert_eq!(view.states(""), ["planned", "failed"]);
        assert_eq!((view.head("reason").as_str(), view.field("a", "muted").as_str()), ("busy", "true"));
        assert!(parse_event(": keep-alive").is_none());
    }
}
