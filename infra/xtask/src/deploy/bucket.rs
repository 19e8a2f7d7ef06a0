//! What deployments keep in the artefact bucket: releases, what is live, and a lock.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::aws::{Aws, Body, Request};
use super::model::Kept;
use crate::workspace::text;

/// What is live, and what is on its way.
const STATE: &str = "deployments/state.json";
/// Whoever makes it deploys.
const LOCK: &str = "deployments/lock.json";

/// The bucket.
pub(super) struct Bucket<'a> {
    pub(super) aws: &'a Aws,
    pub(super) name: &'a str,
}

impl Bucket<'_> {
    fn send(
        &self,
        method: &str,
        key: &str,
        headers: &[&str],
        body: Body<'_>,
    ) -> Result<super::aws::Reply> {
        let mut all = vec!["x-amz-content-sha256: UNSIGNED-PAYLOAD", "content-type:"];
        all.extend(headers);
        self.aws.send(&Request {
            service: "s3",
            method,
            path: &format!("/{}/{key}", self.name),
            headers: &all,
            body,
        })
    }

    fn fine(&self, key: &str, reply: super::aws::Reply) -> Result<super::aws::Reply> {
        match reply.status {
            200..=299 => Ok(reply),
            status => bail!(
                "s3://{}/{key} answers {status}: {}. Is --bucket the output artefact_bucket, in \
                 this region?",
                self.name,
                super::aws::inside(&reply.body, "Message")
                    .next()
                    .unwrap_or_default()
            ),
        }
    }

    fn read(&self, key: &str) -> Result<Option<Value>> {
        let reply = self.send("GET", key, &[], Body::None)?;
        if reply.status == 404 && !reply.body.contains("NoSuchBucket") {
            return Ok(None);
        }
        let reply = self.fine(key, reply)?;
        let value = serde_json::from_str(&reply.body);
        Ok(Some(value.with_context(|| {
            format!("s3://{}/{key} is no JSON", self.name)
        })?))
    }

    fn write(&self, key: &str, headers: &[&str], value: &Value) -> Result<()> {
        let reply = self.send("PUT", key, headers, Body::Text(&value.to_string()))?;
        self.fine(key, reply).map(drop)
    }

    /// What is kept of the environment.
    ///
    /// # Errors
    /// No answer, or something of another form.
    pub(super) fn kept(&self) -> Result<Kept> {
        let Some(value) = self.read(STATE)? else {
            return Ok(Kept::default());
        };
        Kept::of_json(&value).with_context(|| {
            format!(
                "s3://{}/{STATE} is of another form than this xtask writes: use the one that wrote \
                 it, or bring back an earlier version of the object",
                self.name
            )
        })
    }

    /// # Errors
    /// No answer, or no permission.
    pub(super) fn keep(&self, kept: &Kept) -> Result<()> {
        self.write(STATE, &[], &kept.json())
    }

    /// The sum that a file was uploaded with.
    ///
    /// # Errors
    /// No answer, or no permission.
    pub(super) fn sum_of(&self, key: &str) -> Result<Option<String>> {
        let reply = self.send("HEAD", key, &[], Body::None)?;
        if reply.status == 404 {
            return Ok(None);
        }
        Ok(Some(self.fine(key, reply)?.header))
    }

    /// Uploads a file with its sum.
    ///
    /// # Errors
    /// No answer, or no permission; another file of this name is there.
    pub(super) fn upload(&self, key: &str, file: &Path, sum: &str) -> Result<()> {
        let about = format!("x-amz-meta-sha256: {sum}");
        // A release is not changed once machines may have it.
        let headers = [about.as_str(), "if-none-match: *"];
        let reply = self.send("PUT", key, &headers, Body::File(file))?;
        if reply.status == 412 {
            bail!(
                "s3://{}/{key} is there with another sum: a release never changes. Make another \
                 version",
                self.name
            );
        }
        self.fine(key, reply).map(drop)
    }

    /// Fetches a file of a release.
    ///
    /// # Errors
    /// It is not there, or cannot be written.
    pub(super) fn fetch(&self, key: &str, to: &Path) -> Result<()> {
        let path = format!("/{}/{key}", self.name);
        self.aws
            .fetch("s3", &path, to)
            .with_context(|| format!("s3:/{path}"))
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// Who has it, since when, and what to do.
    pub(super) fn lock(&self, id: &str, who: &str, what: &str, now_ms: u64) -> Result<()> {
        let lock = json!({ "id": id, "who": who, "what": what, "since_ms": now_ms });
        let body = lock.to_string();
        let reply = self.send("PUT", LOCK, &["if-none-match: *"], Body::Text(&body))?;
        if reply.status != 412 {
            return self.fine(LOCK, reply).map(drop);
        }
        let held = self.read(LOCK)?.unwrap_or_default();
        let minutes = now_ms.saturating_sub(held["since_ms"].as_u64().unwrap_or(now_ms)) / 60_000;
        bail!(
            "{} deploys here, since {minutes} minutes: {}. Wait for it. If that run is dead, run \
             this again with `--unlock {}`",
            text(&held, "who"),
            text(&held, "what"),
            text(&held, "id")
        )
    }

    /// Gives the lock back, or takes it from a run that is dead.
    ///
    /// # Errors
    /// It is held by another one.
    pub(super) fn unlock(&self, id: &str) -> Result<()> {
        let Some(held) = self.read(LOCK)? else {
            return Ok(());
        };
        if held["id"] != id {
            bail!(
                "the lock is that of {}, not of {id}: {} took it meanwhile",
                text(&held, "id"),
                text(&held, "who")
            );
        }
        let reply = self.send("DELETE", LOCK, &[], Body::None)?;
        self.fine(LOCK, reply).map(drop)
    }
}
