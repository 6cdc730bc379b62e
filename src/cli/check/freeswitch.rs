//! Checks of a FreeSWITCH over its event socket.

use std::time::Duration;

use super::switch::{self, place};
use super::{Finding, database, prompts, trunk};
use crate::clock;
use crate::config::PbxConfig;
use crate::pbx::freeswitch::client::{Client, ConnectError};
use crate::pbx::freeswitch::codec::Request;
use crate::pbx::freeswitch::translate::parse_micros;

/// How long the switch may take for one answer.
const REPLY_WITHIN: Duration = Duration::from_secs(5);
/// The modules without which no conference can be held.
const MODULES: [&str; 9] = [
    "mod_commands",
    "mod_conference",
    "mod_db",
    "mod_dialplan_xml",
    "mod_dptools",
    "mod_event_socket",
    "mod_local_stream",
    "mod_sndfile",
    "mod_sofia",
];
/// Where the include is explained.
const INCLUDE: &str =
    "put dialplan-sklic.xml into the folder dialplan of the switch's configuration (package sklic-freeswitch) and run `fs_cli -x reloadxml`";

struct Ward<'a> {
    pbx: &'a PbxConfig,
    client: Client,
    findings: Vec<Finding>,
}

/// All checks of one FreeSWITCH.
pub async fn examine(pbx: &PbxConfig) -> Vec<Finding> {
    let mut ward = match log_in(pbx).await {
        Ok(ward) => ward,
        Err(finding) => return vec![finding],
    };
    match ward.look().await {
        Ok(Some(contact)) => ward.findings.extend(trunk::examine(pbx, contact.as_deref()).await),
        Ok(None) => {}
        Err(fault) => ward.findings.push(switch::lost(pbx, &fault.to_string())),
    }
    ward.findings
}

async fn log_in(pbx: &PbxConfig) -> Result<Ward<'_>, Finding> {
    let secret = pbx.secret().map_err(|why| switch::login(pbx, &why))?;
    let mut client = Client::connect(&pbx.address, REPLY_WITHIN).await.map_err(|fault| switch::unreachable(pbx, &fault.to_string()))?;
    match client.login(&pbx.username, &secret, REPLY_WITHIN).await {
        Ok(()) => Ok(Ward { pbx, client, findings: Vec::new() }),
        Err(ConnectError::Login(why)) => Err(switch::login(pbx, &why)),
        Err(fault) => Err(switch::unreachable(pbx, &fault.to_string())),
    }
}

