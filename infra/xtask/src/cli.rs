//! The command line: one table that parsing, help and suggestions read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};

/// A flag of one command.
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    /// What the value is called in the help; `None` for a switch.
    pub(crate) value: Option<&'static str>,
    pub(crate) required: bool,
    pub(crate) help: &'static str,
}

/// A command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) detail: &'static str,
    /// The words that may follow, exactly one of them; empty for none.
    pub(crate) words: &'static [&'static str],
    pub(crate) flags: &'static [Flag],
}

/// What was asked.
pub(crate) enum Invocation {
    /// Print this text.
    Help(String),
    /// Run a command.
    Run(&'static Command, Parsed),
}

/// The flags and word given to a command; known to be valid.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parsed {
    values: BTreeMap<&'static str, String>,
    pub(crate) word: Option<String>,
}

impl Parsed {
    pub(crate) fn get(&self, flag: &str) -> Option<&str> {
        self.values.get(flag).map(String::as_str)
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.values.contains_key(flag)
    }
}

pub(crate) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        value: None,
        required: false,
        help,
    }
}

pub(crate) const fn value(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        value: Some(value),
        required: false,
        help,
    }
}

pub(crate) const fn required(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        value: Some(value),
        required: true,
        help,
    }
}

const TEST_FLAGS: &[Flag] = &[
    value(
        "--only",
        "STEP[,STEP]",
        "run these steps only (the names are printed with each step)",
    ),
    switch("--no-browser", "leave out the browser tests, and say so"),
];

