//! Live changes over a real connection.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sklic::http::{HttpConfig, secrets};
use sklic::storage::{api_tokens, sessions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::{Answer, Api, PASSWORD, PATIENCE, User, cookie_of, generous, request};

/// One event of a stream.
#[derive(Debug)]
struct Event {
    name: String,
    id: Option<u64>,
    data: Value,
}

/// A window on a conference.
struct Window {
    pieces: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Window {
    async fn open(address: &str, headers: &[(&str, &str)], conference: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut asked = client.get(format!("http://{address}/api/v1/conferences/{conference}/live"));
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-cache");
        Self { pieces: Box::pin(answer.bytes_stream()), text: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.text = rest;
                    if let Some(event) = read(&event) {
                        return Some(event);
                    }
                    continue;
                }
                let piece = self.pieces.next().await?.ok()?;
                self.text.push_str(std::str::from_utf8(&piece).unwrap());
            }
        })
        .await
        .expect("something comes in time")
    }
}

fn read(text: &str) -> Option<Event> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let name = field("event")?.to_owned();
    Some(Event { name, id: field("id").map(|id| id.parse().unwrap()), data: serde_json::from_str(field("data")?).unwrap() })
}

/// The router on a port.
async fn served(api: &Api) -> (String, CancellationToken, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let task = tokio::spawn(sklic::http::serve(listener, api.state.clone(), stop.clone()));
    (address, stop, task)
}

fn bearer(user: &User) -> String {
    format!("Bearer {}", user.token)
}

fn people(view: &mut Value, delta: &Value) {
    for changed in delta["participants"].as_array().unwrap() {
        let people = view["participants"].as_array_mut().unwrap();
        match people.iter_mut().find(|person| person["id"] == changed["id"]) {
            Some(person) => *person = changed.clone(),
            None => people.push(changed.clone()),
        }
    }
    for (field, value) in delta["conference"].as_object().into_iter().flatten() {
        view[field] = value.clone();
    }
}

#[tokio::test]
async fn two_windows_follow_a_conference_from_plan_to_end() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (address, stop, task) = served(&api).await;
    let view = api.plan(&user, &["+38659900002", "+38659900486"]).await;
    let id = view["id"].as_str().unwrap();
    let authorization = bearer(&user);
    let mut first = Window::open(&address, &[("authorization", &authorization)], id).await;
    let snapshot = first.next().await.unwrap();
    assert_eq!((snapshot.name.as_str(), &snapshot.data), ("snapshot", &view));
    assert_eq!(snapshot.id, view["seq"].as_u64());
    // Edited before the start, the window gets a new picture.
    let path = format!("/api/v1/conferences/{id}");
    api.post(&user, &format!("{path}/participants"), json!({"name": "Cene", "phone": "+38659900003"})).await.expect(201);
    let mut picture = loop {
        let event = first.next().await.unwrap();
        assert_eq!(event.name, "snapshot");
        if event.data["participants"].as_array().unwrap().len() == 4 {
            break event.data;
        }
    };
    api.press(&user, &format!("{path}/start")).await.expect(202);
    let mut second = Window::open(&address, &[("authorization", &authorization), ("last-event-id", "999")], id).await;
    let mut other = second.next().await.unwrap().data;
    for (window, picture) in [(&mut first, &mut picture), (&mut second, &mut other)] {
        let mut seq = picture["seq"].as_u64().unwrap();
        while !(picture["participants"][1]["state"] == "in"
            && picture["participants"][2]["state"] == "busy"
            && picture["participants"][3]["state"] == "in")
        {
            let event = window.next().await.unwrap();
            if event.name == "snapshot" {
                *picture = event.data;
                seq = picture["seq"].as_u64().unwrap();
                continue;
            }
            assert_eq!(event.name, "delta");
            assert_eq!((event.id, event.data["seq"].as_u64()), (Some(seq + 1), Some(seq + 1)), "no change is missing");
            seq += 1;
            people(picture, &event.data);
        }
    }
    assert_eq!(picture["state"], "running");
    assert_eq!(picture["participants"], other["participants"]);
    api.press(&user, &format!("{path}/end")).await.expect(202);
    for (window, picture) in [(&mut first, &mut picture), (&mut second, &mut other)] {
        while picture["state"] != "ended" {
            let event = window.next().await.unwrap();
            people(picture, &event.data);
        }
    }
    let now = api.get(&user, &path).await.expect(200);
    assert_eq!(now["participants"], picture["participants"], "the deltas add up to the view");

    // The end of the service ends the streams, and does not wait for the windows.
    stop.cancel();
    assert!(first.next().await.is_none());
    assert!(second.next().await.is_none());
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("the service ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_window_goes_dark_when_its_session_ends() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (address, stop, _task) = served(&api).await;
    let view = api.plan(&user, &[]).await;
    let id = view["id"].as_str().unwrap();
    let cookie = cookie_of(&api.login("100200", PASSWORD).await);
    let authorization = bearer(&user);
    let mut by_cookie = Window::open(&address, &[("cookie", &cookie)], id).await;
    let mut by_token = Window::open(&address, &[("authorization", &authorization)], id).await;
    assert_eq!(by_cookie.next().await.unwrap().name, "snapshot");
    assert_eq!(by_token.next().await.unwrap().name, "snapshot");
    let token = cookie.split_once('=').unwrap().1;
    sessions::revoke(&mut *api.database.connection().await, &secrets::token_hash(token)).await.unwrap();
    assert_eq!(by_cookie.next().await.unwrap().name, "signed_out");
    assert!(by_cookie.next().await.is_none());
    let mut connection = api.database.connection().await;
    let tokens = api_tokens::list(&mut connection, user.account).await.unwrap();
    api_tokens::revoke(&mut connection, user.account, tokens[0].id, sklic::clock::now()).await.unwrap();
    assert_eq!(by_token.next().await.unwrap().name, "signed_out");
    assert!(by_token.next().await.is_none());
    stop.cancel();
}

