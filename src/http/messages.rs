//! Messages to the people of a conference: looked at before, sent, and what became of them.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::extract::{JsonBody, PathId};
use super::message_views::{MessageList, MessageView, view};
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::delivery::sms::Coding;
use crate::delivery::{Letter, Placeholder, Recipient, Values, When, Wording, WordingError};
use crate::ids::{ConferenceId, MessageId, ParticipantId};
use crate::pbx::Language;
use crate::report::Words;
use crate::storage::accounts::Account;
use crate::storage::conferences::Conference;
use crate::storage::messages::{self, NewDelivery, NewMessage, OverQuota, Quota};
use crate::storage::{Connection, conferences, participants, series};

/// The longest text, in characters.
const TEXT_LENGTH: usize = 2_000;
/// How many rendered examples a preview shows.
const EXAMPLES: usize = 3;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_messages, send_message)).routes(routes!(preview_message))
}

/// A way to reach people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MessageChannel {
    /// A short message to the telephone.
    Sms,
    /// A mail.
    Email,
}

/// A message to people of a conference.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"channels": ["sms", "email"], "text": "{name}, dobimo se {date} ob {time}. Kličite {access_number}, uporabniška številka {code}#."}))]
pub(super) struct MessageInput {
    /// By which channels; a person gets it by each.
    channels: Vec<MessageChannel>,
    /// The text, with the placeholders `{name}`, `{title}`, `{convener}`, `{date}`, `{time}`, `{access_number}`, `{code}`; `{{` is a brace.
    #[schema(max_length = 2000)]
    text: String,
    /// To whom; everybody but the convener if not given.
    #[serde(default)]
    #[schema(value_type = Option<Vec<uuid::Uuid>>)]
    participants: Option<Vec<ParticipantId>>,
    /// The subject of mails; made from the title if not given.
    #[serde(default)]
    #[schema(max_length = 200)]
    subject: Option<String>,
    /// Leave out who lacks an address, a number or what a placeholder stands for. Otherwise one of them keeps the whole message back.
    #[serde(default)]
    skip_lacking: bool,
}

/// What a person lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lack {
    /// A telephone number to which short messages can be sent.
    Phone,
    /// An e-mail address.
    Email,
    /// The conference has no date yet.
    Date,
    /// The conference has no time yet.
    Time,
    /// There is no access number for the person's network.
    AccessNumber,
    /// A code of his own.
    Code,
}

impl Lack {
    fn of(placeholder: Placeholder) -> Option<Self> {
        Some(match placeholder {
            Placeholder::Date => Self::Date,
            Placeholder::Time => Self::Time,
            Placeholder::AccessNumber => Self::AccessNumber,
            Placeholder::Code => Self::Code,
            Placeholder::Name | Placeholder::Title | Placeholder::Convener => return None,
        })
    }

    fn code(self) -> &'static str {
        match self {
            Self::Phone => "lacks_phone",
            Self::Email => "lacks_email",
            Self::Date => "lacks_date",
            Self::Time => "lacks_time",
            Self::AccessNumber => "lacks_access_number",
            Self::Code => "lacks_code",
        }
    }
}

/// A short message as it would go out.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct SmsPreview {
    /// The text as it would arrive.
    text: String,
    /// The coding that the gateway would use.
    coding: Coding,
    /// Its length: septets of the 7-bit alphabet, or 16-bit units.
    length: usize,
    /// How many short messages it takes.
    parts: usize,
}

/// A mail as it would go out.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct MailPreview {
    /// The subject.
    subject: String,
    /// The plain-text part.
    text: String,
}

/// A message as one person would get it.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageExample {
    /// The person.
    #[schema(value_type = uuid::Uuid)]
    participant_id: ParticipantId,
    /// The name.
    name: String,
    /// By SMS, if that was asked for and is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    sms: Option<SmsPreview>,
    /// By e-mail, if that was asked for and is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<MailPreview>,
}

/// Somebody who cannot get the message as it is.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Lacking {
    /// The person.
    #[schema(value_type = uuid::Uuid)]
    pub(super) participant_id: ParticipantId,
    /// The name.
    pub(super) name: String,
    /// What is lacking.
    pub(super) lacks: Vec<Lack>,
}

/// A message before it is sent.
#[derive(Serialize, ToSchema)]
pub(super) struct MessagePreview {
    /// To how many people it would go.
    recipients: usize,
    /// How many mails that is.
    mails: usize,
    /// How many short messages that is, all parts of all people together.
    sms_parts: usize,
    /// The most parts that one person's short message takes.
    most_parts: usize,
    /// The longest texts, as people would get them.
    examples: Vec<MessageExample>,
    /// Who cannot get it by each channel, or has nothing where a placeholder stands.
    lacking: Vec<Lacking>,
}

