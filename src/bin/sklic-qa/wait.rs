//! The step `wait`: until what it names is so, or the time is up.

use crate::api::View;
use crate::expect::Sound;
use crate::play::Play;
use crate::step::Wait;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

impl Play<'_> {
    /// Waits until everything named is so at the same moment.
    pub async fn wait(&mut self, wait: &Wait) -> Result<()> {
        let began = Instant::now();
        let within = Duration::from_secs_f64(wait.within_s.unwrap_or(15.0));
        let mut live = self.live.as_ref().map(crate::api::Live::changes);
        let mut calls = self.stage.network.changes();
        loop {
            self.narrate();
            let Some(instead) = self.unmet(wait, began)? else {
                return Ok(());
            };
            if began.elapsed() > within {
                bail!("after {} s {instead}", within.as_secs_f64());
            }
            let change = async {
                match &mut live {
                    Some(live) => drop(live.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = change => {}
                _ = calls.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }

    /// The first thing that is not so yet, in words.
    fn unmet(&self, wait: &Wait, began: Instant) -> Result<Option<String>> {
        if let Some(live) = &self.live {
            if let Some(words) = self.unmet_in_view(wait, &live.view())? {
                return Ok(Some(words));
            }
        } else if wait.state.is_some() || wait.conference.is_some() {
            bail!("there is no conference yet: `create` one first");
        }
        if let Some(name) = &wait.called
            && self.calls(name).is_empty()
        {
            return Ok(Some(format!("{name} has not been called")));
        }
        for name in &wait.hung_up.0 {
            if self.calls(name).iter().any(crate::network::Call::is_alive) {
                return Ok(Some(format!("the call of {name} goes on")));
            }
        }
        if let Some(count) = wait.mails {
            let arrived = self.stage.mails(&self.account.email)?.len();
            if arrived < count {
                return Ok(Some(format!("{arrived} mails have arrived instead of {count}")));
            }
        }
        self.unheard(wait, began)
    }

    fn unmet_in_view(&self, wait: &Wait, view: &View) -> Result<Option<String>> {
        let head = [
            ("state", wait.conference.clone()),
            ("link", wait.link.clone()),
            ("locked", wait.locked.map(|value| value.to_string())),
            ("all_muted", wait.all_muted.map(|value| value.to_string())),
        ];
        let person = [
            ("state", wait.state.clone()),
            ("muted", wait.muted.map(|value| value.to_string())),
            ("talking", wait.talking.map(|value| value.to_string())),
            ("self_muted", wait.self_muted.map(|value| value.to_string())),
        ];
        let looks = wait.hand.is_some() || head.iter().chain(&person).any(|(_, wanted)| wanted.is_some());
        if looks && !view.open {
            return Ok(Some("the live stream is not open".to_owned()));
        }
        for (field, wanted) in head {
            let is = view.head(field);
            if wanted.as_ref().is_some_and(|wanted| *wanted != is) {
                let reason = view.head("reason");
                let states = view.states("").join(", ");
                return Ok(Some(format!(
                    "the conference's {field} is `{is}`, not `{}` (states: {states}; reason: {reason})",
                    wanted.unwrap_or_default()
                )));
            }
        }
        for name in &wait.who.0 {
            for member in &self.members[name] {
                let Some((id, _)) = view.people.iter().find(|(_, fields)| fields.get("name").is_some_and(|name| *name == *member.person)) else {
                    return Ok(Some(format!("{} is not in the conference's list", member.person)));
                };
                if let Some(wanted) = wait.hand
                    && wanted == view.field(id, "hand_raised_at").is_empty()
                {
                    return Ok(Some(format!("{}: the hand is {}", member.person, if wanted { "not raised" } else { "raised" })));
                }
                for (field, wanted) in &person {
                    let is = view.field(id, field);
                    if let Some(wanted) = wanted
                        && *wanted != is
                    {
                        let states = view.states(id).join(", ");
                        return Ok(Some(format!("{}: {field} is `{is}`, not `{wanted}` (states: {states})", member.person)));
                    }
                }
            }
        }
        Ok(None)
    }

    fn unheard(&self, wait: &Wait, began: Instant) -> Result<Option<String>> {
        let Some(what) = &wait.heard else {
            return Ok(None);
        };
        let sound: Sound = what.parse().map_err(anyhow::Error::msg)?;
        let by = wait.by.as_deref().context("`heard` needs `by`")?;
        // An announcement may have begun before this step did; a tone counts from now on.
        let from = if matches!(sound, Sound::Tone(_)) { began } else { began.checked_sub(Duration::from_secs(15)).unwrap_or(began) };
        let samples = self.ears(by)?.heard(from, Instant::now());
        let prompt = |name: &str| self.stage.prompt(&self.scenario.account.language, name);
        let found = tokio::task::block_in_place(|| sound.find(&samples, prompt))?;
        let heard: usize = found.iter().map(crate::hearing::Stretch::ms).sum();
        let wanted = wait.for_ms.unwrap_or(1);
        Ok((heard < wanted).then(|| format!("{by} has heard {sound} for {heard} ms, not {wanted}")))
    }
}
