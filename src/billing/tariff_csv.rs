//! Price lists from CSV: the whole file, or the list of what is wrong with it.

use std::fmt;
use std::str::FromStr;

use csv::{ByteRecord, ReaderBuilder};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::money::Money;
use super::rate_row::{Component, Rate, Split};
use super::tariff::TariffVersion;

/// The columns that a price list must have; the file's header names each once, in any order.
pub const COLUMNS: [&str; 12] = [
    "component",
    "prefix",
    "description",
    "connect_fee",
    "price_per_minute",
    "first_increment",
    "next_increment",
    "free_seconds",
    "rounding_unit",
    "vat_percent",
    "valid_from",
    "valid_to",
];

/// The column that a price list may have beside them: where a component is cut. Without it, and where it is empty, nowhere.
pub const SPLIT_COLUMN: &str = "split";

/// How many errors are told one by one; the rest is counted.
pub const MAX_REPORTED: usize = 20;

/// What the file itself does not say.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The number that the version will have.
    pub version: u32,
    /// When the version comes into force; also the beginning of every row with an empty `valid_from`.
    pub valid_from: Timestamp,
    /// Where the file's dates begin at midnight, and where the midnights are at which components are cut.
    pub time_zone: TimeZone,
}

/// One thing that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TariffError {
    /// The line of the file, from 1.
    pub line: u64,
    /// The column by its name in the header; `None` when the whole line is meant.
    pub column: Option<String>,
    /// What is wrong, in words.
    pub reason: String,
}

impl fmt::Display for TariffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}, column {column}: {}", self.line, self.reason),
            None => write!(f, "line {}: {}", self.line, self.reason),
        }
    }
}

/// Why a file was refused: the first errors one by one, and how many more there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TariffErrors {
    /// The first [`MAX_REPORTED`] errors, by line.
    pub errors: Vec<TariffError>,
    /// How many more there are.
    pub more: usize,
}

impl TariffErrors {
    fn push(&mut self, line: u64, column: Option<&str>, reason: impl Into<String>) {
        if self.errors.len() < MAX_REPORTED {
            self.errors.push(TariffError { line, column: column.map(str::to_owned), reason: reason.into() });
        } else {
            self.more += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }
}

impl fmt::Display for TariffErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.errors.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for TariffErrors {}

/// Reads a price list: UTF-8 (a byte-order mark is taken off), commas, a header with every one of [`COLUMNS`], and perhaps [`SPLIT_COLUMN`].
///
/// # Errors
/// Nothing of the file is used when anything is wrong with it; [`TariffErrors`] names line, column and reason.
/// Gaps and overlaps in validity are looked for when the single rows are all right.
pub fn parse_tariff(file: &[u8], options: &ImportOptions) -> Result<TariffVersion, TariffErrors> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut reader = ReaderBuilder::new().flexible(true).has_headers(false).from_reader(file);
    let mut errors = TariffErrors::default();
    let mut record = ByteRecord::new();
    let mut places = None;
    let (mut rates, mut lines) = (Vec::new(), Vec::new());
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                errors.push(reader.position().line(), None, error.to_string());
                break;
            }
        }
        let line = first_line(file, &record);
        let Some(places) = &places else {
            places = Some(header(&record, line)?);
            continue;
        };
        let row = Row { record: &record, places, line };
        if let Some(rate) = row.rate(options, &mut errors) {
            rates.push(rate);
            lines.push(line);
        }
    }
    if places.is_none() {
        errors.push(1, None, format!("the file is empty; its first line must be {}", COLUMNS.join(",")));
    } else if rates.is_empty() && errors.is_empty() {
        errors.push(2, None, "there is no row below the header");
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let version = TariffVersion::new(options.version, options.valid_from, rates).map_err(|problems| {
        let mut errors = TariffErrors::default();
        for problem in problems {
            errors.push(lines[problem.row], Some(problem.column), problem.reason);
        }
        errors
    })?;
    Ok(version.in_time_zone(options.time_zone.clone()))
}

/// The line on which a record begins.
///
/// The reader counts from where the one before ended, so empty lines between the two are still to be counted.
fn first_line(file: &[u8], record: &ByteRecord) -> u64 {
    let Some(position) = record.position() else {
        return 0;
    };
    let rest = usize::try_from(position.byte()).ok().and_then(|byte| file.get(byte..)).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n').count();
    position.line() + u64::try_from(skipped).unwrap_or(0)
}

/// Where the columns are in the records.
struct Places {
    columns: [usize; COLUMNS.len()],
    split: Option<usize>,
}

impl Places {
    /// The place of a column, if the file has it.
    fn of(&self, column: &str) -> Option<usize> {
        if column == SPLIT_COLUMN {
            return self.split;
        }
        COLUMNS.iter().position(|name| *name == column).map(|place| self.columns[place])
    }

    /// How many columns the file has.
    fn count(&self) -> usize {
        COLUMNS.len() + usize::from(self.split.is_some())
    }
}

