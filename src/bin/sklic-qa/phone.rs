//! A phone: one SIPp process for its signalling and, if it has ears, its own RTP.

use crate::network::{Line, Network, normal};
use crate::rtp::Rtp;
use crate::sound::Voice;
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How a phone is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name in the scenario, also of its files.
    pub name: String,
    /// Its number, or how the numbers of a range begin.
    pub number: String,
    /// One process for all numbers that begin so.
    pub range: bool,
    /// The SIPp scenario's file.
    pub sipp: PathBuf,
    /// What it says in a call; `None` for a phone without audio of its own.
    pub voice: Option<Voice>,
    /// More arguments for SIPp.
    pub arguments: Vec<String>,
}

/// A running phone. Dropping it ends its process.
#[derive(Debug)]
pub struct Phone {
    /// How it is.
    pub plan: Plan,
    /// Its number in the normal form.
    pub number: String,
    /// Its audio.
    pub rtp: Option<Arc<Rtp>>,
    process: Option<Child>,
    network: Network,
    switch: SocketAddr,
    folder: PathBuf,
    starts: u32,
}

impl Phone {
    /// Connects a phone to the network. One that is to be called listens when this returns.
    ///
    /// `folder` takes its traces, `switch` is where it calls when it calls.
    pub async fn connect(plan: Plan, network: &Network, switch: SocketAddr, folder: &Path) -> Result<Self> {
        let rtp = match &plan.voice {
            Some(voice) => Some(Rtp::open(voice.clone()).await?),
            None => None,
        };
        let number = normal(&plan.number);
        let mut phone = Self { plan, number, rtp, process: None, network: network.clone(), switch, folder: folder.to_owned(), starts: 0 };
        if phone.is_called() {
            phone.start(&[]).await?;
        }
        Ok(phone)
    }

    /// Whether the phone waits for calls; one that calls starts with [`Phone::dial`].
    fn is_called(&self) -> bool {
        !self.plan.sipp.file_name().is_some_and(|name| name.to_string_lossy().starts_with("uac-"))
    }

    /// Lets a phone that calls dial a number of the switch.
    pub async fn dial(&mut self, number: &str) -> Result<()> {
        if self.is_called() {
            bail!("the phone {} waits for calls; one that calls has a SIPp file named uac-…", self.plan.name);
        }
        self.stop().await;
        self.start(&["-s", number, "-m", "1", &format!("127.0.0.1:{}", self.network.port)]).await
    }

    /// Makes the phone behave by another SIPp file from now on.
    pub async fn become_another(&mut self, sipp: PathBuf) -> Result<()> {
        self.stop().await;
        self.plan.sipp = sipp;
        if self.is_called() { self.start(&[]).await } else { Ok(()) }
    }

    /// Ends the call from the phone's side, or answers, whichever the SIPp file waits for.
    pub async fn give_sign(&self) -> Result<()> {
        self.network.give_sign(&self.number).await
    }

    /// Lets the phone die without a word, as with an empty battery.
    pub async fn die(&mut self) {
        self.stop().await;
        if let Some(rtp) = &self.rtp {
            rtp.end();
        }
    }

    /// Starts SIPp; a port may be taken between being chosen and being opened, so that is tried again.
    async fn start(&mut self, more: &[&str]) -> Result<()> {
        for _ in 0..4 {
            match self.try_to_start(more).await {
                Err(error) if error.to_string().contains("Address already in use") => self.stop().await,
                result => return result,
            }
        }
        self.try_to_start(more).await
    }

    async fn try_to_start(&mut self, more: &[&str]) -> Result<()> {
        let port = free_port()?;
        self.starts += 1;
        let stem = format!("{}-{}", self.plan.name, self.starts);
        let audio_port = self.rtp.as_ref().map_or(9, |rtp| rtp.port);
        let output = std::fs::File::create(self.folder.join(format!("{stem}.sipp.log")))?;
        let mut command = Command::new("sipp");
        command
            .arg("-sf")
            .arg(&self.plan.sipp)
            .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin", "-skip_rlimit"])
            .args(["-p", &port.to_string(), "-mp", &free_port()?.to_string()])
            .args(["-key", "number", &self.plan.number, "-key", "audio_port", &audio_port.to_string()])
            .args(["-key", "proxy", &format!("127.0.0.1:{}", self.network.port), "-key", "switch", &self.switch.to_string()])
            // A guard in case this process is killed: no phone outlives an hour.
            .args(["-timeout", "3600"])
            .arg("-trace_err")
            .arg("-error_file")
            .arg(self.folder.join(format!("{stem}.errors.log")))
            .args(&self.plan.arguments)
            .args(more);
        if !self.plan.range {
            command.arg("-trace_msg").arg("-message_file").arg(self.folder.join(format!("{stem}.messages.log")));
        }
        let process = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .context("starting `sipp`; it is in the package sip-tester (`make demo` installs it)")?;
        self.process = Some(process);
        let sip = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.network.connect(Line { number: self.number.clone(), range: self.plan.range, sip, rtp: self.rtp.clone() });
        self.wait_until_it_listens(port, &stem).await
    }

