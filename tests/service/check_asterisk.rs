//! `sklic check` on a real Asterisk: each point is broken in turn and finds its own message and no other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::check_support::{Patient, file};
use crate::proxy;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Runs a verb of the lab's script.
fn lab(verb: &str) {
    let status = Command::new("bash").args(["vagrant/provision/lab.sh", verb, "asterisk"]).status().expect("bash runs");
    assert!(status.success(), "lab.sh {verb} asterisk failed");
}

/// The lab's Asterisk, whose configuration may be broken; it is put right at the end.
struct Switch {
    root: PathBuf,
    originals: Vec<(PathBuf, String)>,
    _lock: File,
}

impl Switch {
    /// `None`, said aloud, without the lab.
    fn get() -> Option<Self> {
        let (Some(root), Some(lab_dir)) = (variable("SKLIC_LAB_ASTERISK_ROOT"), variable("SKLIC_LAB_DIR")) else {
            eprintln!("SKIPPED: `sklic check` was not tried on a real Asterisk, for SKLIC_LAB_* is not set. Use `make test`.");
            return None;
        };
        // Who tests with the lab's switch has it for himself.
        let lock = File::create(Path::new(&lab_dir).join("pbx-suite.lock")).unwrap();
        lock.lock().unwrap();
        lab("start");
        Some(Self { root: root.into(), originals: Vec::new(), _lock: lock })
    }

