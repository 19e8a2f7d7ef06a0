//! The safety function on AWS Lambda.

fn main() -> Result<(), edge_lambda::Error> {
    edge_lambda::run("safety", async |host, request| {
        safety::handle(host, request).await
    })
}
