//! The emulator of AWS (moto) as a child process.

use std::time::Duration;

use anyhow::{Result, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request};
use process::Process;
use serde_json::{Value, json};

use crate::http::Http;
use crate::programs;

/// Region and credentials for programs that talk to it. It checks neither.
pub const ENVIRONMENT: [(&str, &str); 3] = [
    ("AWS_REGION", REGION),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
];

/// Runs it so that its operations are as atomic as DynamoDB's.
const PROGRAM: &str = include_str!("../moto_in_turn.py");

/// Python has much to read before it listens.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running emulator with an empty state, which ends when this is dropped; or somebody else's.
pub struct Moto {
    process: Option<Process>,
    url: String,
    /// Where tables and secrets are made.
    region: &'static str,
}

/// The region of programs that are told no other.
pub const REGION: &str = "us-east-1";

impl Moto {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When it is not installed or does not listen within a minute.
    pub async fn start() -> Result<Self> {
        let mut command = process::command(programs::of_python("python")?);
        command.args(["-c", PROGRAM, "--host", "127.0.0.1", "--port", "0"]);
        let process = Process::start("the emulator", command)?;
        let running = |_, line: &str| {
            let (_, url) = line.split_once("Running on ")?;
            Some(url.trim().to_owned())
        };
        let url = process.until(move |it| it.line("where it runs", READY_LIMIT, running));
        Ok(Self {
            url: url.await?,
            process: Some(process),
            region: REGION,
        })
    }

    /// One that somebody else has started, and will end.
    pub fn at(url: String) -> Self {
        Self {
            process: None,
            url,
            region: REGION,
        }
    }

    /// Where it listens, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes what is made from now on in another region.
    pub fn turn_to(&mut self, region: &'static str) {
        self.region = region;
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        if let Some(process) = &self.process {
            process.kill();
        }
    }

    /// Makes the table that functions use, as Terraform does in the cloud.
    ///
    /// # Errors
    /// What the emulator says.
    pub async fn create_table(&self, name: &str) -> Result<()> {
        let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
        let table = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute("pk"), attribute("sk")],
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        });
        self.call("DynamoDB_20120810.CreateTable", table).await?;
        let ttl = json!({
            "TableName": name,
            "TimeToLiveSpecification": { "AttributeName": "ttl", "Enabled": true },
        });
        self.call("DynamoDB_20120810.UpdateTimeToLive", ttl).await?;
        Ok(())
    }

    /// Puts a secret into Parameter Store, in place of what is there.
    ///
    /// # Errors
    /// What the emulator says.
    pub async fn put_secret(&self, name: &str, value: &str) -> Result<()> {
        let secret =
            json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
        self.call("AmazonSSM.PutParameter", secret).await?;
        Ok(())
    }

    /// Brings the items of a table from one region to another, as replication does all the time.
    ///
    /// # Errors
    /// What the emulator says.
    pub async fn replicate(
        &mut self,
        name: &str,
        from: &'static str,
        to: &'static str,
    ) -> Result<()> {
        self.turn_to(from);
        let all = self
            .call("DynamoDB_20120810.Scan", json!({ "TableName": name }))
            .await?;
        self.turn_to(to);
        for item in all["Items"].as_array().into_iter().flatten() {
            let put = json!({ "TableName": name, "Item": item });
            self.call("DynamoDB_20120810.PutItem", put).await?;
        }
        Ok(())
    }

    /// Makes a bucket, as Terraform does in the cloud.
    ///
    /// # Errors
    /// What the emulator says.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        self.s3(Method::PUT, name).await.map(drop)
    }

    /// What is in an object.
    ///
    /// # Errors
    /// What the emulator says; there may be none.
    pub async fn object(&self, bucket: &str, name: &str) -> Result<Vec<u8>> {
        self.s3(Method::GET, &format!("{bucket}/{name}")).await
    }

    async fn s3(&self, method: Method, path: &str) -> Result<Vec<u8>> {
        let scope = format!("test/20200101/{}/s3/aws4_request", self.region);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.url.trim_end_matches('/')))
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}"),
            )
            .body(Full::default())?;
        let reply = Http::default().request(request).await?;
        let text = String::from_utf8_lossy(&reply.body);
        ensure!(reply.status.is_success(), "{path}: {} {text}", reply.status);
        Ok(reply.body.to_vec())
    }

    async fn call(&self, target: &str, body: Value) -> Result<Value> {
        let service = if target.starts_with("AmazonSSM") {
            "ssm"
        } else {
            "dynamodb"
        };
        // It finds the service in the signature, and does not check that.
        let scope = format!("test/20200101/{}/{service}/aws4_request", self.region);
        let request = Request::post(&self.url)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}"),
            )
            .body(Full::new(Bytes::from(body.to_string())))?;
        let reply = Http::default().request(request).await?;
        let text = String::from_utf8_lossy(&reply.body);
        ensure!(
            reply.status.is_success(),
            "{target}: {} {text}",
            reply.status
        );
        Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.kill();
    }
}
