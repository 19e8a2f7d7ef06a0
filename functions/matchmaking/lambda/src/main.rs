//! The matchmaking function on AWS Lambda.

fn main() -> Result<(), edge_lambda::Error> {
    edge_lambda::run("matchmaking", async |host, request| {
        matchmaking::handle(host, request).await
    })
}