/// A message that was queued.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageSent {
    /// The message as it stands now.
    message: MessageView,
    /// Who was left out.
    skipped: Vec<Lacking>,
}

/// A message that was understood, and the people whom it may reach.
struct Draft {
    account: Account,
    conference: Conference,
    wording: Wording,
    subject: String,
    people: Vec<(Recipient, Values)>,
}

/// Reads a request and finds its people; what is wrong with it is gathered.
async fn draft(state: &AppState, caller: &Caller, id: ConferenceId, input: &MessageInput) -> Result<Draft, Problem> {
    let account = super::me::account_of(state, caller).await?;
    let mut connection = state.pool.get().await?;
    let conference = conferences::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    let mut checks = Checks::default();
    check_channels(state, &mut checks, "channels", &input.channels);
    let wording = check_text(&mut checks, "text", &input.text);
    let subject = input.subject.as_deref().map(|subject| checks.name("subject", subject));
    let most = usize::try_from(state.desk.limits.most_recipients).unwrap_or(usize::MAX);
    if input.participants.as_ref().is_some_and(|people| people.len() > most) {
        checks.refuse("participants", "too_many", format!("one message goes to at most {most} people"));
        checks.done()?;
        return Err(Problem::new(Kind::Internal));
    }
    let everybody = recipients_of(&mut connection, &conference).await?;
    // People know its time as their invitation has told it.
    let plan = series::of_conference(&mut connection, caller.account, id).await?;
    let time_zone = plan.map_or_else(|| account.time_zone.clone(), |plan| plan.schedule.time_zone);
    drop(connection);
    let people = chosen(&mut checks, everybody, input.participants.as_deref());
    if people.len() > most {
        checks.refuse("participants", "too_many", format!("one message goes to at most {most} people"));
    } else if people.is_empty() && checks.is_clean() {
        checks.refuse("participants", "required", "there is nobody to send it to");
    }
    checks.done()?;
    let language: Language = account.language.parse().unwrap_or_default();
    let when = conference.scheduled_at.map(|at| When::beside(at, &time_zone, &account.time_zone, language));
    let subject = subject.unwrap_or_else(|| Words::of(language).with("message-subject", &[("title", conference.title.as_str().into())]));
    let values = |person: &Recipient| state.desk.values(person, &conference.title, &account.name, when.as_ref());
    let people = people.into_iter().map(|person| (values(&person), person)).map(|(values, person)| (person, values)).collect();
    // Without a text there is no draft; the checks have said so.
    let wording = wording.ok_or(Problem::new(Kind::Internal))?;
    Ok(Draft { account, conference, wording, subject, people })
}

pub(super) fn check_channels(state: &AppState, checks: &mut Checks, field: &str, channels: &[MessageChannel]) {
    if channels.is_empty() {
        checks.refuse(field, "required", "sms, email or both");
    }
    let mut seen = HashSet::new();
    for (at, channel) in channels.iter().enumerate() {
        let field = format!("{field}[{at}]");
        if !seen.insert(*channel as u8) {
            checks.refuse(&field, "duplicate", "this channel is there already");
        }
        match channel {
            MessageChannel::Sms if state.desk.gateways.is_empty() => checks.refuse(&field, "not_available", "this service sends no SMS"),
            MessageChannel::Email if !state.desk.has_mail => checks.refuse(&field, "not_available", "this service sends no mail"),
            _ => {}
        }
    }
}

/// A text with placeholders: several lines; `None` when it was refused.
pub(super) fn check_text(checks: &mut Checks, field: &str, text: &str) -> Option<Wording> {
    let text = text.trim().replace("\r\n", "\n");
    if text.is_empty() {
        checks.refuse(field, "required", "this is needed");
        return None;
    }
    if text.chars().count() > TEXT_LENGTH {
        checks.refuse(field, "too_long", format!("at most {TEXT_LENGTH} characters"));
        return None;
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        checks.refuse(field, "control_character", "control characters are not allowed");
        return None;
    }
    match Wording::parse(&text) {
        Ok(wording) => Some(wording),
        Err(error) => {
            let code = if matches!(error, WordingError::Unknown(_)) { "unknown_placeholder" } else { "invalid" };
            checks.refuse(field, code, error.to_string());
            None
        }
    }
}

