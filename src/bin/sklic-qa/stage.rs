//! Everything that scenarios share: lab, network, line to the switch, service.

use crate::api::Api;
use crate::lab::Lab;
use crate::link::Link;
use crate::network::Network;
use crate::own::OwnSwitch;
use crate::service::{Parts, Service};
use crate::sound;
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Mutex;

/// The stage on which scenarios are played.
#[derive(Debug)]
pub struct Stage {
    /// The lab.
    pub lab: Lab,
    /// The phones' network.
    pub network: Network,
    /// The line between service and switch; the simulator has none.
    pub link: Option<Link>,
    /// The service.
    pub service: Mutex<Service>,
    /// Where its API is.
    pub url: String,
    /// Its log.
    pub log: PathBuf,
    /// `asterisk`, `freeswitch` or `simulator`.
    pub pbx: String,
    /// The switch is an operator's own.
    pub is_own: bool,
    /// Another account's API.
    pub stranger: Api,
    database: String,
    counter: AtomicU32,
}

/// What a stage is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// `asterisk`, `freeswitch` or `simulator`.
    pub pbx: &'a str,
    /// The service's port; 0 = any.
    pub http_port: u16,
    /// How fast the service may dial.
    pub calls_per_second: u32,
    /// An operator's own switch, which is neither started nor ended.
    pub own: Option<&'a OwnSwitch>,
}

/// An account made for one scenario.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// What it logs in with.
    pub user_number: String,
    /// Its password.
    pub password: String,
    /// Where its report goes.
    pub email: String,
    /// Its API.
    pub api: Api,
}

/// The parts of an account that a scenario decides.
#[derive(Clone, Debug)]
pub struct Profile<'a> {
    /// The convener's name.
    pub name: &'a str,
    /// The convener's number.
    pub phone: &'a str,
    /// `sl` or `en`.
    pub language: &'a str,
    /// How long the others wait when the convener's call ends.
    pub grace_seconds: u32,
    /// The most people in a conference; the operator's limit without it.
    pub max_participants: Option<u32>,
}

impl Stage {
    /// Starts lab and service.
    pub async fn set(root: &Path, wishes: Wishes<'_>) -> Result<Self> {
        let services: &[&'static str] = match wishes.pbx {
            _ if wishes.own.is_some() => &["postgres", "smtp"],
            "asterisk" => &["postgres", "smtp", "asterisk"],
            "freeswitch" => &["postgres", "smtp", "freeswitch"],
            "simulator" => &["postgres", "smtp"],
            other => bail!("there is no switch `{other}`: asterisk, freeswitch or simulator"),
        };
        let mut lab = Lab::open(root, services).await?;
        if let Some(own) = wishes.own {
            lab.lead_to(own.variables()?);
        }
        match Self::furnish(&lab, wishes).await {
            Ok((network, link, service, database)) => {
                let url = service.url.clone();
                let mut stage = Self {
                    network,
                    link,
                    url: url.clone(),
                    log: service.log.clone(),
                    service: Mutex::new(service),
                    pbx: wishes.pbx.to_owned(),
                    is_own: wishes.own.is_some(),
                    stranger: Api::new(&url, None),
                    database,
                    lab,
                    counter: AtomicU32::new(1),
                };
                let opened = async {
                    stage.service.lock().await.start().await?;
                    stage
                        .subscriber(&Profile { name: "Tuja Oseba", phone: "+38640999999", language: "sl", grace_seconds: 0, max_participants: None })
                        .await
                };
                match opened.await {
                    Ok(stranger) => stage.stranger = stranger.api,
                    Err(error) => {
                        stage.strike().await;
                        return Err(error);
                    }
                }
                Ok(stage)
            }
            Err(error) => {
                lab.close().await;
                Err(error)
            }
        }
    }

