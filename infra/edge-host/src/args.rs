//! The command line of the binary.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: edge-host --spin-toml PATH --state-dir DIR [options]
  --spin-toml PATH          the Spin manifest (version 2)
  --state-dir DIR           databases
  --cache-dir DIR           compiled components; default cache/ of the state folder
  --listen ADDRESS:PORT     default 127.0.0.1:7400; port 0 takes a free one
  --variable NAME=VALUE     an application variable; repeatable. Give secrets in the
                            environment instead, as SPIN_VARIABLE_NAME
  --concurrent-requests N   instances at the same time, default 128
  --dev-signing-key FILE    serve POST /dev/token with this key (development only)
  --help
RUST_LOG sets what is logged on stderr, default info.";

const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(
    std::net::Ipv4Addr::LOCALHOST,
    7400,
));

/// What to run.
#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) spin_toml: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) concurrent_requests: Option<u32>,
    pub(crate) dev_signing_key: Option<PathBuf>,
}

/// Reads the arguments, without the program's name. `None` asks for the usage.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Args>, String> {
    let (mut spin_toml, mut state_dir) = (None, None);
    let (mut cache_dir, mut dev_signing_key) = (None, None);
    let mut listen = DEFAULT_LISTEN;
    let mut variables = BTreeMap::new();
    let mut concurrent_requests = None;
    let mut arguments = arguments.into_iter();
    while let Some(flag) = arguments.next() {
        let flag = text(flag, "a flag")?;
        if flag == "--help" || flag == "-h" {
            return Ok(None);
        }
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag.as_str() {
            "--spin-toml" => spin_toml = Some(PathBuf::from(value()?)),
            "--state-dir" => state_dir = Some(PathBuf::from(value()?)),
            "--cache-dir" => cache_dir = Some(PathBuf::from(value()?)),
            "--dev-signing-key" => dev_signing_key = Some(PathBuf::from(value()?)),
            "--listen" => {
                let given = text(value()?, "--listen")?;
                listen = given
                    .parse()
                    .map_err(|_| format!("--listen {given}: write ADDRESS:PORT, as 127.0.0.1:0"))?;
            }
            "--variable" => {
                let given = text(value()?, "--variable")?;
                // The value may be a secret, so it is not repeated.
                let (name, value) = given
                    .split_once('=')
                    .ok_or("--variable: write NAME=VALUE")?;
                variables.insert(name.to_owned(), value.to_owned());
            }
            "--concurrent-requests" => {
                let given = text(value()?, "--concurrent-requests")?;
                let number = given
                    .parse()
                    .ok()
                    .filter(|number| (1..=4_096).contains(number));
                concurrent_requests = Some(number.ok_or_else(|| {
                    format!("--concurrent-requests {given}: give a number from 1 to 4096")
                })?);
            }
            _ => return Err(format!("{flag} is not a flag; --help lists them")),
        }
    }
    Ok(Some(Args {
        spin_toml: spin_toml.ok_or("--spin-toml is missing; give the path of a spin.toml")?,
        state_dir: state_dir.ok_or("--state-dir is missing; give a folder for databases")?,
        cache_dir,
        listen,
        variables,
        concurrent_requests,
        dev_signing_key,
    }))
}

fn text(argument: OsString, what: &str) -> Result<String, String> {
    argument
        .into_string()
        .map_err(|_| format!("{what} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Args>, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_flag_is_read() {
        let args = parsed(
            "--spin-toml a/spin.toml --state-dir s --cache-dir c --listen [::1]:0 \
             --variable a=1=2 --variable b= --concurrent-requests 8 --dev-signing-key k",
        );
        let args = args.unwrap().unwrap();
        assert_eq!(args.spin_toml, PathBuf::from("a/spin.toml"));
        assert_eq!(args.state_dir, PathBuf::from("s"));
        assert_eq!(args.cache_dir, Some(PathBuf::from("c")));
        assert_eq!(args.listen, "[::1]:0".parse().unwrap());
        assert_eq!(args.variables["a"], "1=2");
        assert_eq!(args.variables["b"], "");
        assert_eq!(args.concurrent_requests, Some(8));
        assert_eq!(args.dev_signing_key, Some(PathBuf::from("k")));
        assert_eq!(parsed("--help"), Ok(None));
    }

    #[test]
    fn each_fault_names_the_flag() {
        for (line, part) in [
            ("--state-dir s", "--spin-toml"),
            ("--spin-toml s", "--state-dir"),
            ("--listen", "--listen needs"),
            ("--listen localhost", "--listen localhost"),
            ("--variable a", "NAME=VALUE"),
            ("--concurrent-requests 0", "1 to 4096"),
            ("--port 1", "--port is not"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
