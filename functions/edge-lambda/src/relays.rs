//! Requests to the control endpoints of relays.

use std::time::Duration;

use edge::allowed_hosts::AllowedHosts;
use edge::ports::{RELAY_LINK_TIMEOUT_MS, RelayReply, Unreachable};
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use wire::ShardId;
use wire::control::SHARD_HEADER;
use wire::limits::MAX_ANSWER_BYTES;

use crate::log;

/// Plain HTTP, as on the other hosts: what is sent is sealed for the relay.
#[derive(Debug)]
pub(crate) struct Relays {
    client: Client<HttpConnector, Full<Bytes>>,
    allowed: AllowedHosts,
}

/// Entries of [`AllowedHosts`] with commas between them.
pub(crate) fn parse_hosts(list: &str) -> Result<AllowedHosts, String> {
    let entries = list.split(',').map(str::trim);
    let entries: Vec<String> = entries
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect();
    AllowedHosts::parse(&entries)
}

impl Relays {
    /// Relays at the hosts of `allowed`, entries of [`AllowedHosts`] with commas between them.
    ///
    /// # Errors
    /// A sentence that names the entry.
    pub(crate) fn new(allowed: &str) -> Result<Self, String> {
        let listed = allowed;
        let allowed = parse_hosts(allowed)?;
        if allowed.uses_tls() {
            return Err(format!(
                "relays are reached over plain http, since what they get is sealed; write http:// \
                 instead of https:// in {listed}"
            ));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            allowed,
        })
    }

    pub(crate) async fn post(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<u16, Unreachable> {
        let request = self.request(url, shard, sealed)?;
        within_time(async {
            let reply = self.client.request(request).await.ok()?;
            Some(reply.status().as_u16())
        })
        .await
    }

    pub(crate) async fn inquire(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable> {
        let request = self.request(url, shard, sealed)?;
        within_time(async {
            let reply = self.client.request(request).await.ok()?;
            let status = reply.status().as_u16();
            let body = Limited::new(reply.into_body(), MAX_ANSWER_BYTES).collect();
            let body = body.await.ok()?.to_bytes().to_vec();
            Some(RelayReply { status, body })
        })
        .await
    }

    fn request(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<http::Request<Full<Bytes>>, Unreachable> {
        let request = http::Request::post(url)
            .header(SHARD_HEADER, shard.as_str())
            .header(CONTENT_TYPE, "text/plain")
            .body(Full::new(Bytes::from(sealed)))
            .map_err(|_| Unreachable)?;
        if !self.allowed.allows(request.uri()) {
            log::fault("relay", "its address is not among the allowed hosts");
            return Err(Unreachable);
        }
        Ok(request)
    }
}

/// What came in time.
async fn within_time<T>(asked: impl Future<Output = Option<T>>) -> Result<T, Unreachable> {
    let timeout = Duration::from_millis(RELAY_LINK_TIMEOUT_MS);
    let came = tokio::time::timeout(timeout, asked).await;
    came.ok().flatten().ok_or_else(|| {
        log::fault("relay", "no answer");
        Unreachable
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A relay that takes one message; it returns the request.
    async fn relay() -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/control", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"sealed") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            let reply = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(reply).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (url, served)
    }

    async fn post(allowed: &str, url: &str) -> Result<u16, Unreachable> {
        let relays = Relays::new(allowed).unwrap();
        let shard: ShardId = "s-0".parse().unwrap();
        relays.post(url, &shard, "sealed".to_owned()).await
    }

    #[tokio::test]
    async fn a_listed_relay_gets_the_message_and_its_shard() {
        let (url, served) = relay().await;
        let allowed = "http://192.0.2.7:80, http://127.0.0.1:*";
        assert_eq!(post(allowed, &url).await, Ok(204));
        let request = served.await.unwrap().to_lowercase();
        assert!(request.starts_with("post /control http/1.1"), "{request}");
        assert!(
            request.contains(&format!("{SHARD_HEADER}: s-0").to_lowercase()),
            "{request}"
        );
    }

    #[tokio::test]
    async fn an_address_that_is_not_listed_is_not_reached() {
        let (url, served) = relay().await;
        for allowed in ["", " , ", "http://127.0.0.1:1", "http://192.0.2.7:*"] {
            assert_eq!(post(allowed, &url).await, Err(Unreachable), "{allowed}");
        }
        assert!(!served.is_finished(), "nobody connected");
        served.abort();
    }

    #[test]
    fn entries_that_cannot_work_are_told_at_the_start() {
        for entry in [
            "https://relay.example",
            "relay example",
            "ftp://relay.example",
        ] {
            let error = Relays::new(&format!("http://fine.example, {entry}")).unwrap_err();
            assert!(error.contains(entry), "{error}");
        }
    }
}
