//! Native programs of the benchmarks: the load, so that the client is not what is measured, and bare epoll
//! servers without any Python, which are the limit.
//!
//! `load` keeps connections of an echo server busy: each sends a message, waits until it is back, checks it,
//! and sends the next. `serve` is an echo server that does nothing but what the kernel asks of one.
#![expect(clippy::print_stdout, reason = "programs for the command line")]

mod connection;
mod load;
mod serve;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

#[derive(Debug, Parser)]
#[command(about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints `connected`, waits for a line, and prints the seconds per message, and the median and the 99th
    /// percentile of the seconds that one took.
    Load(load::Load),
    /// Prints the port, and serves until standard input ends.
    Serve(serve::Serve),
}

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    Tcp,
    Udp,
    Unix,
    Tls,
}

fn main() -> Result<()> {
    match CommandLine::parse().command {
        Command::Load(load) => load.run(),
        Command::Serve(serve) => serve.run(),
    }
}
