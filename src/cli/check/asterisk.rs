//! Checks of an Asterisk over its manager interface, with the service's own account and nothing beyond it.

use std::time::Duration;

use super::errand::{self, Seen};
use super::switch::{self, place};
use super::{Finding, database, prompts, trunk};
use crate::clock;
use crate::config::PbxConfig;
use crate::pbx::asterisk::client::{Client, ConnectError, Reply};
use crate::pbx::asterisk::codec::Action;
use crate::pbx::asterisk::translate::timestamp;

/// How long the switch may take for one answer.
const REPLY_WITHIN: Duration = Duration::from_secs(5);
/// A booted switch says so at once after the login.
const BOOTED_WITHIN: Duration = Duration::from_secs(2);
/// What Asterisk says to an account without the class that an action needs (`main/manager.c`).
const DENIED: &str = "Permission denied";
/// Where the include is explained.
const INCLUDE: &str =
    "add `#include \"sklic/extensions-sklic.conf\"` to extensions.conf (package sklic-asterisk) and run `asterisk -rx 'dialplan reload'`";
/// The codecs of a telephone trunk; one of them must be allowed on it.
const CODECS: [&str; 2] = ["alaw", "ulaw"];

/// A connection that is logged in, with the switch that it leads to.
struct Ward<'a> {
    pbx: &'a PbxConfig,
    client: Client,
}

/// All checks of one Asterisk.
pub async fn examine(pbx: &PbxConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut ward = match log_in(pbx, &mut findings).await {
        Ok(ward) => ward,
        Err(finding) => return vec![finding],
    };
    let all = async {
        let missing = ward.write_permissions(&mut findings).await?;
        ward.dangerous_permissions(&mut findings).await?;
        ward.limit_and_clock(&mut findings).await?;
        if !missing.contains(&"reporting") && ward.dialplan(&mut findings).await? && !missing.contains(&"originate") {
            let seen = errand::run(&mut ward.client, &prompts::all()).await?;
            judge(pbx, &seen, &mut findings);
        }
        let contact = ward.endpoint(&mut findings).await?;
        Ok::<_, ConnectError>(contact)
    };
    match all.await {
        Ok(Some(contact)) => findings.extend(trunk::examine(pbx, contact.as_deref()).await),
        Ok(None) => {}
        Err(fault) => findings.push(switch::lost(pbx, &fault.to_string())),
    }
    findings
}

async fn log_in<'a>(pbx: &'a PbxConfig, findings: &mut Vec<Finding>) -> Result<Ward<'a>, Finding> {
    let secret = pbx.secret().map_err(|why| switch::login(pbx, &why))?;
    let mut client = Client::connect(&pbx.address, REPLY_WITHIN).await.map_err(|fault| switch::unreachable(pbx, &fault.to_string()))?;
    match client.login(&pbx.username, &secret, BOOTED_WITHIN, &mut Vec::new()).await {
        Ok(_booted) => {}
        Err(ConnectError::Login(why)) => return Err(switch::login(pbx, &why)),
        // The event FullyBooted is of the class `system`.
        Err(ConnectError::Silent("the switch boots")) => findings.push(permission(pbx, "read", &["system"])),
        Err(fault) => return Err(switch::unreachable(pbx, &fault.to_string())),
    }
    Ok(Ward { pbx, client })
}

fn permission(pbx: &PbxConfig, direction: &str, classes: &[&str]) -> Finding {
    Finding::error(
        "switch.permission",
        place(pbx),
        format!("its manager account {:?} lacks {direction} permission for {}", pbx.username, classes.join(", ")),
        "in manager.conf give the account `read = system,call,user,dtmf` and `write = call,originate,reporting`, and run `asterisk -rx 'manager reload'`",
    )
}

