//! The database: reachable, of the right schema, with a clock like ours, and the tariff in it.

use std::error::Error as _;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Url;

use super::{Finding, money};
use crate::clock;
use crate::config::Config;
use crate::storage::{self, Connection, Pool, SchemaState, StorageError, doctor};

/// Clocks that differ by more make reports and waiting times wrong to the eye.
pub const SKEW_WARNING: SignedDuration = SignedDuration::from_secs(2);
/// Clocks that differ by more make leases, deadlines and charges wrong.
pub const SKEW_ERROR: SignedDuration = SignedDuration::from_secs(30);
/// How long one connection to the server is waited for, to hear why there is none.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// The first major release of PostgreSQL that has all that the schema uses.
const OLDEST_RELEASE: u32 = 150_000;

/// All checks of the database.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let url = match config.database_url() {
        Ok(url) => url,
        Err(why) => return vec![Finding::error("database.url", "[database]", why, "set database.url or database.url_file")],
    };
    let pool = match Pool::new(&url, storage::PoolOptions::default()) {
        Ok(pool) => pool,
        Err(fault) => return vec![unreachable(&url, &fault).await],
    };
    let mut connection = match pool.get().await {
        Ok(connection) => connection,
        Err(fault) => return vec![unreachable(&url, &fault).await],
    };
    let mut findings = clock_and_release(&mut connection).await;
    match storage::schema_state(&pool).await {
        Ok(state) => {
            let usable = !matches!(state, SchemaState::Behind { .. });
            findings.extend(schema(state));
            if usable {
                findings.extend(time_zones(&mut connection).await);
                findings.extend(money::examine(config, &mut connection).await);
            }
        }
        Err(fault) => findings.push(refused(&fault)),
    }
    findings
}

/// What keeps us from the database; the words are the server's or the system's, never the URL, which holds the password.
async fn unreachable(url: &str, fault: &StorageError) -> Finding {
    let mut words = fault.source().map_or_else(|| fault.to_string(), chain);
    let remedy = if words.contains("password authentication failed") {
        "put the right user and password into database.url, or set the password anew: ALTER ROLE sklic PASSWORD '…'"
    } else if words.contains("does not exist") {
        "create the role and the database that database.url names: CREATE ROLE sklic LOGIN PASSWORD '…'; CREATE DATABASE sklic OWNER sklic"
    } else if words.contains("no pg_hba.conf entry") {
        "allow this machine, user and database in PostgreSQL's pg_hba.conf, and reload PostgreSQL"
    } else if words.contains("invalid connection string") || words.contains("invalid configuration") {
        "write postgres://user:password@host:port/database"
    } else {
        // The driver keeps to itself what the system has said.
        if let Some(cause) = unconnected(url).await {
            words = format!("{words}: {cause}");
        }
        "look at host and port in database.url, whether PostgreSQL runs there, and whether a firewall is between"
    };
    Finding::error("database.url", "database.url", format!("no connection: {words}"), remedy)
}

/// What the system says of a connection to the server, when it says no.
async fn unconnected(url: &str) -> Option<String> {
    let (host, port) = server(url)?;
    let said = match tokio::time::timeout(LOOK_WITHIN, tokio::net::TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => return None,
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => format!("no answer within {} s", LOOK_WITHIN.as_secs()),
    };
    Some(format!("{host}:{port}: {said}"))
}

/// Host and port of the server; none for a socket in a folder, or for several hosts.
fn server(url: &str) -> Option<(String, u16)> {
    let (host, port) = if url.contains("://") {
        let url = Url::parse(url).ok()?;
        (url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port())
    } else {
        (value_of(url, "host")?, value_of(url, "port").and_then(|port| port.parse().ok()))
    };
    let one = !host.is_empty() && !host.contains(['/', '%', ',']);
    one.then(|| (host, port.unwrap_or(5432)))
}

/// The value of a key in the `key=value` form of a database's URL, without quotes and backslashes.
pub fn value_of(pairs: &str, key: &str) -> Option<String> {
    let mut rest = pairs;
    let mut found = None;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = first_value(after.trim_start());
        if name.trim() == key {
            found = Some(value);
        }
        rest = after;
    }
    found
}

/// The value with which a text begins, and what follows it.
fn first_value(text: &str) -> (String, &str) {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return (value, &text[at + 1..]),
            space if !quoted && space.is_whitespace() => return (value, &text[at..]),
            other => value.push(other),
        }
    }
    (value, "")
}

