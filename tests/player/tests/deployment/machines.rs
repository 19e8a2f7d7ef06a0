//! Machines: for each one that the emulator's groups have, a relay process runs, under the name of
//! the machine, as enrolment by the role of a machine would call it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use process::Process;
use scenarios::http::Http;
use scenarios::programs;
use scenarios::tokens::Secrets;
use wire::ShardId;

use super::front::{NAME, form_of};

/// Between two looks at the groups.
const LOOK: Duration = Duration::from_millis(300);
const READY_LIMIT: Duration = Duration::from_secs(30);

pub struct Machines {
    running: Arc<Mutex<BTreeMap<String, Process>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Machines {
    pub fn start(moto: &str, edge: &str, secrets: &Secrets) -> Self {
        let running: Arc<Mutex<BTreeMap<String, Process>>> = Arc::default();
        let (moto, edge, secrets) = (moto.to_owned(), edge.to_owned(), secrets.clone());
        let kept = Arc::clone(&running);
        let task = tokio::spawn(async move {
            let http = Http::default();
            loop {
                let wanted = wanted(&http, &moto).await.expect("the emulator answers");
                let gone: Vec<Process> = {
                    let mut kept = kept.lock().expect("nobody panics with it");
                    let gone: Vec<String> = kept
                        .keys()
                        .filter(|id| !wanted.contains(id))
                        .cloned()
                        .collect();
                    gone.iter().filter_map(|id| kept.remove(id)).collect()
                };
                // As systemd ends it on a machine that goes: it drains.
                gone.iter().for_each(|relay| drop(relay.stop()));
                for id in wanted {
                    let is_there = kept
                        .lock()
                        .expect("nobody panics with it")
                        .contains_key(&id);
                    if !is_there {
                        let relay = relay(&id, &edge, &secrets).await.expect("a relay starts");
                        kept.lock()
                            .expect("nobody panics with it")
                            .insert(id, relay);
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { running, task }
    }

    pub fn count(&self) -> usize {
        self.running.lock().expect("nobody panics with it").len()
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Machines that the groups have.
async fn wanted(http: &Http, moto: &str) -> Result<Vec<String>> {
    let mut form = "Action=DescribeAutoScalingGroups&Version=2011-01-01".to_owned();
    for (n, colour) in [(1, "blue"), (2, "green")] {
        form += &format!("&AutoScalingGroupNames.member.{n}={NAME}-{colour}");
    }
    let reply = form_of(http, moto, "autoscaling", form).await?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let ids = text
        .split("<InstanceId>")
        .skip(1)
        .filter_map(|rest| rest.split('<').next());
    Ok(ids.map(str::to_owned).collect())
}

async fn relay(id: &str, edge: &str, secrets: &Secrets) -> Result<Process> {
    let shard: ShardId = id.parse()?;
    let mut command = process::command(programs::of_workspace("relay")?);
    command
        .args(["--shard", id, "--region", "dev", "--edge", edge])
        .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .args(["--health", "127.0.0.1:0", "--listen-tcp", "127.0.0.1:0"])
        .args(["--full-cpu-percent", "100", "--drain-seconds", "5"])
        .env(
            "RELAY_SHARD_KEYS",
            secrets.fleet().shard_key(&shard, 0).to_base64(),
        )
        .env("RUST_LOG", "error");
    let relay = Process::start(&format!("the relay of {id}"), command)?;
    relay.until(|it| it.ready("ready", READY_LIMIT)).await?;
    Ok(relay)
}
