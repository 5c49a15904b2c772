//! The one door for commands: `cargo xtask --help` lists them.
//!
//! Every command does its own set-up. Nothing here is needed by whoever uses Ourio.

mod environment;
mod guided;
mod lint;
mod shell;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::environment::Environment;

/// The commands of the Ourio workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, about, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make .venv: virtual environment, tools from PyPI, release build of the extension.
    Setup(PythonChoice),
    /// Show what Ourio does, side by side with stock asyncio: examples/tour.py.
    Demo {
        #[command(flatten)]
        python: PythonChoice,
        /// Passed on to the tour, such as --quick or --sleepers 100000.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run a Python program with Ourio as its event loop.
    Run {
        /// The program.
        script: PathBuf,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every test: Rust, loom, Python.
    Test {
        #[command(flatten)]
        python: PythonChoice,
        /// Run only this part.
        #[arg(value_enum)]
        part: Option<test::Part>,
        /// Passed on to pytest.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run CPython's own asyncio tests with Ourio's loop, and on stock asyncio as control.
    Conformance {
        #[command(flatten)]
        python: PythonChoice,
        /// Files (test_events) or tests (test_events.EPollEventLoopTests.test_call_soon); all by default.
        only: Vec<String>,
    },
    /// Run real programs against real servers, and uvloop's own tests, on Ourio and on stock asyncio.
    Ecosystem {
        #[command(flatten)]
        python: PythonChoice,
        /// Programs (asyncpg, redis, uvloop, ...); all by default.
        names: Vec<String>,
    },
    /// Open and close 100,000 connections, pipes and processes under random cancellation; much TLS.
    Soak {
        #[command(flatten)]
        python: PythonChoice,
        /// Run only this one.
        #[arg(value_enum)]
        name: Option<SoakName>,
        /// Passed on, such as --count 1000000 or --seed 7.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Check formatting, lints and types.
    Lint,
    /// Check the structure: rooms and crates against rooms.toml, limits, reasons, names.
    Tidy {
        /// Draw the picture in ARCHITECTURE.md anew from the table instead.
        #[arg(long)]
        write: bool,
        /// Print what the code says instead, as rooms.toml would have it; to another file, as it reads that one.
        #[arg(long, conflicts_with = "write")]
        edges: bool,
    },
    /// Compare every loop that the interpreter has: interleaved rounds in fresh processes.
    Bench {
        #[command(flatten)]
        python: PythonChoice,
        /// Measure Ourio as its wheels are built: with profile-guided optimisation, as `pgo`.
        #[arg(long)]
        pgo: bool,
        /// Groups (scheduling, network, latency, programs, matrix) or parts of the names of cases, and options of benches/__main__.py
        /// such as --quick, --rounds 3 or --loops uvloop,ourio.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build a wheel into target/wheels with profile-guided optimisation, trained by the benchmarks.
    Pgo(PythonChoice),
    /// Compare the crate `ourio` with tokio, smol and monoio: interleaved rounds in fresh processes.
    BenchRust {
        /// Parts of the names of cases, and options of benches/runtimes.py such as --quick or --rounds 3.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Test the monitor's dashboard in headless Chromium; with --pictures, take those of docs/insight.md anew.
    Dashboard {
        #[command(flatten)]
        python: PythonChoice,
        /// Write docs/images.
        #[arg(long)]
        pictures: bool,
    },
    /// Build the documentation of the Rust crates; a warning is an error.
    Docs {
        /// Show it in a browser.
        #[arg(long)]
        open: bool,
    },
    /// Count the instructions of Ourio's own library per operation, and compare with benches/instructions.json.
    Instructions {
        #[command(flatten)]
        python: PythonChoice,
        /// Write down what is measured as what is expected.
        #[arg(long)]
        update: bool,
    },
    /// Everything that a submission must pass, on every interpreter given.
    Ci {
        /// Also run the Python tests on these interpreters; with --full, by default on each of the path.
        #[arg(long = "python", value_name = "PATH")]
        pythons: Vec<PathBuf>,
        /// Also run conformance on each interpreter, the ecosystem on 3.13 and 3.14, and the soaks.
        #[arg(long)]
        full: bool,
    },
}

/// What soaks.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SoakName {
    /// Descriptors, with strangers in other threads.
    Descriptors,
    /// A thousand handshakes, a gibibyte each way.
    Tls,
}

impl SoakName {
    fn script(self) -> &'static str {
        match self {
            Self::Descriptors => "tests/soak/descriptors.py",
            Self::Tls => "tests/soak/tls.py",
        }
    }
}

/// Which interpreter.
#[derive(Debug, Clone, clap::Args)]
struct PythonChoice {
    /// A CPython from 3.11 on; by default the one of .venv, else python3.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup(choice) => {
            let environment = Environment::default_at(choice.python.as_deref())?;
            shell::say(&format!("ready: {} ({})", environment.python().display(), environment.version()));
            Ok(())
        }
        Command::Demo { python, arguments } => {
            let environment = Environment::for_choice(python.python.as_deref())?;
            environment.program("examples/tour.py").args(arguments).run()
        }
        Command::Run { script, arguments } => {
            let environment = Environment::for_choice(None)?;
            shell::Step::new(environment.python()).args(["-m", "ourio"]).arg(script).args(arguments).run()
        }
        Command::Test { python, part, arguments } => test::run(python.python.as_deref(), part, &arguments),
        Command::Conformance { python, only } => conformance(python.python.as_deref(), &only),
        Command::Ecosystem { python, names } => ecosystem(python.python.as_deref(), &names),
        Command::Soak { python, name, arguments } => {
            let environment = Environment::for_choice(python.python.as_deref())?;
            name.map_or_else(|| SoakName::value_variants().to_vec(), |name| vec![name])
                .into_iter()
                .try_for_each(|name| environment.program(name.script()).args(&arguments).run())
        }
        Command::Dashboard { python, pictures } => {
            let python = python.python.as_deref();
            let environment = Environment::apart(python, "browser", "tests/browser/requirements.txt")?;
            let step = environment.program("tests/browser/dashboard.py");
            step.args(pictures.then_some("--pictures")).run()
        }
        Command::Lint => lint::run(),
        Command::Tidy { write: true, .. } => tidy::write(),
        Command::Tidy { edges: true, .. } => tidy::found_table().map(|table| shell::print(&table)),
        Command::Tidy { .. } => tidy::run(),
        Command::Bench { python, pgo, arguments } => {
            let environment = bench_environment(python.python.as_deref())?;
            if pgo {
                guided::install(&environment)?;
            }
            let build = pgo.then_some(["--build", "pgo"]);
            environment.program("benches").args(build.into_iter().flatten()).args(arguments).run()
        }
        Command::Pgo(choice) => guided::wheel(&bench_environment(choice.python.as_deref())?),
        Command::BenchRust { arguments } => {
            let build = ["build", "--quiet", "--release", "--package", "ourio-bench-runtimes"];
            shell::Step::cargo().args(build).args(["--package", "ourio-bench-native"]).run()?;
            // Needs nothing but the standard library.
            shell::Step::new("python3").args(["benches/runtimes.py"]).args(arguments).run()
        }
        Command::Docs { open } => lint::docs(open),
        Command::Instructions { python, update } => {
            let environment = Environment::for_choice(python.python.as_deref())?;
            let update = update.then_some("--update");
            environment.program("benches/instructions.py").args(update).run()
        }
        Command::Ci { pythons, full } => {
            let pythons = if full && pythons.is_empty() { environment::on_the_path() } else { pythons };
            lint::run()?;
            tidy::run()?;
            test::run(None, None, &[])?;
            Environment::for_choice(None)?.program("benches/instructions.py").run()?;
            for python in pythons {
                test::run(Some(&python), Some(test::Part::Python), &[])?;
                if full {
                    conformance(Some(&python), &[])?;
                    if ["3.13", "3.14"].contains(&Environment::for_choice(Some(&python))?.version()) {
                        ecosystem(Some(&python), &[])?;
                    }
                }
            }
            if full {
                let environment = Environment::for_choice(None)?;
                for name in SoakName::value_variants() {
                    environment.program(name.script()).run()?;
                }
            }
            Ok(())
        }
    }
}

/// What the benchmarks need: every loop that has wheels, and the native program.
fn bench_environment(python: Option<&Path>) -> Result<Environment> {
    let environment = Environment::apart(python, "bench", "benches/requirements.txt")?;
    let build = ["build", "--quiet", "--release", "--package", "ourio-bench-native", "--features", "tls"];
    shell::Step::cargo().args(build).run()?;
    Ok(environment)
}

fn conformance(python: Option<&Path>, only: &[String]) -> Result<()> {
    let environment = Environment::for_choice(python)?;
    shell::say(&format!("CPython's asyncio tests on {}", environment.version()));
    let keep = shell::root().join("target/conformance").join(environment.version());
    environment.program("tests/conformance").arg("--keep").arg(keep).args(only).run()
}

fn ecosystem(python: Option<&Path>, names: &[String]) -> Result<()> {
    let environment = Environment::apart(python, "ecosystem", "tests/ecosystem/requirements.txt")?;
    shell::say(&format!("the ecosystem on {}", environment.version()));
    let keep = shell::root().join("target/ecosystem");
    environment.program("tests/ecosystem").arg("--keep").arg(keep).args(names).run()
}
