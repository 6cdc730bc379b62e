//! Errors as RFC 9457 problem documents.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::conference::Refusal;
use crate::runtime::ControlError;
use crate::storage::StorageError;

tokio::task_local! {
    /// The identifier of the request that is being answered; every problem names it.
    pub(super) static REQUEST_ID: uuid::Uuid;
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's path in the request, such as `participants[2].phone`; empty when it is the whole.
    #[schema(example = "participants[2].phone")]
    pub field: String,
    /// A stable word: `required`, `too_long`, `too_many`, `unknown_field`, `wrong_type`, `invalid_number`, `not_allowed`, `invalid_email`,
    /// `control_character`, `unknown_contact`, `duplicate`, `out_of_range`, `invalid`, `conflict`.
    #[schema(example = "invalid_number")]
    pub code: String,
    /// The same in English.
    #[schema(example = "a telephone number holds digits, spaces, and + ( ) - / . only")]
    pub message: String,
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:sklic:problem:invalid_fields",
    "title": "Some fields are not right",
    "status": 422,
    "detail": "1 field is not right; see errors.",
    "instance": "urn:uuid:019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d",
    "errors": [{"field": "participants[2].phone", "code": "invalid_number", "message": "there is no such number in the numbering plan"}]
}))]
pub struct ProblemDocument {
    /// What kind of problem: `urn:sklic:problem:` and a stable word.
    #[serde(rename = "type")]
    #[schema(example = "urn:sklic:problem:not_found")]
    pub kind: String,
    /// The kind in English.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request, as the service's log names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// The kinds of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The body is not JSON or CSV, or the request makes no sense.
    Malformed,
    /// Nobody is signed in.
    NotSignedIn,
    /// User number and password do not go together.
    WrongLogin,
    /// The request comes from another site's page.
    CrossSite,
    /// What is asked for is not for this caller.
    Forbidden,
    /// There is no such thing, or it is another account's.
    NotFound,
    /// The address knows other methods.
    MethodNotAllowed,
    /// The body was too long in coming.
    TooSlow,
    /// It does not fit the state of things.
    Conflict,
    /// The body is too big.
    TooLarge,
    /// The body's type is not the one expected.
    WrongContentType,
    /// Fields are wrong.
    InvalidFields,
    /// Too many requests.
    TooManyRequests,
    /// A fault of the service.
    Internal,
    /// Database or switch is away.
    Unavailable,
}

impl Kind {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::NotSignedIn => (StatusCode::UNAUTHORIZED, "not_signed_in", "You are not signed in"),
            Self::WrongLogin => (StatusCode::UNAUTHORIZED, "wrong_login", "User number or password is wrong"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site", "The request does not come from the service's own page"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This is not for you"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such thing"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This address knows other methods"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow", "The request took too long to arrive"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "This is not possible now"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too big"),
            Self::WrongContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_content_type", "The content type is not the expected one"),
            Self::InvalidFields => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields", "Some fields are not right"),
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong in the service"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service cannot do this at the moment"),
        }
    }
}

/// What a handler answers when it does not do what was asked.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    /// A finer word than the kind's, if there is one.
    word: Option<&'static str>,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
}

/// How long a caller waits before asking again what was not available, in seconds.
const RETRY_UNAVAILABLE: u64 = 3;

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let retry_after = (kind == Kind::Unavailable).then_some(RETRY_UNAVAILABLE);
        Self { kind, word: None, detail: None, errors: Vec::new(), retry_after }
    }

    /// There is no such thing. The same words for what never was and what is another account's.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound)
    }

    /// Wrong fields.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let count = errors.len();
        let detail = if count == 1 { "1 field is not right; see errors.".into() } else { format!("{count} fields are not right; see errors.") };
        Self { errors, ..Self::new(Kind::InvalidFields).detail(detail) }
    }

    /// One wrong field.
    #[must_use]
    pub fn field(field: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), code: code.into(), message: message.into() }])
    }

    /// What is wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A finer word than the kind's.
    #[must_use]
    pub fn word(mut self, word: &'static str) -> Self {
        self.word = Some(word);
        self
    }

    /// When to ask again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.parts().0
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, word, title) = self.kind.parts();
        let document = ProblemDocument {
            kind: format!("urn:sklic:problem:{}", self.word.unwrap_or(word)),
            title: title.into(),
            status: status.as_u16(),
            detail: self.detail.map(Cow::into_owned),
            instance: REQUEST_ID.try_with(|id| format!("urn:uuid:{id}")).ok(),
            errors: self.errors,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sklic\""));
        }
        response
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        if error.is_passing() {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database is not available");
            return Self::new(Kind::Unavailable)
                .word("database_unavailable")
                .detail("The database is not available. Nothing was changed; try again.");
        }
        tracing::error!(error = &error as &dyn std::error::Error, "a query failed");
        Self::new(Kind::Internal)
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let words = error.to_string();
        match error {
            ControlError::NotFound => Self::not_found(),
            ControlError::NotPlanned { .. } => Self::new(Kind::Conflict).word("wrong_phase").detail(words),
            ControlError::TooManyConferences { .. } => Self::new(Kind::Conflict).word("too_many_conferences").detail(words),
            ControlError::NumberNotAllowed { .. } => Self::new(Kind::Conflict).word("number_not_allowed").detail(words),
            ControlError::AccountDisabled => Self::new(Kind::Conflict).word("account_disabled").detail(words),
            ControlError::SpendReached => Self::new(Kind::Conflict).word("spend_reached").detail(words),
            ControlError::LineGone => Self::new(Kind::Conflict).word("line_gone").detail(words),
            ControlError::Unavailable { .. } => Self::new(Kind::Unavailable).detail(words),
            // Nobody is to send it again: it would be done twice.
            ControlError::Queued => Self { retry_after: None, ..Self::new(Kind::Unavailable).word("queued").detail(words) },
            ControlError::Internal => Self::new(Kind::Internal),
            ControlError::Refused(refusal) => {
                let word = match refusal {
                    Refusal::UnknownParticipant | Refusal::UnknownLeg => return Self::not_found(),
                    Refusal::WrongPhase { .. } => "wrong_phase",
                    Refusal::AlreadyCalled | Refusal::LineInside => "already_called",
                    Refusal::NotInside => "not_inside",
                    Refusal::Convener => "convener",
                    Refusal::Full { .. } => "full",
                    Refusal::NobodyMissing => "nobody_missing",
                    Refusal::SpendReached => "spend_reached",
                    Refusal::NumberNotAllowed => "number_not_allowed",
                    Refusal::NotWaiting => "not_waiting",
                    Refusal::ClosedByOwner => "closed_by_owner",
                    Refusal::NoHand => "no_hand",
                    Refusal::UnexpectedEvent { .. } => "conflict",
                };
                Self::new(Kind::Conflict).word(word).detail(words)
            }
        }
    }
}
