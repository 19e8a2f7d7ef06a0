//! Requests to AWS by curl, which signs them: xtask has no SDK, which would take minutes to build.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Longest wait for an answer, seconds: an upload of a package may take it.
const ANSWER_LIMIT_S: &str = "120";
/// Ends the body in what curl prints; no answer of AWS has it.
const END: &str = "\n=== answered ";

/// Region, credentials, and where services are.
pub(super) struct Aws {
    pub(super) region: String,
    key_id: String,
    secret: String,
    token: Option<String>,
}

/// What to send.
pub(super) struct Request<'a> {
    pub(super) service: &'a str,
    pub(super) method: &'a str,
    /// With a query, whose names are in order.
    pub(super) path: &'a str,
    pub(super) headers: &'a [&'a str],
    pub(super) body: Body<'a>,
}

/// The body of a request.
pub(super) enum Body<'a> {
    None,
    Text(&'a str),
    File(&'a Path),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
    /// `x-amz-meta-sha256`, or `x-amz-function-error`.
    pub(super) header: String,
}

impl Aws {
    /// With the credentials of the environment.
    ///
    /// # Errors
    /// Which variable is missing, and where it comes from.
    pub(super) fn of_environment(region: &str) -> Result<Self> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let needed = |name: &str| {
            read(name).with_context(|| {
                format!(
                    "{name} is not set: \
                     `eval \"$(aws configure export-credentials --format env)\"` sets it"
                )
            })
        };
        Ok(Self {
            region: region.to_owned(),
            key_id: needed("AWS_ACCESS_KEY_ID")?,
            secret: needed("AWS_SECRET_ACCESS_KEY")?,
            token: read("AWS_SESSION_TOKEN"),
        })
    }

    /// As the SDKs read it: a variable for the service, one for all, or AWS itself.
    fn base(&self, service: &str) -> String {
        let of = |name: String| std::env::var(name).ok().filter(|url| !url.is_empty());
        let one = match service {
            "monitoring" => "AWS_ENDPOINT_URL_CLOUDWATCH".to_owned(),
            "autoscaling" => "AWS_ENDPOINT_URL_AUTO_SCALING".to_owned(),
            service => format!("AWS_ENDPOINT_URL_{}", service.to_uppercase()),
        };
        let url = of(one).or_else(|| of("AWS_ENDPOINT_URL".to_owned()));
        let url = url.unwrap_or_else(|| format!("https://{service}.{}.amazonaws.com", self.region));
        url.trim_end_matches('/').to_owned()
    }

    /// Any answer, also one that refuses.
    ///
    /// # Errors
    /// curl is missing, or nobody answers; credentials that have ended.
    pub(super) fn send(&self, request: &Request<'_>) -> Result<Reply> {
        let url = format!("{}{}", self.base(request.service), request.path);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", ANSWER_LIMIT_S])
            .args(["--retry", "2", "--config", "-", "--request", request.method])
            .args([
                "--aws-sigv4",
                &format!("aws:amz:{}:{}", self.region, request.service),
            ])
            .arg("--write-out")
            .arg(format!(
                "{END}%{{http_code}} %header{{x-amz-meta-sha256}}%header{{x-amz-function-error}}"
            ))
            .arg(&url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for header in request.headers {
            curl.args(["--header", header]);
        }
        if request.method == "HEAD" {
            curl.arg("--head");
        }
        match request.body {
            Body::None => {}
            Body::Text(text) => {
                curl.args(["--data-binary", text]);
            }
            Body::File(file) => {
                curl.arg("--data-binary")
                    .arg(format!("@{}", file.display()));
            }
        }
        let output = self.run(curl)?;
        let reply = String::from_utf8_lossy(&output);
        let (body, end) = reply
            .rsplit_once(END)
            .with_context(|| format!("no answer from {url}"))?;
        let (status, header) = end.split_once(' ').unwrap_or((end, ""));
        let reply = Reply {
            status: status.parse().unwrap_or(0),
            body: body.to_owned(),
            header: header.trim().to_owned(),
        };
        match expired(&reply) {
            Some(fault) => bail!("{fault}"),
            None => Ok(reply),
        }
    }

    /// An object as a file.
    ///
    /// # Errors
    /// No answer, or one that refuses.
    pub(super) fn fetch(&self, service: &str, path: &str, to: &Path) -> Result<()> {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            ANSWER_LIMIT_S,
        ])
        .args([
            "--config",
            "-",
            "--header",
            "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        ])
        .args(["--aws-sigv4", &format!("aws:amz:{}:{service}", self.region)])
        .arg("--output")
        .arg(to)
        .arg(format!("{}{path}", self.base(service)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
        self.run(curl).map(drop)
    }

    /// curl reads credentials from its standard input: arguments can be seen by everybody.
    fn run(&self, mut curl: Command) -> Result<Vec<u8>> {
        let mut child = curl
            .spawn()
            .context("curl is needed for this command and does not start")?;
        let mut input = child.stdin.take().context("standard input is piped")?;
        writeln!(input, "user = \"{}:{}\"", self.key_id, self.secret)?;
        if let Some(token) = &self.token {
            writeln!(input, "header = \"x-amz-security-token: {token}\"")?;
        }
        drop(input);
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => bail!("curl failed ({}), see above", output.status),
        }
    }

    /// An answer that is no refusal.
    ///
    /// # Errors
    /// What AWS says is wrong.
    pub(super) fn ask(&self, request: &Request<'_>) -> Result<String> {
        let reply = self.send(request)?;
        if reply.status / 100 == 2 {
            return Ok(reply.body);
        }
        let about = match request.body {
            Body::Text(text) => text.split('&').next().unwrap_or_default(),
            _ => request.path,
        };
        bail!("{} {about}: {}", request.service, refusal(&reply))
    }

    /// A request of the query protocol; its XML.
    ///
    /// # Errors
    /// What AWS says is wrong.
    pub(super) fn query(&self, service: &str, fields: &[(&str, &str)]) -> Result<String> {
        let version = match service {
            "autoscaling" => "2011-01-01",
            "ec2" => "2016-11-15",
            _ => "2010-08-01",
        };
        let fields = fields.iter().copied().chain([("Version", version)]);
        let fields = fields.map(|(name, value)| format!("{name}={}", encoded(value)));
        let fields: Vec<String> = fields.collect();
        self.ask(&Request {
            service,
            method: "POST",
            path: "/",
            headers: &["content-type: application/x-www-form-urlencoded; charset=utf-8"],
            body: Body::Text(&fields.join("&")),
        })
    }
}

/// What to do about credentials that have ended.
fn expired(reply: &Reply) -> Option<String> {
    let codes = [
        "ExpiredToken",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    ];
    let is_it = |code: &&&str| reply.status / 100 == 4 && reply.body.contains(**code);
    codes.iter().find(is_it).map(|code| {
        format!(
            "the credentials have ended or are another account's ({code}). Take new ones and run \
             the same command again with `--unlock ID` as it was printed: what is done is not done \
             twice"
        )
    })
}

/// The sentence of a refusal, whatever form it has.
fn refusal(reply: &Reply) -> String {
    let json: Option<Value> = serde_json::from_str(&reply.body).ok();
    let of_json = |json: Value| {
        let message = json.get("message").or_else(|| json.get("Message"))?;
        message.as_str().map(str::to_owned)
    };
    let sentence = json
        .and_then(of_json)
        .or_else(|| inside(&reply.body, "Message").next().map(str::to_owned));
    format!("{} ({})", sentence.unwrap_or_default(), reply.status)
}

/// The text of each element of a name, outermost and in order.
pub(super) fn inside<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let from = rest.find(&open)? + open.len();
        let (mut depth, mut at) = (1, from);
        while depth > 0 {
            let end = at + rest[at..].find(&close)?;
            depth -= 1;
            depth += rest[at..end].matches(&open).count();
            at = end + close.len();
        }
        let text = &rest[from..at - close.len()];
        rest = &rest[at..];
        Some(text)
    })
}

