//! The operator's inventory of lines: the service is for subscribers who own one in the fixed network.
//!
//! A CSV file or an HTTP look-up, by configuration. Answers are kept for a set time; a file is read again when it has changed.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex as StdMutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::time::Instant;

use crate::numbers::Numbering;

/// The most answers that are kept.
const MOST_KEPT: usize = 100_000;

/// Section `[lines]`: where it is looked up whether an account's line exists. Exactly one of `file` and `url`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinesConfig {
    /// A CSV file with a header; the lines stand in its column `line`, as people write numbers.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// An address with `{line}` in it, for which the number in normal form is put: 2xx means that the line exists, 404 and 410 that it does not.
    #[serde(default)]
    pub url: Option<String>,
    /// How long an answer may take, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// How long an answer is kept, in seconds.
    #[serde(default = "default_keep")]
    pub keep_seconds: u64,
}

fn default_timeout() -> u64 {
    3
}

fn default_keep() -> u64 {
    300
}

impl LinesConfig {
    /// What types alone cannot say; the key and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.file, &self.url) {
            (Some(_), Some(_)) | (None, None) => return Err("give either file or url".into()),
            (None, Some(url)) => {
                let parsed = reqwest::Url::parse(&url.replace("{line}", "0")).map_err(|why| format!("url: {why}"))?;
                if url.matches("{line}").count() != 1 || !matches!(parsed.scheme(), "http" | "https") {
                    return Err("url: must be http and hold {line} once".into());
                }
            }
            (Some(_), None) => {}
        }
        if !(1..=60).contains(&self.timeout_seconds) {
            return Err(format!("timeout_seconds: {} is not between 1 and 60", self.timeout_seconds));
        }
        Ok(())
    }
}

/// Whether a line exists in the operator's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Owned,
    /// It does not, or not any more.
    Gone,
}

/// The inventory could not be asked. The words hold no number.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinesError {
    /// The file is not there, or is none.
    #[error("the file of lines {file} cannot be used: {why}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The look-up gave no answer that says something.
    #[error("the look-up of lines failed: {0}")]
    LookUp(String),
}

/// A file as it was read, and what it was then.
struct Read {
    mark: (Option<SystemTime>, u64),
    lines: BTreeSet<String>,
}

impl Read {
    fn standing(&self, line: &str) -> Standing {
        if self.lines.contains(line) { Standing::Owned } else { Standing::Gone }
    }
}

/// The inventory.
pub struct Lines {
    config: LinesConfig,
    numbering: Numbering,
    client: reqwest::Client,
    file: StdMutex<Option<Read>>,
    kept: StdMutex<HashMap<String, (Instant, Standing)>>,
}

impl Lines {
    /// The inventory of a configuration. Nothing is asked yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(config: LinesConfig, numbering: Numbering) -> Result<Self, LinesError> {
        let timeout = Duration::from_secs(config.timeout_seconds);
        let settings = || reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
        let client = crate::delivery::http_client(settings).map_err(|error| LinesError::LookUp(words(error)))?;
        Ok(Self { config, numbering, client, file: StdMutex::default(), kept: StdMutex::default() })
    }

    /// Whether a line, in normal form, exists.
    ///
    /// # Errors
    /// [`LinesError`] when the inventory cannot be asked; see [`last_known`](Self::last_known).
    pub async fn standing(&self, line: &str) -> Result<Standing, LinesError> {
        if let Some(file) = &self.config.file {
            return self.in_file(file, line);
        }
        let keep = Duration::from_secs(self.config.keep_seconds);
        if let Some((at, standing)) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(line)
            && at.elapsed() < keep
        {
            return Ok(*standing);
        }
        let standing = self.look_up(line).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, (at, _)| at.elapsed() < keep);
        }
        if kept.len() < MOST_KEPT {
            kept.insert(line.to_owned(), (Instant::now(), standing));
        }
        Ok(standing)
    }

    /// What was last known of a line, however long ago: for when [`standing`](Self::standing) has failed. `None`: nothing.
    ///
    /// Of a file it is the last one that could be read.
    #[must_use]
    pub fn last_known(&self, line: &str) -> Option<Standing> {
        if self.config.file.is_some() {
            return self.file.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|read| read.standing(line));
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(line).map(|(_, standing)| *standing)
    }

    /// In the file, which is read again when its time or length has changed.
    fn in_file(&self, path: &Path, line: &str) -> Result<Standing, LinesError> {
        let unusable = |why: String| LinesError::File { file: path.to_owned(), why };
        let found = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
        let mark = (found.modified().ok(), found.len());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = file.as_ref().filter(|read| read.mark == mark) {
            return Ok(read.standing(line));
        }
        let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let read = Read { mark, lines: parse(&bytes, &self.numbering).map_err(unusable)? };
        Ok(file.insert(read).standing(line))
    }

    async fn look_up(&self, line: &str) -> Result<Standing, LinesError> {
        let Some(url) = &self.config.url else { return Err(LinesError::LookUp("no address".into())) };
        // A number in normal form holds nothing to be encoded but the plus sign.
        let url = url.replace("{line}", &line.replace('+', "%2B"));
        let answer = self.client.get(url).send().await.map_err(|error| LinesError::LookUp(words(error)))?;
        match answer.status().as_u16() {
            200..=299 => Ok(Standing::Owned),
            404 | 410 => Ok(Standing::Gone),
            other => Err(LinesError::LookUp(format!("status {other}"))),
        }
    }
}

