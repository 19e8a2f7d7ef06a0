//! `PROGRAM check URL`: whether a health address answers 200. For images without a shell or curl.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Longest wait for the connection, for sending and for the reply, each.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes that are read of a reply; the first line says all.
const REPLY_BYTES_MAX: u64 = 4096;

/// Asks `http://HOST:PORT/PATH`.
pub(crate) fn check(url: &str) -> anyhow::Result<()> {
    let rest = url
        .strip_prefix("http://")
        .with_context(|| format!("check {url}: write http://HOST:PORT/PATH"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut addresses = host
        .to_socket_addrs()
        .with_context(|| format!("check {url}: write http://HOST:PORT/PATH"))?;
    let address = addresses.next().context("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("{url} does not answer"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    let read = stream.take(REPLY_BYTES_MAX).read_to_string(&mut reply);
    read.with_context(|| format!("{url} does not answer"))?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{url} says `{status}`: {body}");
    }
    Ok(())
}
