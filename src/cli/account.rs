//! `sklic account`: subscribers of the service.

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::terms::{TermsOptions, check_line};
use crate::clock;
use crate::config::Config;
use crate::http::check::Checks;
use crate::http::secrets;
use crate::ids::AccountId;
use crate::pbx::Language;
use crate::storage::accounts::{self, NewAccount, Terms};
use crate::storage::{api_tokens, dial_in, sessions};

/// What can be done with accounts.
#[derive(Subcommand)]
pub(super) enum AccountCommand {
    /// Make an account; prints its identifier.
    Add(Box<Add>),
    /// Set the operator's terms for an account; what is left out stays.
    Set {
        /// Whose.
        #[arg(long)]
        user_number: String,
        #[command(flatten)]
        terms: TermsOptions,
    },
    /// List the accounts.
    List,
    /// Make an API token; it is shown once.
    Token {
        /// Whose.
        #[arg(long)]
        user_number: String,
        /// What it is for.
        #[arg(long, default_value = "command line")]
        name: String,
    },
    /// Set a new password, read from standard input; all sessions end.
    Password {
        /// Whose.
        #[arg(long)]
        user_number: String,
    },
    /// Set a new PIN, read from standard input; an empty line takes it away. With it the convener starts conferences by phone.
    Pin {
        /// Whose.
        #[arg(long)]
        user_number: String,
    },
    /// Let an account no longer sign in or start conferences.
    Disable {
        /// Whose.
        #[arg(long)]
        user_number: String,
    },
    /// Undo `disable`.
    Enable {
        /// Whose.
        #[arg(long)]
        user_number: String,
    },
}

/// What an account is made from.
#[derive(Args)]
pub(super) struct Add {
    /// The digits with which one signs in.
    #[arg(long)]
    user_number: String,
    /// The convener's name.
    #[arg(long)]
    name: String,
    /// The convener's own telephone.
    #[arg(long)]
    phone: String,
    /// Where reports go.
    #[arg(long)]
    email: String,
    /// `sl` or `en`; the configuration's without it.
    #[arg(long)]
    language: Option<Language>,
    /// IANA name; the configuration's without it.
    #[arg(long)]
    time_zone: Option<String>,
    /// How long the others wait for a convener whose call has ended, in seconds; 0 ends the conference with his call.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3600))]
    grace_seconds: u32,
    /// Those inside hear a beep when somebody comes in.
    #[arg(long)]
    entry_beep: bool,
    /// The most people in one of his conferences; the configuration's limit without it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=5000))]
    max_participants: Option<u32>,
    /// May see what concerns the service as a whole.
    #[arg(long)]
    staff: bool,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    terms: TermsOptions,
}

pub(super) async fn run(config: &Config, command: AccountCommand) -> anyhow::Result<()> {
    let pool = super::pool(config)?;
    let mut connection = pool.get().await?;
    match command {
        AccountCommand::Add(mut add) => {
            let phone = config.numbering.normalise(&add.phone).map_err(|why| anyhow::anyhow!("--phone: {why}"))?;
            let terms = std::mem::take(&mut add.terms).checked(config, &mut connection, &phone).await?;
            let account = checked(config, *add, phone, &terms)?;
            check_line(config, terms.line.as_deref().unwrap_or(&account.phone)).await?;
            let id = account.id;
            let user_number = account.user_number.clone();
            accounts::add_with_terms(&mut connection, account, terms).await.map_err(|fault| {
                if fault.is_of("accounts_user_number_key") { anyhow::anyhow!("--user-number: {user_number} is taken already") } else { fault.into() }
            })?;
            println!("{id}");
        }
        AccountCommand::Set { user_number, terms } => {
            let account = find(&mut connection, &user_number).await?;
            let phone = accounts::lookup(&mut connection, account).await?.map(|account| account.phone).unwrap_or_default();
            let terms = terms.checked(config, &mut connection, &phone).await?;
            if terms == accounts::Terms::default() {
                bail!("nothing is to be set; `sklic account set --help` lists what can be");
            }
            if let Some(line) = &terms.line {
                check_line(config, line).await?;
            }
            accounts::set_terms(&mut connection, account, terms).await?;
        }
        AccountCommand::List => {
            let mut after: Option<String> = None;
            loop {
                let page = accounts::list(&mut connection, after.as_deref(), 500).await?;
                for account in &page {
                    let state = if account.disabled_at.is_some() { "disabled" } else { "active" };
                    println!("{}\t{}\t{}\t{state}", account.user_number, account.id, account.name);
                }
                match page.last() {
                    Some(last) if page.len() == 500 => after = Some(last.user_number.clone()),
                    _ => break,
                }
            }
        }
        AccountCommand::Token { user_number, name } => {
            let account = find(&mut connection, &user_number).await?;
            let mut checks = Checks::default();
            let name = checks.name("--name", &name);
            refuse(checks)?;
            let token = secrets::new_api_token();
            api_tokens::add(&mut connection, account, &name, &secrets::token_hash(&token), clock::now()).await?;
            println!("{token}");
        }
        AccountCommand::Password { user_number } => {
            let account = find(&mut connection, &user_number).await?;
            accounts::set_password(&mut connection, account, &hashed(&read_password(true)?)?).await?;
            sessions::revoke_all(&mut connection, account).await?;
            println!("The password is set; all sessions have ended.");
        }
        AccountCommand::Pin { user_number } => {
            let account = find(&mut connection, &user_number).await?;
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).context("cannot read the PIN")?;
            let pin = line.trim();
            secrets::check_pin(pin).or_else(|why| if pin.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("a PIN: {why}")) })?;
            let hash = if pin.is_empty() { None } else { Some(hashed(pin)?) };
            dial_in::set_pin(&mut connection, account, hash.as_deref()).await?;
            println!("{}", if hash.is_some() { "The PIN is set." } else { "There is no PIN any more." });
        }
        AccountCommand::Disable { user_number } => {
            let account = find(&mut connection, &user_number).await?;
            accounts::set_disabled(&mut connection, account, Some(clock::now())).await?;
        }
        AccountCommand::Enable { user_number } => {
            let account = find(&mut connection, &user_number).await?;
            accounts::set_disabled(&mut connection, account, None).await?;
        }
    }
    Ok(())
}

