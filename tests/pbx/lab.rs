//! The real switch for the suite, when there is one.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use sklic::pbx::asterisk::AsteriskConfig;
use sklic::pbx::freeswitch::FreeswitchConfig;
use tokio::runtime::Runtime;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::phones::Phones;
use crate::rig::Rig;

/// One case under way.
pub type Case = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A real switch of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Asterisk,
    Freeswitch,
}

impl Kind {
    /// Its name for the lab's script.
    fn word(self) -> &'static str {
        match self {
            Self::Asterisk => "asterisk",
            Self::Freeswitch => "freeswitch",
        }
    }
}

/// One of the lab's switches and the phones behind its trunk.
pub struct Lab {
    pub kind: Kind,
    /// The switch's control socket.
    pub control: String,
    /// Where it takes calls.
    pub sip: SocketAddr,
    pub phones: &'static Phones,
    runtime: &'static Runtime,
    user: String,
    secret: String,
    /// Cases hold it for reading; who restarts the switch holds it alone.
    alone: Arc<RwLock<()>>,
}

/// What the switches share.
struct Common {
    phones: Arc<Phones>,
    runtime: Runtime,
    /// One process at a time has the phones.
    _lock: File,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn port(name: &str) -> Option<u16> {
    variable(name)?.parse().ok()
}

/// Runs a verb of the lab's script.
fn lab_sh(verb: &str, kind: Kind) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/vagrant/provision/lab.sh");
    let status = Command::new("bash").args([script, verb, kind.word()]).status().expect("bash runs");
    assert!(status.success(), "lab.sh {verb} {} failed", kind.word());
}

/// Not by `eprintln!`, which the test harness keeps to itself.
fn say_skipped(words: &str) {
    let _ = std::io::stderr().write_all(format!("\n*** SKIPPED: {words} ***\n\n").as_bytes());
}

impl Common {
    fn get() -> Option<&'static Self> {
        static COMMON: OnceLock<Option<Common>> = OnceLock::new();
        COMMON.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let (trunk, sound) = (port("SKLIC_LAB_TRUNK_PORT")?, port("SKLIC_LAB_PHONE_RTP_BASE")?);
        let lock = File::create(format!("{}/pbx-suite.lock", variable("SKLIC_LAB_DIR")?)).expect("the lab's directory is ours");
        lock.lock().expect("locks work");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let phones = runtime.block_on(Phones::start(trunk, sound)).expect("the phones' ports are free");
        Some(Self { phones, runtime, _lock: lock })
    }
}

