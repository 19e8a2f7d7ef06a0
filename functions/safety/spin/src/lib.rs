//! The safety function as a Spin component.

#![cfg(target_family = "wasm")]

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    edge_spin::serve(request, async |host, request| {
        safety::handle(host, request).await
    })
    .await
}
