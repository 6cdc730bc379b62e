//! What requests carry, read strictly: JSON bodies, text bodies, path identifiers and query strings.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::problem::{Kind, Problem};
use crate::storage::plans::RequestKey;

/// The biggest JSON body, in bytes.
pub const BODY_LIMIT: usize = 256 * 1024;

/// The biggest JSON body with a list of people, in bytes: a whole directory, or the largest conference.
pub const LIST_LIMIT: usize = 2 * 1024 * 1024;

/// The biggest body where none is described, in bytes: of a request that takes none, and of a gateway's report in whatever form.
const IDLE_LIMIT: usize = 16 * 1024;

/// The biggest import, in bytes.
pub const IMPORT_LIMIT: usize = 2 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A JSON body of at most so many bytes. Unknown fields, wrong types and missing fields are named by path.
pub struct JsonBody<T, const LIMIT: usize = BODY_LIMIT>(pub T);

impl<T: DeserializeOwned, const LIMIT: usize, S: Send + Sync> FromRequest<S> for JsonBody<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !content_type_is(request.headers(), &["application/json"]) {
            return Err(Problem::new(Kind::WrongContentType).detail("The body must be JSON, with Content-Type: application/json."));
        }
        let bytes = read_body(request, LIMIT).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A JSON body with a list of people that may be sent again under the key of its header `Idempotency-Key`.
pub struct KeyedBody<T> {
    /// What was sent.
    pub value: T,
    /// The key, and the digest of the body.
    pub key: Option<RequestKey>,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for KeyedBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !content_type_is(request.headers(), &["application/json"]) {
            return Err(Problem::new(Kind::WrongContentType).detail("The body must be JSON, with Content-Type: application/json."));
        }
        let key = match request.headers().get("idempotency-key") {
            None => None,
            Some(key) => {
                let text = key.to_str().ok().filter(|text| (1..=200).contains(&text.len()));
                Some(text.map(str::to_owned).ok_or_else(|| Problem::field("Idempotency-Key", "invalid", "1 to 200 characters of ASCII"))?)
            }
        };
        let bytes = read_body(request, LIST_LIMIT).await?;
        let key = key.map(|key| RequestKey { key, request_sha256: Sha256::digest(&bytes).into() });
        Ok(Self { value: parse_json(&bytes)?, key })
    }
}

/// A text body of an import: UTF-8, with or without a byte order mark.
pub struct TextBody {
    /// The text, without the mark.
    pub text: String,
    /// It is said to be a vCard; otherwise it is CSV.
    pub is_vcard: bool,
}

impl<S: Send + Sync> FromRequest<S> for TextBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        // What directories write vCards as: RFC 6350 §10.1, and the older names that browsers and mail programs still use.
        let is_vcard = content_type_is(request.headers(), &["text/vcard", "text/x-vcard", "text/directory"]);
        if !is_vcard && !content_type_is(request.headers(), &["text/csv", "text/plain"]) {
            return Err(Problem::new(Kind::WrongContentType).detail("The body must be CSV with Content-Type: text/csv, or vCard with text/vcard."));
        }
        let bytes = read_body(request, IMPORT_LIMIT).await?;
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            Problem::new(Kind::Malformed).word("not_utf8").detail(format!("Line {line} is not UTF-8. Save the file as UTF-8."))
        })?;
        Ok(Self { text: text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text), is_vcard })
    }
}

fn content_type_is(headers: &HeaderMap, wanted: &[&str]) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or("").trim();
    wanted.iter().any(|wanted| essence.eq_ignore_ascii_case(wanted))
}

/// A body of any type, not bigger than `limit` bytes.
pub(super) async fn read_small(request: Request, limit: usize) -> Result<Bytes, Problem> {
    read_body(request, limit).await
}

/// The operations that take a body, by address and method; the API's description names them.
#[derive(Clone)]
pub(super) struct BodyTakers(Arc<HashSet<(String, Method)>>);

impl BodyTakers {
    pub(super) fn of(description: &utoipa::openapi::OpenApi) -> Self {
        let mut takers = HashSet::new();
        for (path, item) in &description.paths.paths {
            for (method, operation) in [(Method::POST, &item.post), (Method::PUT, &item.put), (Method::PATCH, &item.patch)] {
                if operation.as_ref().is_some_and(|operation| operation.request_body.is_some()) {
                    takers.insert((path.clone(), method));
                }
            }
        }
        Self(Arc::new(takers))
    }
}

/// Reads a body that nobody asked for before anything is done: where one that is too big, too slow or broken off comes, nothing is changed.
pub(super) async fn read_idle_body(State(takers): State<BodyTakers>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    if request.body().is_end_stream() || path.is_some_and(|path| takers.0.contains(&(path, request.method().clone()))) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match read_within(&parts.headers, body, IDLE_LIMIT).await {
        // Handed on, for a gateway's report may be in it.
        Ok(read) => next.run(Request::from_parts(parts, Body::from(read))).await,
        Err(problem) => problem.into_response(),
    }
}

async fn read_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    read_within(&parts.headers, body, limit).await
}

async fn read_within(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(body, limit));
    }
    let mut stream = body.into_data_stream();
    let mut read = BytesMut::with_capacity(announced.unwrap_or(0));
    let reading = async {
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| Problem::new(Kind::Malformed).detail("The body broke off."))?;
            if read.len() + piece.len() > limit {
                return Ok(false);
            }
            read.extend_from_slice(&piece);
        }
        Ok(true)
    };
    match tokio::time::timeout(BODY_TIME, reading).await {
        Err(_) => Err(Problem::new(Kind::TooSlow)),
        Ok(Err(problem)) => Err(problem),
        Ok(Ok(true)) => Ok(read.freeze()),
        Ok(Ok(false)) => Err(too_large(Body::from_stream(stream), limit)),
    }
}

