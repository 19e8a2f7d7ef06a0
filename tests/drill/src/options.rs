//! The flags that say which service, and who is in calls there.

use std::net::IpAddr;
use std::path::PathBuf;

use ::edge::token::SigningKey;
use anyhow::{Context as _, Result, bail};
use clap::{Args, value_parser};
use wire::ShardId;

use crate::caller::Line;
use crate::control::Control;
use crate::edge::{Edge, Tokens};
use crate::local::Local;
use crate::party::Shape;

/// Participants of a relay that is not to refuse anybody.
const PARTICIPANTS: u32 = 4_000;

/// A service, and callers.
#[derive(Debug, Args)]
pub struct Options {
    /// Callers in all
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = value_parser!(u16).range(2..=10_000))]
    pub callers: u16,

    /// Callers of a room
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = value_parser!(u16).range(2..=100))]
    pub room_size: u16,

    /// Of a room who talk, all the time
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u16).range(1..=4))]
    pub speakers: u16,

    /// Relays that are started here
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "edge")]
    #[arg(value_parser = value_parser!(u8).range(2..=16))]
    pub relays: u8,

    /// Against this edge; else edge and relays are started here
    #[arg(long, value_name = "URL")]
    edge: Option<String>,

    /// With --edge: a command for each fault, with {fault} and {relay}
    #[arg(long, value_name = "COMMAND", requires = "edge")]
    control: Option<String>,

    /// With --edge: signs tokens of players
    #[arg(long, value_name = "FILE", requires = "edge")]
    signing_key: Option<PathBuf>,

    /// The id of --signing-key in token_keys
    #[arg(
        long,
        value_name = "ID",
        default_value = "token",
        requires = "signing_key"
    )]
    key_id: String,

    /// With --edge: prints a token for {player} and {room}
    #[arg(
        long,
        value_name = "COMMAND",
        requires = "edge",
        conflicts_with = "signing_key"
    )]
    token_command: Option<String>,

    /// Address of this machine that relays can answer to
    #[arg(long, value_name = "IP")]
    bind: Option<IpAddr>,
}

impl Options {
    /// The service: the one that the flags name, or one that is started.
    ///
    /// # Errors
    /// When a flag is missing, or the service does not come up.
    pub async fn service(&self) -> Result<(Control, Line)> {
        let Some(url) = &self.edge else {
            let mut local = Local::start(PARTICIPANTS).await?;
            for shard in names(self.relays)? {
                local.start_relay(&shard).await?;
            }
            let line = Line::new(local.edge()?, [127, 0, 0, 1].into())?;
            return Ok((Control::Local(Box::new(local)), line));
        };
        let edge = Edge::new(url, self.tokens()?)?;
        let bind = match self.bind {
            Some(bind) => bind,
            None => route_to(url).await?,
        };
        let control = self.control.clone().map_or(Control::Hand, Control::Command);
        Ok((control, Line::new(edge, bind)?))
    }

    /// The callers, with a name of their own.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn shape(&self) -> Result<Shape> {
        Ok(Shape {
            callers: self.callers,
            room_size: self.room_size,
            speakers: self.speakers,
            notes: true,
            name: drill_name()?,
        })
    }

    fn tokens(&self) -> Result<Tokens> {
        match (&self.signing_key, &self.token_command) {
            (Some(file), _) => {
                let shown = file.display();
                let text = std::fs::read_to_string(file).with_context(|| shown.to_string())?;
                let key = SigningKey::from_base64(text.trim());
                let key = key.map_err(|fault| anyhow::anyhow!("{shown}: {fault}"))?;
                let (key, id) = (Box::new(key), self.key_id.clone());
                Ok(Tokens::Key { key, id })
            }
            (None, Some(command)) => Ok(Tokens::Command(command.clone())),
            (None, None) => bail!("with --edge say --signing-key or --token-command"),
        }
    }
}

/// Names of relays that are started here.
///
/// # Errors
/// Never: they are names.
pub fn names(relays: u8) -> Result<Vec<ShardId>> {
    let name = |number| Ok(format!("drill-{number}").parse()?);
    (0..relays).map(name).collect()
}

/// A name that no other drill has.
///
/// # Errors
/// When the system has no randomness.
pub fn drill_name() -> Result<String> {
    let mut number = [0; 4];
    getrandom::fill(&mut number).map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(format!("drill-{:08x}", u32::from_be_bytes(number)))
}

/// The address of this machine from which the edge is reached.
async fn route_to(url: &str) -> Result<IpAddr> {
    let uri: hyper::Uri = url.parse().with_context(|| format!("--edge {url}"))?;
    let host = uri
        .host()
        .with_context(|| format!("--edge {url} names no host"))?;
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let host = host.trim_matches(['[', ']']);
    let mut addresses = tokio::net::lookup_host((host, uri.port_u16().unwrap_or(usual))).await?;
    let address = addresses
        .next()
        .with_context(|| format!("{host} has no address"))?;
    let any: IpAddr = match address.is_ipv4() {
        true => [0, 0, 0, 0].into(),
        false => [0_u16; 8].into(),
    };
    let socket = tokio::net::UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket.local_addr()?.ip())
}
