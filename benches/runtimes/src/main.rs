//! One case on one runtime: `ourio-bench-runtimes RUNTIME CASE SCALE` prints nanoseconds of work per operation, and
//! bytes per task where the case is about memory. `ourio-bench-runtimes RUNTIME echo|hello` prints its port and serves.

mod cases;
mod on_monoio;
mod on_ourio;
mod on_smol;
mod on_tokio;
mod queue;
mod service;

use anyhow::{Context, Result, bail};

use crate::service::Kind;

/// What one run of a case has shown.
#[derive(Debug)]
pub(crate) struct Figures {
    nanos_per_operation: f64,
    bytes_per_task: Option<f64>,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |what| arguments.next().with_context(|| format!("no {what} given"));
    let (runtime, case) = (argument("runtime")?, argument("case")?);
    let kind = match case.as_str() {
        "echo" => Some(Kind::Echo),
        "hello" => Some(Kind::Hello),
        _ => None,
    };
    if let Some(kind) = kind {
        return match runtime.as_str() {
            "ourio" => on_ourio::serve(kind),
            "tokio" => on_tokio::serve(kind),
            "smol" => on_smol::serve(kind),
            "monoio" => on_monoio::serve(kind, on_monoio::Driver::Epoll),
            "monoio-uring" => on_monoio::serve(kind, on_monoio::Driver::Uring),
            other => bail!("no such runtime: {other}"),
        };
    }
    let scale: f64 = argument("scale")?.parse()?;
    let figures = match runtime.as_str() {
        "ourio" => on_ourio::run(&case, scale)?,
        "tokio" => on_tokio::run(&case, scale)?,
        "smol" => on_smol::run(&case, scale)?,
        "monoio" => on_monoio::run(&case, scale, on_monoio::Driver::Epoll)?,
        "monoio-uring" => on_monoio::run(&case, scale, on_monoio::Driver::Uring)?,
        other => bail!("no such runtime: {other}"),
    };
    println!("{} {}", figures.nanos_per_operation, figures.bytes_per_task.unwrap_or(0.0));
    Ok(())
}
