//! What each file owes: to say what it is, a name with a noun in it, `unsafe` only where it is listed, Python only where
//! it is known.

use anyhow::Result;

use super::code::rust;
use super::table::{FILE, Table};
use super::tree::{Tree, extension, stem};

/// Names of files whose noun has not been found yet.
const FORBIDDEN_STEMS: [&str; 7] = ["utils", "util", "common", "helpers", "misc", "shared", "fast"];
const FORBIDDEN_PREFIXES: [&str; 2] = ["core_", "new_"];

pub(super) fn check(tree: &Tree, table: &Table) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (path, text) in tree.sources() {
        let first =
            text.lines().find(|line| !line.is_empty() && !line.starts_with("#!/")).unwrap_or_default();
        match extension(path) {
            "rs" if !first.starts_with("//!") => {
                complaints.push(format!("{path}: does not say what it is (`//!` first)"));
            }
            "py" if !first.starts_with("\"\"\"") => {
                complaints.push(format!("{path}: does not say what it is (a docstring first)"));
            }
            _ => {}
        }
        let stem = stem(path);
        if FORBIDDEN_STEMS.contains(&stem) || FORBIDDEN_PREFIXES.iter().any(|prefix| stem.starts_with(prefix))
        {
            complaints.push(format!("{path}: its noun has not been found yet"));
        }
        if extension(path) == "rs" {
            check_words(path, text, table, &mut complaints)?;
        }
    }
    let listed = table.unsafe_code.files.iter().filter(|file| !tree.has(file));
    complaints.extend(listed.map(|file| format!("{FILE} [unsafe]: there is no {file}")));
    Ok(complaints)
}

fn check_words(path: &str, text: &str, table: &Table, complaints: &mut Vec<String>) -> Result<()> {
    let words = rust::words(path, text)?;
    let is_listed = table.unsafe_code.files.contains(path);
    match words.get("unsafe") {
        Some(line) if !is_listed => complaints.push(format!("{path}:{line}: `unsafe` outside of its rooms")),
        None if is_listed => complaints.push(format!("{FILE} [unsafe]: {path} has no `unsafe`")),
        _ => {}
    }
    if let Some(line) = words.get("pyo3")
        && path.starts_with("crates/")
        && !path.starts_with("crates/python/")
    {
        complaints.push(format!("{path}:{line}: only crates/python knows Python"));
    }
    Ok(())
}