    /// SIPp says nothing when it is ready; the system's table of sockets tells.
    async fn wait_until_it_listens(&mut self, port: u16, stem: &str) -> Result<()> {
        for _ in 0..500 {
            if std::fs::read_to_string("/proc/net/udp")?.contains(&format!("0100007F:{port:04X} ")) {
                return Ok(());
            }
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                let said = std::fs::read_to_string(self.folder.join(format!("{stem}.sipp.log"))).unwrap_or_default();
                let said: Vec<&str> = said.lines().take(3).collect();
                bail!("the phone {} did not start ({status}): {}", self.plan.name, said.join(" ").trim());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the phone {} does not listen after 5 s", self.plan.name)
    }

    async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill().await;
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.network.disconnect(&self.number);
    }
}

/// A UDP port that is free now.
fn free_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hearing;
    use std::time::Instant;

    fn plan(name: &str, number: &str, sipp: &str, voice: Voice) -> Plan {
        let sipp = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp").join(sipp);
        Plan { name: name.into(), number: number.into(), range: false, sipp, voice: Some(voice), arguments: Vec::new() }
    }

    async fn until(what: &str, mut so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !so() {
            assert!(began.elapsed() < Duration::from_secs(10), "{what} did not happen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn one_phone_calls_another_which_hears_it_and_hangs_up() {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::open(0).await.unwrap();
        // The network itself stands for the switch, so the phones call each other.
        let switch = SocketAddr::from((Ipv4Addr::LOCALHOST, network.port));
        let began = Instant::now();
        let boris = plan("boris", "+38640100002", "uas-answer.xml", Voice::Silence);
        let boris = Phone::connect(boris, &network, switch, folder.path()).await.unwrap();
        let ana = plan("ana", "+38640100001", "uac-dial-in.xml", Voice::Tone(440));
        let mut ana = Phone::connect(ana, &network, switch, folder.path()).await.unwrap();
        ana.dial("38640100002").await.unwrap();
        let call = || network.calls_since(began).pop();
        until("the answer", || call().is_some_and(|call| call.answered.is_some())).await;
        assert!(call().unwrap().ringing.is_some());
        let (mouth, ear) = (ana.rtp.clone().unwrap(), boris.rtp.clone().unwrap());
        mouth.begin(SocketAddr::from((Ipv4Addr::LOCALHOST, ear.port)), true);
        until("the tone", || !hearing::tone(&ear.heard(began, Instant::now()), 440).is_empty()).await;
        boris.give_sign().await.unwrap();
        until("the goodbye", || call().is_some_and(|call| call.ended.is_some())).await;
        assert!(boris.give_sign().await.is_err(), "a phone in no call cannot hang up");
    }

    #[tokio::test]
    async fn a_phone_that_is_told_to_answer_rings_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::open(0).await.unwrap();
        let switch = SocketAddr::from((Ipv4Addr::LOCALHOST, network.port));
        let began = Instant::now();
        let boris = plan("boris", "+38640100002", "uas-answer-when-told.xml", Voice::Silence);
        let boris = Phone::connect(boris, &network, switch, folder.path()).await.unwrap();
        let ana = plan("ana", "+38640100001", "uac-dial-in.xml", Voice::Silence);
        let mut ana = Phone::connect(ana, &network, switch, folder.path()).await.unwrap();
        ana.dial("38640100002").await.unwrap();
        let call = || network.calls_since(began).pop();
        until("the ringing", || call().is_some_and(|call| call.ringing.is_some())).await;
        assert!(call().unwrap().answered.is_none());
        boris.give_sign().await.unwrap();
        until("the answer", || call().is_some_and(|call| call.answered.is_some())).await;
        boris.give_sign().await.unwrap();
        until("the goodbye", || call().is_some_and(|call| call.ended.is_some())).await;
    }

    #[tokio::test]
    async fn a_sipp_file_with_a_mistake_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::open(0).await.unwrap();
        let wrong = folder.path().join("uas-wrong.xml");
        std::fs::write(&wrong, "<scenario><nonsense/></scenario>").unwrap();
        let plan = Plan { sipp: wrong, ..plan("boris", "+38640100002", "uas-answer.xml", Voice::Silence) };
        let switch = SocketAddr::from((Ipv4Addr::LOCALHOST, network.port));
        let error = Phone::connect(plan, &network, switch, folder.path()).await.unwrap_err();
        assert!(format!("{error:#}").contains("did not start"), "{error:#}");
    }
}
