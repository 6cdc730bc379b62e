//! What the checks of both kinds of switch share.

use super::Finding;
use crate::config::PbxConfig;

/// The release of the dialplan include that belongs to this release of the service.
///
/// The files in `dialplan/` carry it; it is raised with every change that the service relies on.
pub const DIALPLAN: u32 = 2;

/// Announcements that a message names.
const SHOWN: usize = 8;

/// Where a finding about a switch is.
pub fn place(pbx: &PbxConfig) -> String {
    format!("the switch {} at {}", pbx.name, pbx.address)
}

/// Nobody answers at the control port.
pub fn unreachable(pbx: &PbxConfig, why: &str) -> Finding {
    Finding::error(
        "switch.unreachable",
        place(pbx),
        format!("no connection: {why}"),
        format!("look at the address of [[pbx]] {}, whether the switch runs, and whether its control port is enabled there", pbx.name),
    )
}

/// The switch does not take our password.
pub fn login(pbx: &PbxConfig, why: &str) -> Finding {
    Finding::error(
        "switch.login",
        place(pbx),
        format!("it refuses the login: {why}"),
        "put the same secret into sklic.toml and into the switch (manager.conf: secret; event_socket.conf.xml: password), let it permit this machine's address, and reload it",
    )
}

/// The connection broke or fell silent in the middle of the checks.
pub fn lost(pbx: &PbxConfig, why: &str) -> Finding {
    Finding::error("switch.lost", place(pbx), format!("it stopped answering: {why}"), "look at the switch's log, and check again")
}

/// The include is not there at all, or a context of it.
pub fn dialplan_missing(pbx: &PbxConfig, what: &str, remedy: &str) -> Finding {
    Finding::error("switch.dialplan", place(pbx), format!("{what} is not in its dialplan: calls would end where the greeting should be"), remedy)
}

/// The include is of another release.
pub fn dialplan_version(pbx: &PbxConfig, found: Option<u32>, files: &str) -> Finding {
    let found = found.map_or_else(|| "older than its numbering".to_owned(), |found| found.to_string());
    Finding::error(
        "switch.dialplan_version",
        place(pbx),
        format!("its Sklic include is of version {found}, and this service needs version {DIALPLAN}"),
        format!("install the files of the same release ({files}) and reload the dialplan"),
    )
}

/// Announcements that the switch does not have.
pub fn prompts_missing(pbx: &PbxConfig, folder: &str, missing: &[String]) -> Finding {
    let named = missing.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if missing.len() > SHOWN { format!(" and {} more", missing.len() - SHOWN) } else { String::new() };
    Finding::error(
        "switch.prompt",
        place(pbx),
        format!("these announcements are not in {folder}: {named}{more}"),
        "install the package with the prompts, or make them with dialplan/prompts/make-prompts.sh, where the switch's user can read them",
    )
}
