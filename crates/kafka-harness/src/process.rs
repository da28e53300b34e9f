//! Child processes that never outlive us, and small helpers around them.
//!
//! The [`Guard`] is a small shell process that does. It reads process ids from a pipe whose other end we hold. However this process ends, SIGKILL
//! included, the pipe closes; the guard then kills the last process named and removes the folder.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{HarnessError, io_error};

/// Of error lines and of last lines each.
const LOG_LINES_SHOWN: usize = 12;
const LOG_BYTES_READ: u64 = 8 << 20;

/// An empty line says that nothing is left to kill. Removal is tried again because a dying process
/// may still write; not for ever, because the folder may not be ours to remove any more.
const GUARD: &str = r#"
trap '' HUP INT TERM
pid=
while read -r line; do pid=$line; done
[ -n "$pid" ] && kill -KILL "$pid"
rounds=0
until rm -rf -- "$1" || [ "$rounds" -ge 100 ]; do sleep 0.05; rounds=$((rounds + 1)); done
"#;

/// Names itself to the guard before it becomes the command proper, so that there is no moment at
/// which the process runs and the guard does not know it.
const ANNOUNCE: &str = r#"echo "$$"; exec "$@" >&2"#;

/// Owns the temporary folder and at most one child process at a time.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    /// `None` only while dropping.
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Takes over `folder`.
    pub(crate) fn start(folder: TempDir) -> Result<Self, HarnessError> {
        let mut shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(folder.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: an interrupt from the terminal must not reach it.
            .process_group(0)
            .spawn()
            .map_err(io_error("start", Path::new("sh")))?;
        let pipe = shell.stdin.take();
        let _ = folder.keep();
        Ok(Self { shell, pipe })
    }

    /// Starts `program` in `folder` under this guard; its stdout and stderr go to `log`.
    pub(crate) fn spawn(&self, program: &Path, args: &[&str], folder: &Path, log: File) -> Result<Child, HarnessError> {
        let announce = match &self.pipe {
            Some(pipe) => pipe.as_fd().try_clone_to_owned(),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
        .map_err(io_error("reach the guard of", program))?;
        Command::new("sh")
            .args(["-c", ANNOUNCE, "announce"])
            .arg(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(announce)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(io_error("start", program))
    }

    /// Tells the guard that the process is gone and reaped, so that its id means nothing any more.
    pub(crate) fn forget(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            // A guard that has died cannot kill anything either.
            let _ = pipe.write_all(b"\n");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.shell.wait();
    }
}

/// Waits for `child` to end; `None` when it still runs at the deadline.
pub(crate) fn wait_with_deadline(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if begin.elapsed() < deadline => {}
            _ => return None,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Length of a log so far; nothing when there is none yet.
pub(crate) fn log_length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// What a log says about a failure, from byte `from` on: its first errors, because later ones often
/// only follow from them, and its last lines. Empty when the log cannot be read.
pub(crate) fn log_excerpt(path: &Path, from: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut log = Vec::new();
        file.take(LOG_BYTES_READ).read_to_end(&mut log)?;
        Ok(log)
    };
    let log = read().unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let (body, tail) = lines.split_at(lines.len().saturating_sub(LOG_LINES_SHOWN));
    let tells = |line: &&&str| line.contains("ERROR") || line.contains("Exception");
    let errors = body.iter().filter(tells).take(LOG_LINES_SHOWN);
    let shown: Vec<&str> = errors.chain(tail).copied().collect();
    shown.join("\n")
}