/// Every command, in the order of the help.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "up",
        summary: "build and run the edge host and one relay on this machine",
        detail: "Installs what is missing, builds, starts both processes and prints the address\n\
                 of the demo page. Ctrl-C stops them. Secrets are made once, in target/dev/.",
        words: &[],
        flags: &[
            value(
                "--listen",
                "IP:PORT",
                "address of the page and the API [127.0.0.1:7400]",
            ),
            value("--media-port", "PORT", "UDP port of the relay [7410]"),
            value(
                "--control",
                "IP:PORT",
                "the relay's control endpoint [127.0.0.1:7411]",
            ),
            value(
                "--health",
                "IP:PORT",
                "the relay's health and metrics [127.0.0.1:7412]",
            ),
            switch("--lan", "reachable from other machines on this network"),
        ],
    },
    Command {
        name: "test",
        summary: "run every check and test; the last line counts them",
        detail: "Installs what is missing (browsers, npm and Python packages) and says what.",
        words: &[],
        flags: TEST_FLAGS,
    },
    Command {
        name: "ci",
        summary: "what CI runs: the same as `test`",
        detail: "The same as `cargo xtask test`.",
        words: &[],
        flags: TEST_FLAGS,
    },
    Command {
        name: "tidy",
        summary: "check the architecture: crate edges, sizes, clocks in cores, manifests",
        detail: "Rules and their exceptions are in infra/xtask/src/tidy/.",
        words: &[],
        flags: &[],
    },
    Command {
        name: "wasm",
        summary: "build the Wasm components and print their sizes",
        detail: "They land in target/wasm32-wasip2/wasm/, where functions/spin.toml looks.",
        words: &[],
        flags: &[],
    },
    Command {
        name: "lambda",
        summary: "build the functions for AWS Lambda and print their sizes",
        detail: "For x86_64 and arm64, as target/lambda/ARCH/NAME/bootstrap.zip. Fails when one\n\
                 is over 4 MB. cargo-lambda and the C compiler that it needs are installed into\n\
                 target/venv-aws.",
        words: &[],
        flags: &[],
    },
    crate::package::COMMAND,
    Command {
        name: "token",
        summary: "mint a development token for a player and a room",
        detail: "Signed with the key that `cargo xtask up` made, or with --key; prints the token\n\
                 alone.",
        words: &[],
        flags: &[
            required(
                "--player",
                "ID",
                "player id, 1 to 64 of A-Z a-z 0-9 _ . : -",
            ),
            required("--room", "ROOM", "room, a prefix such as guild-*, or *"),
            value("--name", "NAME", "display name"),
            value("--ttl", "SECONDS", "time to live [3600]"),
            value(
                "--key",
                "FILE",
                "a key of `cargo xtask keys token|operator`",
            ),
            value(
                "--kid",
                "ID",
                "the id of --key in token_keys [operator, or token]",
            ),
            value(
                "--audience",
                "NAME",
                "audience of the edge [lifeverse-voice]",
            ),
            switch("--operator", "may list, drain and let in relays"),
            switch("--game-server", "may queue players and report results"),
        ],
    },
    crate::keys::COMMAND,
    crate::enrolment_token::COMMAND,
    Command {
        name: "openapi",
        summary: "write functions/wire/openapi.json from the code",
        detail: "With --check, compares instead of writing.",
        words: &[],
        flags: &[switch(
            "--check",
            "fail when the file is not what the code says",
        )],
    },
    Command {
        name: "bench",
        summary: "measure: `cargo xtask bench join|chat|edge|relay|queue|match|counts|finops`",
        detail: "join: requests per second and p50/p99 of a join, and the time from join to the\n\
                 first RTP packet. chat: posts per second, p50/p99, store items and dollars,\n\
                 and the time from POST to 1,000 readers. edge: time, cold starts, memory,\n\
                 units and dollars per route, on edge-host and as built for Lambda. relay: what\n\
                 forwarding, holding and admitting take, next to what the kernel alone takes.\n\
                 match: passes of the matcher, and a simulated day with charts. counts: what a\n\
                 call of each hot route uses of what is paid for, for `finops gate`. finops: a\n\
                 million records priced, and forecasts beside naive ones. Prints, and writes\n\
                 JSON under target/bench/.",
        words: &[
            "join", "chat", "edge", "relay", "queue", "match", "counts", "finops",
        ],
        flags: &[switch(
            "--quick",
            "relay, chat, match: under a minute, less exact",
        )],
    },
    Command {
        name: "chat",
        summary: "export or erase what chat keeps of a player",
        detail: "export prints one JSON object per line; erase says how much it erased. Needs\n\
                 curl and a token whose role is privacy: in the environment as PRIVACY_TOKEN,\n\
                 or else one signed with the development key. Stop the player's tokens before\n\
                 erasing.",
        words: &["export", "erase"],
        flags: &[
            required("--player", "ID", "whose data"),
            value(
                "--edge",
                "URL",
                "address of the edge [http://127.0.0.1:7400]",
            ),
        ],
    },
    Command {
        name: "flexmatch",
        summary: "print a FlexMatch rule set as one of ours, and what does not map",
        detail: "The rule set goes to standard output, what has no counterpart to standard error.\n\
                 What maps to what is in functions/matchmaking/RULES.md. FlexMatch keeps name and\n\
                 time limit elsewhere, so they are given here.",
        words: &[],
        flags: &[
            required("--file", "PATH", "the FlexMatch rule set"),
            required("--mode", "NAME", "name of the mode"),
            required(
                "--max-wait",
                "SECONDS",
                "after which soft rules do not apply any more",
            ),
            value("--version", "N", "version of the new rule set [1]"),
        ],
    },
    Command {
        name: "sim",
        summary: "search the simulation for seeds that break an invariant",
        detail: "Runs tests/sim with seed after seed; a violation prints the command that repeats\n\
                 it. `cargo xtask test` replays the committed seeds.",
        words: &[],
        flags: &[
            value("--seeds", "N", "how many seeds [200]"),
            value("--from", "SEED", "the first one [0]"),
        ],
    },
    Command {
        name: "fuzz",
        summary: "search one fuzz target: `cargo xtask fuzz datagrams`",
        detail: "libFuzzer by cargo-fuzz, which is installed when it is missing. What it finds is\n\
                 in target/fuzz/corpus/, what fails in tests/fuzz/fuzz/artifacts/.\n\
                 `cargo xtask test` replays tests/fuzz/corpus/.",
        words: crate::fuzz::TARGETS,
        flags: &[
            value("--seconds", "N", "how long to search [60]"),
            switch(
                "--minimise",
                "replace the committed corpus by the smallest that covers as much",
            ),
        ],
    },
    Command {
        name: "deny",
        summary: "check licences, banned crates and sources with cargo-deny",
        detail: "The rules are in deny.toml.",
        words: &[],
        flags: &[switch(
            "--install",
            "install cargo-deny first when it is missing",
        )],
    },
];

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence that names what was not understood and what is near it.
pub(crate) fn parse(args: &[String]) -> Result<Invocation> {
    let Some(first) = args.first() else {
        return Ok(Invocation::Help(overview()));
    };
    if matches!(first.as_str(), "help" | "--help" | "-h") {
        return Ok(Invocation::Help(match args.get(1) {
            Some(name) => help(find(name)?),
            None => overview(),
        }));
    }
    let command = find(first)?;
    let rest = &args[1..];
    if rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(Invocation::Help(help(command)));
    }
    Ok(Invocation::Run(command, parse_rest(command, rest)?))
}

