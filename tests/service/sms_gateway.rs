//! An SMS gateway for tests: takes requests, keeps them, and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a gateway does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It answers.
    Says(u16, &'static str),
    /// It never answers.
    Hangs,
    /// It answers only when it is let go.
    Waits(Arc<Notify>, u16, &'static str),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Taken {
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// The gateway.
#[derive(Clone)]
pub struct SmsGateway {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    taken: Mutex<Vec<Taken>>,
    answers: Mutex<VecDeque<Answer>>,
    otherwise: Answer,
}

impl SmsGateway {
    /// One that gives these answers in order, then the last one for ever.
    pub async fn start(answers: &[Answer], otherwise: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner { taken: Mutex::default(), answers: Mutex::new(answers.iter().cloned().collect()), otherwise });
        let router = Router::new().fallback(take).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// One that takes everything, as Kannel does.
    pub async fn willing() -> Self {
        Self::start(&[], Answer::Says(202, "0: Accepted for delivery")).await
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.inner.taken.lock().unwrap().clone()
    }
}

async fn take(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let url = reqwest::Url::parse(&format!("http://gateway{}", parts.uri)).unwrap();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    inner.taken.lock().unwrap().push(Taken {
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let answer = inner.answers.lock().unwrap().pop_front().unwrap_or_else(|| inner.otherwise.clone());
    let (status, words) = match answer {
        Answer::Says(status, words) => (status, words),
        Answer::Hangs => std::future::pending().await,
        Answer::Waits(go, status, words) => {
            go.notified().await;
            (status, words)
        }
    };
    (axum::http::StatusCode::from_u16(status).unwrap(), words).into_response()
}

/// A way to the gateway that breaks: each of the first requests gets one of `cuts` as its answer, and then the connection is closed.
/// The requests that were cut off are kept.
pub struct Breaking {
    pub address: SocketAddr,
    pub cut_off: Arc<Mutex<Vec<String>>>,
}

impl Breaking {
    pub async fn before(gateway: &SmsGateway, cuts: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, behind, cut_off) = (listener.local_addr().unwrap(), gateway.address, Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&cut_off);
        tokio::spawn(async move {
            let mut cuts = cuts.iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(cut) = cuts.next() else {
                    tokio::spawn(async move {
                        let mut gateway = TcpStream::connect(behind).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut gateway).await;
                    });
                    continue;
                };
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
                kept.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                let _ = stream.write_all(cut.as_bytes()).await;
            }
        });
        Self { address, cut_off }
    }
}