impl Ward<'_> {
    async fn api(&mut self, command: impl Into<String>) -> Result<String, ConnectError> {
        Ok(self.client.ask(Request::new(format!("api {}", command.into())), REPLY_WITHIN, &mut Vec::new()).await?.text())
    }

    fn error(&mut self, id: &'static str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding::error(id, place(self.pbx), problem, remedy));
    }

    /// Everything in turn; gives the trunk's address as [`trunk::examine`] takes it.
    async fn look(&mut self) -> Result<Option<Option<String>>, ConnectError> {
        if !self.permission().await? {
            return Ok(Some(None));
        }
        self.modules().await?;
        self.clock().await?;
        self.dialplan().await?;
        self.profile().await?;
        self.sounds().await?;
        self.kept().await?;
        self.limits().await?;
        self.dangers().await?;
        self.gateway().await
    }

    /// A user of the directory may be kept from commands.
    async fn permission(&mut self) -> Result<bool, ConnectError> {
        let answer = self.api("module_exists mod_commands").await?;
        let denied = answer.contains("permission denied");
        if denied {
            self.error(
                "switch.permission",
                format!("its user {:?} may not use the commands that the service needs: {answer}", self.pbx.username),
                "let the user of the directory use all commands (no esl-allowed-api), or leave out username and log in with the socket's own password",
            );
        }
        Ok(!denied)
    }

    async fn modules(&mut self) -> Result<(), ConnectError> {
        let mut missing = Vec::new();
        for module in MODULES {
            if self.api(format!("module_exists {module}")).await? != "true" {
                missing.push(module);
            }
        }
        if !missing.is_empty() {
            self.error(
                "switch.module",
                format!("these modules are not loaded: {}", missing.join(", ")),
                "load them in modules.conf.xml, and now by `fs_cli -x 'load NAME'`",
            );
        }
        Ok(())
    }

    async fn clock(&mut self) -> Result<(), ConnectError> {
        let before = clock::now();
        if let Some(theirs) = parse_micros(&self.api("strmicroepoch").await?) {
            let middle = before + clock::now().duration_since(before) / 2;
            self.findings.extend(database::skew("switch.clock", &place(self.pbx), theirs.duration_since(middle)));
        }
        Ok(())
    }

    async fn dialplan(&mut self) -> Result<(), ConnectError> {
        let context = self.api("xml_locate dialplan context name sklic-out").await?;
        if !context.starts_with("<context") {
            let finding = switch::dialplan_missing(self.pbx, "the context sklic-out", INCLUDE);
            self.findings.push(finding);
            return Ok(());
        }
        let found = context.split_once("name=\"sklic-version-").and_then(|(_, rest)| rest.split('"').next()?.parse().ok());
        if found != Some(switch::DIALPLAN) {
            self.findings.push(switch::dialplan_version(self.pbx, found, "dialplan-sklic.xml and conference-sklic.xml"));
        }
        Ok(())
    }

    async fn profile(&mut self) -> Result<(), ConnectError> {
        let configuration = self.api("xml_locate configuration configuration name conference.conf").await?;
        if !configuration.contains("<profile name=\"sklic\"") {
            self.error(
                "switch.profile",
                "mod_conference has no profile \"sklic\": nobody could enter a conference",
                "include conference-sklic.xml in <profiles> of conference.conf.xml (package sklic-freeswitch) and run `fs_cli -x reloadxml`",
            );
        }
        Ok(())
    }

    async fn sounds(&mut self) -> Result<(), ConnectError> {
        let folder = self.api("global_getvar sklic_sounds").await?;
        if folder.is_empty() || folder.starts_with('-') {
            self.error(
                "switch.prompt",
                "the variable sklic_sounds is not set, so no announcement is found",
                "add <X-PRE-PROCESS cmd=\"set\" data=\"sklic_sounds=/usr/share/sklic/prompts\"/> to vars.xml and restart the switch",
            );
            return Ok(());
        }
        let mut missing = Vec::new();
        for name in prompts::all() {
            if self.api(format!("file_exists {folder}/{name}.wav")).await? != "true" {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            self.findings.push(switch::prompts_missing(self.pbx, &folder, &missing));
        }
        Ok(())
    }

    /// The switch's database takes the record of how a leg ended.
    async fn kept(&mut self) -> Result<(), ConnectError> {
        self.api("db insert/sklic-check/probe/1").await?;
        let kept = self.api("db select/sklic-check/probe").await? == "1";
        self.api("db delete/sklic-check/probe").await?;
        if !kept {
            self.error(
                "switch.folder",
                "its database does not keep what is written: the ends of calls would be lost while the service is down",
                "let the switch's user write its folder db, and look whether its disk is full",
            );
        }
        Ok(())
    }

    async fn limits(&mut self) -> Result<(), ConnectError> {
        let number = |answer: &str| answer.rsplit_once(": ").and_then(|(_, number)| number.trim().parse::<u32>().ok());
        let ours = self.pbx.calls_per_second;
        // 0 is no limit.
        if let Some(theirs) = number(&self.api("fsctl sps").await?).filter(|limit| *limit > 0 && *limit < ours.saturating_mul(2)) {
            let problem =
                format!("it takes {theirs} calls a second (sessions-per-second), incoming ones included, and the service places up to {ours}");
            let remedy = format!(
                "set sessions-per-second in switch.conf.xml to at least {}, or lower calls_per_second of [[pbx]] {}",
                ours * 2,
                self.pbx.name
            );
            if theirs < ours {
                self.error("switch.limit", problem, remedy);
            } else {
                self.findings.push(Finding::warning("switch.limit", place(self.pbx), problem, remedy));
            }
        }
        let members = self.pbx.max_members;
        if let Some(theirs) = number(&self.api("fsctl max_sessions").await?).filter(|limit| *limit > 0 && *limit < members) {
            self.error(
                "switch.limit",
                format!("it takes {theirs} calls at once (max-sessions), and the service counts on {members} members"),
                format!("raise max-sessions in switch.conf.xml, or lower max_members of [[pbx]] {}", self.pbx.name),
            );
        }
        Ok(())
    }

    async fn dangers(&mut self) -> Result<(), ConnectError> {
        if self.api("fsctl api_expansion").await?.contains("is on") {
            self.error(
                "switch.api_expansion",
                "api-expansion is on: ${system(…)} in the value of a variable, which a phone may send, would be run",
                "set <param name=\"api-expansion\" value=\"false\"/> in switch.conf.xml and restart the switch",
            );
        }
        Ok(())
    }

    /// The trunk's gateway: that it is there, its codecs, and where it leads.
    async fn gateway(&mut self) -> Result<Option<Option<String>>, ConnectError> {
        let Some(name) = gateway_of(self.pbx.dial()).map(str::to_owned) else { return Ok(Some(None)) };
        let gateway = self.api(format!("sofia xmlstatus gateway {name}")).await?;
        let Some(profile) = element(&gateway, "profile") else {
            self.error(
                "trunk.missing",
                format!("it has no gateway {name:?}, which the dial string {:?} names", self.pbx.dial()),
                format!("name your trunk's gateway in the key dial of [[pbx]] {}, or define it in a SIP profile and run `fs_cli -x 'sofia profile NAME rescan'`", self.pbx.name),
            );
            return Ok(None);
        };
        let status = self.api(format!("sofia xmlstatus profile {profile}")).await?;
        let codecs = element(&status, "outbound-codecs").unwrap_or_default();
        if !codecs.split(',').any(|codec| matches!(codec.split('@').next(), Some("PCMA" | "PCMU"))) {
            self.error(
                "switch.codec",
                format!("the SIP profile {profile:?} of the trunk offers {codecs} and neither PCMA nor PCMU"),
                "put PCMA,PCMU into outbound-codec-prefs of the profile and restart it",
            );
        }
        Ok(Some(element(&gateway, "proxy").map(str::to_owned)))
    }
}

/// The gateway of a dial string such as `sofia/gateway/trunk/{number}`.
fn gateway_of(dial: &str) -> Option<&str> {
    dial.strip_prefix("sofia/gateway/")?.split('/').next().filter(|name| !name.is_empty() && !name.contains(['{', '}']))
}

/// The text of the first element of a name, in the switch's own flat XML.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_and_elements_are_found() {
        assert_eq!(gateway_of("sofia/gateway/trunk/{number}"), Some("trunk"));
        assert_eq!(gateway_of("sofia/internal/{number}@198.51.100.7"), None);
        assert_eq!(element("<gateway>\n<proxy>sip:127.0.0.1:5858</proxy>", "proxy"), Some("sip:127.0.0.1:5858"));
        assert_eq!(element("Invalid Gateway!", "profile"), None);
    }

    #[test]
    fn the_include_carries_the_version_that_the_service_needs() {
        let include = include_str!("../../../dialplan/freeswitch/dialplan-sklic.xml");
        assert!(include.contains(&format!("<extension name=\"sklic-version-{}\">", switch::DIALPLAN)));
    }
}
