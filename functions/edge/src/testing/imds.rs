//! The metadata service of a machine on AWS, version 2: nothing without a session's token, and such
//! a token by `PUT` alone.

use super::sts::FakeSession;

const FOLDER: &str = "/latest/meta-data/iam/security-credentials/";
const SESSION: &str = "a-session";

/// The service of one instance.
#[derive(Debug, Clone)]
pub struct FakeImds {
    /// Region that the instance is in.
    pub region: String,
    /// Role of the instance.
    pub role: String,
    /// Credentials of that role's session.
    pub session: FakeSession,
}

impl FakeImds {
    /// Answers a request for `path` with `headers`, whose names are in lower case: status and body.
    pub fn answer(&self, method: &str, path: &str, headers: &[(String, String)]) -> (u16, String) {
        let has = |name: &str, wanted: &str| {
            let mut found = headers.iter().filter(|(known, _)| known == name);
            found.any(|(_, value)| value == wanted)
        };
        let role = || path.strip_prefix(FOLDER).filter(|role| !role.is_empty());
        match method {
            "PUT"
                if path == "/latest/api/token"
                    && has("x-aws-ec2-metadata-token-ttl-seconds", "60") =>
            {
                (200, SESSION.to_owned())
            }
            _ if !has("x-aws-ec2-metadata-token", SESSION) => (401, String::new()),
            "GET" if path == "/latest/meta-data/placement/region" => (200, self.region.clone()),
            "GET" if path == FOLDER => (200, self.role.clone()),
            "GET" if role() == Some(&self.role) => (200, self.credentials()),
            _ => (404, String::new()),
        }
    }

    fn credentials(&self) -> String {
        serde_json::json!({
            "Code": "Success",
            "AccessKeyId": self.session.access_key,
            "SecretAccessKey": self.session.secret_key,
            "Token": self.session.session_token,
            "Expiration": "2099-01-01T00:00:00Z",
        })
        .to_string()
    }
}