fn chain(mut fault: &dyn std::error::Error) -> String {
    let mut words = fault.to_string();
    while let Some(source) = fault.source() {
        fault = source;
        let more = fault.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
    }
    words
}

fn refused(fault: &StorageError) -> Finding {
    let words = fault.source().map_or_else(|| fault.to_string(), chain);
    Finding::error("database.refused", "the database", words, "give the role of database.url all rights in its database: ALTER DATABASE … OWNER TO …")
}

fn schema(state: SchemaState) -> Option<Finding> {
    match state {
        SchemaState::Current => None,
        SchemaState::Behind { missing } => Some(Finding::error(
            "database.schema_old",
            "the database",
            format!("it lacks {} migrations of this release, from {}", missing.len(), missing.first().map_or("", String::as_str)),
            "run `sklic migrate`; the guide for operators tells how to upgrade",
        )),
        SchemaState::Ahead { unknown } => Some(Finding::warning(
            "database.schema_new",
            "the database",
            format!(
                "it has had {} migrations that this release does not know, the last of them {}",
                unknown.len(),
                unknown.last().map_or("", String::as_str)
            ),
            "install the release that made them, or go back by restoring the backup taken before the upgrade",
        )),
    }
}

async fn clock_and_release(connection: &mut Connection) -> Vec<Finding> {
    let before = clock::now();
    let (theirs, release) = match doctor::clock_and_release(connection).await {
        Ok(facts) => facts,
        Err(fault) => return vec![refused(&fault)],
    };
    let middle = before + clock::now().duration_since(before) / 2;
    let mut findings: Vec<Finding> = skew("database.clock", "the database's machine", theirs.duration_since(middle)).into_iter().collect();
    if release < OLDEST_RELEASE {
        let problem = format!("PostgreSQL {} is too old", release / 10_000);
        findings.push(Finding::error("database.release", "the database", problem, "use PostgreSQL 15 or later; Debian 12 has 15"));
    }
    findings
}

/// A clock that is not ours.
pub fn skew(id: &'static str, place: &str, difference: SignedDuration) -> Option<Finding> {
    let size = difference.abs();
    if size <= SKEW_WARNING {
        return None;
    }
    let direction = if difference.is_negative() { "behind" } else { "ahead of" };
    let problem = format!("its clock is {:.1} s {direction} this machine's", size.as_secs_f64());
    let remedy = "let both machines follow the same time servers (chrony or systemd-timesyncd), and look with `timedatectl` which one is wrong";
    Some(if size > SKEW_ERROR { Finding::error(id, place, problem, remedy) } else { Finding::warning(id, place, problem, remedy) })
}

async fn time_zones(connection: &mut Connection) -> Vec<Finding> {
    let zones = match doctor::time_zones(connection).await {
        Ok(zones) => zones,
        Err(fault) => return vec![refused(&fault)],
    };
    let unknown: Vec<String> = zones.into_iter().filter(|zone| jiff::tz::TimeZone::get(zone).is_err()).collect();
    if unknown.is_empty() {
        return Vec::new();
    }
    vec![Finding::error(
        "accounts.time_zone",
        "accounts",
        format!("accounts have chosen time zones that this machine does not know: {}", unknown.join(", ")),
        "install Debian's package tzdata, or set another zone with `sklic account`",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_read_from_both_forms() {
        let found = |url| server(url).map(|(host, port)| format!("{host} {port}"));
        for (url, wanted) in [
            ("postgres://sklic:x@db.example.test:5433/sklic", Some("db.example.test 5433")),
            ("postgresql://sklic@[2001:db8::1]/sklic", Some("2001:db8::1 5432")),
            ("user=sklic password='it\\'s = host=other' host=db.example.test port = 5433", Some("db.example.test 5433")),
            ("host=192.0.2.1", Some("192.0.2.1 5432")),
            ("host=/run/postgresql user=sklic", None),
            ("postgres://sklic@%2Frun%2Fpostgresql/sklic", None),
            ("nonsense", None),
        ] {
            assert_eq!(found(url).as_deref(), wanted, "{url}");
        }
        assert_eq!(value_of("user=sklic password='it\\'s = host=other' host=a", "password").as_deref(), Some("it's = host=other"));
        assert_eq!(value_of("user=sklic", "password"), None);
    }
}