/// What went wrong, without the address, which holds a number.
fn words(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

/// The lines of a CSV file, in normal form. An inventory with a line that cannot be read is not used: it may be half a file.
///
/// Of the other columns nothing is asked, UTF-8 neither.
fn parse(file: &[u8], numbering: &Numbering) -> Result<BTreeSet<String>, String> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.byte_headers().map_err(|error| error.to_string())?;
    let column = header.iter().position(|name| name.trim_ascii() == b"line").ok_or("there is no column \"line\" in its first row")?;
    let mut lines = BTreeSet::new();
    for (row, record) in (2..).zip(reader.byte_records()) {
        let record = record.map_err(|error| error.to_string())?;
        let typed = record.get(column).ok_or_else(|| format!("row {row} has no line"))?;
        let typed = std::str::from_utf8(typed).map_err(|_| format!("row {row}: its line is not UTF-8"))?.trim();
        let full = numbering.normalise(typed);
        // Eight digits may be a short number and a national one without its 0: an account's line is looked up in either form.
        let short = (2..=8).contains(&typed.len()) && typed.bytes().all(|byte| byte.is_ascii_digit()) && !typed.starts_with('0');
        if short {
            lines.insert(typed.to_owned());
        } else if let Err(why) = &full {
            return Err(format!("row {row}: {why}"));
        }
        lines.extend(full.ok());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: Option<&Path>, url: Option<String>) -> Lines {
        let config = LinesConfig { file: file.map(Path::to_owned), url, timeout_seconds: 1, keep_seconds: 300 };
        config.check().unwrap();
        Lines::new(config, Numbering::default()).unwrap()
    }

    #[tokio::test]
    async fn a_file_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.csv");
        let inventory = lines(Some(&path), None);
        assert!(matches!(inventory.standing("+38613099396").await, Err(LinesError::File { .. })));
        std::fs::write(&path, "since,line\n2001-01-01,01 309 93 96\n").unwrap();
        assert_eq!(inventory.standing("+38613099396").await.unwrap(), Standing::Owned);
        assert_eq!(inventory.standing("+38613099397").await.unwrap(), Standing::Gone);
        std::fs::write(&path, "since,line\n2001-01-01,+386 1 309 93 97\n2001-01-01,19819\n").unwrap();
        assert_eq!(inventory.standing("+38613099396").await.unwrap(), Standing::Gone);
        assert_eq!(inventory.standing("+38613099397").await.unwrap(), Standing::Owned);
        for bad in ["number\n+38613099396\n", "line\n+38613099396\nhalf a li", ""] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(inventory.standing("+38613099397").await, Err(LinesError::File { .. })), "{bad}");
            // The last list that could be read is better than none.
            assert_eq!(inventory.last_known("+38613099396"), Some(Standing::Gone), "{bad}");
            assert_eq!(inventory.last_known("+38613099397"), Some(Standing::Owned), "{bad}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(inventory.standing("+38613099397").await.is_err());
        assert_eq!(inventory.last_known("+38613099397"), Some(Standing::Owned));
        assert_eq!(lines(Some(&path), None).last_known("+38613099397"), None, "a service that has never read one knows nothing");
    }

    #[test]
    fn lines_are_read_in_every_form_and_nothing_is_asked_of_other_columns() {
        let file = b"\xef\xbb\xbfname, line ,note\nKo\xe8ar,13099396,\xff\nAna, 01 309 93 97 ,\"a\nb\"\nBor,19819,\n";
        let lines = parse(file, &Numbering::default()).unwrap();
        assert_eq!(lines.iter().map(String::as_str).collect::<Vec<_>>(), ["+38613099396", "+38613099397", "13099396", "19819"]);
        let fault = parse(b"line\n+38613099396\n+3861309939\xb7\n", &Numbering::default()).unwrap_err();
        assert_eq!(fault, "row 3: its line is not UTF-8");
    }

    #[tokio::test]
    async fn a_look_up_says_what_its_status_says_and_is_kept() {
        use axum::extract::Path as Of;
        use axum::http::StatusCode;
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counter = std::sync::Arc::clone(&asked);
        let answer = async move |Of(line): Of<String>| {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            match line.as_str() {
                "+38613099396" => StatusCode::OK,
                "+38613099397" => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_GATEWAY,
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, axum::Router::new().route("/lines/{line}", axum::routing::get(answer))).into_future());
        let inventory = lines(None, Some(format!("http://{address}/lines/{{line}}")));
        let forgets = {
            let config = LinesConfig { keep_seconds: 0, ..inventory.config.clone() };
            Lines::new(config, Numbering::default()).unwrap()
        };
        assert_eq!(forgets.standing("+38613099397").await.unwrap(), Standing::Gone);
        for _ in 0..3 {
            assert_eq!(inventory.standing("+38613099396").await.unwrap(), Standing::Owned);
            assert_eq!(inventory.standing("+38613099397").await.unwrap(), Standing::Gone);
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 3, "answers are kept");
        let fault = inventory.standing("+38613099398").await.unwrap_err().to_string();
        assert!(fault.contains("status 502") && !fault.contains("099398"), "{fault}");
        server.abort();
        let _ = server.await;
        assert_eq!(inventory.standing("+38613099396").await.unwrap(), Standing::Owned);
        assert!(inventory.standing("+38613099399").await.is_err());
        assert_eq!(inventory.last_known("+38613099399"), None);
        // Too old to be given as an answer, and still better than nothing.
        assert!(forgets.standing("+38613099397").await.is_err());
        assert_eq!(forgets.last_known("+38613099397"), Some(Standing::Gone));
    }
}
