//! An operator's own test switch, in the place of the lab's: a file tells where it is.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The file of `--switch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSwitch {
    /// `asterisk` or `freeswitch`.
    pub kind: String,
    /// The port of its control connection on 127.0.0.1.
    pub control_port: u16,
    /// The account there; FreeSWITCH needs none.
    #[serde(default)]
    pub username: String,
    /// The file that holds its password.
    pub secret_file: PathBuf,
    /// What the service dials, with `{number}`: it must lead to `phones_port`.
    pub dial: String,
    /// By which endpoint or SIP profile the phones' calls arrive: its P-Asserted-Identity is believed. Without it the one that `dial` names.
    pub trunk: Option<String>,
    /// The port on 127.0.0.1 at which the switch takes calls.
    pub sip_port: u16,
    /// The port on 127.0.0.1 to which its test trunk sends calls: the phones are there.
    pub phones_port: u16,
    /// The folder with `sl/greeting.wav` and the other announcements as the switch plays them.
    pub prompts: PathBuf,
}

impl OwnSwitch {
    /// Reads the file.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let own: Self = toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
        ensure!(matches!(own.kind.as_str(), "asterisk" | "freeswitch"), "kind: there is no switch `{}`: asterisk or freeswitch", own.kind);
        ensure!(own.dial.matches("{number}").count() == 1, "dial: must hold {{number}} once");
        let gateway = own.dial.starts_with("sofia/gateway/");
        ensure!(
            own.trunk.is_some() || !gateway,
            "trunk: name the SIP profile on which the phones' calls arrive; the gateway in `dial` does not tell it"
        );
        Ok(own)
    }

    /// By what the phones' calls arrive.
    pub fn trunk(&self) -> &str {
        self.trunk.as_deref().unwrap_or_else(|| named_in(&self.dial))
    }

    /// The lab's variables that this switch changes.
    pub fn variables(&self) -> Result<Vec<(String, String)>> {
        let secret = std::fs::read_to_string(&self.secret_file).with_context(|| format!("reading {}", self.secret_file.display()))?;
        let (control, password, sip) = if self.kind == "freeswitch" {
            ("SKLIC_LAB_ESL_PORT", "SKLIC_LAB_ESL_SECRET", "SKLIC_LAB_FREESWITCH_SIP_PORT")
        } else {
            ("SKLIC_LAB_AMI_PORT", "SKLIC_LAB_AMI_SECRET", "SKLIC_LAB_SIP_PORT")
        };
        let pairs = [
            (control, self.control_port.to_string()),
            (password, secret.trim_end().to_owned()),
            (sip, self.sip_port.to_string()),
            ("SKLIC_LAB_TRUNK_PORT", self.phones_port.to_string()),
            ("SKLIC_LAB_SOUNDS_DIR", self.prompts.display().to_string()),
        ];
        Ok(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

/// The endpoint or SIP profile that a dial string names.
fn named_in(dial: &str) -> &str {
    let first = |path: &str| path.find('/').unwrap_or(path.len());
    if let Some(path) = dial.strip_prefix("sofia/") {
        return &path[..first(path)];
    }
    let path = dial.split_once('/').map_or(dial, |(_, path)| path);
    let endpoint = &path[..first(path)];
    endpoint.rsplit_once('@').map_or(endpoint, |(_, endpoint)| endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_the_place_of_the_labs_switch_and_mistakes_are_told() {
        let folder = std::env::temp_dir().join(format!("sklic-qa-own-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (file, secret) = (folder.join("switch.toml"), folder.join("secret"));
        std::fs::write(&secret, "very-secret\n").expect("written");
        let text = format!(
            "kind = \"asterisk\"\ncontrol_port = 5038\nusername = \"sklic\"\nsecret_file = {secret:?}\ndial = \"PJSIP/{{number}}@test\"\nsip_port = 5060\nphones_port = 5080\nprompts = \"/usr/share/sklic/prompts\"\n"
        );
        std::fs::write(&file, &text).expect("written");
        let own = OwnSwitch::load(&file).expect("a good file");
        let variables = own.variables().expect("the secret is there");
        assert!(variables.contains(&("SKLIC_LAB_AMI_SECRET".into(), "very-secret".into())), "{variables:?}");
        assert!(variables.contains(&("SKLIC_LAB_TRUNK_PORT".into(), "5080".into())), "{variables:?}");
        assert_eq!(own.trunk(), "test");
        std::fs::write(&file, format!("{text}trunk = \"from-lab\"\n")).expect("written");
        assert_eq!(OwnSwitch::load(&file).expect("a good file").trunk(), "from-lab");
        for (from, to, words) in [
            ("\"asterisk\"", "\"other\"", "there is no switch"),
            ("{number}", "", "{number}"),
            ("sip_port", "sip_prot", "sip_prot"),
            ("PJSIP/{number}@test", "sofia/gateway/test/{number}", "SIP profile"),
        ] {
            std::fs::write(&file, text.replace(from, to)).expect("written");
            let told = format!("{:#}", OwnSwitch::load(&file).expect_err("a mistake"));
            assert!(told.contains(words), "{told}");
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn calls_arrive_by_what_the_dial_string_names() {
        for (dial, trunk) in
            [("PJSIP/{number}@test", "test"), ("PJSIP/test/sip:{number}@192.0.2.1", "test"), ("sofia/internal/{number}@192.0.2.1", "internal")]
        {
            assert_eq!(named_in(dial), trunk, "{dial}");
        }
    }
}
