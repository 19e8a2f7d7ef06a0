//! Plain HTTP requests, and answers to them.

use std::error::Error;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
pub use hyper::Method;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// A client with a pool of connections.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A reply, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }
}

impl Http {
    /// Sends a request with a bearer token (none when empty) and a body of `media_type`.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        token: &str,
        media_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(url);
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !media_type.is_empty() {
            request = request.header(CONTENT_TYPE, media_type);
        }
        self.request(request.body(Full::new(body.into()))?).await
    }

    /// Sends any request.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn request(&self, request: Request<Full<Bytes>>) -> Result<Reply> {
        let url = request.uri().to_string();
        let reply = self.client.request(request).await.context(url)?;
        let (head, body) = reply.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn post(&self, url: &str, token: &str, body: impl Into<Bytes>) -> Result<Reply> {
        self.send(Method::POST, url, token, "application/json", body)
            .await
    }

    /// Gets.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn get(&self, url: &str, token: &str) -> Result<Reply> {
        self.send(Method::GET, url, token, "", Bytes::new()).await
    }
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json<T: for<'de> serde::Deserialize<'de>>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The name of the problem that the reply is; empty when it is none.
    pub fn problem(&self) -> String {
        let problem = self.json::<wire::problem::Problem>();
        let name = |p: wire::problem::Problem| {
            p.type_uri
                .strip_prefix(wire::problem::TYPE_BASE)
                .unwrap_or_default()
                .to_owned()
        };
        problem.map(name).unwrap_or_default()
    }
}

/// Answers what comes to `listener` until it is dropped; an error of `answer` breaks a connection.
pub async fn serve<R, E>(
    listener: TcpListener,
    answer: impl Fn(Request<Incoming>) -> R + Clone + Send + 'static,
) where
    R: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        // Without this, small replies wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
        // Whoever is at the other end hears of its end.
        tokio::spawn(async move { drop(connection.await) });
    }
}
