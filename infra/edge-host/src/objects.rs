//! Objects of components: files in a folder, put there by HTTP at an address that no other machine
//! has. Functions have no files of their own; what they put here they can neither read nor list.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use wasmtime_wasi_http::{Error, WasiBody};

/// The address at which components put objects, where their `allowed_outbound_hosts` has it.
pub(crate) const HOST: &str = "objects.internal";

/// Longest object, in bytes: some times what a request to a function may bring.
const OBJECT_BYTES_MAX: usize = 1 << 20;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 300;

/// A folder of objects.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    folder: Arc<Path>,
    /// Makes names of files that are being written.
    written: Arc<AtomicU64>,
}

impl Objects {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder: folder.into(),
            written: Arc::default(),
        }
    }

    /// Does what a request asks.
    pub(crate) async fn serve(
        self,
        request: Request<WasiBody>,
    ) -> Result<Response<WasiBody>, Error> {
        let status = self.put(request).await;
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }

    async fn put(self, request: Request<WasiBody>) -> StatusCode {
        if request.method() != Method::PUT {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        let Some(name) = name(request.uri().path()).map(str::to_owned) else {
            return StatusCode::BAD_REQUEST;
        };
        let body = Limited::new(request.into_body(), OBJECT_BYTES_MAX).collect();
        let Ok(body) = body.await else {
            return StatusCode::PAYLOAD_TOO_LARGE;
        };
        let bytes = body.to_bytes();
        let written = tokio::task::spawn_blocking(move || self.write(&name, &bytes)).await;
        match written {
            Ok(Ok(())) => StatusCode::NO_CONTENT,
            Ok(Err(error)) => {
                tracing::error!(%error, "an object could not be written; check --state-dir");
                StatusCode::INSUFFICIENT_STORAGE
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Writes an object, whole or not at all, and safe from a power failure when it returns.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name);
        let folder = path.parent().expect("the name has parts");
        fs::create_dir_all(folder)?;
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let partial = self
            .folder
            .join(format!(".{}-{number}", std::process::id()));
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(folder)?.sync_all()
    }
}

/// The name in a path, if it is one: parts of letters, digits, `.`, `_` and `-` that begin with no
/// dot, so that none leads out of the folder.
fn name(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    let is_known = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_known);
    let is_name = name.len() <= NAME_BYTES_MAX && name.split('/').all(is_part);
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn request(method: Method, path: &str, body: &'static [u8]) -> Request<WasiBody> {
        let body = Full::from(body).map_err(|never| match never {});
        Request::builder()
            .method(method)
            .uri(format!("http://{HOST}{path}"))
            .body(body.boxed_unsync())
            .unwrap()
    }

    #[tokio::test]
    async fn an_object_is_a_file_and_the_last_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(folder.path().join("objects"));
        for body in [&b"a"[..], b"bb"] {
            let put = request(Method::PUT, "/usage/2026-11-30/eu-1/x-1.jsonl", body);
            let response = objects.clone().serve(put).await.unwrap();
            assert_eq!(response.status(), 204);
        }
        let root = folder.path().join("objects");
        let file = root.join("usage/2026-11-30/eu-1/x-1.jsonl");
        assert_eq!(fs::read(file).unwrap(), b"bb");
        assert_eq!(
            fs::read_dir(root).unwrap().count(),
            1,
            "nothing half written"
        );
    }

    #[tokio::test]
    async fn what_is_no_object_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(folder.path().join("objects"));
        let asked = |request| objects.clone().serve(request);
        let put = |path| request(Method::PUT, path, b"x");
        for path in [
            "/",
            "/../x",
            "/a/../../x",
            "/a//b",
            "/.x",
            "/a/%2e%2e/b",
            "/a b",
        ] {
            let Ok(request) = http::Uri::try_from(path).map(|_| put(path)) else {
                continue;
            };
            assert_eq!(asked(request).await.unwrap().status(), 400, "{path}");
        }
        let get = request(Method::GET, "/usage/x", b"");
        assert_eq!(asked(get).await.unwrap().status(), 405);
        let long = Box::leak(vec![0; OBJECT_BYTES_MAX + 1].into_boxed_slice());
        let long = request(Method::PUT, "/usage/x", long);
        assert_eq!(asked(long).await.unwrap().status(), 413);
        assert!(!folder.path().join("objects").exists());
        fs::write(folder.path().join("objects"), "in the way").unwrap();
        assert_eq!(asked(put("/usage/x")).await.unwrap().status(), 507);
    }
}
