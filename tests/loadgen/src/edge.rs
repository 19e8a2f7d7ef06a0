//! Joining through the edge, as every real client does: a token, an offer, one HTTP request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::{Contact, LEVEL_ID, OPUS};
use edge::config::DEFAULT_AUDIENCE;
use edge::token::{SigningKey, sign};
use wire::RoomName;
use wire::claims::{Claims, Grant, Permission};
use wire::join::{JoinReply, JoinRequest};

use crate::unix_s;

/// Longest wait for the edge.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest reply that is read: an answer with sixteen slots has a tenth of it.
const REPLY_BYTES_MAX: u64 = 256 * 1024;
/// Lifetime of a token.
const TOKEN_S: u64 = 3600;

/// An edge, and the key by which it knows players.
#[derive(Clone)]
pub struct Edge {
    host: String,
    address: SocketAddr,
    key: SigningKey,
    key_id: String,
}

impl Edge {
    /// The edge at `url` (`http://HOST:PORT`; an edge behind TLS needs a proxy on this machine),
    /// which trusts the Ed25519 seed in `key_file` (base64) under the name `key_id`.
    ///
    /// # Errors
    /// When the address is none, or the file holds no key.
    pub fn new(url: &str, key_file: &Path, key_id: &str) -> Result<Self> {
        let host = url
            .strip_prefix("http://")
            .context("--edge takes http://HOST:PORT")?
            .trim_end_matches('/');
        let address = host
            .to_socket_addrs()
            .with_context(|| format!("{host} is no address"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        let text =
            std::fs::read_to_string(key_file).with_context(|| format!("{}", key_file.display()))?;
        let key = SigningKey::from_base64(text.trim())
            .map_err(|bad| anyhow::anyhow!("{}: {bad}", key_file.display()))?;
        Ok(Self {
            host: host.to_owned(),
            address,
            key,
            key_id: key_id.to_owned(),
        })
    }

    /// Joins `room` as `player` with `slots` slots.
    ///
    /// # Errors
    /// When the edge refuses, with its problem, or answers what is not understood.
    pub fn join(
        &self,
        player: &str,
        room: &RoomName,
        may_listen: bool,
        slots: u8,
        fingerprint: &str,
    ) -> Result<Contact> {
        let token = self.token(player, room, may_listen)?;
        let request = JoinRequest {
            offer: offer(slots, fingerprint),
            channels: None,
            region: None,
            lost: None,
        };
        let path = format!("/v1/rooms/{room}/sessions");
        let reply = self.post(&path, &token, &serde_json::to_vec(&request)?)?;
        let reply: JoinReply = serde_json::from_slice(&reply)?;
        let mut contact = read_answer(&reply.answer)?;
        contact.hello = Some(reply.hello);
        Ok(contact)
    }

    fn token(&self, player: &str, room: &RoomName, may_listen: bool) -> Result<String> {
        let mut permissions = vec![Permission::Speak];
        permissions.extend(may_listen.then_some(Permission::Listen));
        let claims = Claims {
            sub: player.parse()?,
            aud: DEFAULT_AUDIENCE.to_owned(),
            exp: unix_s() + TOKEN_S,
            nbf: None,
            iat: None,
            name: None,
            profile: wire::claims::Profile::default(),
            role: None,
            grants: vec![Grant {
                room: room.as_str().to_owned(),
                channels: vec!["*".to_owned()],
                permissions,
            }],
        };
        Ok(sign(&claims, &self.key, &self.key_id))
    }

    fn post(&self, path: &str, token: &str, body: &[u8]) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (host, length) = (&self.host, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut reply = Vec::new();
        stream.take(REPLY_BYTES_MAX).read_to_end(&mut reply)?;
        created(&reply)
    }
}

/// The body of a reply, which must be a 201 with a length.
fn created(reply: &[u8]) -> Result<Vec<u8>> {
    let end = reply
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the edge's reply has no head")?;
    let (head, body) = (&reply[..end], &reply[end + 4..]);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 201") {
        bail!("the edge refuses: {}", String::from_utf8_lossy(body));
    }
    if head.contains("transfer-encoding: chunked") {
        return dechunk(body).context("the edge's reply is cut off");
    }
    Ok(body.to_vec())
}

/// Takes the chunks together (RFC 9112, section 7.1).
fn dechunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&body[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(out);
        }
        let rest = body.get(end + 2..)?;
        out.extend(rest.get(..size)?);
        body = rest.get(size + 2..)?;
    }
}

/// An offer as a browser makes it, without what no relay reads.
fn offer(slots: u8, fingerprint: &str) -> String {
    let mids: Vec<String> = (0..slots + 2).map(|mid| mid.to_string()).collect();
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
         a=fingerprint:{fingerprint}\r\na=setup:actpass\r\na=ice-ufrag:swarm\r\n\
         a=ice-pwd:of-a-client-of-an-ice-lite\r\n",
        mids.join(" ")
    );
    for mid in 0..=slots {
        let direction = if mid == 0 { "sendonly" } else { "recvonly" };
        sdp += &format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
             a={direction}\r\na=rtcp-mux\r\na=rtpmap:{OPUS} opus/48000/2\r\n\
             a=extmap:{LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
        );
    }
    let mid = slots + 1;
    sdp + &format!(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
         a=mid:{mid}\r\na=sctp-port:5000\r\n"
    )
}

/// What a client needs of an answer.
fn read_answer(sdp: &str) -> Result<Contact> {
    let values = |name: &'static str| sdp.lines().filter_map(move |line| line.strip_prefix(name));
    let first = |name| {
        let value = values(name).next();
        value.with_context(|| format!("the answer has no {name}"))
    };
    let candidate: Vec<&str> = values("a=candidate:")
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| {
            words
                .get(2)
                .is_some_and(|word| word.eq_ignore_ascii_case("udp"))
        })
        .context("the answer has no UDP candidate")?;
    let [_, _, _, _, ip, port, ..] = candidate[..] else {
        bail!("the answer's candidate is cut off");
    };
    let ssrc = |line: &str| line.split(' ').next()?.parse().ok();
    Ok(Contact {
        relay: SocketAddr::new(ip.parse()?, port.parse()?),
        fingerprint: first("a=fingerprint:")?.to_owned(),
        ufrag: first("a=ice-ufrag:")?.to_owned(),
        password: first("a=ice-pwd:")?.to_owned(),
        slot_ssrcs: values("a=ssrc:").filter_map(ssrc).collect(),
        has_channel: true,
        hello: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_together_and_a_cut_is_seen() {
        let body = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
        assert_eq!(dechunk(body).as_deref(), Some(&b"hello world"[..]));
        for cut in 0..body.len() - 4 {
            assert_eq!(dechunk(&body[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_problem() {
        let reply = b"HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\n{\"detail\":\"later\"}";
        let error = created(reply).unwrap_err().to_string();
        assert!(error.contains("later"), "{error}");
    }

    #[test]
    fn an_answer_without_udp_is_no_answer() {
        let sdp = "a=ice-ufrag:u\na=ice-pwd:p\na=fingerprint:f\n\
                   a=candidate:1 1 tcp 1 192.0.2.1 443 typ host tcptype passive\n";
        assert!(read_answer(sdp).is_err());
        let both =
            format!("{sdp}a=candidate:2 1 udp 1 192.0.2.1 7410 typ host\na=ssrc:77 cname:x\n");
        let contact = read_answer(&both).unwrap();
        assert_eq!(contact.relay, "192.0.2.1:7410".parse().unwrap());
        assert_eq!(contact.slot_ssrcs, [77]);
    }
}
