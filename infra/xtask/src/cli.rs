//! The command line. Each command's flags are beside what it does.

use clap::{Parser, Subcommand};

use crate::{bench, chat, check, enrolment_token, flexmatch, fuzz, keys, package, sim, token, up};

/// Build, run, test and measure LifeVerse Voice
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct CommandLine {
    /// Without one the help is shown.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Every command, in the order of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build and run the edge host and one relay on this machine
    #[command(after_help = "\
Installs what is missing, builds, starts both processes and prints the address of the demo page.
Ctrl-C stops them. Secrets are made once, in target/dev/.")]
    Up(up::Flags),

    /// Run every check and test; the last line counts them
    #[command(after_help = "\
Installs what is missing (browsers, npm and Python packages) and says what.")]
    Test(check::Flags),

    /// What CI runs: the same as `test`
    Ci(check::Flags),

    /// Check the architecture: crate edges, sizes, clocks in cores, manifests
    #[command(after_help = "Rules and their exceptions are in infra/xtask/src/tidy/.")]
    Tidy,

    /// Build the Wasm components and print their sizes
    #[command(
        after_help = "They land in target/wasm32-wasip2/wasm/, where functions/spin.toml looks."
    )]
    Wasm,

    /// Build the functions for AWS Lambda and print their sizes
    #[command(after_help = "\
For x86_64 and arm64, as target/lambda/ARCH/NAME/bootstrap.zip. Fails when one is over 4 MB.
cargo-lambda and the C compiler that it needs are installed into target/venv-aws.")]
    Lambda,

    /// Build what a release has: tarballs, .deb, images, SDK, manifest
    #[command(after_help = "\
For this machine's processor, into target/package/. The binaries are static, so they run on every
Linux. Needs dpkg and Node.js; installs musl-tools. Two runs of one commit in one folder give the
same bytes.")]
    Package(package::Flags),

    /// Mint a development token for a player and a room
    #[command(after_help = "\
Signed with the key that `cargo xtask up` made, or with --key; prints the token alone.")]
    Token(token::Flags),

    /// Make a key: fleet, derived, shard, token, operator or release
    #[command(after_help = "\
Prints the key unless --file or --parameter says where it goes, and on standard error what it is
for. Nothing that exists is overwritten without --replace. infra/ops/KEYS.md says who holds which
key and how it is replaced.")]
    Keys {
        #[command(subcommand)]
        key: keys::Key,
    },

    /// Make a token by which one relay may join the fleet
    #[command(after_help = "\
Prints the token alone, or writes it to --file. It works once, until it expires, for
`relay --enrol URL --enrol-token-file FILE`. Needs curl and an operator's token: in the environment
as OPERATOR_TOKEN (`cargo xtask token --operator --key FILE`), or else one signed with the
development key.")]
    EnrolmentToken(enrolment_token::Flags),

    /// Write functions/wire/openapi.json from the code
    Openapi {
        /// Fail when the file is not what the code says, and write nothing
        #[arg(long)]
        check: bool,
    },

    /// Measure: joins, chat, the edge, a relay, voice, queues, the matcher, counts, prices
    #[command(after_help = "\
join: requests per second and p50/p99 of a join, and the time from join to the first RTP packet.
chat: posts per second, p50/p99, store items and dollars, and the time from POST to 1,000 readers.
edge: time, cold starts, memory, units and dollars per route, on edge-host and as built for Lambda.
relay: what forwarding, holding and admitting take, next to what the kernel alone takes. match:
passes of the matcher, and a simulated day with charts. counts: what a call of each hot route uses
of what is paid for, for `finops gate`. finops: a million records priced, and forecasts beside
naive ones. polls: 5,000 that wait, and what joins notice. store: partitions at a million players.
queue: tickets until they are matched. quality: how voice is rated over networks that lose. Prints,
and writes JSON under target/bench/.")]
    Bench(bench::Flags),

    /// Export or erase what is kept of a player
    #[command(after_help = "\
