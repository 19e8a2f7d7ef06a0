//! Objects in S3, at the emulator.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use edge::ports::ObjectFault;
use edge_lambda::objects::Objects;
use scenarios::moto::Moto;

const BUCKET: &str = "lifeverse-usage";

async fn objects(url: &str) -> Objects {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(20))
        .build();
    let config = aws_config::from_env()
        .endpoint_url(url)
        .region("us-east-1")
        .credentials_provider(Credentials::new("t", "t", None, None, "test"))
        .timeout_config(timeouts)
        .load()
        .await;
    Objects::new(config, BUCKET, vec!["usage/".to_owned()]).unwrap()
}

#[tokio::test]
async fn an_object_is_put_below_its_prefix_and_over_the_last_of_its_name() {
    let moto = Moto::start().await.unwrap();
    let objects = objects(moto.url()).await;
    let name = "usage/2026-11-30/eu-1/0707070707070707-1-3.jsonl";
    // Without a bucket nobody takes it.
    let refused = objects.put(name, b"x".to_vec()).await;
    assert_eq!(refused, Err(ObjectFault::Unavailable));
    moto.create_bucket(BUCKET).await.unwrap();
    for content in [&b"first"[..], b"second"] {
        objects.put(name, content.to_vec()).await.unwrap();
    }
    assert_eq!(moto.object(BUCKET, name).await.unwrap(), b"second");
}

#[tokio::test]
#[should_panic(expected = "permissions.json lists no object")]
async fn what_the_permissions_do_not_list_is_not_put() {
    let objects = objects("http://127.0.0.1:1").await;
    let _ = objects.put("bill/2026", Vec::new()).await;
}