fn find(name: &str) -> Result<&'static Command> {
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        return Ok(command);
    }
    let near = near(name, COMMANDS.iter().map(|command| command.name));
    bail!("there is no command `{name}`{near}; `cargo xtask` lists them all");
}

fn parse_rest(command: &'static Command, rest: &[String]) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        if !arg.starts_with('-') {
            take_word(command, &mut parsed, arg)?;
            continue;
        }
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let flag = find_flag(command, name)?;
        let value = match (flag.value, inline) {
            (None, None) => String::new(),
            (None, Some(_)) => bail!("`{name}` is a switch and takes no value"),
            (Some(_), Some(value)) => value,
            (Some(kind), None) => match rest.next() {
                Some(value) if !value.starts_with("--") => value.clone(),
                _ => bail!("`{name}` needs a value: {name} {kind}"),
            },
        };
        if parsed.values.insert(flag.name, value).is_some() {
            bail!("`{name}` is given twice");
        }
    }
    let missing = command
        .flags
        .iter()
        .find(|flag| flag.required && !parsed.has(flag.name));
    if let Some(flag) = missing {
        bail!("`{}` is missing\n\n{}", flag.name, help(command));
    }
    if !command.words.is_empty() && parsed.word.is_none() {
        bail!(
            "`{}` needs one of: {}",
            command.name,
            command.words.join(", ")
        );
    }
    Ok(parsed)
}

fn take_word(command: &Command, parsed: &mut Parsed, word: &str) -> Result<()> {
    if command.words.is_empty() {
        bail!(
            "`{}` takes no argument `{word}`; see `cargo xtask help {}`",
            command.name,
            command.name
        );
    }
    if !command.words.contains(&word) {
        let words = command.words.join(", ");
        bail!(
            "`{}` does not know `{word}`; it knows: {words}",
            command.name
        );
    }
    if parsed.word.replace(word.to_owned()).is_some() {
        bail!(
            "`{}` takes one argument; `{word}` is one too many",
            command.name
        );
    }
    Ok(())
}

fn find_flag(command: &'static Command, name: &str) -> Result<&'static Flag> {
    if let Some(flag) = command.flags.iter().find(|flag| flag.name == name) {
        return Ok(flag);
    }
    let near = near(name, command.flags.iter().map(|flag| flag.name));
    bail!(
        "`{}` has no flag `{name}`{near}; see `cargo xtask help {}`",
        command.name,
        command.name
    );
}

fn overview() -> String {
    let mut text = "cargo xtask COMMAND [FLAGS]\n\n".to_owned();
    for command in COMMANDS {
        line(
            &mut text,
            format_args!("  {:<17}{}", command.name, command.summary),
        );
    }
    line(
        &mut text,
        format_args!("\n`cargo xtask help COMMAND` shows its flags."),
    );
    text
}

fn help(command: &Command) -> String {
    let mut text = format!("cargo xtask {}", command.name);
    if !command.words.is_empty() {
        text.push_str(&format!(" {}", command.words.join("|")));
    }
    line(
        &mut text,
        format_args!("\n\n{}: {}", command.name, command.summary),
    );
    line(&mut text, format_args!("{}", command.detail));
    if !command.flags.is_empty() {
        line(&mut text, format_args!(""));
    }
    for flag in command.flags {
        let shown = format!("{} {}", flag.name, flag.value.unwrap_or_default());
        let required = if flag.required { " (required)" } else { "" };
        line(
            &mut text,
            format_args!("  {shown:<22}{}{required}", flag.help),
        );
    }
    text
}

fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    writeln!(text, "{args}").expect("writing to a string does not fail");
}

