//! `finops serve`: the figures of a live host as JSON, for whoever shows them.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use finops::{Allocation, Functions, report};

use super::shared::{Flags, book, print, read_day};
use crate::arguments::Arguments;

pub(super) const FLAGS: Flags = &[&["--listen", "--prices", "--environment", "--players"]];
/// Longest request that is read.
const REQUEST_BYTES_MAX: u64 = 8 << 10;
/// A client that takes longer is left.
const PATIENCE: Duration = Duration::from_secs(5);
const PATH: &str = "/v1/costs";

/// Answers until it is stopped, one request after the other: it is asked by one page.
pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.words.is_empty() || arguments.words.iter().any(|name| name == "-") {
        bail!("name files of records; they are read anew for each answer");
    }
    // Nobody's names are in it, but it is no one's business outside: it has no token.
    let listen = arguments.get("--listen").unwrap_or("127.0.0.1:0");
    let listener = TcpListener::bind(listen).with_context(|| format!("--listen {listen}"))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        bail!("--listen {listen}: without a token it listens on loopback alone");
    }
    print(&format!("http://{address}{PATH}\n"))?;
    for stream in listener.incoming() {
        // One that goes away in the middle is no reason to end.
        let _ = stream.and_then(|stream| answer(&stream, || figures(arguments)));
    }
    Ok(true)
}

fn figures(arguments: &Arguments) -> Result<String> {
    let (book, allocation, functions) = (
        book(arguments)?,
        Allocation::built_in(),
        Functions::built_in(),
    );
    let (day, _) = read_day(arguments, &book, &functions, &allocation)?;
    Ok(format!("{:#}\n", report::figures(&day)))
}

fn answer(mut stream: &TcpStream, figures: impl Fn() -> Result<String>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = BufReader::new(stream).take(REQUEST_BYTES_MAX);
    let (mut first, mut line) = (String::new(), String::new());
    request.read_line(&mut first)?;
    // To the end of the headers, so that the connection is not reset under the answer.
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, body) = match first.split(' ').collect::<Vec<_>>()[..] {
        ["GET", PATH, _] => match figures() {
            Ok(body) => ("200 OK", body),
            Err(fault) => {
                let problem =
                    serde_json::json!({ "problem": "records", "detail": fault.to_string() });
                ("503 Service Unavailable", format!("{problem:#}\n"))
            }
        },
        ["GET", ..] => ("404 Not Found", format!("{{ \"see\": \"{PATH}\" }}\n")),
        _ => (
            "405 Method Not Allowed",
            "{ \"problem\": \"GET only\" }\n".to_owned(),
        ),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client gets that sends `request`.
    fn asked(request: &[u8], figures: fn() -> Result<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("there");
        client.write_all(request).expect("sent");
        client.shutdown(std::net::Shutdown::Write).expect("ended");
        let (stream, _) = listener.accept().expect("came");
        answer(&stream, figures).expect("answered");
        drop(stream);
        let mut reply = String::new();
        client.read_to_string(&mut reply).expect("read");
        reply
    }

    #[test]
    fn one_path_answers_and_anything_else_is_told_so() {
        let good = || Ok("{}\n".to_owned());
        let reply = asked(b"GET /v1/costs HTTP/1.1\r\nhost: x\r\n\r\n", good);
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(reply.ends_with("\r\n\r\n{}\n"), "{reply}");
        for (request, status) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
            (b"POST /v1/costs HTTP/1.1\r\n\r\n", "405"),
            (b"", "405"),
            (b"GET /v1/costs", "404"),
        ] {
            let reply = asked(request, good);
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
        }
        let reply = asked(b"GET /v1/costs HTTP/1.1\r\n\r\n", || bail!("torn"));
        assert!(
            reply.contains("503") && reply.contains("\"torn\""),
            "{reply}"
        );
    }
}
