//! The emulator of AWS that a plan is applied on; it ends when this is dropped.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;
use crate::{install, process};

/// Python has much to read before it listens.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The bucket of the state.
pub(super) const BUCKET: &str = "lifeverse-state";
/// Region and account of the emulator, which checks neither.
pub(super) const REGION: &str = "us-east-1";
pub(super) const ACCOUNT: &str = "123456789012";
/// Lines of it that are kept.
const SAID_LINES: usize = 60;
/// Begins each program that asks it for something.
const CLIENT: &str = "import boto3, json, sys
def client(name):
    return boto3.client(name, endpoint_url=sys.argv[1], region_name='us-east-1',
        aws_access_key_id='test', aws_secret_access_key='test')
";
/// A role that dev makes.
const TAKEN: &str = "lifeverse-dev-signalling";

pub(super) struct Emulator {
    child: Child,
    pub(super) url: String,
    python: PathBuf,
    /// What it said last: where a request was beyond it, why.
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Emulator {
    /// Starts one with a bucket for the state.
    ///
    /// # Errors
    /// When it is not installed or does not listen within a minute.
    pub(super) fn start(workspace: &Workspace, scratch: &Path) -> Result<Self> {
        let tools = install::aws_tools(workspace)?;
        let read = |path: &str| {
            let path = workspace.root.join(path);
            fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
        };
        let program = read("terraform/emulator.py")? + &read("tests/scenarios/moto_in_turn.py")?;
        let file = scratch.join("emulator.py");
        fs::write(&file, program).with_context(|| format!("{}", file.display()))?;
        let mut child = Command::new(tools.join("python"))
            .arg(&file)
            .args(["--host", "127.0.0.1", "--port", "0"])
            // Backups are made by a policy that is AWS's own.
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the emulator does not start")?;
        let stderr = child.stderr.take().expect("standard error is piped");
        let (sender, url) = mpsc::channel();
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&said);
        // Read to the end: a full pipe would stop it.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    let _ = sender.send(url.trim().to_owned());
                }
                let mut kept = kept.lock().expect("nobody panics with it");
                kept.truncate(SAID_LINES - 1);
                kept.push_front(line);
            }
        });
        let mut emulator = Self {
            child,
            url: String::new(),
            python: tools.join("python"),
            said,
        };
        let url = url.recv_timeout(READY_LIMIT);
        emulator.url = url.context("the emulator did not listen within a minute")?;
        emulator.ask(&format!("client('s3').create_bucket(Bucket='{BUCKET}')"))?;
        Ok(emulator)
    }

    /// Runs a few lines of Python, which have `client`; what they print.
    fn ask(&self, lines: &str) -> Result<String> {
        let mut command = Command::new(&self.python);
        let program = format!("{CLIENT}{lines}");
        let (said, ok) = process::said(command.args(["-c", &program, &self.url]))?;
        if !ok {
            let kept = self.said.lock().expect("nobody panics with it");
            let kept: Vec<&str> = kept.iter().rev().map(String::as_str).collect();
            bail!(
                "the emulator does not do it:\n{lines}\n{said}\n{}",
                kept.join("\n")
            );
        }
        Ok(said.trim().to_owned())
    }

    /// An image that machines can be started with.
    pub(super) fn image(&self) -> Result<String> {
        self.ask("print(client('ec2').describe_images()['Images'][0]['ImageId'])")
    }

    /// What a deployment does: more machines, and a part of the traffic for another version.
    pub(super) fn move_what_deployments_move(&self) -> Result<()> {
        let lines = "client('autoscaling').set_desired_capacity(
    AutoScalingGroupName='lifeverse-dev-blue', DesiredCapacity=2)
client('lambda').publish_version(FunctionName='lifeverse-dev-chat')
client('lambda').update_alias(FunctionName='lifeverse-dev-chat', Name='live',
    FunctionVersion='1', RoutingConfig={'AdditionalVersionWeights': {'2': 0.1}})";
        self.ask(lines).map(drop)
    }

    /// What a deployment's applies change, and what they leave.
    pub(super) fn deployed(&self) -> Result<Value> {
        let lines = "policy = client('iam').get_role_policy(
    RoleName='lifeverse-dev-chat', PolicyName='permissions.json')['PolicyDocument']
seen = {'actions': policy['Statement'][0]['Action']}
for colour in ['blue', 'green']:
    versions = client('ec2').describe_launch_template_versions(
        LaunchTemplateName='lifeverse-dev-' + colour, Versions=['$Latest'])
    seen[colour] = versions['LaunchTemplateVersions'][0]['VersionDescription']
groups = client('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups']
seen['desired'] = {one['AutoScalingGroupName']: one['DesiredCapacity'] for one in groups}
alias = client('lambda').get_alias(FunctionName='lifeverse-dev-chat', Name='live')
seen['alias'] = [alias['FunctionVersion'], alias['RoutingConfig']]
print(json.dumps(seen))";
        let said = self.ask(lines)?;
        serde_json::from_str(&said).context("the emulator's answer")
    }

    /// Ends the machines, which it leaves running when their group is destroyed, and with them the
    /// network.
    pub(super) fn end_machines(&self) -> Result<()> {
        let lines = "ec2 = client('ec2')
found = ec2.describe_instances()['Reservations']
ids = [one['InstanceId'] for some in found for one in some['Instances']]
assert len(ids) == 2, ids
ec2.terminate_instances(InstanceIds=ids)";
        self.ask(lines).map(drop)
    }

    /// Holds the lock of dev's state as somebody else's run would; the id of it.
    pub(super) fn hold_lock(&self) -> Result<String> {
        let id = "6b1f5bd5-1f8b-4a3e-9a3c-3f1f2c8f0b11";
        let lines = format!(
            "lock = {{'ID': '{id}', 'Operation': 'OperationTypeApply', 'Info': '',
    'Who': 'somebody@else', 'Version': '1.11.4', 'Created': '2026-11-30T00:00:00Z',
    'Path': '{BUCKET}/lifeverse/dev.tfstate'}}
client('s3').put_object(Bucket='{BUCKET}', Key='lifeverse/dev.tfstate.tflock',
    Body=json.dumps(lock))"
        );
        self.ask(&lines)?;
        Ok(id.to_owned())
    }

    /// Makes something that dev would make.
    pub(super) fn take_a_name(&self) -> Result<()> {
        let lines = format!(
            "client('iam').create_role(RoleName='{TAKEN}', AssumeRolePolicyDocument='{{}}')"
        );
        self.ask(&lines).map(drop)
    }

    /// Takes it away again.
    pub(super) fn free_the_name(&self) -> Result<()> {
        let lines = format!("client('iam').delete_role(RoleName='{TAKEN}')");
        self.ask(&lines).map(drop)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
