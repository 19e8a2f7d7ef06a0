//! The command line of the binary.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, value_parser};
use edge_host::Limits;

/// Most bytes of a file with a variable's value.
const VARIABLE_FILE_BYTES_MAX: u64 = 64 << 10;

/// Serves the components of a Spin manifest on this machine
#[derive(Debug, Parser)]
#[command(
    name = "edge-host",
    override_usage = "edge-host --spin-toml PATH --state-dir DIR [options]\n       \
                      edge-host compile --spin-toml PATH --cache-dir DIR [--portable-code]\n       \
                      edge-host check URL",
    after_help = "RUST_LOG sets what is logged on stderr, default info.",
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    disable_help_subcommand = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// With `serve`, what to serve where there is no command.
    #[command(flatten)]
    pub(crate) code: Option<Code>,
    #[command(flatten)]
    pub(crate) serve: Option<Serve>,
}

/// What the program does besides serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fill the cache of compiled components and end
    Compile {
        #[command(flatten)]
        code: Code,
        /// The folder to fill
        #[arg(long, value_name = "DIR")]
        cache_dir: PathBuf,
    },
    /// Ask http://HOST:PORT/PATH and fail unless it says 200
    Check {
        /// The URL to ask
        url: String,
    },
}

/// Which code, and for which processors.
#[derive(Debug, Args)]
pub(crate) struct Code {
    /// The Spin manifest (version 2)
    #[arg(long, value_name = "PATH")]
    pub(crate) spin_toml: PathBuf,

    /// Compiled code fits every processor of this architecture, so that
    /// `compile` can be run on another machine
    #[arg(long, verbatim_doc_comment)]
    pub(crate) portable_code: bool,
}

/// How to serve it.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Databases
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: PathBuf,

    /// Compiled components [default: cache/ of the state folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7400")]
    #[arg(value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// An application variable; repeatable. Give secrets in the
    /// environment instead, as SPIN_VARIABLE_NAME, or in files
    #[arg(long = "variable", value_name = "NAME=VALUE", verbatim_doc_comment)]
    variables: Vec<String>,

    /// Its value is what this file holds, white space around left out
    #[arg(long = "variable-file", value_name = "NAME=PATH")]
    variable_files: Vec<String>,

    /// Instances at the same time, 1 to 4096
    #[arg(long, value_name = "N", default_value_t = Limits::default().concurrent_requests)]
    #[arg(value_parser = value_parser!(u32).range(1..=4_096))]
    pub(crate) concurrent_requests: u32,

    /// Serve POST /dev/token with this key (development only)
    #[arg(long, value_name = "FILE")]
    pub(crate) dev_signing_key: Option<PathBuf>,

    /// Also where other machines can ask for one: whoever reaches
    /// --listen is whoever he says he is
    #[arg(long, requires = "dev_signing_key", verbatim_doc_comment)]
    pub(crate) dev_tokens_for_anybody: bool,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write ADDRESS:PORT, as 127.0.0.1:0")
}

impl CommandLine {
    /// Reads the command line, the program's name first. The errors are also the help, where it is
    /// asked for.
    pub(crate) fn read<T>(arguments: impl IntoIterator<Item = T>) -> Result<Self, clap::Error>
    where
        T: Into<OsString> + Clone,
    {
        let line = Self::try_parse_from(arguments)?;
        if let Some(serve) = &line.serve
            && let Err(flag) = serve.check_names()
        {
            return Err(Self::command().error(ErrorKind::ValueValidation, flag));
        }
        Ok(line)
    }
}

impl Serve {
    /// # Errors
    /// Which flag is missing when other machines could ask for development tokens.
    pub(crate) fn check_dev_tokens(&self) -> Result<(), String> {
        let is_open = self.dev_signing_key.is_some() && !self.listen.ip().is_loopback();
        if !is_open || self.dev_tokens_for_anybody {
            return Ok(());
        }
        Err(format!(
            "--dev-signing-key with --listen {} gives a token to anybody who reaches it: listen on \
             127.0.0.1, or say --dev-tokens-for-anybody",
            self.listen
        ))
    }

