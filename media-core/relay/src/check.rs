//! `PROGRAM check URL`: whether a health address answers 200. For images without a shell or curl.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::config::StartError;

/// Longest wait for the connection, for sending and for the reply, each.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes that are read of a reply; the first line says all.
const REPLY_BYTES_MAX: u64 = 4096;

/// Asks `http://HOST:PORT/PATH`.
///
/// # Errors
/// It does not answer, or not with 200; its answer is in the sentence.
pub fn check(url: &str) -> Result<(), StartError> {
    let usage = || StartError(format!("check {url}: write http://HOST:PORT/PATH"));
    let rest = url.strip_prefix("http://").ok_or_else(usage)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = host.to_socket_addrs().ok().and_then(|mut all| all.next());
    let address = address.ok_or_else(usage)?;
    let reply = ask(address, host, path)
        .map_err(|error| StartError(format!("{url} does not answer: {error}")))?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(StartError(format!("{url} says `{status}`: {body}"))),
    }
}

fn ask(address: SocketAddr, host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.take(REPLY_BYTES_MAX).read_to_string(&mut reply)?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_200_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            for status in ["200 OK", "503 Service Unavailable"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 512];
                let read = stream.read(&mut asked).unwrap();
                assert!(asked[..read].starts_with(b"GET /readyz HTTP/1.1\r\n"));
                let reply = format!("HTTP/1.1 {status}\r\n\r\ndraining");
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        check(&url).unwrap();
        let said = check(&url).unwrap_err().to_string();
        assert!(said.contains("503") && said.contains("draining"), "{said}");
        answering.join().unwrap();
        let silent = check(&url).unwrap_err().to_string();
        assert!(silent.contains("does not answer"), "{silent}");
        assert!(
            check("readyz")
                .unwrap_err()
                .to_string()
                .contains("HOST:PORT")
        );
    }
}
