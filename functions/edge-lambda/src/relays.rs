//! Requests to the control endpoints of relays.

use std::time::Duration;

use edge::allowed_hosts::AllowedHosts;
use edge::ports::{RELAY_LINK_TIMEOUT_MS, Unreachable};
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use wire::ShardId;
use wire::control::SHARD_HEADER;

use crate::log;

/// Plain HTTP, as on the other hosts: what is sent is sealed for the relay.
#[derive(Debug)]
pub(crate) struct Relays {
    client: Client<HttpConnector, Full<Bytes>>,
    allowed: AllowedHosts,
}

impl Relays {
    /// Relays at the hosts of `allowed`, entries of [`AllowedHosts`] with commas between them.
    ///
    /// # Errors
    /// A sentence that names the entry.
    pub(crate) fn new(allowed: &str) -> Result<Self, String> {
        let entries = allowed.split(',').map(str::trim);
        let entries: Vec<String> = entries
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            allowed: AllowedHosts::parse(&entries)?,
        })
    }

    pub(crate) async fn post(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<u16, Unreachable> {
        let request = http::Request::post(url)
            .header(SHARD_HEADER, shard.as_str())
            .header(CONTENT_TYPE, "text/plain")
            .body(Full::new(Bytes::from(sealed)))
            .map_err(|_| Unreachable)?;
        if !self.allowed.allows(request.uri()) {
            log::fault("relay", "its address is not among the allowed hosts");
            return Err(Unreachable);
        }
        let timeout = Duration::from_millis(RELAY_LINK_TIMEOUT_MS);
        match tokio::time::timeout(timeout, self.client.request(request)).await {
            Ok(Ok(reply)) => Ok(reply.status().as_u16()),
            Ok(Err(_)) | Err(_) => {
                log::fault("relay", "no answer");
                Err(Unreachable)
            }
        }
    }
}
