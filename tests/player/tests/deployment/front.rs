//! What stands before two versions of every function: the gateway, which reads the alias from the
//! emulator and splits by its weights, and Lambda's own interface, by which a version is invoked by
//! its number. What was invoked is counted in the emulator's CloudWatch, as Lambda does it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use scenarios::gateway::{Gateway, function_of};
use scenarios::http::{Http, Reply, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Beginning of all names of the environment.
pub const NAME: &str = "lifeverse-dev";
const LAMBDA: &str = "/2015-03-31/functions/";

pub struct Front {
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    http: Http,
    moto: String,
    /// By version.
    gateways: BTreeMap<String, Gateway>,
    requests: AtomicU64,
}

impl Front {
    pub async fn start(moto: &str, gateways: BTreeMap<String, Gateway>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let inner = Arc::new(Inner {
            http: Http::default(),
            moto: moto.to_owned(),
            gateways,
            requests: AtomicU64::new(0),
        });
        let served = Arc::clone(&inner);
        tokio::spawn(serve(listener, move |request| {
            let served = Arc::clone(&served);
            async move {
                let answered = served.answer(request).await;
                Ok::<_, std::convert::Infallible>(answered.unwrap_or_else(|error| {
                    let mut reply = Response::new(Full::new(Bytes::from(format!("{error:#}"))));
                    *reply.status_mut() = StatusCode::BAD_GATEWAY;
                    reply
                }))
            }
        }));
        Ok(Self { url, inner })
    }

    /// What a version of a function has of the traffic.
    pub async fn part(&self, function: &str, version: &str) -> Result<f64> {
        let alias = self.inner.alias(function).await?;
        let others = &alias["RoutingConfig"]["AdditionalVersionWeights"];
        let sum: f64 = others
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, part)| part.as_f64())
            .sum();
        Ok(match alias["FunctionVersion"] == version {
            true => 1.0 - sum,
            false => others[version].as_f64().unwrap_or(0.0),
        })
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = head.uri.path().to_owned();
        if let Some(rest) = path.strip_prefix(LAMBDA) {
            let Some(name) = rest.strip_suffix("/invocations") else {
                return self.hand_on(head, body).await;
            };
            let function = name
                .strip_prefix(NAME)
                .and_then(|name| name.strip_prefix('-'));
            let version = head
                .uri
                .query()
                .and_then(|query| query.strip_prefix("Qualifier="));
            let (function, version) = function.zip(version).context("a version of a function")?;
            return self.invoke(function, version, &body).await;
        }
        let function = function_of(&path).context("a path of the edge")?;
        let version = self.choose(function).await?;
        self.count(function, "live", Some(&version)).await?;
        let url = format!("{}{}", self.gateway(&version)?.url, head.uri);
        self.pass(head, body, url).await
    }

    fn gateway(&self, version: &str) -> Result<&Gateway> {
        self.gateways
            .get(version)
            .with_context(|| format!("version {version} runs nowhere"))
    }

    /// By the weights of the alias, in turn instead of by chance.
    async fn choose(&self, function: &str) -> Result<String> {
        let alias = self.alias(function).await?;
        let turn = self.requests.fetch_add(37, Ordering::Relaxed) % 100;
        let others = alias["RoutingConfig"]["AdditionalVersionWeights"].as_object();
        for (version, part) in others.into_iter().flatten() {
            if (turn as f64) < part.as_f64().unwrap_or(0.0) * 100.0 {
                return Ok(version.clone());
            }
        }
        Ok(alias["FunctionVersion"]
            .as_str()
            .context("a version")?
            .to_owned())
    }

    async fn alias(&self, function: &str) -> Result<Value> {
        let path = format!("{LAMBDA}{NAME}-{function}/aliases/live");
        let request = signed(Request::get(format!("{}{path}", self.moto)), "lambda");
        self.http
            .request(request.body(Full::default())?)
            .await?
            .json()
    }

    /// An invocation by number: the event becomes a request, the answer what a function returns.
    async fn invoke(
        &self,
        function: &str,
        version: &str,
        event: &[u8],
    ) -> Result<Response<Full<Bytes>>> {
        let event: Value = serde_json::from_slice(event)?;
        let http = &event["requestContext"]["http"];
        let method: Method = http["method"].as_str().context("a method")?.parse()?;
        let path = event["rawPath"].as_str().context("a path")?;
        let url = format!("{}{path}", self.gateway(version)?.url);
        let token = event["headers"]["authorization"]
            .as_str()
            .unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", token);
        let reply = self.http.request(request.body(Full::default())?).await?;
        self.count(function, version, None).await?;
        let body = String::from_utf8_lossy(&reply.body);
        let answer = json!({ "statusCode": reply.status.as_u16(), "body": body });
        Ok(Response::new(Full::new(Bytes::from(answer.to_string()))))
    }

    async fn count(&self, function: &str, resource: &str, executed: Option<&str>) -> Result<()> {
        let dimension = |n: u8, name: &str, value: &str| {
            let member = format!("MetricData.member.1.Dimensions.member.{n}");
            format!("&{member}.Name={name}&{member}.Value={value}")
        };
        let mut form = "Action=PutMetricData&Version=2010-08-01&Namespace=AWS/Lambda\
                        &MetricData.member.1.MetricName=Invocations&MetricData.member.1.Value=1"
            .to_owned();
        form += &dimension(1, "FunctionName", &format!("{NAME}-{function}"));
        form += &dimension(2, "Resource", &format!("{NAME}-{function}:{resource}"));
        if let Some(version) = executed {
            form += &dimension(3, "ExecutedVersion", version);
        }
        form_of(&self.http, &self.moto, "monitoring", form)
            .await
            .map(drop)
    }

    async fn hand_on(
        &self,
        head: hyper::http::request::Parts,
        body: Bytes,
    ) -> Result<Response<Full<Bytes>>> {
        let url = format!("{}{}", self.moto, head.uri);
        self.pass(head, body, url).await
    }

    async fn pass(
        &self,
        head: hyper::http::request::Parts,
        body: Bytes,
        url: String,
    ) -> Result<Response<Full<Bytes>>> {
        let mut request = Request::builder().method(head.method).uri(url);
        for (name, value) in head.headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(name, value);
        }
        let reply = self.http.request(request.body(Full::new(body))?).await?;
        let mut answer = Response::builder().status(reply.status);
        for (name, value) in &reply.headers {
            if name != "transfer-encoding" && name != "content-length" {
                answer = answer.header(name, value);
            }
        }
        Ok(answer.body(Full::new(reply.body))?)
    }
}

/// A request of the query protocol; the emulator finds the service in the signature, and does not
/// check that.
pub async fn form_of(http: &Http, moto: &str, service: &str, form: String) -> Result<Reply> {
    let request = signed(Request::post(format!("{moto}/")), service)
        .header("content-type", "application/x-www-form-urlencoded");
    http.request(request.body(Full::new(Bytes::from(form)))?)
        .await
}

fn signed(request: hyper::http::request::Builder, service: &str) -> hyper::http::request::Builder {
    let scope = format!("test/20200101/us-east-1/{service}/aws4_request");
    request.header(
        "authorization",
        format!("AWS4-HMAC-SHA256 Credential={scope}"),
    )
}