/// "; did you mean `x`?" with every candidate near `name`, or nothing.
fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let bare = name.trim_start_matches('-');
    let near: Vec<String> = candidates
        .filter(|candidate| {
            let candidate = candidate.trim_start_matches('-');
            let is_prefix = bare.len() >= 2 && candidate.starts_with(bare);
            is_prefix || distance(bare, candidate) <= 1 + bare.len() / 4
        })
        .map(|candidate| format!("`{candidate}`"))
        .collect();
    if near.is_empty() {
        String::new()
    } else {
        format!(" (near: {})", near.join(", "))
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn parsed(line: &str) -> Parsed {
        match parse(&args(line)) {
            Ok(Invocation::Run(_, parsed)) => parsed,
            Ok(Invocation::Help(text)) => panic!("help instead: {text}"),
            Err(error) => panic!("{error}"),
        }
    }

    fn refusal(line: &str) -> String {
        match parse(&args(line)) {
            Ok(_) => panic!("`{line}` was accepted"),
            Err(error) => error.to_string(),
        }
    }

    fn shown(line: &str) -> String {
        match parse(&args(line)).unwrap() {
            Invocation::Help(text) => text,
            Invocation::Run(command, _) => panic!("ran {}", command.name),
        }
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign() {
        let both = parsed("up --listen 127.0.0.1:1 --media-port=2 --lan");
        assert_eq!(both.get("--listen"), Some("127.0.0.1:1"));
        assert_eq!(both.get("--media-port"), Some("2"));
        assert!(both.has("--lan"));
        assert!(!both.has("--control"));
    }

    #[test]
    fn unknown_commands_and_flags_name_the_near_ones() {
        assert!(refusal("tset").contains("`test`"), "{}", refusal("tset"));
        assert!(refusal("up --media-prot 1").contains("`--media-port`"));
        assert!(refusal("up --med 1").contains("`--media-port`"));
        assert!(!refusal("frobnicate").contains("near"));
    }

    #[test]
    fn incomplete_lines_are_refused() {
        assert!(refusal("up --listen").contains("--listen IP:PORT"));
        assert!(refusal("up --listen --lan").contains("needs a value"));
        assert!(refusal("up --lan=yes").contains("takes no value"));
        assert!(refusal("up --lan --lan").contains("twice"));
        assert!(refusal("up now").contains("no argument `now`"));
        assert!(refusal("token --player p").contains("`--room` is missing"));
        assert!(refusal("bench").contains("join"));
        assert!(refusal("bench leave").contains("join"));
        assert!(refusal("bench join join").contains("one too many"));
    }

    #[test]
    fn help_has_one_line_per_command_and_each_flag() {
        let all = shown("");
        for command in COMMANDS {
            let prefix = format!("  {} ", command.name);
            assert_eq!(
                all.lines().filter(|line| line.starts_with(&prefix)).count(),
                1
            );
            let own = shown(&format!("help {}", command.name));
            assert_eq!(own, shown(&format!("{} --help", command.name)));
            for flag in command.flags {
                assert!(own.contains(flag.name), "{} in {own}", flag.name);
            }
        }
        assert!(
            all.lines()
                .chain(shown("help up").lines())
                .all(|line| line.len() <= 100)
        );
    }

    #[test]
    fn distance_is_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
