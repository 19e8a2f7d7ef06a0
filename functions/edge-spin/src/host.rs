use std::pin::pin;
use std::task::Poll;

use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, IDENTITY_LINK_TIMEOUT_MS, IdentityLink, IdentityReply, MAX_IDENTITY_BYTES,
    OBJECT_TIMEOUT_MS, ObjectFault, Objects, RELAY_LINK_TIMEOUT_MS, RelayInquiry, RelayLink,
    RelayReply, Storage, Timer, Unreachable, VariableFault, Variables,
};
use http_body_util::{BodyExt, Full};
use spin_sdk::sqlite::wit::sqlite::Connection;
use spin_sdk::wasip3::clocks::{monotonic_clock, system_clock};
use spin_sdk::wasip3::random::random;
use spin_sdk::{http as spin_http, sqlite, variables};
use wire::ShardId;
use wire::control::SHARD_HEADER;
use wire::limits::{MAX_ANSWER_BYTES, MAX_BODY_BYTES};
use wire::until::{UNTIL_HEADER, UNTIL_VARIABLE};

use crate::sql::{Database, SqlError, SqlStore, Value};

/// The ports of one request. An instance serves one request, so nothing is kept between them; the
/// database is opened when first used, because not every request needs it.
pub struct SpinHost {
    store: SqlStore<DefaultDatabase>,
}

/// Serves one request with `handler`: what a component's entry point calls.
pub async fn serve(
    request: spin_http::Request,
    handler: impl AsyncFnOnce(&SpinHost, Request) -> Response,
) -> spin_http::Response<Full<bytes::Bytes>> {
    let host = SpinHost {
        store: SqlStore::new(DefaultDatabase::default()),
    };
    into_http(handler(&host, from_http(request).await).await)
}

async fn from_http(request: spin_http::Request) -> Request {
    let (parts, mut body) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to see that it is too long.
    while bytes.len() <= MAX_BODY_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            let room = (MAX_BODY_BYTES + 1 - bytes.len()).min(data.len());
            bytes.extend_from_slice(&data[..room]);
        }
    }
    Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: bytes,
    }
}

/// What a host that knows of it is told of a reply that says "nothing yet".
fn until(response: &Response) -> Option<spin_http::HeaderValue> {
    let until = response.until.as_ref()?;
    std::env::var_os(UNTIL_VARIABLE)?;
    let text = serde_json::to_string(until).ok()?;
    spin_http::HeaderValue::from_str(&text).ok()
}

fn into_http(response: Response) -> spin_http::Response<Full<bytes::Bytes>> {
    let until = until(&response);
    let mut reply = spin_http::Response::new(Full::new(bytes::Bytes::from(response.body)));
    *reply.status_mut() =
        spin_http::StatusCode::from_u16(response.status).expect("functions reply with valid codes");
    for (name, value) in response.headers {
        let name = spin_http::HeaderName::from_static(name);
        let value = spin_http::HeaderValue::from_str(&value)
            .expect("functions put checked names and our own words into headers");
        reply.headers_mut().append(name, value);
    }
    if let Some(until) = until {
        let name = spin_http::HeaderName::from_static(UNTIL_HEADER);
        reply.headers_mut().insert(name, until);
    }
    reply
}

impl Storage for SpinHost {
    type Store = SqlStore<DefaultDatabase>;

    fn store(&self) -> &Self::Store {
        &self.store
    }
}

impl Clock for SpinHost {
    fn now_ms(&self) -> u64 {
        let now = system_clock::now();
        let seconds = u64::try_from(now.seconds).unwrap_or(0);
        seconds * 1000 + u64::from(now.nanoseconds / 1_000_000)
    }
}

impl Timer for SpinHost {
    async fn sleep(&self, ms: u64) {
        monotonic_clock::wait_for(ms * 1_000_000).await;
    }
}

impl Entropy for SpinHost {
    fn fill(&self, bytes: &mut [u8]) {
        let mut filled = 0;
        // The host may return fewer bytes than asked for.
        while filled < bytes.len() {
            let more = random::get_random_bytes((bytes.len() - filled) as u64);
            let room = more.len().min(bytes.len() - filled);
            bytes[filled..filled + room].copy_from_slice(&more[..room]);
            filled += room;
        }
    }
}

impl Variables for SpinHost {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        match variables::get(name).await {
            Ok(value) => Ok(Some(value)),
            Err(variables::Error::Undefined(_)) => Ok(None),
            Err(variables::Error::InvalidName(_)) => Err(VariableFault::Refused),
            Err(_) => Err(VariableFault::Unavailable),
        }
    }
}

impl RelayLink for SpinHost {
    async fn post(&self, url: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        let request = http_request(url, shard, sealed).map_err(|_| Unreachable)?;
        within(RELAY_LINK_TIMEOUT_MS, async {
            let answer = spin_http::send(request).await;
            let status = answer.map(|answer| answer.status().as_u16());
            status.map_err(|_| Unreachable)
        })
        .await
    }
}

