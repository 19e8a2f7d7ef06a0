//! Requests to the service that says whose a signature is.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edge::allowed_hosts::AllowedHosts;
use edge::ports::{IDENTITY_LINK_TIMEOUT_MS, IdentityReply, MAX_IDENTITY_BYTES, Unreachable};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;

use crate::log;
use crate::relays::parse_hosts;

type TlsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The client, made when it is first used: few instances ever need it, and reading the machine's
/// certificate authorities takes longer than most requests.
#[derive(Debug)]
pub(crate) struct Identity {
    allowed: AllowedHosts,
    client: OnceLock<TlsClient>,
}

impl Identity {
    /// Services at the hosts of `allowed`, entries of [`AllowedHosts`] with commas between them.
    ///
    /// # Errors
    /// A sentence that names the entry.
    pub(crate) fn new(allowed: &str) -> Result<Self, String> {
        Ok(Self {
            allowed: parse_hosts(allowed)?,
            client: OnceLock::new(),
        })
    }

    pub(crate) async fn ask(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        let builder = headers
            .iter()
            .fold(http::Request::get(url), |builder, (name, value)| {
                builder.header(*name, value)
            });
        let request = builder.body(Full::default()).map_err(|_| Unreachable)?;
        if !self.allowed.allows(request.uri()) {
            log::fault("sts", "its address is not among the allowed hosts");
            return Err(Unreachable);
        }
        let client = self.client()?;
        let asked = async {
            // This client follows no redirect.
            let reply = client.request(request).await.map_err(|_| Unreachable)?;
            let status = reply.status().as_u16();
            let body = Limited::new(reply.into_body(), MAX_IDENTITY_BYTES).collect();
            let body = body.await.map_err(|_| Unreachable)?.to_bytes().to_vec();
            Ok(IdentityReply { status, body })
        };
        let timeout = Duration::from_millis(IDENTITY_LINK_TIMEOUT_MS);
        let reply = tokio::time::timeout(timeout, asked).await;
        let reply = reply.unwrap_or(Err(Unreachable));
        if reply.is_err() {
            log::fault("sts", "no answer");
        }
        reply
    }

    fn client(&self) -> Result<&TlsClient, Unreachable> {
        if self.client.get().is_none() {
            let client = client().map_err(|why| {
                log::fault("sts", &why);
                Unreachable
            })?;
            // One invocation at a time: nobody else can have set it.
            let _ = self.client.set(client);
        }
        self.client.get().ok_or(Unreachable)
    }
}

fn client() -> Result<TlsClient, String> {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need")
        .with_native_roots()
        .map_err(|_| "no certificate authority to trust".to_owned())?
        .with_no_client_auth();
    // Over http for an endpoint of a test; the allow list decides.
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A service that answers once with `reply`; it returns the request.
    async fn service(reply: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?Action=x", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            let _ = stream.write_all(reply.as_bytes()).await;
            String::from_utf8(request).unwrap()
        });
        (url, served)
    }

    async fn ask(allowed: &str, url: &str) -> Result<IdentityReply, Unreachable> {
        let headers = [("x-lifeverse-edge", "edge.example".to_owned())];
        Identity::new(allowed).unwrap().ask(url, &headers).await
    }

    #[tokio::test]
    async fn a_listed_service_is_asked_and_its_redirect_not_followed() {
        let reply =
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nno";
        let (url, served) = service(reply.to_owned()).await;
        let told = ask("http://127.0.0.1:*", &url).await.unwrap();
        assert_eq!((told.status, told.body.as_slice()), (302, b"no".as_slice()));
        let request = served.await.unwrap().to_lowercase();
        assert!(request.starts_with("get /?action=x http/1.1"), "{request}");
        assert!(
            request.contains("x-lifeverse-edge: edge.example"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn another_address_and_an_endless_answer_are_none() {
        let (url, served) = service(String::new()).await;
        for allowed in ["", "https://127.0.0.1:*", "http://sts.example"] {
            assert_eq!(ask(allowed, &url).await, Err(Unreachable), "{allowed}");
        }
        assert!(!served.is_finished(), "nobody connected");
        served.abort();
        let long = "x".repeat(MAX_IDENTITY_BYTES + 1);
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}",
            long.len()
        );
        let (url, _served) = service(reply).await;
        assert_eq!(ask("http://127.0.0.1:*", &url).await, Err(Unreachable));
    }
}
