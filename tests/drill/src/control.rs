//! Who causes a fault: this program, a command of the operator's, or the operator.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncBufReadExt as _;
use tokio::process::Command;
use wire::ShardId;

use crate::local::Local;

/// What is done to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A relay is gone at once, as its machine would be.
    Kill,
    /// A relay stands still, and its connections stay.
    Freeze,
    /// A relay that stood still goes on.
    Thaw,
    /// A relay is asked to end in good order.
    Drain,
    /// A relay that ended is started again.
    Start,
    /// The edge is gone.
    EdgeStop,
    /// The edge is back.
    EdgeStart,
    /// The store answers nothing.
    StoreStop,
    /// The store answers again.
    StoreStart,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Drain => "drain",
            Self::Start => "start",
            Self::EdgeStop => "edge-stop",
            Self::EdgeStart => "edge-start",
            Self::StoreStop => "store-stop",
            Self::StoreStart => "store-start",
        })
    }
}

/// Who causes faults.
pub enum Control {
    /// This program, to processes that it started.
    Local(Box<Local>),
    /// A command line in which `{fault}` and `{relay}` are put in; its end is awaited.
    Command(String),
    /// Somebody who is asked to, and says when it is done.
    Hand,
}

impl Control {
    /// The service on this machine, if it is one.
    pub fn local(&mut self) -> Option<&mut Local> {
        match self {
            Self::Local(local) => Some(local),
            Self::Command(_) | Self::Hand => None,
        }
    }

    /// Whether the moment of a fault is known: a command takes its time, and a hand too.
    pub fn is_prompt(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Causes a fault; `relay` is whose, for those of relays.
    ///
    /// # Errors
    /// When it cannot be caused.
    pub async fn cause(&mut self, fault: Fault, relay: Option<&ShardId>) -> Result<()> {
        match self {
            Self::Local(local) => cause_here(local, fault, relay).await,
            Self::Command(template) => {
                let line = put_in(template, fault, relay);
                let ran = Command::new("sh").args(["-c", &line]).status().await;
                let status = ran.context("sh does not start")?;
                ensure!(status.success(), "`{line}` failed: {status}");
                Ok(())
            }
            Self::Hand => ask(fault, relay).await,
        }
    }
}

async fn cause_here(local: &mut Local, fault: Fault, relay: Option<&ShardId>) -> Result<()> {
    let of = || relay.with_context(|| format!("{fault} is of a relay"));
    match fault {
        Fault::Kill => local.kill_relay(of()?).await,
        Fault::Freeze => local.relay(of()?)?.clone().until(|it| it.freeze()).await,
        Fault::Thaw => local.relay(of()?)?.thaw(),
        Fault::Drain => local.drain_relay(of()?),
        Fault::Start => local.start_relay(of()?).await,
        Fault::EdgeStop => local.kill_edge().await,
        Fault::EdgeStart => local.start_edge().await,
        Fault::StoreStop => local.lock_store().await,
        Fault::StoreStart => {
            local.unlock_store();
            Ok(())
        }
    }
}

fn put_in(template: &str, fault: Fault, relay: Option<&ShardId>) -> String {
    let relay = relay.map_or("", ShardId::as_str);
    let line = template.replace("{fault}", &fault.to_string());
    line.replace("{relay}", relay)
}

#[expect(clippy::print_stderr, reason = "the operator is asked")]
async fn ask(fault: Fault, relay: Option<&ShardId>) -> Result<()> {
    let whom = relay.map_or(String::new(), |relay| format!(" {relay}"));
    eprintln!("now: {fault}{whom}; press Enter when it is done");
    let mut line = String::new();
    let mut input = tokio::io::BufReader::new(tokio::io::stdin());
    let read = input.read_line(&mut line).await?;
    ensure!(read > 0, "standard input ended; --control takes a command");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_what_and_whom() {
        let relay: ShardId = "eu-1".parse().unwrap();
        let template = "ssh {relay} fault {fault}";
        let line = put_in(template, Fault::Freeze, Some(&relay));
        assert_eq!(line, "ssh eu-1 fault freeze");
        assert_eq!(
            put_in(template, Fault::EdgeStop, None),
            "ssh  fault edge-stop"
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_is_no_fault() {
        let mut control = Control::Command("test {fault} = drain".to_owned());
        assert!(control.cause(Fault::Drain, None).await.is_ok());
        let error = control.cause(Fault::Kill, None).await.unwrap_err();
        assert!(error.to_string().contains("test kill = drain"), "{error}");
    }
}
