//! Formatting, lints and types, for both languages.

use anyhow::Result;

use crate::environment::Environment;
use crate::shell::{Step, say};

pub(crate) fn run() -> Result<()> {
    let environment = Environment::for_choice(None)?;
    say("rustfmt and clippy");
    Step::cargo().args(["fmt", "--all", "--check"]).run()?;
    let clippy = || Step::cargo().args(["clippy", "--quiet", "--all-targets"]);
    clippy().args(["--workspace", "--exclude", "ourio-python", "--", "-D", "warnings"]).run()?;
    clippy()
        .args(["--package", "ourio-python", "--target-dir", "target/lint", "--", "-D", "warnings"])
        .env("PYO3_PYTHON", environment.python())
        .run()?;
    docs(false)?;
    say("ruff and mypy");
    let python = || Step::new(environment.python()).arg("-m");
    python().args(["ruff", "check", "."]).run()?;
    python().args(["ruff", "format", "--check", "."]).run()?;
    python().args(["mypy", "python/ourio"]).run()?;
    // From elsewhere, as it finds the package twice from here.
    python().args(["mypy.stubtest", "ourio._ourio"]).folder("target").run()
}

/// The documentation of the crates that have any for others; a warning, such as a link that leads nowhere, is an error.
pub(crate) fn docs(open: bool) -> Result<()> {
    say("rustdoc");
    let step = Step::cargo().args(["doc", "--quiet", "--no-deps", "--all-features"]);
    let step = step.args(["--package", "ourio", "--package", "ourio-engine", "--package", "ourio-transport"]);
    step.args(open.then_some("--open")).env("RUSTDOCFLAGS", "-D warnings").run()
}
