//! Child processes that do not outlive us, not even stopped ones and however we end.
//!
//! A small shell process reads process ids from a pipe whose other end we hold. When the pipe closes, it
//! kills the processes that were named and not struck off.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

const GUARD: &str = r#"
trap '' HUP INT TERM
pids=
while read -r sign pid; do
    if [ "$sign" = + ]; then
        pids="$pids $pid"
    else
        left=
        for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done
        pids=$left
    fi
done
[ -z "$pids" ] || kill -KILL $pids
"#;

/// The shell process. Dropping it kills what is still named to it.
pub(crate) struct Guard {
    shell: Child,
    /// `None` only while dropping.
    pipe: Option<ChildStdin>,
}

impl Guard {
    pub(crate) fn start() -> io::Result<Guard> {
        let mut shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: an interrupt from the terminal must not reach it.
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Guard { shell, pipe })
    }

    /// The process is to be killed when we end.
    pub(crate) fn watch(&mut self, pid: u32) -> io::Result<()> {
        self.tell('+', pid)
    }

    /// The process has ended and its id means nothing any more.
    pub(crate) fn forget(&mut self, pid: u32) -> io::Result<()> {
        self.tell('-', pid)
    }

    fn tell(&mut self, sign: char, pid: u32) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => writeln!(pipe, "{sign} {pid}"),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn what_is_watched_ends_with_the_guard_and_what_is_forgotten_does_not() {
        let mut children: Vec<Child> = (0..3)
            .map(|_| Command::new("sh").args(["-c", "read -r line"]).stdin(Stdio::piped()).spawn().unwrap())
            .collect();
        let mut guard = Guard::start().unwrap();
        for child in &children {
            guard.watch(child.id()).unwrap();
        }
        guard.forget(children[1].id()).unwrap();
        drop(guard);
        // By SIGKILL, or, once its input ends, by itself.
        let signals: Vec<Option<i32>> = children.iter_mut().map(|child| child.wait().unwrap().signal()).collect();
        assert_eq!(signals, [Some(9), None, Some(9)]);
    }
}
