//! The signalling function on AWS Lambda.

fn main() -> Result<(), edge_lambda::Error> {
    edge_lambda::run("signalling", async |host, request| {
        signalling::handle(host, request).await
    })
}
