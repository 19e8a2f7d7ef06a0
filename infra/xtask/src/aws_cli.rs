//! Requests to AWS by its own CLI, which knows where credentials are and repeats what may be
//! repeated. `AWS_ENDPOINT_URL` in the environment is where it asks instead: the emulator.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use crate::process;

/// What commands ask AWS for.
pub(crate) trait Aws {
    /// Asks `service` for an operation, such as `describe-auto-scaling-groups` of `autoscaling`,
    /// with its input as the API has it.
    fn call(&self, service: &str, operation: &str, input: &Value) -> Result<Value> {
        self.call_in(None, service, operation, input)
    }

    /// The same in another region than its own, where one is named.
    fn call_in(
        &self,
        region: Option<&str>,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value>;
}

/// The CLI.
pub(crate) struct Cli {
    /// The region; the CLI's own without one.
    pub(crate) region: Option<String>,
}

impl Cli {
    /// Copies an object of S3 to a file, or a file to an object.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<()> {
        let mut command = Command::new("aws");
        command.args(["s3", "cp", "--only-show-errors", from, to]);
        if let Some(region) = &self.region {
            command.args(["--region", region]);
        }
        process::run_quietly(&mut command)
    }
}

impl Aws for Cli {
    fn call_in(
        &self,
        region: Option<&str>,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value> {
        let mut command = Command::new("aws");
        // Nothing here is a secret, and standard input is read twice for lists that have pages.
        command
            .args([service, operation, "--output", "json"])
            .args(["--cli-input-json", &input.to_string()])
            .env("AWS_PAGER", "")
            .stdin(Stdio::null());
        if let Some(region) = region.or(self.region.as_deref()) {
            command.args(["--region", region]);
        }
        let output = command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow!("the AWS CLI (aws) is not on this machine: install it, and run this again")
            }
            _ => anyhow!("the AWS CLI does not start: {error}"),
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let hint = match said.contains("ExpiredToken") {
                true => {
                    "\nTake new credentials and run the same again: it goes on from what is there."
                }
                false => "",
            };
            bail!("aws {service} {operation}: {}{hint}", said.trim());
        }
        if output.stdout.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("aws {service} {operation} printed no JSON"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// Answers from a table, and keeps what it was asked.
    #[derive(Default)]
    pub(crate) struct Told {
        pub(crate) answers: BTreeMap<&'static str, Value>,
        pub(crate) asked: RefCell<Vec<(String, Value)>>,
    }

    impl Aws for Told {
        fn call_in(
            &self,
            _: Option<&str>,
            _: &str,
            operation: &str,
            input: &Value,
        ) -> Result<Value> {
            self.asked
                .borrow_mut()
                .push((operation.to_owned(), input.clone()));
            match self.answers.get(operation) {
                Some(Value::String(fault)) => bail!("{fault}"),
                Some(answer) => Ok(answer.clone()),
                None => Ok(Value::Null),
            }
        }
    }

    impl Told {
        /// Operations that it was asked for that read nothing.
        pub(crate) fn changes(&self) -> Vec<String> {
            let asked = self.asked.borrow();
            let names = asked.iter().map(|(operation, _)| operation.clone());
            let reads = ["describe-", "get-", "list-"];
            names
                .filter(|name| !reads.iter().any(|it| name.starts_with(it)))
                .collect()
        }
    }
}
