//! A Security Token Service that checks signatures as the real one does: Signature Version 4 in the
//! query, from the request as it arrived. It shares no code with those who sign.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Seconds by which a signer's clock may be ahead.
const AHEAD_S: u64 = 300;

/// A service of one region.
#[derive(Debug, Clone)]
pub struct FakeSts {
    /// Host that it answers for, with its port where that is not the usual one.
    pub host: String,
    /// Its region.
    pub region: String,
    /// Whom it knows.
    pub sessions: Vec<FakeSession>,
}

/// Credentials of a role's session.
#[derive(Debug, Clone)]
pub struct FakeSession {
    /// Public half.
    pub access_key: String,
    /// Secret half.
    pub secret_key: String,
    /// What comes with them.
    pub session_token: String,
    /// Account of the role.
    pub account: String,
    /// Whose they are, such as `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
}

impl FakeSession {
    /// The session of an instance in a role.
    pub fn of_instance(account: &str, role: &str, instance: &str) -> Self {
        Self {
            access_key: "ASIAEXAMPLEEXAMPLE00".into(),
            secret_key: "a/secret+key".into(),
            session_token: "c2Vzc2lvbi90b2tlbis=".into(),
            account: account.into(),
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{instance}"),
        }
    }
}

impl FakeSts {
    /// Answers a request for `target` (path and query) with `headers`, whose names are in lower
    /// case: status and body.
    pub fn answer(
        &self,
        now_s: u64,
        method: &str,
        target: &str,
        headers: &[(String, String)],
    ) -> (u16, String) {
        match self.identify(now_s, method, target, headers) {
            Ok(session) => {
                let wants_json = header(headers, "accept") == Some("application/json");
                (200, identity(session, wants_json))
            }
            Err((status, code)) => (status, format!("{{\"Error\":{{\"Code\":\"{code}\"}}}}")),
        }
    }

    fn identify(
        &self,
        now_s: u64,
        method: &str,
        target: &str,
        headers: &[(String, String)],
    ) -> Result<&FakeSession, (u16, &'static str)> {
        let (path, query) = target.split_once('?').ok_or((400, "MissingAction"))?;
        let pairs = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut pairs: Vec<(String, String)> = pairs
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let get = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found
                .map(|(_, value)| value.clone())
                .ok_or((403, "MissingAuthenticationToken"))
        };
        if (get("Action")?.as_str(), get("Version")?.as_str())
            != ("GetCallerIdentity", "2011-06-15")
        {
            return Err((400, "InvalidAction"));
        }
        if get("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return Err((403, "IncompleteSignature"));
        }
        let (credential, time) = (get("X-Amz-Credential")?, get("X-Amz-Date")?);
        let (signature, signed) = (get("X-Amz-Signature")?, get("X-Amz-SignedHeaders")?);
        let (access_key, scope) = credential
            .split_once('/')
            .ok_or((403, "IncompleteSignature"))?;
        let date = time.get(..8).ok_or((403, "IncompleteSignature"))?;
        if scope != format!("{date}/{}/sts/aws4_request", self.region) {
            return Err((403, "SignatureDoesNotMatch"));
        }
        let signed_at_s = unix_s(&time).ok_or((403, "IncompleteSignature"))?;
        let lives_s: u64 = get("X-Amz-Expires")?
            .parse()
            .map_err(|_| (403, "IncompleteSignature"))?;
        if now_s > signed_at_s + lives_s || signed_at_s > now_s + AHEAD_S {
            return Err((403, "ExpiredToken"));
        }
        let session = self
            .sessions
            .iter()
            .find(|known| known.access_key == access_key);
        let session = session.ok_or((403, "InvalidClientTokenId"))?;
        if get("X-Amz-Security-Token")? != session.session_token {
            return Err((403, "InvalidClientTokenId"));
        }
        pairs.retain(|(name, _)| name != "X-Amz-Signature");
        let canonical = self.canonical(method, path, &mut pairs, &signed, headers)?;
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hash(canonical.as_bytes())
        );
        let key = format!("AWS4{}", session.secret_key).into_bytes();
        let key = scope.split('/').fold(key, |key, part| mac(&key, part));
        match HEXLOWER.encode(&mac(&key, &to_sign)) == signature {
            true => Ok(session),
            false => Err((403, "SignatureDoesNotMatch")),
        }
    }

    fn canonical(
        &self,
        method: &str,
        path: &str,
        pairs: &mut [(String, String)],
        signed: &str,
        headers: &[(String, String)],
    ) -> Result<String, (u16, &'static str)> {
        pairs.sort();
        let query: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let names: Vec<&str> = signed.split(';').collect();
        let mut lines = String::new();
        for name in &names {
            let value = header(headers, name).ok_or((403, "SignatureDoesNotMatch"))?;
            lines.push_str(&format!("{name}:{}\n", value.trim()));
        }
        // Who answers for another host would answer questions that were asked of that one.
        if !names.contains(&"host") || header(headers, "host") != Some(self.host.as_str()) {
            return Err((403, "SignatureDoesNotMatch"));
        }
        let query = query.join("&");
        let nothing = hash(b"");
        Ok(format!(
            "{method}\n{path}\n{query}\n{lines}\n{signed}\n{nothing}"
        ))
    }
}

fn header<'a>(headers: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.as_str())
}

fn identity(session: &FakeSession, wants_json: bool) -> String {
    let FakeSession { account, arn, .. } = session;
    if !wants_json {
        return format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn>\
             <Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        );
    }
    serde_json::json!({ "GetCallerIdentityResponse": {
        "GetCallerIdentityResult": { "Account": account, "Arn": arn, "UserId": "AROAEXAMPLE:i" },
        "ResponseMetadata": { "RequestId": "1" },
    } })
    .to_string()
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits).ok());
        match byte {
            Some(byte) => {
                out.extend(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// Of `20261129T225208Z`, by counting.
fn unix_s(time: &str) -> Option<u64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let of_years: u64 = (1970..year)
        .map(|year| 365 + u64::from(is_leap(year)))
        .sum();
    let of_month = |month: u64| match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let of_months: u64 = (1..month).map(of_month).sum();
    let days = of_years + of_months + day.checked_sub(1)?;
    Some(days * 86_400 + number(9, 11)? * 3_600 + number(11, 13)? * 60 + number(13, 15)?)
}
