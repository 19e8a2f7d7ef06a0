//! The chat function on AWS Lambda.

fn main() -> Result<(), edge_lambda::Error> {
    edge_lambda::run("chat", async |host, request| {
        chat::handle(host, request).await
    })
}
