//! How a child is started so that it does not outlive the program that started it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// Asks the kernel for a signal at the death of the parent, and then becomes the program; needs no
/// `unsafe`, unlike a hook between fork and exec.
const SETPRIV: &str = "/usr/bin/setpriv";

type Order = (Command, Sender<io::Result<Child>>);

/// A command that runs `program` under its own process id, and that the kernel kills when this
/// program ends in whatever way. Where there is no `setpriv` (util-linux), only a dropped
/// [`crate::Process`] ends it.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    if !Path::new(SETPRIV).is_file() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts `command` from a thread that never ends: the signal comes when the thread that started
/// the child dies, and threads of tests and of runtimes come and go.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                // Whoever ordered waits for the reply.
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (sender, reply) = channel();
    let gone = |_| io::Error::other("the thread that starts programs is gone");
    starter.send((command, sender)).map_err(|_| gone(()))?;
    reply.recv().map_err(|_| gone(()))?
}