/// The problem of a body that is too big.
///
/// Its rest is thrown away in the background for a moment: if the connection were closed at once, the sender, still busy with sending,
/// would see a reset instead of the answer.
fn too_large(rest: Body, limit: usize) -> Problem {
    const LINGER: Duration = Duration::from_secs(2);
    const LINGER_BYTES: usize = 16 * 1024 * 1024;
    tokio::spawn(tokio::time::timeout(LINGER, async move {
        let mut stream = rest.into_data_stream();
        let mut thrown = 0;
        while let Some(Ok(piece)) = stream.next().await {
            thrown += piece.len();
            if thrown > LINGER_BYTES {
                return;
            }
        }
    }));
    Problem::new(Kind::TooLarge).detail(format!("The body may hold {limit} bytes."))
}

/// Reads JSON; says what is wrong by line and column, or by the field's path.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| json_problem(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| json_problem(".", &error))?;
    Ok(value)
}

fn json_problem(path: &str, error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    let words = error.to_string();
    if matches!(error.classify(), Category::Syntax | Category::Eof | Category::Io) {
        return Problem::new(Kind::Malformed).word("malformed_json").detail(format!("The body is not JSON: {words}."));
    }
    // serde_json ends its words with the place; the path says it better.
    let words = words.rfind(" at line ").map_or(words.as_str(), |end| &words[..end]);
    let path = if path == "." { "" } else { path };
    let quoted = words.split('`').nth(1);
    let (field, code) = if words.starts_with("unknown field") {
        (join(path, quoted), "unknown_field")
    } else if words.starts_with("missing field") {
        (join(path, quoted), "required")
    } else if words.starts_with("duplicate field") {
        (join(path, quoted), "duplicate")
    } else if words.starts_with("invalid type") {
        (path.to_owned(), if words.starts_with("invalid type: null") { "required" } else { "wrong_type" })
    } else {
        (path.to_owned(), "invalid")
    };
    Problem::field(field, code, shorten(words))
}

/// A path and the field in it that was named in quotes; once, if the path ends with it already.
fn join(path: &str, field: Option<&str>) -> String {
    match field {
        None => path.to_owned(),
        Some(field) if path.is_empty() || path == field => shorten(field),
        Some(field) if path.ends_with(&format!(".{field}")) => path.to_owned(),
        Some(field) => format!("{path}.{}", shorten(field)),
    }
}

/// What a sender wrote is repeated to him only in part.
fn shorten(words: &str) -> String {
    words.chars().take(200).collect()
}

/// Identifiers in the path. What is no identifier is not found, like one that nothing has.
pub struct PathId<T>(pub T);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        text.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

/// Two identifiers in the path.
pub struct PathIds<T, U>(pub T, pub U);

impl<T: FromStr + Send, U: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathIds<T, U> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(Problem::not_found()),
        }
    }
}

/// The query string, read strictly.
pub struct QueryOf<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::<T>::from_request_parts(parts, state).await.map_err(|rejection| {
            let words = rejection.body_text();
            let words = words.strip_prefix("Failed to deserialize query string: ").unwrap_or(&words);
            let (field, words) = words.split_once(": ").unwrap_or(("", words));
            let code = if words.starts_with("unknown field") { "unknown_field" } else { "invalid" };
            Problem::field(shorten(field), code, shorten(words))
        })?;
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only the reading is tested")]
        title: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only the reading is tested")]
        people: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only the reading is tested")]
        phone: String,
    }

    async fn first_error(text: &str) -> (u16, String, String) {
        let problem = parse_json::<Outer>(text.as_bytes()).expect_err("is refused");
        let response = problem.into_response();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("is short");
        let document: serde_json::Value = serde_json::from_slice(&body).expect("is JSON");
        let error = &document["errors"][0];
        (status, error["field"].as_str().unwrap_or_default().to_owned(), error["code"].as_str().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn wrong_json_is_named_by_path() {
        for (text, field, code) in [
            (r#"{"people":[]}"#, "title", "required"),
            (r#"{"title":null}"#, "title", "required"),
            (r#"{"title":5}"#, "title", "wrong_type"),
            (r#"{"title":"a","titel":"b"}"#, "titel", "unknown_field"),
            (r#"{"title":"a","title":"b"}"#, "title", "duplicate"),
            (r#"{"title":"a","people":[{"phone":"1"},{"phone":2}]}"#, "people[1].phone", "wrong_type"),
            (r#"{"title":"a","people":[{"phone":"1"},{}]}"#, "people[1].phone", "required"),
            (r#"{"title":"a","people":[{"phone":"1","x":1}]}"#, "people[0].x", "unknown_field"),
            ("[]", "", "required"),
            ("7", "", "wrong_type"),
        ] {
            let (status, got_field, got_code) = first_error(text).await;
            assert_eq!(status, 422, "{text}");
            if text != "[]" {
                assert_eq!((got_field.as_str(), got_code.as_str()), (field, code), "{text}");
            }
        }
        for text in ["", "{", r#"{"title":"a"} x"#, r#"{"title":"\ud800"}"#, "{\"title\":\"a\nb\"}", "\u{feff}{}"] {
            assert_eq!(first_error(text).await.0, 400, "{text}");
        }
    }
}