fn header(record: &ByteRecord, line: u64) -> Result<Places, TariffErrors> {
    let mut errors = TariffErrors::default();
    let mut places = [None; COLUMNS.len() + 1];
    let names = || COLUMNS.iter().chain([&SPLIT_COLUMN]);
    for (place, name) in record.iter().enumerate() {
        let name = String::from_utf8_lossy(name);
        match names().position(|column| *column == name) {
            None if name.contains(';') => errors.push(line, Some(&name), "columns must be separated by commas, not semicolons"),
            None => errors.push(line, Some(&name), format!("unknown column; the columns are {},{SPLIT_COLUMN}", COLUMNS.join(","))),
            Some(column) if places[column].is_some() => errors.push(line, Some(&name), "the column is there twice"),
            Some(column) => places[column] = Some(place),
        }
    }
    let mut columns = [0; COLUMNS.len()];
    for (column, place) in places.iter().take(COLUMNS.len()).enumerate() {
        match place {
            Some(place) => columns[column] = *place,
            None => errors.push(line, Some(COLUMNS[column]), "the column is missing"),
        }
    }
    if errors.is_empty() { Ok(Places { columns, split: places[COLUMNS.len()] }) } else { Err(errors) }
}

/// One record below the header.
struct Row<'a> {
    record: &'a ByteRecord,
    places: &'a Places,
    line: u64,
}

impl Row<'_> {
    /// The rate of this row, or `None` after its errors have been added to `errors`.
    fn rate(&self, options: &ImportOptions, errors: &mut TariffErrors) -> Option<Rate> {
        if self.record.len() != self.places.count() {
            let reason = format!("{} fields, but the header has {}", self.record.len(), self.places.count());
            errors.push(self.line, None, reason);
            return None;
        }
        let component = self.read(errors, "component", |text| Component::from_word(text).ok_or_else(|| "neither call nor conference".to_owned()));
        let prefix = self.read(errors, "prefix", parsed);
        let description = self.read(errors, "description", |text| Ok(text.to_owned()));
        let connect_fee = self.read(errors, "connect_fee", parsed::<Money>);
        let price_per_minute = self.read(errors, "price_per_minute", parsed::<Money>);
        let first_increment = self.read(errors, "first_increment", seconds);
        let next_increment = self.read(errors, "next_increment", seconds);
        let free_seconds = self.read(errors, "free_seconds", seconds);
        let rounding_unit = self.read(errors, "rounding_unit", parsed::<Money>);
        let vat_percent = self.read(errors, "vat_percent", parsed);
        let valid_from = self.read(errors, "valid_from", |text| moment(text, &options.time_zone));
        let valid_to = self.read(errors, "valid_to", |text| moment(text, &options.time_zone));
        let split = match self.places.split {
            Some(_) => self.read(errors, SPLIT_COLUMN, split),
            None => Some(Split::None),
        };
        let rate = Rate {
            component: component?,
            prefix: prefix?,
            description: description?,
            connect_fee: connect_fee?,
            price_per_minute: price_per_minute?,
            first_increment: first_increment?,
            next_increment: next_increment?,
            free_seconds: free_seconds?,
            rounding_unit: rounding_unit?,
            vat_percent: vat_percent?,
            valid_from: valid_from?.unwrap_or(options.valid_from),
            valid_to: valid_to?,
            split: split?,
        };
        let problems = rate.problems();
        for (column, reason) in &problems {
            errors.push(self.line, Some(column), reason.as_str());
        }
        problems.is_empty().then_some(rate)
    }

    /// The value of a column, or `None` after its error has been added.
    fn read<T>(&self, errors: &mut TariffErrors, column: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let bytes = self.record.get(self.places.of(column)?)?;
        let value = match std::str::from_utf8(bytes) {
            Ok(text) => read(text).map_err(|reason| format!("{}: {reason}", shown(text))),
            Err(_) => Err(format!("{}: not UTF-8", shown(&String::from_utf8_lossy(bytes)))),
        };
        value.map_err(|reason| errors.push(self.line, Some(column), reason)).ok()
    }
}

/// A value as it is quoted in an error: short, and without bytes that could confuse a terminal.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    if text.is_empty() {
        return Err("empty".to_owned());
    }
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn seconds(text: &str) -> Result<i64, String> {
    // The standard reading also takes a plus sign, which would then pass here and nowhere else.
    let plain = !text.starts_with('+');
    text.parse().ok().filter(|_| plain).ok_or_else(|| "not a whole number of seconds".to_owned())
}

/// Where a component is cut; empty for nowhere.
fn split(text: &str) -> Result<Split, String> {
    let word = if text.is_empty() { Split::None.word() } else { text };
    Split::from_word(word).ok_or_else(|| "neither none nor midnight nor tariff_change nor both".to_owned())
}

/// A date (midnight in the tariff's time zone) or a moment with its offset; empty for none.
fn moment(text: &str, time_zone: &TimeZone) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let at_midnight = |date: Date| date.to_zoned(time_zone.clone()).map(|zoned| zoned.timestamp());
    let is_date = text.len() == 10 && text.is_ascii();
    let moment = if is_date { text.parse().and_then(at_midnight) } else { text.parse() };
    moment.map(Some).map_err(|_| "neither a date such as 2026-01-31 nor a moment such as 2026-01-31T12:00:00+01:00".to_owned())
}
