//! The SMS gateways.

use std::time::Duration;

use super::Finding;
use crate::config::Config;
use crate::delivery::sms::{Gateway, SmsGatewayConfig, SmsGatewayKind};
use crate::delivery::{Reach, client};

/// Connects to each gateway; a Kannel is also shown user and password, without a message. Nothing is sent.
///
/// Of a gateway that is described by a template nobody knows what it does with a request that is no message, so none is made.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let asked = config.sms_gateway.iter().map(|gateway| examine_one(config, gateway));
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

async fn examine_one(config: &Config, settings: &SmsGatewayConfig) -> Option<Finding> {
    let place = format!("the SMS gateway {}", settings.name);
    let gateway = match Gateway::new(settings, &config.http.public_url) {
        Ok(gateway) => gateway,
        Err(why) => return Some(Finding::error("sms.setting", place, why, "put the setting right")),
    };
    if let Err(why) = gateway.check_server().await {
        let remedy = "look at url of [[sms_gateway]], whether the gateway runs, and whether a firewall is between";
        return Some(Finding::error("sms.unreachable", place, format!("no connection: {why}"), remedy));
    }
    match settings.kind {
        SmsGatewayKind::Kannel if refuses(settings).await => {
            let remedy =
                "put the same user and password into [[sms_gateway]] and into the group sendsms-user of Kannel, and look at its user-allow-ip";
            Some(Finding::error("sms.refused", place, "it refuses user or password", remedy))
        }
        SmsGatewayKind::Kannel => None,
        SmsGatewayKind::Template => Some(Finding::unknown(
            "sms.untried",
            place,
            "it takes connections; whether it takes the login of [[sms_gateway]] was not tried, for only a message would show it",
            "send yourself an SMS from a planned conference, and look whether it is shown as taken; \
             sklic_delivery_attempts_total counts refusals afterwards",
        )),
    }
}

/// Asks a Kannel to send nothing to nobody: with the right password it misses the receiver, with a wrong one it refuses (User's Guide, chapter 6).
async fn refuses(settings: &SmsGatewayConfig) -> bool {
    let (Ok(secret), Ok(client)) = (settings.secret(), client(Reach::Everywhere, Duration::from_secs(settings.timeout_seconds.into()))) else {
        return false;
    };
    let Ok(mut url) = settings.url.parse::<reqwest::Url>() else { return false };
    url.query_pairs_mut().append_pair("username", &settings.username).append_pair("password", &secret);
    client.get(url).send().await.is_ok_and(|answer| matches!(answer.status().as_u16(), 401 | 403))
}
