//! Commands that change AWS, as they are typed, against moto. It starts no machine, keeps no
//! history of a table and has no replicas: what is restored are the items of now, at once.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy knows only the test functions themselves"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};

const REGION: &str = "us-east-1";
const READY_LIMIT: Duration = Duration::from_secs(60);

struct Emulator {
    child: Child,
    url: String,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Emulator {
    /// None where the AWS CLI or moto is not installed.
    fn start() -> Option<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let moto = target.join("venv-aws/bin/moto_server");
        let has_cli = Command::new("aws").arg("--version").output().is_ok();
        if !(moto.exists() && has_cli) {
            eprintln!("left out: the AWS CLI or {} is not there", moto.display());
            return None;
        }
        let mut child = Command::new(moto)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, url) = mpsc::channel();
        // Read to the end: a full pipe would stop it.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    let _ = sender.send(url.trim().to_owned());
                }
            }
        });
        let url = url.recv_timeout(READY_LIMIT).expect("it listens");
        Some(Self { child, url })
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("OPERATOR_TOKEN", "t");
    }

    fn aws(&self, line: &str) -> Value {
        let mut command = Command::new("aws");
        self.environment(
            command
                .args(line.split_whitespace())
                .args(["--output", "json"]),
        );
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aws {line}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn xtask(&self, line: &str) -> (String, bool) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        self.environment(command.args(line.split_whitespace()));
        command.current_dir(root());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        eprintln!("$ cargo xtask {line}\n{text}");
        (text, output.status.success())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

#[test]
fn a_table_is_restored_with_all_its_settings_and_a_second_run_goes_on() {
    let Some(emulator) = Emulator::start() else {
        return;
    };
    emulator.aws(
        "dynamodb create-table --table-name live --billing-mode PAY_PER_REQUEST \
         --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S \
         --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE \
         --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES \
         --deletion-protection-enabled --tags Key=Env,Value=prod Key=Owner,Value=voice",
    );
    emulator.aws(
        "dynamodb update-time-to-live --table-name live \
         --time-to-live-specification Enabled=true,AttributeName=ttl",
    );
    emulator.aws(
        "dynamodb update-continuous-backups --table-name live \
         --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
    );
    emulator.aws(r#"dynamodb put-item --table-name live --item {"pk":{"S":"a"},"sk":{"S":"b"}}"#);
    let line = "dr restore --table live --to latest --as live-2";
    let (said, ok) = emulator.xtask(line);
    assert!(ok && said.contains("settings are those of live"), "{said}");
    let items = emulator.aws("dynamodb scan --table-name live-2 --select COUNT");
    assert_eq!(items["Count"], 1);
    // Not by the command's own words.
    let ttl = emulator.aws("dynamodb describe-time-to-live --table-name live-2");
    assert_eq!(ttl["TimeToLiveDescription"]["AttributeName"], "ttl");
    let table = emulator.aws("dynamodb describe-table --table-name live-2")["Table"].clone();
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(
        table["StreamSpecification"]["StreamViewType"],
        "NEW_AND_OLD_IMAGES"
    );
    assert_eq!(
        table["BillingModeSummary"]["BillingMode"],
        "PAY_PER_REQUEST"
    );
    // Killed after the restore and before the rest: the same line again.
    emulator.aws("dynamodb update-table --table-name live-2 --no-deletion-protection-enabled");
    let (said, ok) = emulator.xtask(line);
    assert!(
        ok && said.contains("goes on with it") && said.contains("protection"),
        "{said}"
    );
    let (said, ok) = emulator.xtask("dr restore --table live --to latest --as live");
    assert!(!ok && said.contains("another one"), "{said}");
}

#[test]
fn a_lost_bucket_of_states_comes_back_from_its_copy() {
    let Some(emulator) = Emulator::start() else {
        return;
    };
    let folder = std::env::temp_dir().join(format!("lifeverse-states-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let state = folder.join("made");
    std::fs::write(&state, r#"{"version":4,"serial":12,"resources":[]}"#).unwrap();
    emulator.aws("s3api create-bucket --bucket states");
    let put = format!(
        "s3api put-object --bucket states --key lifeverse/dev.tfstate --body {}",
        state.display()
    );
    emulator.aws(&put);
    let copy = folder.join("copy");
    std::fs::create_dir_all(&copy).unwrap();
    let place = format!(
        "--bucket states --aws-region {REGION} --folder {}",
        copy.display()
    );
    let (said, ok) = emulator.xtask(&format!("dr state save {place}"));
    assert!(ok && said.contains("1 states"), "{said}");
    emulator.aws("s3 rb s3://states --force");
    let (said, ok) = emulator.xtask(&format!("dr state restore {place}"));
    assert!(ok && said.contains("serial 12"), "{said}");
    let kept = emulator.aws("s3api get-bucket-versioning --bucket states");
    assert_eq!(kept["Status"], "Enabled");
    let private = emulator.aws("s3api get-public-access-block --bucket states");
    assert_eq!(
        private["PublicAccessBlockConfiguration"]["BlockPublicPolicy"],
        true
    );
    let back = folder.join("back");
    let line = format!(
        "s3api get-object --bucket states --key lifeverse/dev.tfstate {}",
        back.display()
    );
    emulator.aws(&line);
    assert_eq!(
        std::fs::read(&back).unwrap(),
        std::fs::read(&state).unwrap()
    );
    let (said, ok) = emulator.xtask(&format!("dr state restore {place}"));
    assert!(ok && said.contains("stays as it is"), "{said}");
    // An empty bucket is no reason to forget the copy.
    emulator.aws("s3 rm s3://states --recursive");
    let (said, ok) = emulator.xtask(&format!("dr state save {place}"));
    assert!(!ok && said.contains("has no state"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// An edge that is played: it answers `known`, which a request that changes something changes, and
/// passes on what it was asked.
fn edge(mut known: Value, change: fn(&mut Value, &str)) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    // Ends with the process: nobody closes the listener.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if let Some(line) = answer(stream, &known) {
                if !line.starts_with("GET") {
                    change(&mut known, &line);
                }
                let _ = sender.send(line);
            }
        }
    });
    (url, asked)
}

fn answer(mut stream: TcpStream, relays: &Value) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let reply = match first.starts_with("GET") {
        true => relays.to_string(),
        false => "{}".to_owned(),
    };
    let line = first.trim_end().trim_end_matches(" HTTP/1.1");
    let line = format!("{line} {}", String::from_utf8_lossy(&body));
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        reply.len()
    );
    stream.write_all((head + &reply).as_bytes()).ok()?;
    Some(line.trim_end().to_owned())
}

fn shard(name: &str, participants: u32) -> Value {
    json!({
        "heartbeat": {
            "shard": name, "region": "eu", "boot": "0011223344556677", "epoch": 0,
            "sent_at_ms": 1, "state": "open", "candidates": [],
            "fingerprint": format!("sha-256 {}", ["00"; 32].join(":")),
            "control_url": "http://192.0.2.1:7411",
            "load": { "participants": participants, "rooms": 1, "cpu_permille": 10 },
            "capacity": 1000,
        },
        "seen_at_ms": 1, "live": true,
    })
}

#[test]
fn a_group_grows_is_scheduled_and_a_second_run_changes_nothing() {
    let Some(emulator) = Emulator::start() else {
        return;
    };
    emulator.aws(
        "autoscaling create-launch-configuration --launch-configuration-name c \
         --image-id ami-12c6146b --instance-type t4g.small",
    );
    emulator.aws(
        "autoscaling create-auto-scaling-group --auto-scaling-group-name g \
         --launch-configuration-name c --min-size 3 --max-size 20 --desired-capacity 3 \
         --new-instances-protected-from-scale-in \
         --availability-zones us-east-1a us-east-1b us-east-1c",
    );
    let group =
        || emulator.aws("autoscaling describe-auto-scaling-groups")["AutoScalingGroups"][0].clone();
    let instances = group()["Instances"].as_array().unwrap().clone();
    let ids: Vec<&str> = instances
        .iter()
        .map(|it| it["InstanceId"].as_str().unwrap())
        .collect();
    let shards: Vec<Value> = ids
        .iter()
        .map(|id| shard(&format!("{id}-0"), 1_000))
        .collect();
    let (url, _asked) = edge(json!({ "relays": shards }), |_, _| ());
    let folder = std::env::temp_dir().join(format!("lifeverse-scale-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Tomorrow and the days after there is an event, of 6,000 people.
    let calendar = folder.join("calendar.toml");
    let hours = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 3_600;
    let from = finops::calendar::hour_text(hours as i64 + 40);
    let event = format!(
        "[[event]]\nname = \"x\"\nkind = \"product\"\nfrom = \"{from}\"\nhours = 9\n\
         factor = 1.0\npeak = 6000\nowner = \"o\"\n"
    );
    std::fs::write(&calendar, event).unwrap();
    let line = format!(
        "scale --env prod --group g --region eu --edge {url} --calendar {}",
        calendar.display()
    );
    let before = group();
    let (said, ok) = emulator.xtask(&line);
    assert!(ok && said.contains("Nothing was changed"), "{said}");
    assert_eq!(group(), before, "a plan changes nothing");
    let (said, ok) = emulator.xtask(&format!("{line} --apply"));
    assert!(ok && said.contains("grow to 6 machines"), "{said}");
    assert_eq!(
        (&group()["DesiredCapacity"], &group()["MinSize"]),
        (&json!(6), &json!(3))
    );
    let scheduled = emulator.aws("autoscaling describe-scheduled-actions");
    let actions = scheduled["ScheduledUpdateGroupActions"].as_array().unwrap();
    // A horizon before the event: 8 carry 6,000, and a zone is spared and then left out.
    assert_eq!(actions.len(), 1, "{scheduled}");
    assert_eq!(actions[0]["MinSize"], 8);
    assert_eq!(actions[0]["DesiredCapacity"], Value::Null);
    let (said, ok) = emulator.xtask(&format!("{line} --apply"));
    assert!(ok && !said.contains("\n- "), "it is done: {said}");
    let (said, ok) = emulator.xtask(&line.replace("--group g", "--group h"));
    assert!(!ok && said.contains("--group"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

fn without_aws(line: &str) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(line.split_whitespace())
        .env("OPERATOR_TOKEN", "t");
    let output = command.current_dir(root()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&text).into_owned(),
        output.status.success(),
    )
}

#[test]
fn every_shard_of_a_relay_is_refused_and_no_other() {
    let shards = ["i-1-0", "i-1-1", "i-2-0", "i-1x-0"].map(|name| shard(name, 5));
    let refuse = |known: &mut Value, line: &str| {
        for shard in known["relays"].as_array_mut().unwrap() {
            let name = shard["heartbeat"]["shard"].as_str().unwrap();
            if line.starts_with(&format!("PUT /v1/relays/{name}/revocation")) {
                shard["live"] = json!(false);
            }
        }
    };
    let (url, asked) = edge(json!({ "relays": shards }), refuse);
    let line = format!("dr relay-key --edge {url} --relay");
    let (said, ok) = without_aws(&format!("{line} i-1"));
    assert!(
        ok && said.contains("i-1-0, i-1-1\n") && said.contains("--apply"),
        "{said}"
    );
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["GET /v1/relays"]);
    let (said, ok) = without_aws(&format!("{line} i-1 --apply"));
    assert!(ok && said.contains("no shard of it is live"), "{said}");
    let changes: Vec<String> = asked
        .try_iter()
        .filter(|it| !it.starts_with("GET"))
        .collect();
    let wanted = ["i-1-0", "i-1-1"].map(|it| format!("PUT /v1/relays/{it}/revocation {{}}"));
    assert_eq!(changes, wanted);
    let (said, ok) = without_aws(&format!("{line} i-9 --apply"));
    assert!(!ok && said.contains("i-2-0"), "{said}");
}

#[test]
fn a_lost_region_is_given_up_and_taken_back_at_an_edge_that_is_left() {
    let change = |known: &mut Value, line: &str| {
        let gone = match line.starts_with("PUT") {
            true => json!(["eu-west-1"]),
            false => json!([]),
        };
        known["evacuation"]["gone"] = gone;
    };
    let regions = json!({
        "here": "us-east-1", "regions": ["eu-west-1", "us-east-1"],
        "evacuation": { "epoch": 0, "gone": [], "at_ms": 0, "before": [] },
    });
    let (url, asked) = edge(regions, change);
    let line = format!("dr region --edge {url} --lost");
    let (said, ok) = without_aws(&format!("{line} us-east-1"));
    assert!(!ok && said.contains("a region that is left"), "{said}");
    assert_eq!(asked.try_iter().count(), 1, "it only looked");
    let (said, ok) = without_aws(&format!("{line} eu-west-1"));
    assert!(ok && said.contains("eu-west-1 is given up"), "{said}");
    let (said, ok) = without_aws(&format!("{line} eu-west-1 --back"));
    assert!(ok && said.contains("eu-west-1 is back"), "{said}");
    let changes: Vec<String> = asked
        .try_iter()
        .filter(|it| !it.starts_with("GET"))
        .collect();
    let path = "/v1/regions/eu-west-1/evacuation";
    assert_eq!(changes, [format!("PUT {path}"), format!("DELETE {path}")]);
}