async fn find(connection: &mut crate::storage::Connection, user_number: &str) -> anyhow::Result<AccountId> {
    let found = accounts::find_by_user_number(connection, user_number).await?;
    Ok(found.with_context(|| format!("there is no account with the user number {user_number}"))?.id)
}

/// An account as the API would take it: its owner can write back what he reads.
fn checked(config: &Config, add: Add, phone: String, terms: &Terms) -> anyhow::Result<NewAccount> {
    if !(4..=12).contains(&add.user_number.len()) || !add.user_number.bytes().all(|b| b.is_ascii_digit()) {
        bail!("--user-number: {:?} is not 4 to 12 digits", add.user_number);
    }
    if !allows(config, terms, &phone) {
        bail!("--phone: numbers like {phone} are not among the allowed prefixes (conference.allowed_prefixes, or --allowed-prefixes)");
    }
    let time_zone = add.time_zone.unwrap_or_else(|| config.service.time_zone.clone());
    let mut checks = Checks::default();
    let name = checks.name("--name", &add.name);
    let email = checks.own_email("--email", &add.email);
    let time_zone = checks.time_zone("--time-zone", &time_zone);
    refuse(checks)?;
    let password = read_password(add.password_stdin)?;
    Ok(NewAccount {
        id: AccountId::fresh(),
        user_number: add.user_number,
        name,
        phone,
        email,
        language: add.language.unwrap_or(config.service.language).code().to_owned(),
        time_zone,
        password_hash: hashed(&password)?,
        staff: add.staff,
        grace_seconds: i32::try_from(add.grace_seconds)?,
        entry_beep: add.entry_beep,
        max_participants: add.max_participants.map(i32::try_from).transpose()?,
        created_at: clock::now(),
    })
}

/// Whether the account may call this number (R13): by a list of its own that it is made with, or by the operator's.
fn allows(config: &Config, terms: &Terms, number: &str) -> bool {
    match terms.allowed_prefixes.iter().flatten().next().and_then(serde_json::Value::as_array) {
        Some(own) => own.iter().filter_map(serde_json::Value::as_str).any(|prefix| number.starts_with(prefix)),
        None => config.conference.allows(number),
    }
}

/// Goes on only if nothing was wrong; the first fault is told with its option.
fn refuse(checks: Checks) -> anyhow::Result<()> {
    match checks.into_errors().first() {
        Some(error) => bail!("{}: {}", error.field, error.message),
        None => Ok(()),
    }
}

/// A password from standard input: one line. Not shown is what a terminal would show, so a pipe is the better way.
fn read_password(piped: bool) -> anyhow::Result<String> {
    if !piped {
        eprint!("Password: ");
        std::io::stderr().flush()?;
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    secrets::check_password(&password).map_err(|(_, why)| anyhow::anyhow!("a password has {why}"))?;
    Ok(password)
}

fn hashed(password: &str) -> anyhow::Result<String> {
    secrets::hash_password(password).map_err(|fault| anyhow::anyhow!("cannot hash the password: {fault}"))
}