    /// A command of its own console.
    fn console(&self, command: &str) {
        let output = Command::new("chroot").arg(&self.root).args(["/usr/sbin/asterisk", "-rx", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }

    /// Changes a file of its configuration; [`Switch::mend`] undoes it.
    fn change(&mut self, name: &str, from: &str, to: &str) {
        let path = self.root.join("etc/asterisk").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in {name}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        self.originals.push((path, text));
    }

    fn mend(&mut self) {
        for (path, text) in self.originals.drain(..).rev() {
            std::fs::write(path, text).unwrap();
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.mend();
        for command in RELOADS {
            let _ = Command::new("chroot").arg(&self.root).args(["/usr/sbin/asterisk", "-rx", command]).output();
        }
    }
}

const RELOADS: [&str; 4] = ["manager reload", "dialplan reload", "module reload app_confbridge.so", "module reload res_pjsip.so"];

/// One fault: file, what stands there, what comes in its place, the console's command, the finding and its words.
type Fault = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

/// What the account of the lab may do.
const READ: &str = "\nread = system,call,user,dtmf";
const WRITE: &str = "\nwrite = call,originate,reporting";

const FAULTS: &[Fault] = &[
    ("manager.conf", READ, "\nread = call,user,dtmf", "manager reload", "switch.permission", &["read permission for system"]),
    ("manager.conf", READ, "\nread = system,user,dtmf", "manager reload", "switch.permission", &["read permission for call"]),
    ("manager.conf", READ, "\nread = system,call,dtmf", "manager reload", "switch.permission", &["read permission for user"]),
    ("manager.conf", READ, "\nread = system,call,user", "manager reload", "switch.permission", &["read permission for dtmf"]),
    ("manager.conf", WRITE, "\nwrite = originate,reporting", "manager reload", "switch.permission", &["write permission for call"]),
    ("manager.conf", WRITE, "\nwrite = call,reporting", "manager reload", "switch.permission", &["write permission for originate"]),
    ("manager.conf", WRITE, "\nwrite = call,originate", "manager reload", "switch.permission", &["write permission for reporting"]),
    ("manager.conf", "\nwrite = call,", "\nwrite = system,call,", "manager reload", "switch.dangerous_permission", &["system"]),
    ("manager.conf", "\nwrite = call,", "\nwrite = command,call,", "manager reload", "switch.dangerous_permission", &["command"]),
    ("manager.conf", "\nwrite = call,", "\nwrite = config,call,", "manager reload", "switch.dangerous_permission", &["config"]),
    ("manager.conf", "timestampevents = yes", "timestampevents = no", "manager reload", "switch.event_times", &["timestampevents"]),
    ("extensions.conf", "#tryinclude \"sklic/extensions-sklic.conf\"", "", "dialplan reload", "switch.dialplan", &["sklic-out", "extensions.conf"]),
    ("sklic/extensions-sklic.conf", "version,1,NoOp(", "version,1,NoOp(9", "dialplan reload", "switch.dialplan_version", &["version 9"]),
    ("sklic/extensions-sklic.conf", "exten => version,1", "exten => elder,1", "dialplan reload", "switch.dialplan_version", &["older"]),
    (
        "extensions.conf",
        "SKLIC_SOUNDS = /usr/share/sklic/prompts",
        "SKLIC_SOUNDS = /nowhere",
        "dialplan reload",
        "switch.prompt",
        &["/nowhere", "sl/greeting"],
    ),
    ("confbridge.conf", "#tryinclude \"sklic/confbridge-sklic.conf\"", "", "module reload app_confbridge.so", "switch.profile", &["sklic_bridge"]),
    ("pjsip.conf", "allow = alaw,ulaw", "allow = g722", "module reload res_pjsip.so", "switch.codec", &["g722", "pjsip.conf"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_an_asterisk() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let Some(mut switch) = tokio::task::block_in_place(Switch::get) else { return };
    let port = variable("SKLIC_LAB_AMI_PORT").expect("the lab has a manager");
    let secret = file(patient.folder.path(), "ami", &variable("SKLIC_LAB_AMI_SECRET").expect("the lab has a secret"));
    let pbx = patient.pbx();
    for (key, value) in
        [("kind", "asterisk"), ("address", &format!("127.0.0.1:{port}")), ("username", "sklic"), ("secret_file", &secret.display().to_string())]
    {
        pbx.insert(key.into(), value.into());
    }
    let healthy = patient.config.clone();
    patient.is_healthy("all").await;

    for &(name, from, to, command, id, words) in FAULTS {
        switch.change(name, from, to);
        switch.console(command);
        eprintln!("{name}: {from:?} → {to:?}");
        patient.suffers(id, words).await;
        switch.mend();
        switch.console(command);
    }
    patient.is_healthy("faults of the service's side").await;

    let beep = switch.root.join("usr/share/sklic/prompts/en/beep.wav");
    std::fs::rename(&beep, beep.with_extension("away")).unwrap();
    patient.suffers("switch.prompt", &["en/beep", "make-prompts.sh"]).await;
    std::fs::rename(beep.with_extension("away"), &beep).unwrap();

    switch.console("module unload codec_ulaw.so");
    patient.suffers("switch.codec", &["codec_ulaw.so not loaded", "load codec_ulaw.so in modules.conf"]).await;
    switch.console("module unload codec_alaw.so");
    patient.suffers("switch.codec", &["codec_alaw.so and codec_ulaw.so", "modules.conf"]).await;
    switch.console("module load codec_alaw.so");
    switch.console("module load codec_ulaw.so");

    let wrong = file(patient.folder.path(), "wrong", "not-the-right-one-at-all");
    patient.pbx().insert("secret_file".into(), wrong.display().to_string().into());
    patient.suffers("switch.login", &["pbx1", "manager.conf"]).await;
    patient.config = healthy.clone();

    patient.pbx().insert("address".into(), "127.0.0.1:1".into());
    patient.suffers("switch.unreachable", &["127.0.0.1:1"]).await;
    patient.config = healthy.clone();

    patient.pbx().insert("max_members".into(), 5000.into());
    patient.suffers("switch.limit", &["maxcalls", "5000"]).await;
    patient.config = healthy.clone();

    patient.pbx().insert("dial".into(), "PJSIP/{number}@nowhere".into());
    patient.suffers("trunk.missing", &["nowhere", "pjsip.conf"]).await;
    patient.config = healthy.clone();

    patient.pbx().insert("trunk".into(), "sip:127.0.0.1:1".into());
    patient.suffers("trunk.unreachable", &["OPTIONS", "127.0.0.1:1"]).await;
    let carrier = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    patient.pbx().insert("trunk".into(), format!("sips:{}", carrier.local_addr().unwrap()).into());
    patient.leaves_open("trunk.transport", &["TLS", "pjsip show contacts"]).await;
    patient.config = healthy.clone();
    // Without the key, what the switch itself calls is asked: the lab's phones, and nobody has started them.
    patient.pbx().remove("trunk");
    patient.suffers("trunk.unreachable", &[&format!("127.0.0.1:{}", variable("SKLIC_LAB_TRUNK_PORT").expect("the lab has a trunk"))]).await;
    patient.config = healthy.clone();

    let late = proxy::rewriting(format!("127.0.0.1:{port}"), |line| {
        let seconds = line.strip_prefix("Timestamp: ").and_then(|rest| rest.split('.').next()?.parse::<i64>().ok());
        seconds.map_or_else(|| line.to_owned(), |seconds| format!("Timestamp: {}.000000", seconds - 100))
    })
    .await;
    patient.pbx().insert("address".into(), late.to_string().into());
    patient.suffers("switch.clock", &["behind", "pbx1"]).await;
    patient.config = healthy.clone();

    // Listening beyond loopback is shown by what the kernel would tell, for tests open no such port.
    let net = patient.folder.path().join("net");
    std::fs::create_dir(&net).unwrap();
    let number: u16 = port.parse().unwrap();
    file(&net, "tcp", &format!("  sl  local_address rem_address st\n   0: 00000000:{number:04X} 00000000:0000 0A 00000000:00000000\n"));
    patient.machine.proc = patient.folder.path().to_owned();
    patient.suffers("switch.control_port", &["0.0.0.0", "bindaddr"]).await;
    patient.machine = Default::default();

    // A database that cannot be written: another process holds it, as a read-only disk would.
    let astdb = switch.root.join("var/lib/asterisk/astdb.sqlite3");
    let mut holder = Holder::of(&astdb);
    patient.suffers("switch.folder", &["astdb"]).await;
    holder.let_go();
    patient.is_healthy("the end").await;
}

/// Keeps SQLite's lock for writing on a database; Asterisk may hold the one for reading for as long as it likes.
struct Holder(std::process::Child);

impl Holder {
    fn of(database: &Path) -> Self {
        let words = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\nc.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\n";
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", words])
            .arg(database)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(process.stdout.as_mut().unwrap()), &mut line).unwrap();
        assert_eq!(line, "held\n");
        Self(process)
    }

    fn let_go(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
