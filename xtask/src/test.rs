//! Every test: Rust, loom's models, Python.

use std::path::Path;

use anyhow::Result;

use crate::environment::Environment;
use crate::shell::{Step, say};

/// The benchmarks' programs have no tests; the peers and OpenSSL that they need are not for everybody who tests.
const BENCHES: [&str; 4] = ["--exclude", "ourio-bench-runtimes", "--exclude", "ourio-bench-native"];

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The crates that need no Python, and their documentation's examples.
    Rust,
    /// Every interleaving of what crosses threads.
    Loom,
    /// The Python package, on stock asyncio and on Ourio.
    Python,
}

pub(crate) fn run(python: Option<&Path>, part: Option<Part>, arguments: &[String]) -> Result<()> {
    let wanted = |candidate| part.is_none_or(|part| part == candidate);
    if wanted(Part::Rust) {
        say("Rust tests");
        Step::cargo()
            .args(["test", "--quiet", "--workspace", "--all-features", "--exclude", "ourio-python"])
            .args(BENCHES)
            .run()?;
    }
    if wanted(Part::Loom) {
        say("every interleaving of what crosses threads (loom)");
        let step = Step::cargo().args([
            "test",
            "--quiet",
            "--package",
            "ourio-engine",
            "--package",
            "ourio",
            "--lib",
        ]);
        step.args(["--target-dir", "target/loom", "models"]).env("RUSTFLAGS", "--cfg loom").run()?;
    }
    if wanted(Part::Python) {
        let environment = Environment::for_choice(python)?;
        say(&format!("Python tests on {}", environment.version()));
        let step = Step::new(environment.python()).args(["-m", "pytest", "-q", "tests/python"]);
        step.args(arguments).run()?;
    }
    Ok(())
}
