//! What the two lanes cost, on real Kafka: throughput against a pass-through that scores nothing, latency of
//! verdicts against an echo, growth of the state, restoring it.
//!
//!     cargo bench -p credence --bench two_lane                    # everything: a quarter of an hour or so
//!     cargo bench -p credence --bench two_lane -- floor latency   # some parts of it
//!     cargo bench -p credence --bench two_lane -- --short         # everything, small: does it work at all?
//!
//! With `--keep`, and after a failure, the logs of all processes stay where they are.
//!
//! Broker, load and what is measured share the machine, so figures of one run are to be compared with each
//! other and not with those of another. The bench fails where a run was not what it claims to be: events
//! without verdicts, aborted commits, dead letters, outputs of another size than the pass-through's.
//!
//! It reads the processor time of its child processes from `/proc`, so it runs on Linux only.

mod events;
mod floor;
mod growth;
mod lab;
mod latency;
mod load;
mod pass_through;
mod probe;
mod process;
mod restore;
mod stalls;
mod table;
mod users;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::lab::Lab;

/// The binary's allocator, for the pass-through too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The parts, in the order in which they run.
const PARTS: [&str; 4] = ["floor", "latency", "restore", "growth"];

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Enough for figures.
    Full,
    /// Enough to see that it works.
    Short,
}

impl Size {
    /// One of two values.
    pub(crate) fn pick<T>(self, full: T, short: T) -> T {
        match self {
            Size::Full => full,
            Size::Short => short,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let ran = match arguments.split_first() {
        Some((first, rest)) if first == pass_through::ROLE => pass_through::main(rest),
        Some((first, rest)) if first == growth::ROLE => growth::main(rest),
        _ => measure(&arguments),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("two_lane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<()> {
    let (mut size, mut keep) = (Size::Full, false);
    let mut parts: Vec<&str> = Vec::new();
    for argument in arguments {
        match PARTS.iter().find(|part| *part == argument) {
            Some(part) => parts.push(part),
            None if argument == "--short" => size = Size::Short,
            None if argument == "--keep" => keep = true,
            None => bail!("{argument:?} is neither --short, --keep nor one of the parts {}", PARTS.join(", ")),
        }
    }
    if parts.is_empty() {
        parts.extend(PARTS);
    }
    let begin = Instant::now();
    let mut lab = Lab::start()?;
    println!("{}", lab.conditions());
    if size == Size::Short {
        println!("--short: these figures say that the bench works, and nothing else");
    }
    for part in PARTS.iter().filter(|part| parts.contains(part)) {
        let measured = match *part {
            "floor" => floor::measure(&lab, size),
            "latency" => latency::measure(&lab, size),
            "restore" => restore::measure(&lab, size),
            _ => growth::measure(&lab, size),
        };
        if let Err(error) = measured {
            lab.keep();
            return Err(error.context(format!("part {part}")));
        }
    }
    if keep {
        lab.keep();
    }
    println!("\nmeasured in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}