impl Ward<'_> {
    async fn ask(&mut self, action: Action) -> Result<Reply, ConnectError> {
        self.client.ask(action, REPLY_WITHIN, &mut Vec::new()).await
    }

    /// The value of a function of the dialplan; empty where its module is not loaded.
    async fn value(&mut self, function: &str) -> Result<String, ConnectError> {
        let reply = self.ask(Action::new("Getvar").with("Variable", function)).await?;
        Ok(reply.response.text("Value").unwrap_or_default().into_owned())
    }

    /// Tries one harmless action of each class that the service needs.
    async fn write_permissions(&mut self, findings: &mut Vec<Finding>) -> Result<Vec<&'static str>, ConnectError> {
        // They name no channel, or one that is not there, so nothing happens.
        let tries = [
            ("call", Action::new("Hangup").with("Channel", "sklic-check/none")),
            ("originate", Action::new("Originate")),
            ("reporting", Action::new("CoreShowChannels")),
        ];
        let mut missing = Vec::new();
        for (class, action) in tries {
            if self.ask(action).await?.words() == DENIED {
                missing.push(class);
            }
        }
        if !missing.is_empty() {
            findings.push(permission(self.pbx, "write", &missing));
        }
        Ok(missing)
    }

    /// Tries one harmless action of each class that would let who steals the password run commands or read secrets.
    async fn dangerous_permissions(&mut self, findings: &mut Vec<Finding>) -> Result<(), ConnectError> {
        let tries = [
            ("system", Action::new("ModuleCheck").with("Module", "pbx_config")),
            ("command", Action::new("Command").with("Command", "core show uptime")),
            ("config", Action::new("GetConfig")),
        ];
        let mut open = Vec::new();
        for (class, action) in tries {
            if self.ask(action).await?.words() != DENIED {
                open.push(class);
            }
        }
        // `system` opens what `config` opens.
        if open.contains(&"system") {
            open.retain(|class| *class != "config");
        }
        if !open.is_empty() {
            findings.push(Finding::error(
                "switch.dangerous_permission",
                place(self.pbx),
                format!(
                    "its manager account {:?} may write {}: who has its password can run commands on the switch",
                    self.pbx.username,
                    open.join(", ")
                ),
                "take these classes out of the account's `write` line in manager.conf, and run `asterisk -rx 'manager reload'`",
            ));
        }
        Ok(())
    }

    async fn limit_and_clock(&mut self, findings: &mut Vec<Finding>) -> Result<(), ConnectError> {
        let before = clock::now();
        let pong = self.ask(Action::new("Ping")).await?;
        if let Some(theirs) = timestamp(&pong.response) {
            let middle = before + clock::now().duration_since(before) / 2;
            findings.extend(database::skew("switch.clock", &place(self.pbx), theirs.duration_since(middle)));
        }
        let settings = self.ask(Action::new("CoreSettings")).await?;
        let calls: u32 = settings.response.number("CoreMaxCalls").unwrap_or(0);
        if calls > 0 && calls < self.pbx.max_members {
            findings.push(Finding::error(
                "switch.limit",
                place(self.pbx),
                format!("it takes {calls} calls at once (maxcalls), and the service counts on {} members", self.pbx.max_members),
                format!("raise maxcalls in asterisk.conf, or lower max_members of [[pbx]] {}", self.pbx.name),
            ));
        }
        Ok(())
    }

    /// Whether the include is there and ours; the rest of the checks need it.
    async fn dialplan(&mut self, findings: &mut Vec<Finding>) -> Result<bool, ConnectError> {
        for (context, extension) in [("sklic-out", "convener"), ("sklic-out", "participant"), ("sklic-room", "s"), ("sklic-end", "s")] {
            let reply = self.ask(Action::new("ShowDialPlan").with("Context", context).with("Extension", extension)).await?;
            if !reply.is_success() {
                findings.push(switch::dialplan_missing(self.pbx, &format!("the context {context}"), INCLUDE));
                return Ok(false);
            }
        }
        let reply = self.ask(Action::new("ShowDialPlan").with("Context", "sklic-check").with("Extension", "version")).await?;
        let found: Option<u32> = reply.items.iter().find_map(|item| item.number("AppData"));
        if found == Some(switch::DIALPLAN) {
            return Ok(true);
        }
        findings.push(switch::dialplan_version(self.pbx, found, "extensions-sklic.conf and confbridge-sklic.conf"));
        Ok(false)
    }

    /// Codecs and contact of the trunk's endpoint.
    ///
    /// Gives where the trunk is, as far as the switch tells; `None` when the endpoint itself is missing, which is told.
    async fn endpoint(&mut self, findings: &mut Vec<Finding>) -> Result<Option<Option<String>>, ConnectError> {
        let Some(endpoint) = endpoint_of(self.pbx.dial()).map(str::to_owned) else { return Ok(Some(None)) };
        let can_look = self.value("IFMODULE(func_pjsip_endpoint.so)").await? == "1";
        if !can_look {
            findings.push(Finding::unknown(
                "switch.codec",
                place(self.pbx),
                "it does not tell which codecs the trunk may use",
                "load the modules func_module.so, func_pjsip_endpoint.so, func_pjsip_aor.so and func_pjsip_contact.so, which Asterisk loads unless modules.conf says otherwise",
            ));
            return Ok(Some(None));
        }
        let allowed = self.value(&format!("PJSIP_ENDPOINT({endpoint},allow)")).await?;
        let aors = self.value(&format!("PJSIP_ENDPOINT({endpoint},aors)")).await?;
        if allowed.is_empty() && aors.is_empty() {
            findings.push(Finding::error(
                "trunk.missing",
                place(self.pbx),
                format!("it has no PJSIP endpoint {endpoint:?}, which the dial string {:?} names", self.pbx.dial()),
                format!("name your trunk's endpoint in the key dial of [[pbx]] {}, or define it in pjsip.conf", self.pbx.name),
            ));
            return Ok(None);
        }
        self.codecs(&endpoint, &allowed, findings).await?;
        let Some(aor) = aors.split(',').next().map(str::trim).filter(|aor| !aor.is_empty()) else { return Ok(Some(None)) };
        let contact = self.value(&format!("PJSIP_AOR({aor},contact)")).await?;
        // Names of contacts, such as `trunk@@…`; an address record at which nobody is registered has none.
        let Some(first) = contact.split(',').next().filter(|first| !first.is_empty()) else { return Ok(Some(None)) };
        let uri = self.value(&format!("PJSIP_CONTACT({first},uri)")).await?;
        Ok(Some(Some(uri).filter(|uri| !uri.is_empty())))
    }

    async fn codecs(&mut self, endpoint: &str, allowed: &str, findings: &mut Vec<Finding>) -> Result<(), ConnectError> {
        let names: Vec<&str> = allowed.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let wanted: Vec<&str> = CODECS.into_iter().filter(|codec| names.contains(codec)).collect();
        let mut absent = Vec::new();
        for codec in &wanted {
            let module = format!("codec_{codec}.so");
            if self.value(&format!("IFMODULE({module})")).await? != "1" {
                absent.push(module);
            }
        }
        let (problem, remedy) = if wanted.is_empty() {
            (
                format!("the trunk's endpoint {endpoint:?} allows {allowed} and neither alaw nor ulaw"),
                "set `allow = alaw,ulaw` on the endpoint in pjsip.conf".to_owned(),
            )
        } else if !absent.is_empty() {
            let absent = absent.join(" and ");
            (
                format!("{absent} not loaded, so announcements cannot be played in every codec that the trunk's endpoint {endpoint:?} allows"),
                format!("load {absent} in modules.conf"),
            )
        } else {
            return Ok(());
        };
        findings.push(Finding::error("switch.codec", place(self.pbx), problem, remedy));
        Ok(())
    }
}

