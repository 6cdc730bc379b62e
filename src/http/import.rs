//! Contacts from a CSV or vCard file: every line is checked before the first one is taken.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::check::Checks;
use super::contacts::{MOST_CONTACTS, check_fields, check_room};
use super::extract::{QueryOf, TextBody};
use super::problem::{FieldError, Kind, Problem};
use super::state::AppState;
use super::vcard;
use crate::clock;
use crate::ids::ContactId;
use crate::storage::contacts::{self, ContactFields};

/// The columns, of which the first two must be there.
const COLUMNS: [&str; 4] = ["name", "phone", "email", "note"];
/// The most lines whose errors are told.
const MOST_TOLD: usize = 100;

/// How to import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// Leave lines out that are not right, instead of taking nothing.
    #[serde(default)]
    skip_bad: bool,
    /// Only check, take nothing.
    #[serde(default)]
    check_only: bool,
}

/// What became of an import.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    /// Contacts that were added (with `check_only`: that would be).
    imported: usize,
    /// Lines that are not right and were left out.
    skipped: usize,
    /// What is wrong with them, for the first hundred; `lines[7].phone` is the phone on line 7 of the file.
    errors: Vec<FieldError>,
    /// With `check_only`: the people that would be imported, each with the line on which he begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    contacts: Option<Vec<ReadContact>>,
}

/// A person that a file holds.
#[derive(Serialize, ToSchema)]
pub(super) struct ReadContact {
    /// The line of the file on which he begins, from 1.
    line: u64,
    /// The name.
    name: String,
    /// The number in normal form.
    phone: String,
    /// Where messages go.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// A note.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Import contacts
///
/// CSV in UTF-8 with a head line that names the columns `name`, `phone`, `email` and `note` in any order, divided by `,` or `;`.
/// Or vCards, versions 2.1 to 4.0: name, the preferred or first telephone number and e-mail address, note.
/// If a line is not right, nothing is imported, unless `skip_bad` is set.
/// The field of an error names line and column: `lines[7].phone`. Lines are those of the file, from 1, empty ones counted.
#[utoipa::path(post, path = "/contacts/import", tag = "directory", params(ImportQuery),
    request_body(content((String = "text/csv", example = "name;phone;email;note\nŽiga Čopič;040 123 456;ziga@example.test;\n"), (String = "text/vcard"))),
    responses((status = OK, body = Imported), (status = CONFLICT, description = "The directory is full")))]
pub(super) async fn import_contacts(
    State(state): State<AppState>,
    caller: Caller,
    QueryOf(query): QueryOf<ImportQuery>,
    TextBody { text, is_vcard }: TextBody,
) -> Result<Json<Imported>, Problem> {
    let reader = state.clone();
    // Thousands of numbers are looked up in the numbering plan: on a thread of its own, so that other requests go on.
    let read = tokio::task::spawn_blocking(move || if is_vcard { read_cards(&reader, &text) } else { read_table(&reader, &text) });
    let Table { rows, bad, errors } = read.await.map_err(|_| Problem::new(Kind::Internal))??;
    if bad > 0 && !query.skip_bad && !query.check_only {
        let lines = if bad == 1 { "1 line is not right".to_owned() } else { format!("{bad} lines are not right") };
        return Err(Problem::fields(errors).detail(format!("{lines}; nothing was imported.")));
    }
    check_room(&state, &caller, rows.len()).await?;
    let imported = rows.len();
    if query.check_only {
        let read = |(line, fields): (u64, ContactFields)| {
            let ContactFields { name, phone, email, note } = fields;
            ReadContact { line, name, phone, email, note }
        };
        let contacts = Some(rows.into_iter().map(read).collect());
        return Ok(Json(Imported { imported, skipped: bad, errors, contacts }));
    }
    let rows: Vec<(ContactId, ContactFields)> = rows.into_iter().map(|(_, fields)| (ContactId::fresh(), fields)).collect();
    contacts::add(&mut *state.pool.get().await?, caller.account, &rows, clock::now()).await?;
    Ok(Json(Imported { imported, skipped: bad, errors, contacts: None }))
}

/// The people of a file.
#[derive(Default)]
struct Table {
    /// Those that are right, each with the line on which he begins.
    rows: Vec<(u64, ContactFields)>,
    /// How many are not right.
    bad: usize,
    errors: Vec<FieldError>,
}

impl Table {
    /// Refuses one more than an account may have.
    fn check_room(&self) -> Result<(), Problem> {
        if self.rows.len() + self.bad < MOST_CONTACTS {
            return Ok(());
        }
        Err(Problem::field("", "too_many", format!("at most {MOST_CONTACTS} people")))
    }

    fn take(&mut self, line: u64, fields: ContactFields, checks: Checks) {
        if checks.is_clean() {
            self.rows.push((line, fields));
            return;
        }
        self.bad += 1;
        if self.bad <= MOST_TOLD {
            self.errors.extend(checks.into_errors());
        }
    }
}