impl RelayInquiry for SpinHost {
    async fn inquire(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable> {
        let request = http_request(url, shard, sealed).map_err(|_| Unreachable)?;
        within(RELAY_LINK_TIMEOUT_MS, async {
            let (status, body) = exchange(request, MAX_ANSWER_BYTES).await?;
            Ok(RelayReply { status, body })
        })
        .await
    }
}

impl IdentityLink for SpinHost {
    async fn ask(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        let builder = headers
            .iter()
            .fold(http::Request::get(url), |builder, (name, value)| {
                builder.header(*name, value)
            });
        let request = builder.body(Full::new(bytes::Bytes::new()));
        let request = request.map_err(|_| Unreachable)?;
        within(IDENTITY_LINK_TIMEOUT_MS, async {
            let (status, body) = exchange(request, MAX_IDENTITY_BYTES).await?;
            Ok(IdentityReply { status, body })
        })
        .await
    }
}

/// The setting with the address below which objects are put.
const OBJECTS: &str = "usage_objects";
/// Longest reply to an object, which nobody reads.
const MAX_OBJECT_REPLY_BYTES: usize = 64 * 1024;

impl Objects for SpinHost {
    async fn put_object(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectFault> {
        let fault = |_| ObjectFault::Unavailable;
        let base = self.variable(OBJECTS).await.map_err(fault)?;
        let base = base.filter(|base| !base.is_empty());
        let base = base.ok_or(ObjectFault::Nowhere)?;
        let request = http::Request::put(format!("{}/{name}", base.trim_end_matches('/')))
            .header("content-type", "application/x-ndjson")
            .body(Full::new(bytes::Bytes::from(bytes)))
            .map_err(|_| ObjectFault::Nowhere)?;
        let put = within(OBJECT_TIMEOUT_MS, exchange(request, MAX_OBJECT_REPLY_BYTES));
        match put.await {
            Ok((200..=299, _)) => Ok(()),
            Ok(_) | Err(Unreachable) => Err(ObjectFault::Unavailable),
        }
    }
}

/// Status and body of the answer, of at most `most` bytes.
async fn exchange(request: OutboundRequest, most: usize) -> Result<(u16, Vec<u8>), Unreachable> {
    let answer = spin_http::send(request).await.map_err(|_| Unreachable)?;
    let (parts, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Unreachable)?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > most {
            return Err(Unreachable);
        }
    }
    Ok((parts.status.as_u16(), bytes))
}

/// The answer, unless it takes longer than `ms` milliseconds.
async fn within<T>(
    ms: u64,
    answer: impl Future<Output = Result<T, Unreachable>>,
) -> Result<T, Unreachable> {
    let mut answer = pin!(answer);
    let mut timeout = pin!(monotonic_clock::wait_for(ms * 1_000_000));
    std::future::poll_fn(|context| {
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        timeout.as_mut().poll(context).map(|()| Err(Unreachable))
    })
    .await
}

type OutboundRequest = http::Request<Full<bytes::Bytes>>;

fn http_request(
    url: &str,
    shard: &ShardId,
    sealed: String,
) -> Result<OutboundRequest, http::Error> {
    http::Request::post(url)
        .header(SHARD_HEADER, shard.as_str())
        .header("content-type", "text/plain")
        .body(Full::new(bytes::Bytes::from(sealed)))
}

/// The database called `default`, by the calls that return when they are done. The asynchronous
/// ones hand the rows through a stream and the end through a future, which made a join 50 us
/// slower, and an instance has nothing else to do meanwhile. The SDK has these in its bindings
/// only.
#[derive(Default)]
pub struct DefaultDatabase {
    connection: std::cell::OnceCell<Connection>,
}

impl DefaultDatabase {
    fn connection(&self) -> Result<&Connection, SqlError> {
        if self.connection.get().is_none() {
            let opened = Connection::open("default").map_err(sql_error)?;
            // Nothing can have set it since: there was no await.
            let _ = self.connection.set(opened);
        }
        Ok(self.connection.get().expect("set above"))
    }
}

fn sql_error(error: sqlite::Error) -> SqlError {
    SqlError(match error {
        sqlite::Error::Io(message) => message,
        other => other.to_string(),
    })
}

impl Database for DefaultDatabase {
    async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, SqlError> {
        let parameters = parameters.iter().cloned().map(|value| match value {
            Value::Null => sqlite::Value::Null,
            Value::Integer(number) => sqlite::Value::Integer(number),
            Value::Text(text) => sqlite::Value::Text(text),
            Value::Blob(bytes) => sqlite::Value::Blob(bytes),
        });
        let parameters: Vec<sqlite::Value> = parameters.collect();
        let result = self
            .connection()?
            .execute(sql, &parameters)
            .map_err(sql_error)?;
        let value = |value| match value {
            sqlite::Value::Null => Ok(Value::Null),
            sqlite::Value::Integer(number) => Ok(Value::Integer(number)),
            sqlite::Value::Text(text) => Ok(Value::Text(text)),
            sqlite::Value::Blob(bytes) => Ok(Value::Blob(bytes)),
            sqlite::Value::Real(_) => Err(SqlError("a real number where none is kept".into())),
        };
        result
            .rows
            .into_iter()
            .map(|row| row.values.into_iter().map(value).collect())
            .collect()
    }
}