/// Everybody on the roster but the convener.
pub(super) async fn recipients_of(connection: &mut Connection, conference: &Conference) -> Result<Vec<Recipient>, Problem> {
    let people = participants::list(connection, conference.account, conference.id).await?;
    let mut codes = messages::codes(connection, conference.account, conference.id).await?;
    let people = people.into_iter().filter(|person| !person.removed && !person.convener);
    let recipient = |person: participants::Participant| Recipient {
        code: codes.remove(&person.id),
        id: person.id,
        name: person.name,
        phone: person.phone,
        email: person.email,
        by_mail_only: false,
    };
    Ok(people.map(recipient).collect())
}

fn chosen(checks: &mut Checks, everybody: Vec<Recipient>, wanted: Option<&[ParticipantId]>) -> Vec<Recipient> {
    let Some(wanted) = wanted else { return everybody };
    let mut by_id: HashMap<ParticipantId, Recipient> = everybody.into_iter().map(|person| (person.id, person)).collect();
    let mut seen = HashSet::new();
    let mut people = Vec::with_capacity(wanted.len());
    for (at, id) in wanted.iter().enumerate() {
        let field = format!("participants[{at}]");
        if !seen.insert(*id) {
            checks.refuse(field, "duplicate", "this person is there already");
        } else if let Some(person) = by_id.remove(id) {
            people.push(person);
        } else {
            checks.refuse(field, "unknown_participant", "there is no such participant, or it is the convener");
        }
    }
    people
}

impl Draft {
    /// What one person lacks for these channels.
    fn lacks(&self, state: &AppState, channels: &[MessageChannel], person: &Recipient, values: &Values) -> Vec<Lack> {
        let mut lacks = Vec::new();
        if channels.contains(&MessageChannel::Sms) && !state.desk.can_text(person) {
            lacks.push(Lack::Phone);
        }
        if channels.contains(&MessageChannel::Email) && person.email.is_none() {
            lacks.push(Lack::Email);
        }
        lacks.extend(self.wording.lacking(values).into_iter().filter_map(Lack::of));
        lacks
    }

    fn lacking(&self, state: &AppState, channels: &[MessageChannel]) -> Vec<Lacking> {
        let of = |(person, values): &(Recipient, Values)| {
            let lacks = self.lacks(state, channels, person, values);
            (!lacks.is_empty()).then(|| Lacking { participant_id: person.id, name: person.name.clone(), lacks })
        };
        self.people.iter().filter_map(of).collect()
    }

    fn mail(&self, state: &AppState, person: &Recipient, values: &Values) -> Option<NewDelivery> {
        let text = self.wording.fill(values);
        state.desk.mail(person, &self.letter(&text), Some(&self.account.email), None)
    }

    fn letter<'a>(&'a self, text: &'a str) -> Letter<'a> {
        Letter {
            language: self.account.language.parse().unwrap_or_default(),
            subject: &self.subject,
            heading: &self.conference.title,
            text,
            facts: &[],
            convener: &self.account.name,
        }
    }
}

/// Look at a message before it is sent
///
/// Counts parts as the gateway will, shows the longest examples and names who cannot get it. Nothing is sent.
#[utoipa::path(post, path = "/conferences/{id}/messages/preview", tag = "messages",
    params(("id" = uuid::Uuid, Path, description = "The conference")), request_body = MessageInput, responses((status = OK, body = MessagePreview)))]
async fn preview_message(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<ConferenceId>,
    JsonBody(input): JsonBody<MessageInput>,
) -> Result<Json<MessagePreview>, Problem> {
    let draft = draft(&state, &caller, id, &input).await?;
    let lacking = draft.lacking(&state, &input.channels);
    let wants = |channel| input.channels.contains(&channel);
    let mut texts: Vec<(&Recipient, &Values, String, usize)> = Vec::with_capacity(draft.people.len());
    let (mut sms_parts, mut mails) = (0, 0);
    for (person, values) in &draft.people {
        let text = draft.wording.fill(values);
        let parts = if wants(MessageChannel::Sms) && state.desk.can_text(person) { state.desk.coded(&person.phone, &text).parts } else { 0 };
        sms_parts += parts;
        mails += usize::from(wants(MessageChannel::Email) && person.email.is_some());
        texts.push((person, values, text, parts));
    }
    let most_parts = texts.iter().map(|(.., parts)| *parts).max().unwrap_or(0);
    texts.sort_by_key(|(_, _, text, parts)| std::cmp::Reverse((*parts, text.chars().count())));
    let example = |(person, _, text, parts): &(&Recipient, &Values, String, usize)| {
        let coded = state.desk.coded(&person.phone, text);
        let sms = (*parts > 0).then(|| SmsPreview {
            text: coded.text.clone().into_owned(),
            coding: coded.coding,
            length: coded.length,
            parts: coded.parts,
        });
        let email = (wants(MessageChannel::Email) && person.email.is_some())
            .then(|| MailPreview { subject: draft.subject.clone(), text: draft.letter(text).text(&state.desk.branding) });
        MessageExample { participant_id: person.id, name: person.name.clone(), sms, email }
    };
    let examples = texts.iter().take(EXAMPLES).map(example).collect();
    Ok(Json(MessagePreview { recipients: draft.people.len(), mails, sms_parts, most_parts, examples, lacking }))
}