    /// Each variable must have a name. Clap would repeat what was given, which may be a secret.
    fn check_names(&self) -> Result<(), &'static str> {
        let is_named = |given: &String| given.contains('=');
        match () {
            () if !self.variables.iter().all(is_named) => Err("--variable: write NAME=VALUE"),
            () if !self.variable_files.iter().all(is_named) => {
                Err("--variable-file: write NAME=PATH")
            }
            () => Ok(()),
        }
    }

    /// The application's variables; a file counts where a name has both.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be used.
    pub(crate) fn variables(&self) -> Result<BTreeMap<String, String>, String> {
        let named = self
            .variables
            .iter()
            .filter_map(|text| text.split_once('='));
        let in_files = self.variable_files.iter();
        let in_files = in_files.filter_map(|text| text.split_once('='));
        named
            .map(|(name, value)| Ok((name.to_owned(), value.to_owned())))
            .chain(in_files.map(|(name, file)| Ok((name.to_owned(), variable_file(name, file)?))))
            .collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::read(["edge-host"].into_iter().chain(line.split_whitespace()))
    }

    fn served(line: &str) -> (Code, Serve) {
        let line = parsed(line).unwrap();
        assert!(line.command.is_none());
        (line.code.unwrap(), line.serve.unwrap())
    }

    #[test]
    fn other_machines_get_tokens_only_where_it_was_said_twice() {
        let check = |line: &str| {
            let line = format!("--spin-toml s --state-dir d {line}");
            served(&line).1.check_dev_tokens()
        };
        for fine in [
            "--listen 0.0.0.0:1",
            "--dev-signing-key k",
            "--listen [::1]:1 --dev-signing-key k",
            "--listen 0.0.0.0:1 --dev-signing-key k --dev-tokens-for-anybody",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "192.0.2.7:1"] {
            let told = check(&format!("--listen {open} --dev-signing-key k")).unwrap_err();
            assert!(told.contains(open) && told.contains("--dev-tokens-for-anybody"));
        }
        assert!(parsed("--spin-toml s --state-dir d --dev-tokens-for-anybody").is_err());
    }

    #[test]
    fn every_flag_is_read() {
        let (code, serve) = served(
            "--spin-toml a/spin.toml --state-dir s --cache-dir c --listen [::1]:1 --listen=[::1]:0 \
             --variable a=1=2 --variable b= --concurrent-requests 8 --dev-signing-key k \
             --portable-code",
        );
        assert_eq!(code.spin_toml, PathBuf::from("a/spin.toml"));
        assert!(code.portable_code);
        assert_eq!(serve.state_dir, PathBuf::from("s"));
        assert_eq!(serve.cache_dir, Some(PathBuf::from("c")));
        assert_eq!(serve.listen, "[::1]:0".parse().unwrap(), "the last counts");
        let variables = serve.variables().unwrap();
        assert_eq!(variables["a"], "1=2");
        assert_eq!(variables["b"], "");
        assert_eq!(serve.concurrent_requests, 8);
        assert_eq!(serve.dev_signing_key, Some(PathBuf::from("k")));
        let help = parsed("--help --nonsense").unwrap_err();
        assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let (code, serve) = served("--spin-toml a --state-dir s");
        assert!(!code.portable_code && serve.cache_dir.is_none());
        assert_eq!(serve.listen, "127.0.0.1:7400".parse().unwrap());
        assert_eq!(serve.concurrent_requests, 128);
    }

    #[test]
    fn compiling_needs_a_manifest_and_a_cache_and_checking_an_address() {
        let line = parsed("compile --spin-toml s --cache-dir c --portable-code").unwrap();
        let Some(Command::Compile { code, cache_dir }) = line.command else {
            panic!("{line:?}");
        };
        assert!(code.portable_code);
        assert_eq!(cache_dir, PathBuf::from("c"));
        let line = parsed("check http://127.0.0.1:1/readyz").unwrap();
        let Some(Command::Check { url }) = line.command else {
            panic!("{line:?}");
        };
        assert_eq!(url, "http://127.0.0.1:1/readyz");
    }

    #[test]
    fn a_variable_may_be_in_a_file() {
        let file = std::env::temp_dir().join(format!("edge-host-variable-{}", std::process::id()));
        let line = format!(
            "--spin-toml s --state-dir s --variable a=public --variable-file a={}",
            file.display()
        );
        let (_, serve) = served(&line);
        let absent = serve.variables().unwrap_err();
        assert!(absent.contains("--variable-file a=") && absent.contains("check path"));
        std::fs::write(&file, "  secret\n").unwrap();
        assert_eq!(serve.variables().unwrap()["a"], "secret");
        std::fs::write(&file, vec![b'x'; 64 * 1024 + 1]).unwrap();
        assert!(serve.variables().unwrap_err().contains("65536 bytes"));
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn each_fault_names_the_flag() {
        for (line, part) in [
            ("--state-dir s", "--spin-toml <PATH>"),
            ("--spin-toml s", "--state-dir <DIR>"),
            (
                "--spin-toml s --state-dir s --listen",
                "'--listen <ADDRESS:PORT>'",
            ),
            (
                "--listen localhost",
                "'--listen <ADDRESS:PORT>': write ADDRESS:PORT",
            ),
            ("--spin-toml s --state-dir s --variable a", "NAME=VALUE"),
            ("--spin-toml s --state-dir s --variable-file a", "NAME=PATH"),
            ("compile --spin-toml s", "--cache-dir <DIR>"),
            ("check", "<URL>"),
            ("--concurrent-requests 0", "0 is not in 1..=4096"),
            ("--port 1", "unexpected argument '--port'"),
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            let text = error.to_string();
            assert!(text.contains(part), "{line}: {text}");
        }
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_repeated() {
        let error = parsed("--spin-toml s --state-dir s --variable hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn the_help_is_complete() {
        CommandLine::command().debug_assert();
        let help = CommandLine::command().render_help().to_string();
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }
}