/// A value in a form.
fn encoded(value: &str) -> String {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let write = |byte: u8| match safe(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    value.bytes().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            body: body.to_owned(),
            header: String::new(),
        }
    }

    #[test]
    fn elements_are_found_also_inside_others_of_their_name() {
        let xml =
            "<a><member><x>1</x><b><member>in</member></b></member><member><x>2</x></member></a>";
        let found: Vec<&str> = inside(xml, "member").collect();
        assert_eq!(found.len(), 2);
        assert_eq!(inside(found[1], "x").collect::<Vec<_>>(), ["2"]);
        assert_eq!(inside(found[0], "member").collect::<Vec<_>>(), ["in"]);
        assert_eq!(inside("<a>1", "a").count(), 0);
    }

    #[test]
    fn credentials_that_have_ended_say_what_to_do() {
        let said = expired(&reply(403, "<Code>ExpiredToken</Code>")).unwrap();
        assert!(
            said.contains("new ones") && said.contains("again"),
            "{said}"
        );
        assert_eq!(expired(&reply(403, "AccessDenied")), None);
        assert_eq!(expired(&reply(200, "ExpiredToken")), None);
    }

    #[test]
    fn refusals_of_both_forms_are_read() {
        for body in [
            r#"{"Message":"why"}"#,
            r#"{"message":"why"}"#,
            "<E><Message>why</Message></E>",
        ] {
            assert_eq!(refusal(&reply(400, body)), "why (400)");
        }
        assert_eq!(encoded("a b/é~"), "a%20b%2F%C3%A9~");
    }
}