/// Send a message
///
/// It is queued for everybody or for nobody.
#[utoipa::path(post, path = "/conferences/{id}/messages", tag = "messages", params(("id" = uuid::Uuid, Path, description = "The conference")),
    request_body = MessageInput, responses((status = ACCEPTED, body = MessageSent)))]
async fn send_message(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<ConferenceId>,
    JsonBody(input): JsonBody<MessageInput>,
) -> Result<(StatusCode, Json<MessageSent>), Problem> {
    let draft = draft(&state, &caller, id, &input).await?;
    let lacking = draft.lacking(&state, &input.channels);
    let mut checks = Checks::default();
    if !input.skip_lacking {
        for person in &lacking {
            let at = input.participants.as_ref().and_then(|wanted| wanted.iter().position(|id| *id == person.participant_id));
            let field = at.map_or_else(|| "participants".to_owned(), |at| format!("participants[{at}]"));
            for lack in &person.lacks {
                checks.refuse(&field, lack.code(), format!("{} {}", person.name, lack.code().replace('_', " ")));
            }
        }
    }
    let lacks: HashMap<ParticipantId, &[Lack]> = lacking.iter().map(|person| (person.participant_id, person.lacks.as_slice())).collect();
    let mut deliveries = Vec::new();
    for (person, values) in &draft.people {
        let lacks = lacks.get(&person.id).copied().unwrap_or_default();
        // Without what a placeholder stands for there is no message; without an address there is none by this channel.
        if lacks.iter().any(|lack| !matches!(lack, Lack::Phone | Lack::Email)) {
            continue;
        }
        if input.channels.contains(&MessageChannel::Sms) && !lacks.contains(&Lack::Phone) {
            deliveries.push(state.desk.sms(person, &draft.wording, values));
        }
        if input.channels.contains(&MessageChannel::Email) {
            deliveries.extend(draft.mail(&state, person, values));
        }
    }
    let most_parts = state.desk.limits.most_parts;
    if let Some(long) = deliveries.iter().find(|delivery| u32::try_from(delivery.parts).is_ok_and(|parts| parts > most_parts)) {
        let words = format!("to {} this is {} short messages, and at most {most_parts} are allowed", long.name, long.parts);
        checks.refuse("text", "too_many_parts", words);
    }
    if deliveries.is_empty() && checks.is_clean() {
        checks.refuse("participants", "required", "nobody of them can get it");
    }
    checks.done()?;
    let message = NewMessage {
        id: MessageId::fresh(),
        account: caller.account,
        conference: Some(id),
        plan: None,
        purpose: "message",
        text: input.text.trim().to_owned(),
        created_at: clock::now(),
        deliveries,
    };
    let sent = message.id;
    let mut connection = state.pool.get().await?;
    messages::add(&mut connection, message, Some(quota(&state))).await?.map_err(over_quota)?;
    state.bell.ring();
    let all = messages::list(&mut connection, caller.account, id).await?;
    let message = all.into_iter().find(|(message, _)| message.id == sent).map(view).ok_or(Problem::new(Kind::Internal))?;
    Ok((StatusCode::ACCEPTED, Json(MessageSent { message, skipped: lacking })))
}

/// List the messages of a conference
///
/// With what became of each, person by person.
#[utoipa::path(get, path = "/conferences/{id}/messages", tag = "messages", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = MessageList)))]
async fn list_messages(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<Json<MessageList>, Problem> {
    let mut connection = state.pool.get().await?;
    conferences::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    let found = messages::list(&mut connection, caller.account, id).await?;
    Ok(Json(MessageList { messages: found.into_iter().map(view).collect() }))
}

pub(super) fn quota(state: &AppState) -> Quota {
    Quota { sms_parts: i64::from(state.desk.limits.sms_parts_per_hour), mails: i64::from(state.desk.limits.mails_per_hour) }
}

pub(super) fn over_quota(over: OverQuota) -> Problem {
    let what = if over.channel == "sms" { "parts of short messages" } else { "mails" };
    let words = format!("The account may send {} {what} in an hour and has sent {}; this message was not sent to anybody.", over.limit, over.used);
    // The oldest of the hour's messages may be nearly an hour old, or just sent.
    Problem::new(Kind::TooManyRequests).word("over_quota").detail(words).retry_after(600)
}
