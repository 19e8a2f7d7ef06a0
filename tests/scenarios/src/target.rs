//! A host under test, as scenarios see it.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::Value;
use wire::problem::MEDIA_TYPE;
use wire::record::SHARE_HEADER;
use wire::until::UNTIL_HEADER;

use crate::http::{Http, Reply};
use crate::sts::Sts;
use crate::tokens::Secrets;

/// Where a host answers, and the secrets that it knows.
pub struct Target {
    /// Base address, without a slash at its end.
    pub base: String,
    /// For requests to it.
    pub http: Http,
    /// Its own.
    pub secrets: Secrets,
    /// Whom it asks who signed proofs of enrolment, if it does.
    pub sts: Option<Sts>,
    /// Whether it knows what a token asked for before: its process lives on.
    pub counts_rates: bool,
}

impl Target {
    /// The address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends JSON, or nothing when `body` is null.
    ///
    /// # Errors
    /// When there is no reply, or one that no route may give.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Result<Reply> {
        let (media_type, bytes) = match body {
            Value::Null => ("", Vec::new()),
            body => ("application/json", serde_json::to_vec(body)?),
        };
        let url = self.url(path);
        let sent = self.http.send(method, &url, token, media_type, bytes);
        let reply = sent.await?;
        check(&reply)?;
        Ok(reply)
    }

    /// As [`Target::call`], and the reply's JSON, which must come with `status`.
    ///
    /// # Errors
    /// As [`Target::call`], and when it is another status.
    pub async fn expect(
        &self,
        status: u16,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<Value> {
        let what = format!("{method} {path}");
        let reply = self.call(method, path, token, &body).await?;
        let text = String::from_utf8_lossy(&reply.body);
        ensure!(reply.status == status, "{what}: {} {text}", reply.status);
        Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }

    /// As [`Target::call`]; the reply must be the problem `name`.
    ///
    /// # Errors
    /// As [`Target::call`], and when it is anything else.
    pub async fn refuses(
        &self,
        name: &str,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<()> {
        let what = format!("{method} {path}");
        let reply = self.call(method, path, token, &body).await?;
        ensure!(reply.problem() == name, "{what}: {reply:?} is not {name}");
        Ok(())
    }
}

/// What holds for every reply of the interface.
///
/// # Errors
/// What does not hold.
pub fn check(reply: &Reply) -> Result<()> {
    let header = |name: &str| {
        reply
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    ensure!(
        header("access-control-allow-origin") == Some("*"),
        "a page cannot read {reply:?}"
    );
    ensure!(
        header(SHARE_HEADER).is_none(),
        "the record's share is not for clients"
    );
    ensure!(
        header(UNTIL_HEADER).is_none(),
        "until when a reply holds is the host's matter"
    );
    if reply.status.as_u16() >= 400 {
        ensure!(
            header("content-type") == Some(MEDIA_TYPE) && !reply.problem().is_empty(),
            "{reply:?} is not a problem"
        );
    }
    Ok(())
}