/// The endpoint of a dial string such as `PJSIP/{number}@trunk` or `PJSIP/trunk/sip:{number}@host`.
fn endpoint_of(dial: &str) -> Option<&str> {
    let rest = dial.strip_prefix("PJSIP/")?;
    let after = rest.strip_prefix("{number}@").or_else(|| rest.split_once('/').map(|(endpoint, _)| endpoint))?;
    after.split('/').next().filter(|name| !name.is_empty() && !name.contains(['{', '}']))
}

/// What the errand has shown.
fn judge(pbx: &PbxConfig, seen: &Seen, findings: &mut Vec<Finding>) {
    let lacking: Vec<&str> =
        [("call", seen.call), ("user", seen.user), ("dtmf", seen.keys)].into_iter().filter(|(_, has)| !has).map(|(class, _)| class).collect();
    if !lacking.is_empty() {
        findings.push(permission(pbx, "read", &lacking));
    }
    if seen.room_refused {
        findings.push(Finding::error(
            "switch.profile",
            place(pbx),
            "ConfBridge does not know the profiles sklic_bridge and sklic_convener: nobody could enter a conference",
            "add `#include \"sklic/confbridge-sklic.conf\"` to confbridge.conf (package sklic-asterisk) and run `asterisk -rx 'module reload app_confbridge.so'`",
        ));
    }
    if seen.to_look > 0 {
        return;
    }
    if !seen.timed {
        findings.push(Finding::error(
            "switch.event_times",
            place(pbx),
            "its events carry no time, and the times of report and charges come from them",
            "set `timestampevents = yes` in [general] of manager.conf, and run `asterisk -rx 'manager reload'`",
        ));
    }
    if !seen.can_look {
        findings.push(Finding::unknown(
            "switch.prompt",
            place(pbx),
            "it cannot tell whether the announcements are there",
            "load the module func_env.so, which Asterisk loads unless modules.conf says otherwise",
        ));
    } else if !seen.missing.is_empty() {
        findings.push(switch::prompts_missing(pbx, &seen.sounds, &seen.missing));
    }
    if !seen.kept {
        findings.push(Finding::error(
            "switch.folder",
            place(pbx),
            "its database does not keep what is written: the ends of calls would be lost while the service is down",
            "let Asterisk's user write the folder of astdb.sqlite3 (astdbdir in asterisk.conf, usually /var/lib/asterisk), and look whether its disk is full",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_found_in_both_forms_of_a_dial_string() {
        assert_eq!(endpoint_of("PJSIP/{number}@trunk"), Some("trunk"));
        assert_eq!(endpoint_of("PJSIP/carrier/sip:{number}@198.51.100.7"), Some("carrier"));
        assert_eq!(endpoint_of("SIP/trunk/{number}"), None);
        assert_eq!(endpoint_of("PJSIP/{number}"), None);
    }

    #[test]
    fn the_include_carries_the_version_that_the_service_needs() {
        let include = include_str!("../../../dialplan/asterisk/extensions-sklic.conf");
        assert!(include.contains(&format!("exten => version,1,NoOp({})\n", switch::DIALPLAN)));
    }
}
