//! The structure as a test: rooms, edges between crates, reasons and names.
//!
//! A rule that is not checked rots. Each check here is one that a compiler or a linter does not make.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{Step, root, say};

/// Which of our crates a crate may use.
const EDGES: [(&str, &[&str]); 8] = [
    ("engine", &[]),
    ("transport", &[]),
    ("ourio", &["ourio-engine"]),
    ("monitor", &["ourio-engine", "ourio"]),
    ("python", &["ourio-engine", "ourio-transport", "ourio", "ourio-monitor"]),
    ("../benches/native", &[]),
    ("../benches/runtimes", &["ourio"]),
    ("../xtask", &[]),
];
/// The only files that may contain `unsafe`.
const UNSAFE_ROOMS: [&str; 16] = [
    "crates/engine/src/poll/epoll.rs",
    "crates/engine/src/process/signal.rs",
    "crates/python/src/arrivals.rs",
    "crates/python/src/chunk.rs",
    "crates/python/src/context.rs",
    "crates/python/src/entry.rs",
    "crates/python/src/garbage.rs",
    "crates/python/src/gil.rs",
    "crates/python/src/method.rs",
    "crates/python/src/object.rs",
    "crates/python/src/openssl.rs",
    "crates/python/src/pending_call.rs",
    "crates/python/src/recording.rs",
    "crates/python/src/schedule.rs",
    "crates/python/src/socket.rs",
    "crates/python/src/ticks.rs",
];
/// Names of files whose noun has not been found yet.
const FORBIDDEN_STEMS: [&str; 7] = ["utils", "util", "common", "helpers", "misc", "shared", "fast"];
const FORBIDDEN_PREFIXES: [&str; 2] = ["core_", "new_"];
const LINES_MAX: usize = 800;

pub(crate) fn run() -> Result<()> {
    say("tidy");
    let files = tracked()?;
    let mut complaints = Vec::new();
    for file in &files {
        check_file(file, &mut complaints)?;
    }
    for (folder, allowed) in EDGES {
        check_edges(folder, allowed, &mut complaints)?;
    }
    check_reasons(&mut complaints)?;
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("{} complaint(s):\n{}", complaints.len(), complaints.join("\n"))
}

fn tracked() -> Result<Vec<PathBuf>> {
    let listed = Step::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).read();
    let listed = listed.context("tidy needs git to know which files belong to the project")?;
    Ok(listed.lines().map(PathBuf::from).filter(|file| root().join(file).is_file()).collect())
}

fn check_file(file: &Path, complaints: &mut Vec<String>) -> Result<()> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !matches!(extension, "rs" | "py" | "toml" | "md") {
        return Ok(());
    }
    let text = fs::read_to_string(root().join(file)).with_context(|| file.display().to_string())?;
    let mut complain = |what: &str| complaints.push(format!("{}: {what}", file.display()));
    let first = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!/")).unwrap_or_default();
    match extension {
        "rs" if !first.starts_with("//!") => complain("does not say what it is (`//!` first)"),
        "py" if !first.starts_with("\"\"\"") => complain("does not say what it is (a docstring first)"),
        _ => {}
    }
    if matches!(extension, "rs" | "py") {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if FORBIDDEN_STEMS.contains(&stem) || FORBIDDEN_PREFIXES.iter().any(|prefix| stem.starts_with(prefix))
        {
            complain("its noun has not been found yet");
        }
        if text.lines().count() > LINES_MAX {
            complain("does not fit in the head: a noun in it wants a file of its own");
        }
    }
    let name = file.to_string_lossy();
    if extension == "rs" && !name.ends_with("tidy.rs") {
        let uses_unsafe = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
        });
        if uses_unsafe && !UNSAFE_ROOMS.contains(&name.as_ref()) {
            complain("`unsafe` outside of its rooms");
        }
        if name.starts_with("crates/") && !name.starts_with("crates/python/") && text.contains("use pyo3") {
            complain("only crates/python knows Python");
        }
    }
    Ok(())
}

fn check_edges(folder: &str, allowed: &[&str], complaints: &mut Vec<String>) -> Result<()> {
    let manifest = root().join("crates").join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    let parsed: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    let dependencies = parsed.get("dependencies").and_then(toml::Value::as_table);
    for name in dependencies.into_iter().flat_map(toml::Table::keys) {
        if name.starts_with("ourio") && !allowed.contains(&name.as_str()) {
            complaints.push(format!("{}: must not know {name}", manifest.display()));
        }
    }
    Ok(())
}

/// Every dependency of the workspace has its reason beside it.
fn check_reasons(complaints: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(root().join("Cargo.toml"))?;
    let section = text.split("[workspace.dependencies]").nth(1).unwrap_or_default();
    for line in section.lines().take_while(|line| !line.starts_with('[')) {
        if line.contains('=') && !line.contains('#') {
            complaints.push(format!("Cargo.toml: no reason beside: {line}"));
        }
    }
    Ok(())
}