impl Lab {
    /// The lab with this switch, started if need be; `None` without it, and that is said aloud.
    pub fn get(kind: Kind) -> Option<&'static Self> {
        static ASTERISK: OnceLock<Option<Lab>> = OnceLock::new();
        static FREESWITCH: OnceLock<Option<Lab>> = OnceLock::new();
        match kind {
            Kind::Asterisk => &ASTERISK,
            Kind::Freeswitch => &FREESWITCH,
        }
        .get_or_init(|| match kind {
            Kind::Asterisk => Self::asterisk(),
            Kind::Freeswitch => Self::freeswitch(),
        })
        .as_ref()
    }

    fn asterisk() -> Option<Self> {
        let found = (variable("SKLIC_LAB_AMI_USER"), variable("SKLIC_LAB_AMI_SECRET"), port("SKLIC_LAB_AMI_PORT"), port("SKLIC_LAB_SIP_PORT"));
        let (Some(user), Some(secret), Some(ami), Some(sip)) = found else {
            say_skipped("the suite did not run against a real Asterisk, for SKLIC_LAB_* is not set. Use `make test`.");
            return None;
        };
        Self::start(Kind::Asterisk, ami, sip, user, secret)
    }

    fn freeswitch() -> Option<Self> {
        let (Some(secret), Some(esl), Some(sip)) =
            (variable("SKLIC_LAB_ESL_SECRET"), port("SKLIC_LAB_ESL_PORT"), port("SKLIC_LAB_FREESWITCH_SIP_PORT"))
        else {
            say_skipped("the suite did not run against a real FreeSWITCH, for SKLIC_LAB_* is not set. Use `make test`.");
            return None;
        };
        let home = variable("SKLIC_FREESWITCH").unwrap_or_else(|| "/usr/local/freeswitch".into());
        if !std::path::Path::new(&home).join("bin/freeswitch").exists() {
            say_skipped(&format!(
                "the suite did not run against a real FreeSWITCH, for none is in {home}. Name the folder of an installed one with SKLIC_FREESWITCH."
            ));
            return None;
        }
        Self::start(Kind::Freeswitch, esl, sip, String::new(), secret)
    }

    fn start(kind: Kind, control: u16, sip: u16, user: String, secret: String) -> Option<Self> {
        let common = Common::get()?;
        lab_sh("start", kind);
        Some(Self {
            kind,
            control: format!("127.0.0.1:{control}"),
            sip: SocketAddr::from(([127, 0, 0, 1], sip)),
            phones: &common.phones,
            runtime: &common.runtime,
            user,
            secret,
            alone: Arc::default(),
        })
    }

    /// How to reach the lab's Asterisk at an address that leads to it.
    pub fn asterisk_config(&self, address: &str) -> AsteriskConfig {
        let secret = self.secret.clone().into();
        let mut config = AsteriskConfig::new("lab", address, &self.user, secret, "PJSIP/{number}@trunk");
        config.dial_switch = "PJSIP/trunk/sip:{number}@{address}".into();
        config
    }

    /// How to reach the lab's FreeSWITCH at an address that leads to it.
    pub fn freeswitch_config(&self, address: &str) -> FreeswitchConfig {
        let secret = self.secret.clone().into();
        let mut config = FreeswitchConfig::new("lab", address, &self.user, secret, "sofia/gateway/trunk/{number}");
        config.dial_switch = "sofia/lab/{number}@{address}".into();
        // Below the lab's limit of 60.
        config.calls_per_second = 40;
        config
    }

    /// Ends the switch as a power failure would, and starts it.
    pub async fn restart_switch(&self) {
        let kind = self.kind;
        tokio::task::spawn_blocking(move || {
            lab_sh("kill", kind);
            lab_sh("start", kind);
        })
        .await
        .expect("it ran");
    }
}

/// The handles of the cases that were started together.
type Started = Mutex<HashMap<&'static str, JoinHandle<()>>>;

/// Runs one case on a real switch.
///
/// The first call starts all cases at once, for each of them mostly waits for people to listen to a greeting;
/// the others wait for theirs. With a filter, or where each test is a process (nextest), a case runs alone.
pub fn run(kind: Kind, name: &'static str) {
    static STARTED: [OnceLock<Started>; 2] = [const { OnceLock::new() }; 2];
    let Some(lab) = Lab::get(kind) else { return };
    let single = std::env::args().len() > 1 || variable("NEXTEST").is_some();
    let handle = if single {
        spawn(lab, name)
    } else {
        let started = STARTED[kind as usize].get_or_init(|| {
            let names = crate::CASES.iter().chain(crate::live_only::cases(kind));
            // First those that share the switch: the one that restarts it then waits for all of them.
            let (sharing, alone): (Vec<_>, Vec<_>) = names.copied().partition(|name| !is_alone(name));
            Mutex::new(sharing.into_iter().chain(alone).map(|name| (name, spawn(lab, name))).collect())
        });
        started.lock().expect("nobody panics in it").remove(name).expect("each case runs once")
    };
    if let Err(failure) = lab.runtime.block_on(handle) {
        // The harness gives the output of the cases' threads to whichever test started them: the words are said again here.
        let cause = failure.into_panic();
        let words = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
        panic!("{name}: {}", words.unwrap_or("it panicked without words"));
    }
}

fn is_alone(name: &str) -> bool {
    name == "restarted_switch_has_no_legs"
}

/// Starts a case. Tokio's lock is fair: who comes after the one that wants the switch alone waits for it, too.
fn spawn(lab: &'static Lab, name: &'static str) -> JoinHandle<()> {
    let turn = Arc::clone(&lab.alone);
    // Asked for here and not in the task, so that the order of the calls decides.
    let shared = if is_alone(name) { None } else { Arc::clone(&turn).try_read_owned().ok() };
    lab.runtime.spawn(async move {
        let _turn = match shared {
            Some(shared) => (Some(shared), None),
            None if is_alone(name) => (None, Some(turn.write_owned().await)),
            None => (Some(turn.read_owned().await), None),
        };
        let rig = Rig::lab(lab).await;
        crate::case(name, rig).expect("a case of this name").await;
    })
}
