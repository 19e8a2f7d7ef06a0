//! The command line of the binary.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: edge-host --spin-toml PATH --state-dir DIR [options]
       edge-host compile --spin-toml PATH --cache-dir DIR [--portable-code]
       edge-host check URL
  --spin-toml PATH          the Spin manifest (version 2)
  --state-dir DIR           databases
  --cache-dir DIR           compiled components; default cache/ of the state folder
  --listen ADDRESS:PORT     default 127.0.0.1:7400; port 0 takes a free one
  --variable NAME=VALUE     an application variable; repeatable. Give secrets in the
                            environment instead, as SPIN_VARIABLE_NAME, or in files
  --variable-file NAME=PATH its value is what this file holds, white space around it left out
  --portable-code           compiled code fits every processor of this architecture, so that
                            `compile` can be run on another machine
  --concurrent-requests N   instances at the same time, default 128
  --dev-signing-key FILE    serve POST /dev/token with this key (development only)
  --help
compile fills the cache and ends; check asks http://HOST:PORT/PATH and fails unless it says 200.
RUST_LOG sets what is logged on stderr, default info.";

const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(
    std::net::Ipv4Addr::LOCALHOST,
    7400,
));

/// Most bytes of a file with a variable's value.
const VARIABLE_FILE_BYTES_MAX: u64 = 64 << 10;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Serve(Args),
    /// Fill the cache of compiled components.
    Compile(Args),
    /// Ask this address whether it is well.
    Check(String),
    Help,
}

/// What to run.
#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) spin_toml: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) portable_code: bool,
    pub(crate) concurrent_requests: Option<u32>,
    pub(crate) dev_signing_key: Option<PathBuf>,
}

/// Reads the arguments, without the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter().peekable();
    let mut word = |word: &str| arguments.next_if(|first| first == word).is_some();
    if word("check") {
        let url = arguments.next().ok_or("check needs the URL to ask")?;
        return Ok(Command::Check(text(url, "the URL")?));
    }
    let is_compile = word("compile");
    Ok(match flags(arguments, is_compile)? {
        None => Command::Help,
        Some(args) if is_compile => Command::Compile(args),
        Some(args) => Command::Serve(args),
    })
}

/// `None` asks for the usage.
fn flags(
    mut arguments: impl Iterator<Item = OsString>,
    is_compile: bool,
) -> Result<Option<Args>, String> {
    let (mut spin_toml, mut state_dir) = (None, None);
    let (mut cache_dir, mut dev_signing_key) = (None, None);
    let mut listen = DEFAULT_LISTEN;
    let mut variables = BTreeMap::new();
    let mut concurrent_requests = None;
    let mut portable_code = false;
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
            "--variable-file" => {
                let given = text(value()?, "--variable-file")?;
                let (name, file) = given
                    .split_once('=')
                    .ok_or("--variable-file: write NAME=PATH")?;
                variables.insert(name.to_owned(), variable_file(name, file)?);
            }
            "--portable-code" => portable_code = true,
            "--concurrent-requests" => {
                let given = text(value()?, "--concurrent-requests")?;
                concurrent_requests = Some(requests(&given)?);
            }
            _ => return Err(format!("{flag} is not a flag; --help lists them")),
        }
    }
    if is_compile && cache_dir.is_none() {
        return Err("--cache-dir is missing; compile fills that folder".to_owned());
    }
    // Compiling opens no database.
    let state_dir = state_dir.or_else(|| is_compile.then(PathBuf::new));
    Ok(Some(Args {
        spin_toml: spin_toml.ok_or("--spin-toml is missing; give the path of a spin.toml")?,
        state_dir: state_dir.ok_or("--state-dir is missing; give a folder for databases")?,
        cache_dir,
        listen,
        variables,
        portable_code,
        concurrent_requests,
        dev_signing_key,
    }))
}

fn requests(given: &str) -> Result<u32, String> {
    let number = given
        .parse()
        .ok()
        .filter(|number| (1..=4_096).contains(number));
    number.ok_or_else(|| format!("--concurrent-requests {given}: give a number from 1 to 4096"))
}

