//! The browser SDK and the demo page as a Spin component.
//!
//! The files are part of the component: it needs no store, no file system and no outbound host, so
//! an instance that lives for one request has nothing to open. [`answer`] holds the rules and is
//! plain; the Spin entry point only translates.

mod answer;
mod assets;

pub use answer::{Answer, answer};
pub use assets::{ASSETS, Asset};

#[cfg(target_family = "wasm")]
mod entry {
    use spin_sdk::http::{
        FullBody, HeaderMap, HeaderName, HeaderValue, IntoResponse, Request, StatusCode,
    };
    use spin_sdk::http_service;

    use crate::answer::answer;

    #[http_service]
    async fn serve(request: Request) -> impl IntoResponse {
        let tags = request
            .headers()
            .get("if-none-match")
            .and_then(|tags| tags.to_str().ok());
        let answer = answer(request.method().as_str(), request.uri().path(), tags);
        let mut headers = HeaderMap::with_capacity(answer.headers.len());
        for (name, value) in answer.headers {
            let value = HeaderValue::try_from(value).expect("our header values are ASCII");
            headers.insert(HeaderName::from_static(name), value);
        }
        let status = StatusCode::from_u16(answer.status).expect("our statuses are valid");
        (status, headers, FullBody::new(answer.body))
    }
}