#[tokio::test]
async fn a_window_goes_dark_at_once_when_its_browser_signs_out() {
    // So seldom that nothing is noticed by itself.
    let Some(api) = Api::with(HttpConfig { live_check_seconds: 3600, ..generous() }).await else { return };
    api.user("100200").await;
    let (address, stop, _task) = served(&api).await;
    let [out, other, ended] = [login(&api).await, login(&api).await, login(&api).await];
    let view = send_as(&api, Method::POST, "/api/v1/conferences", &out, r#"{"title": "Sestanek"}"#).await.expect(201);
    let id = view["id"].as_str().unwrap();
    let mut windows = Vec::new();
    for cookie in [&out, &other, &ended] {
        let mut window = Window::open(&address, &[("cookie", cookie)], id).await;
        assert_eq!(window.next().await.unwrap().name, "snapshot");
        windows.push(window);
    }
    send_as(&api, Method::POST, "/api/v1/logout", &out, "").await.expect(204);
    assert_eq!(windows[0].next().await.unwrap().name, "signed_out");
    assert!(windows[0].next().await.is_none());
    // The others of the account go on until somebody signs out everywhere.
    send_as(&api, Method::PATCH, &format!("/api/v1/conferences/{id}"), &other, r#"{"title": "Drug naslov"}"#).await.expect(200);
    for window in &mut windows[1..] {
        assert_eq!(window.next().await.unwrap().name, "snapshot");
    }
    send_as(&api, Method::DELETE, "/api/v1/sessions", &other, "").await.expect(204);
    for window in &mut windows[1..] {
        assert_eq!(window.next().await.unwrap().name, "signed_out");
    }
    stop.cancel();
}

async fn login(api: &Api) -> String {
    cookie_of(&api.login("100200", PASSWORD).await)
}

/// What a browser's own page sends.
async fn send_as(api: &Api, method: Method, path: &str, cookie: &str, body: &'static str) -> Answer {
    let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookie).header("sec-fetch-site", "same-origin");
    api.send(request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn windows_are_counted_and_given_back() {
    let Some(api) = Api::with(HttpConfig { live_streams_per_account: 2, ..generous() }).await else { return };
    let user = api.user("100200").await;
    let (address, stop, _task) = served(&api).await;
    let view = api.plan(&user, &[]).await;
    let id = view["id"].as_str().unwrap();
    let path = format!("/api/v1/conferences/{id}/live");
    let authorization = bearer(&user);
    let headers = [("authorization", authorization.as_str())];
    let mut one = Window::open(&address, &headers, id).await;
    let mut two = Window::open(&address, &headers, id).await;
    assert!(one.next().await.is_some() && two.next().await.is_some());
    api.get(&user, &path).await.problem(429, "too_many_requests");
    drop(one);
    tokio::time::timeout(PATIENCE, async {
        loop {
            let answer = reqwest::Client::builder()
                .no_proxy()
                .build()
                .unwrap()
                .get(format!("http://{address}{path}"))
                .header("authorization", &authorization)
                .send()
                .await
                .unwrap();
            if answer.status() == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the closed window's place is given back");
    // What is not there is a problem, not a stream.
    api.get(&user, "/api/v1/conferences/019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d/live").await.problem(404, "not_found");
    stop.cancel();
}

#[tokio::test]
async fn a_big_body_gets_its_answer_over_a_real_connection() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (address, stop, _task) = served(&api).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..5 {
        let answer = client
            .post(format!("http://{address}/api/v1/conferences"))
            .header("authorization", bearer(&user))
            .header("content-type", "application/json")
            .body(vec![b' '; 10 * 1024 * 1024])
            .send()
            .await
            .expect("the answer arrives although the body is big");
        assert_eq!(answer.status(), 413);
    }
    stop.cancel();
}

#[tokio::test]
async fn a_client_that_dawdles_is_cut_off() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Some(api) = Api::fresh().await else { return };
    let (address, stop, _task) = served(&api).await;
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(15), slow.read_to_end(&mut rest)).await.expect("the connection is closed").unwrap();
    let mut wordy = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    // The service may close while this is being sent.
    let _ = wordy.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = wordy.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    stop.cancel();
}

#[tokio::test]
async fn the_body_of_a_stream_is_no_store_and_not_buffered() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let view = api.plan(&user, &[]).await;
    let path = format!("/api/v1/conferences/{}/live", view["id"].as_str().unwrap());
    let router = sklic::http::router(api.state.clone());
    let mut asked = request(Method::GET, &path, &user).body(Body::empty()).unwrap();
    crate::api::from_address(&mut asked, [127, 0, 0, 1].into());
    let answer = tower::ServiceExt::oneshot(router, asked).await.unwrap();
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = answer.into_body();
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
    assert!(frame.into_data().unwrap().starts_with(b"event: snapshot\n"));
}
