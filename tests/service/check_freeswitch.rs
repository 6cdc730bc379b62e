//! `sklic check` on a real FreeSWITCH, where one is installed: each point is broken in turn and finds its own message and no other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sklic::pbx::freeswitch::client::Client;
use sklic::pbx::freeswitch::codec::Request;

use crate::check_support::{Patient, file};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn lab(verb: &str) {
    let status = Command::new("bash").args(["vagrant/provision/lab.sh", verb, "freeswitch"]).status().expect("bash runs");
    assert!(status.success(), "lab.sh {verb} freeswitch failed");
}

/// The lab's FreeSWITCH, whose configuration may be broken; it is put right at the end.
struct Switch {
    state: PathBuf,
    port: String,
    secret: String,
    originals: Vec<(PathBuf, String)>,
    _lock: File,
}

impl Switch {
    /// `None`, said aloud, without an installed FreeSWITCH.
    fn get() -> Option<Self> {
        let found =
            (variable("SKLIC_LAB_FREESWITCH_LOG"), variable("SKLIC_LAB_ESL_PORT"), variable("SKLIC_LAB_ESL_SECRET"), variable("SKLIC_LAB_DIR"));
        let (Some(log), Some(port), Some(secret), Some(lab_dir)) = found else {
            eprintln!("SKIPPED: `sklic check` was not tried on a real FreeSWITCH, for SKLIC_LAB_* is not set. Use `make test`.");
            return None;
        };
        let home = variable("SKLIC_FREESWITCH").unwrap_or_else(|| "/usr/local/freeswitch".into());
        if !Path::new(&home).join("bin/freeswitch").exists() {
            eprintln!(
                "SKIPPED: `sklic check` was not tried on a real FreeSWITCH, for none is in {home}. Name the folder of one with SKLIC_FREESWITCH."
            );
            return None;
        }
        let lock = File::create(Path::new(&lab_dir).join("pbx-suite.lock")).unwrap();
        lock.lock().unwrap();
        lab("start");
        let state = Path::new(&log).ancestors().nth(2).expect("the log lies in a folder of the state").to_owned();
        Some(Self { state, port, secret, originals: Vec::new(), _lock: lock })
    }

    /// A command of its own console.
    async fn console(&self, command: &str) -> String {
        let within = Duration::from_secs(10);
        let mut client = Client::connect(&format!("127.0.0.1:{}", self.port), within).await.expect("it listens");
        client.login("", &self.secret.clone().into(), within).await.expect("it takes the lab's secret");
        client.ask(Request::new(format!("api {command}")), within, &mut Vec::new()).await.expect("it answers").text()
    }

    fn change(&mut self, name: &str, from: &str, to: &str) {
        let path = self.state.join("conf").join(name);
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

/// One fault of its files: file, what stands there, what comes in its place, the finding and its words.
type Fault = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const FAULTS: &[Fault] = &[
    ("freeswitch.xml", "<X-PRE-PROCESS cmd=\"include\" data=\"sklic/dialplan-sklic.xml\"/>", "", "switch.dialplan", &["sklic-out", "reloadxml"]),
    ("sklic/dialplan-sklic.xml", "\"sklic-version-", "\"sklic-version-9", "switch.dialplan_version", &["version 9"]),
    ("sklic/dialplan-sklic.xml", "\"sklic-version-", "\"sklic-elder-", "switch.dialplan_version", &["older"]),
    ("freeswitch.xml", "<X-PRE-PROCESS cmd=\"include\" data=\"sklic/conference-sklic.xml\"/>", "", "switch.profile", &["conference.conf.xml"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_freeswitch() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let Some(mut switch) = tokio::task::block_in_place(Switch::get) else { return };
    let secret = file(patient.folder.path(), "esl", &switch.secret);
    let pbx = patient.pbx();
    for (key, value) in [("kind", "freeswitch"), ("address", &format!("127.0.0.1:{}", switch.port)), ("secret_file", &secret.display().to_string())] {
        pbx.insert(key.into(), value.into());
    }
    let healthy = patient.config.clone();
    patient.is_healthy("all").await;

    for &(name, from, to, id, words) in FAULTS {
        switch.change(name, from, to);
        switch.console("reloadxml").await;
        patient.suffers(id, words).await;
        switch.mend();
        switch.console("reloadxml").await;
    }

    for (breaking, mending, id, words) in [
        ("fsctl api_expansion on", "fsctl api_expansion off", "switch.api_expansion", "switch.conf.xml"),
        ("unload mod_local_stream", "load mod_local_stream", "switch.module", "mod_local_stream"),
        ("fsctl sps 10", "fsctl sps 60", "switch.limit", "sessions-per-second"),
        ("fsctl max_sessions 100", "fsctl max_sessions 600", "switch.limit", "max-sessions"),
    ] {
        switch.console(breaking).await;
        patient.suffers(id, &[words]).await;
        switch.console(mending).await;
    }
    patient.is_healthy("faults of the service's side").await;

    let beep = switch.state.join("sounds/prompts/sl/beep.wav");
    std::fs::rename(&beep, beep.with_extension("away")).unwrap();
    patient.suffers("switch.prompt", &["sl/beep"]).await;
    std::fs::rename(beep.with_extension("away"), &beep).unwrap();

    let sounds = switch.console("global_getvar sklic_sounds").await;
    switch.console("global_setvar sklic_sounds=").await;
    patient.suffers("switch.prompt", &["vars.xml"]).await;
    switch.console(&format!("global_setvar sklic_sounds={sounds}")).await;

    switch.change("freeswitch.xml", "name=\"outbound-codec-prefs\" value=\"PCMA,PCMU\"", "name=\"outbound-codec-prefs\" value=\"L16\"");
    switch.console("sofia profile lab rescan reloadxml").await;
    patient.suffers("switch.codec", &["PCMA"]).await;
    switch.mend();
    switch.console("sofia profile lab rescan reloadxml").await;

    let wrong = file(patient.folder.path(), "wrong", "not-the-right-one-at-all");
    patient.pbx().insert("secret_file".into(), wrong.display().to_string().into());
    patient.suffers("switch.login", &["event_socket.conf.xml"]).await;
    patient.config = healthy.clone();

    patient.pbx().insert("calls_per_second".into(), 50.into());
    patient.suffers("switch.limit", &["sessions-per-second", "100"]).await;
    patient.config = healthy.clone();

    patient.pbx().insert("dial".into(), "sofia/gateway/nowhere/{number}".into());
    patient.suffers("trunk.missing", &["nowhere"]).await;
    patient.config = healthy.clone();

    patient.pbx().remove("trunk");
    patient.suffers("trunk.unreachable", &[&format!("127.0.0.1:{}", variable("SKLIC_LAB_TRUNK_PORT").expect("the lab has a trunk"))]).await;
    patient.config = healthy;
    patient.is_healthy("the end").await;
    tokio::task::block_in_place(|| lab("stop"));
}