export prints one JSON object per line; erase says how much it erased. Needs curl and a token whose
role is privacy: in the environment as PRIVACY_TOKEN, or else one signed with the development key.
Stop the player's tokens before erasing.")]
    Chat(chat::Flags),

    /// Print a FlexMatch rule set as one of ours, and what does not map
    #[command(after_help = "\
The rule set goes to standard output, what has no counterpart to standard error. What maps to what
is in functions/matchmaking/RULES.md. FlexMatch keeps name and time limit elsewhere, so they are
given here.")]
    Flexmatch(flexmatch::Flags),

    /// Search the simulation for seeds that break an invariant
    #[command(after_help = "\
Runs tests/sim with seed after seed; a violation prints the command that repeats it.
`cargo xtask test` replays the committed seeds.")]
    Sim(sim::Flags),

    /// Search one fuzz target: `cargo xtask fuzz datagrams`
    #[command(after_help = "\
libFuzzer by cargo-fuzz, which is installed when it is missing. What it finds is in
target/fuzz/corpus/, what fails in tests/fuzz/fuzz/artifacts/. `cargo xtask test` replays
tests/fuzz/corpus/.")]
    Fuzz(fuzz::Flags),

    /// Check licences, banned crates and sources with cargo-deny
    #[command(after_help = "The rules are in deny.toml.")]
    Deny {
        /// Install cargo-deny first when it is missing
        #[arg(long)]
        install: bool,
    },
}

impl Command {
    /// Whether it needs a relay, which is made of Linux's system calls.
    pub(crate) fn runs_a_relay(&self) -> bool {
        use Command::{Bench, Ci, Fuzz, Package, Test, Up};
        matches!(
            self,
            Up(_) | Test(_) | Ci(_) | Bench(_) | Fuzz(_) | Package(_)
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What a line asks for, the program's name left out.
    pub(crate) fn command(line: &str) -> Result<Command, clap::Error> {
        let words = ["xtask"].into_iter().chain(line.split_whitespace());
        CommandLine::try_parse_from(words).map(|line| line.command.expect("a command"))
    }

    /// What is said of a line that is refused.
    pub(crate) fn refusal(line: &str) -> String {
        let error = command(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        error.to_string()
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign() {
        let Ok(Command::Up(flags)) = command("up --listen 127.0.0.1:1 --media-port=2 --lan") else {
            panic!("it is well formed");
        };
        assert_eq!(flags.listen, Some("127.0.0.1:1".parse().unwrap()));
        assert!(flags.media_port == 2 && flags.lan);
        assert_eq!(flags.control, "127.0.0.1:7411".parse().unwrap());
    }

    #[test]
    fn unknown_commands_and_flags_name_the_near_ones() {
        assert!(refusal("tset").contains("'test'"), "{}", refusal("tset"));
        assert!(refusal("up --media-prot 1").contains("'--media-port'"));
        assert!(!refusal("frobnicate").contains("similar"));
    }

    #[test]
    fn incomplete_lines_are_refused() {
        assert!(refusal("up --listen").contains("'--listen <IP:PORT>'"));
        assert!(refusal("up --listen --lan").contains("a value is required"));
        assert!(refusal("up --lan=yes").contains("unexpected value 'yes'"));
        assert!(refusal("up --lan --lan").contains("multiple times"));
        assert!(refusal("up now").contains("unexpected argument 'now'"));
        assert!(refusal("token --player p").contains("--room <ROOM>"));
        assert!(refusal("bench leave").contains("join"));
        assert!(refusal("bench").contains("<NAME>"));
        assert!(refusal("bench join join").contains("unexpected argument 'join'"));
    }

    #[test]
    fn every_command_and_flag_is_explained_within_100_columns() {
        let mut all = CommandLine::command();
        all.clone().debug_assert();
        all.build();
        let commands = all.get_subcommands().cloned();
        for mut command in commands.chain([all.clone()]) {
            let help = command.render_help().to_string();
            assert!(help.lines().all(|line| line.len() <= 100), "{help}");
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for flag in command.get_arguments() {
                assert!(flag.get_help().is_some(), "{}", flag.get_id());
            }
        }
    }
}
