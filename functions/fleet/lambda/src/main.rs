//! The fleet function on AWS Lambda.

fn main() -> Result<(), edge_lambda::Error> {
    edge_lambda::run("fleet", async |host, request| {
        fleet::handle(host, request).await
    })
}