fn read_cards(state: &AppState, text: &str) -> Result<Table, Problem> {
    let cards = vcard::read(text);
    if cards.is_empty() {
        return Err(Problem::field("lines[1]", "required", "there is no vCard in it"));
    }
    let mut table = Table::default();
    for card in cards {
        table.check_room()?;
        let mut checks = Checks::default();
        let field = |property: &Option<vcard::Property>| property.as_ref().map(|property| property.value.clone());
        let (name, phone) = (field(&card.name).unwrap_or_default(), field(&card.phone).unwrap_or_default());
        let fields = check_fields(&mut checks, state, "", &name, &phone, field(&card.email).as_deref(), field(&card.note).as_deref());
        // An error is told at the line of its property, or where the card begins if it has none.
        let mut told = Checks::default();
        if let Some(line) = card.unreadable {
            told.refuse(format!("lines[{line}]"), "invalid", "this is not in UTF-8; export the file as UTF-8");
            table.take(card.line, fields, told);
            continue;
        }
        for error in checks.into_errors() {
            let property = match error.field.as_str() {
                "name" => &card.name,
                "phone" => &card.phone,
                "email" => &card.email,
                _ => &card.note,
            };
            let line = property.as_ref().map_or(card.line, |property| property.line);
            told.refuse(format!("lines[{line}].{}", error.field), &error.code, error.message);
        }
        table.take(card.line, fields, told);
    }
    Ok(table)
}

fn read_table(state: &AppState, text: &str) -> Result<Table, Problem> {
    let head = text.lines().next().unwrap_or("");
    let delimiter = if head.matches(';').count() > head.matches(',').count() { b';' } else { b',' };
    // A last line that a quotation mark without its second one swallows: the reader itself takes the end of the file for that.
    let whole = format!("{text}\n\u{1}\n");
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(whole.as_bytes());
    if text.trim_matches(['\r', '\n']).is_empty() {
        read_head(&csv::StringRecord::new())?;
    }
    let columns = read_head(reader.headers().map_err(|error| unreadable(&error))?)?;
    let mut table = Table::default();
    let mut lines = Lines::of(text);
    let mut begun = 1;
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(&error))?;
        let line = lines.at(record.position().map_or(0, csv::Position::byte));
        if lines.are_over() {
            return Ok(table);
        }
        begun = line;
        if record.iter().all(|value| value.trim().is_empty()) {
            continue;
        }
        table.check_room()?;
        let value = |column: usize| columns.iter().position(|known| *known == column).and_then(|at| record.get(at));
        let mut checks = Checks::default();
        if record.len() > columns.len() {
            checks.refuse(format!("lines[{line}]"), "invalid", "more values than the head line has columns");
        }
        let at = format!("lines[{line}].");
        let [name, phone, email, note] = [0, 1, 2, 3].map(|column| value(column).map(unguarded));
        let fields = check_fields(&mut checks, state, &at, name.unwrap_or(""), phone.unwrap_or(""), email, note);
        table.take(line, fields, checks);
    }
    Err(Problem::new(Kind::Malformed).word("malformed_csv").detail(format!(
        "A quotation mark in the entry that begins on line {begun} has no second one, so that all after it would be one value: \
         close it or take it out. Nothing was imported."
    )))
}

/// The value without the apostrophe that an export puts before what a spreadsheet would take for a formula.
fn unguarded(value: &str) -> &str {
    value.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(value)
}

/// Numbers the lines of a text. The CSV reader's own count is one short after CR LF, and stays at an empty line that it passes over.
struct Lines<'a> {
    text: &'a [u8],
    /// Up to here the line feeds are counted.
    counted: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self { text: text.as_bytes(), counted: 0, line: 1 }
    }

    /// The line of a record that the reader began at this byte; later calls ask for later bytes.
    fn at(&mut self, byte: u64) -> u64 {
        let mut begin = usize::try_from(byte).unwrap_or(usize::MAX).clamp(self.counted, self.text.len());
        while matches!(self.text.get(begin), Some(b'\r' | b'\n')) {
            begin += 1;
        }
        let ends = self.text[self.counted..begin].iter().filter(|byte| **byte == b'\n').count();
        self.line += u64::try_from(ends).unwrap_or(0);
        self.counted = begin;
        self.line
    }

    /// Whether the last record asked for begins behind the text.
    fn are_over(&self) -> bool {
        self.counted == self.text.len()
    }
}

/// Which of [`COLUMNS`] each column of the file is.
fn read_head(head: &csv::StringRecord) -> Result<Vec<usize>, Problem> {
    let mut columns = Vec::new();
    for name in head {
        let name = name.trim();
        let Some(column) = COLUMNS.iter().position(|column| column.eq_ignore_ascii_case(name)) else {
            let name: String = name.chars().take(100).collect();
            return Err(Problem::field(
                "lines[1]",
                "unknown_field",
                format!("there is no column {name:?}; the columns are name, phone, email and note"),
            ));
        };
        if columns.contains(&column) {
            return Err(Problem::field("lines[1]", "duplicate", format!("the column {} is there twice", COLUMNS[column])));
        }
        columns.push(column);
    }
    for (column, name) in COLUMNS.iter().enumerate().take(2) {
        if !columns.contains(&column) {
            return Err(Problem::field("lines[1]", "required", format!("the head line has no column {name}")));
        }
    }
    Ok(columns)
}

fn unreadable(error: &csv::Error) -> Problem {
    let line = error.position().map_or(1, csv::Position::line);
    Problem::new(Kind::Malformed).word("malformed_csv").detail(format!("Line {line} cannot be read as CSV."))
}