    async fn furnish(lab: &Lab, wishes: Wishes<'_>) -> Result<(Network, Option<Link>, Service, String)> {
        let network = Network::open(lab.port("SKLIC_LAB_TRUNK_PORT")?).await?;
        let folder = lab.fresh_folder("service")?;
        let (control, secret) = match wishes.pbx {
            "freeswitch" => ("SKLIC_LAB_ESL_PORT", "SKLIC_LAB_ESL_SECRET"),
            _ => ("SKLIC_LAB_AMI_PORT", "SKLIC_LAB_AMI_SECRET"),
        };
        let link = if wishes.pbx == "simulator" {
            None
        } else {
            let switch = SocketAddr::from((Ipv4Addr::LOCALHOST, lab.port(control)?));
            Some(Link::open(switch, &folder.join("switch.log")).await?)
        };
        let database = format!("sklic_qa_{}_{}", sklic::clock::now().as_second(), std::process::id());
        let parts = Parts {
            database_url: lab.make_database(&database).await?,
            pbx: wishes.pbx.to_owned(),
            login: wishes.own.map(|own| (own.username.clone(), own.dial.clone())),
            trunk: wishes.own.map(|own| own.trunk().to_owned()),
            switch: link.as_ref().map_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), |link| link.address),
            secret: lab.get(secret)?.to_owned(),
            smtp_port: lab.port("SKLIC_LAB_SMTP_PORT")?,
            calls_per_second: wishes.calls_per_second,
            http_port: wishes.http_port,
        };
        match Service::prepare(&folder, &parts, &lab.root.join("tests/scenarios/tariff.csv")).await {
            Ok(service) => Ok((network, link, service, database)),
            Err(error) => {
                let _ = lab.drop_database(&database).await;
                Err(error)
            }
        }
    }

    /// The switch's name among the lab's parts.
    pub fn switch_part(&self) -> &'static str {
        if self.pbx == "freeswitch" { "freeswitch" } else { "asterisk" }
    }

    /// Where the switch takes calls.
    pub fn switch(&self) -> Result<SocketAddr> {
        let key = if self.pbx == "freeswitch" { "SKLIC_LAB_FREESWITCH_SIP_PORT" } else { "SKLIC_LAB_SIP_PORT" };
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, self.lab.port(key)?)))
    }

    /// Stops the service and what was started for it.
    pub async fn strike(&mut self) {
        self.service.lock().await.stop().await;
        if let Err(error) = self.lab.drop_database(&self.database).await {
            eprintln!("sklic-qa: {error:#}");
        }
        self.lab.close().await;
    }

    /// A number that no other phone of this run has.
    pub fn fresh_number(&self) -> String {
        format!("+38640{}", 200_000 + self.counter.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether [`Stage::fresh_number`] has given this number, in the network's normal form.
    pub fn was_given(&self, number: &str) -> bool {
        let given = 38_640_200_001..38_640_200_000 + u64::from(self.counter.load(Ordering::Relaxed));
        number.parse().is_ok_and(|number: u64| given.contains(&number))
    }

    /// Makes an account with a token.
    pub async fn subscriber(&self, profile: &Profile<'_>) -> Result<Subscriber> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let user_number = format!("{}", 100_200 + count);
        // The mails of earlier runs still lie in the lab: an address is used once.
        let email = format!("account-{user_number}-{}@example.test", self.database);
        let password = format!("Geslo-{user_number}-dolgo");
        let grace = profile.grace_seconds.to_string();
        let service = self.service.lock().await;
        let mut arguments = vec!["account", "add", "--user-number", &user_number, "--password-stdin", "--name", profile.name];
        arguments.extend(["--phone", profile.phone, "--email", &email, "--language", profile.language]);
        arguments.extend(["--time-zone", "Europe/Ljubljana"]);
        if profile.grace_seconds > 0 {
            arguments.extend(["--grace-seconds", &grace]);
        }
        let most = profile.max_participants.map(|most| most.to_string());
        if let Some(most) = &most {
            arguments.extend(["--max-participants", most]);
        }
        service.command(&arguments, Some(&password)).await?;
        let said = service.command(&["account", "token", "--user-number", &user_number], None).await?;
        let token = said.split_whitespace().last().context("`sklic account token` printed nothing")?.to_owned();
        Ok(Subscriber { user_number, password, email, api: Api::new(&self.url, Some(token)) })
    }

    /// The samples of a prompt as the switch plays it.
    pub fn prompt(&self, language: &str, name: &str) -> Result<Vec<i16>> {
        sound::read_wav(&Path::new(self.lab.get("SKLIC_LAB_SOUNDS_DIR")?).join(language).join(format!("{name}.wav")))
    }

    /// The mails that arrived for an address.
    pub fn mails(&self, address: &str) -> Result<Vec<crate::mail::Mail>> {
        crate::mail::read(Path::new(self.lab.get("SKLIC_LAB_MAIL_DIR")?), address)
    }
}
