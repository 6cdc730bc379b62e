//! The step `request`: any request to the API, with the answer it must get.

use crate::api::Api;
use crate::play::Play;
use crate::step::Request;
use anyhow::{Result, bail};
use serde_json::Value;

impl Play<'_> {
    fn filled(&self, text: &str) -> Result<String> {
        let mut text = text.replace("{conference}", self.conference.as_deref().unwrap_or("{conference}"));
        for (name, members) in &self.members {
            text = text.replace(&format!("{{phone:{name}}}"), &members[0].number);
            let place = format!("{{participant:{name}}}");
            if text.contains(&place) {
                text = text.replace(&place, self.ids(name)?.first().map_or("", String::as_str));
            }
        }
        Ok(text)
    }

    /// Sends the request and judges the answer.
    pub async fn request(&mut self, request: &Request) -> Result<()> {
        let api = match request.by.as_str() {
            "" => self.account.api.clone(),
            "stranger" => self.stage.stranger.clone(),
            "nobody" => Api::new(&self.stage.url, None),
            other => bail!("`{other}` cannot ask: nothing, \"stranger\" or \"nobody\""),
        };
        let body = match (&request.body, request.body_bytes) {
            (Some(body), _) => Some(self.filled(body)?),
            (None, Some(bytes)) => Some(format!("{{\"title\":\"{}\"}}", "a".repeat(bytes))),
            (None, None) => None,
        };
        let path = format!("/api/v1{}", self.filled(&request.path)?);
        let (status, answer) = api.send(&request.method, &path, body).await?;
        if status != request.status {
            bail!("{} {path} was answered with {status} instead of {}: {answer}", request.method, request.status);
        }
        if status >= 400 && (answer["status"] != status || answer["title"].as_str().is_none_or(str::is_empty)) {
            bail!("the answer is no problem document: {answer}");
        }
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let names = |error: &Value| {
            request.field.as_ref().is_none_or(|field| error["field"] == **field) && request.code.as_ref().is_none_or(|code| error["code"] == **code)
        };
        if (request.field.is_some() || request.code.is_some()) && !errors.iter().any(names) {
            bail!("no error names field {:?} with code {:?}: {answer}", request.field, request.code);
        }
        Ok(())
    }
}
