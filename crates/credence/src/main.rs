//! The binary: see the library of this crate.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use credence::commands::Cli;

/// Many small profiles are made and dropped: this allocator keeps them close.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("credence: {error:#}");
            ExitCode::FAILURE
        }
    }
}