/// What a file holds, such as a credential of systemd or a secret that is mounted.
fn variable_file(name: &str, file: &str) -> Result<String, String> {
    let fault = |cause: &dyn std::fmt::Display| {
        format!("--variable-file {name}={file}: cannot be read ({cause}); check path and rights")
    };
    let opened = std::fs::File::open(file).map_err(|cause| fault(&cause))?;
    let mut value = String::new();
    let mut input = opened.take(VARIABLE_FILE_BYTES_MAX + 1);
    input
        .read_to_string(&mut value)
        .map_err(|cause| fault(&cause))?;
    if value.len() as u64 > VARIABLE_FILE_BYTES_MAX {
        return Err(fault(&format!("over {VARIABLE_FILE_BYTES_MAX} bytes")));
    }
    Ok(value.trim().to_owned())
}

fn text(argument: OsString, what: &str) -> Result<String, String> {
    argument
        .into_string()
        .map_err(|_| format!("{what} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_flag_is_read() {
        let args = parsed(
            "--spin-toml a/spin.toml --state-dir s --cache-dir c --listen [::1]:0 \
             --variable a=1=2 --variable b= --concurrent-requests 8 --dev-signing-key k \
             --portable-code",
        );
        let Ok(Command::Serve(args)) = args else {
            panic!("{args:?}");
        };
        assert_eq!(args.spin_toml, PathBuf::from("a/spin.toml"));
        assert_eq!(args.state_dir, PathBuf::from("s"));
        assert_eq!(args.cache_dir, Some(PathBuf::from("c")));
        assert_eq!(args.listen, "[::1]:0".parse().unwrap());
        assert_eq!(args.variables["a"], "1=2");
        assert_eq!(args.variables["b"], "");
        assert_eq!(args.concurrent_requests, Some(8));
        assert_eq!(args.dev_signing_key, Some(PathBuf::from("k")));
        assert!(args.portable_code);
        assert_eq!(parsed("--help"), Ok(Command::Help));
    }

    #[test]
    fn compiling_needs_a_manifest_and_a_cache_and_checking_an_address() {
        let compile = parsed("compile --spin-toml s --cache-dir c --portable-code");
        let Ok(Command::Compile(args)) = compile else {
            panic!("{compile:?}");
        };
        assert_eq!(args.cache_dir, Some(PathBuf::from("c")));
        let url = "http://127.0.0.1:1/readyz";
        assert_eq!(
            parsed(&format!("check {url}")),
            Ok(Command::Check(url.to_owned()))
        );
    }

    #[test]
    fn a_variable_may_be_in_a_file() {
        let file = std::env::temp_dir().join(format!("edge-host-variable-{}", std::process::id()));
        let line = format!(
            "--spin-toml s --state-dir s --variable-file a={}",
            file.display()
        );
        let absent = parsed(&line).unwrap_err();
        assert!(absent.contains("--variable-file a=") && absent.contains("check path"));
        std::fs::write(&file, "  secret\n").unwrap();
        let Ok(Command::Serve(args)) = parsed(&line) else {
            panic!("it is there now");
        };
        assert_eq!(args.variables["a"], "secret");
        std::fs::write(&file, vec![b'x'; 64 * 1024 + 1]).unwrap();
        assert!(parsed(&line).unwrap_err().contains("65536 bytes"));
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn each_fault_names_the_flag() {
        for (line, part) in [
            ("--state-dir s", "--spin-toml"),
            ("--spin-toml s", "--state-dir"),
            ("--listen", "--listen needs"),
            ("--listen localhost", "--listen localhost"),
            ("--variable a", "NAME=VALUE"),
            ("--variable-file a", "NAME=PATH"),
            ("compile --spin-toml s", "--cache-dir"),
            ("check", "the URL"),
            ("--concurrent-requests 0", "1 to 4096"),
            ("--port 1", "--port is not"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
