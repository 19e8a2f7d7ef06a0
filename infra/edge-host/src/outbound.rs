//! Requests that components send: an allow list, a bounded time and size, and pooled connections.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use edge::allowed_hosts::AllowedHosts;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::clock;
use crate::config::{Limits, milliseconds};
use crate::objects::{self, Objects};

/// An idle connection is closed after this long.
const IDLE_CONNECTION_S: u64 = 30;

/// The pooled client, shared by all components.
#[derive(Clone)]
pub(crate) struct OutboundClient {
    plain: Client<HttpConnector, WasiBody>,
    /// Made when it is first used: few components need it, and reading the machine's certificate
    /// authorities takes a while.
    tls: Arc<OnceLock<TlsClient>>,
    idle_connections: usize,
    timeout: Duration,
    reply_bytes: usize,
    objects: Objects,
}

type TlsClient = Client<HttpsConnector<HttpConnector>, WasiBody>;

/// What one component may do with the client.
#[derive(Clone)]
pub(crate) struct Outbound {
    client: OutboundClient,
    allowed: Arc<AllowedHosts>,
    component: Arc<str>,
}

/// One instance's view: its time is bounded by its request's.
pub(crate) struct GuestOutbound {
    outbound: Outbound,
    deadline: Instant,
}

impl OutboundClient {
    pub(crate) fn new(limits: &Limits, objects: Objects) -> Self {
        let timeout = milliseconds(limits.outbound_ms);
        let idle_connections = limits.outbound_idle_connections;
        Self {
            plain: builder(idle_connections).build(connector(timeout)),
            tls: Arc::default(),
            idle_connections,
            timeout,
            reply_bytes: limits.outbound_body_bytes,
            objects,
        }
    }

    pub(crate) fn restrict(&self, component: &str, allowed: AllowedHosts) -> Outbound {
        Outbound {
            client: self.clone(),
            allowed: Arc::new(allowed),
            component: component.into(),
        }
    }

    /// Sends a request and reads the whole reply, so that the connection is free again and the
    /// bounds cover all of it.
    async fn send(self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        let sending = match request.uri().scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => self.tls().request(request),
            _ => self.plain.request(request),
        };
        let reply = sending.await.map_err(connect_error)?;
        let (parts, body) = reply.into_parts();
        let body = Limited::new(body, self.reply_bytes)
            .collect()
            .await
            .map_err(|cause| match cause.is::<LengthLimitError>() {
                true => Error::HttpResponseBodySize(Some(self.reply_bytes as u64)),
                false => Error::HttpResponseIncomplete,
            })?;
        let body = Full::new(body.to_bytes())
            .map_err(Error::from)
            .boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }

    fn tls(&self) -> &TlsClient {
        self.tls.get_or_init(|| {
            let mut connector = connector(self.timeout);
            connector.enforce_http(false);
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(tls_config())
                .https_only()
                .enable_http1()
                .wrap_connector(connector);
            builder(self.idle_connections).build(connector)
        })
    }
}

fn builder(idle_connections: usize) -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(IDLE_CONNECTION_S))
        .pool_max_idle_per_host(idle_connections);
    builder
}

fn connector(timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(timeout));
    connector
}

/// Trusts whom the machine trusts, or those in the file that `SSL_CERT_FILE` names. A machine that
/// trusts nobody speaks to nobody, and says so.
fn tls_config() -> ClientConfig {
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need")
    };
    let trusting = builder().with_native_roots().unwrap_or_else(|_| {
        tracing::warn!("no certificate authority to trust; install ca-certificates");
        builder().with_root_certificates(RootCertStore::empty())
    });
    trusting.with_no_client_auth()
}

fn connect_error(cause: hyper_util::client::legacy::Error) -> Error {
    match cause.is_connect() {
        true => Error::ConnectionRefused,
        false => Error::ConnectionTerminated,
    }
}

impl Outbound {
    pub(crate) fn guest(&self, deadline: Instant) -> GuestOutbound {
        GuestOutbound {
            outbound: self.clone(),
            deadline,
        }
    }
}

type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for GuestOutbound {
    fn is_supported_scheme(&mut self, scheme: &Scheme) -> bool {
        [Scheme::HTTP, Scheme::HTTPS].contains(scheme)
    }

    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let Outbound {
            client,
            allowed,
            component,
        } = &self.outbound;
        if !allowed.allows(request.uri()) {
            // The authority only: a path may hold an id.
            let authority = request
                .uri()
                .authority()
                .map(|authority| authority.as_str());
            tracing::warn!(
                component = &**component,
                authority,
                "request denied; add the host to allowed_outbound_hosts if it is wanted"
            );
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        }
        let asked = options.and_then(|options| options.first_byte_timeout);
        let timeout = asked.map_or(client.timeout, |asked| asked.min(client.timeout));
        let until = (clock::now() + timeout).min(self.deadline);
        let is_object = request.uri().host() == Some(objects::HOST);
        let (client, objects) = (client.clone(), client.objects.clone());
        let sending = async move {
            match is_object {
                true => objects.serve(request).await,
                false => client.send(request).await,
            }
        };
        Box::new(async move {
            let reply = tokio::time::timeout_at(until.into(), sending).await;
            let reply = reply.map_err(|_| Error::ConnectionTimeout)??;
            Ok((reply, Box::new(std::future::ready(Ok(()))) as Box<_>))
        })
    }
}
