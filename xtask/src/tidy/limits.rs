//! What fits in the head: so many lines in a file, so many files in a folder, unless it says why.

use std::collections::BTreeMap;

use super::table::{FILE, Table};
use super::tree::{Tree, folder, stands_for_folder};

const LINES_MAX: usize = 600;
const FILES_MAX: usize = 12;
/// What a line of a file's opening doc begins with that says why: the file's own, and in a `mod.rs` the folder's.
const REASON: &str = "Length:";

pub(super) fn check(tree: &Tree, table: &Table) -> Vec<String> {
    let mut complaints = Vec::new();
    let files = files(tree);
    for (path, text) in tree.sources() {
        let lines = text.lines().count();
        let is_wide = stands_for_folder(path) && files[folder(path)] > FILES_MAX;
        match (reason(text), lines > LINES_MAX) {
            (None, true) => complaints.push(format!(
                "{path}: {lines} lines do not fit in the head: a noun in it wants a file of its own \
                 (or `{REASON} <why>` in its opening doc)"
            )),
            (Some(""), _) => complaints.push(format!("{path}: `{REASON}` without a reason")),
            (Some(_), false) if !is_wide => {
                complaints.push(format!("{path}: `{REASON}` excuses what is within the limit"));
            }
            _ => {}
        }
    }
    for (folder, count) in &files {
        let list = ["mod.rs", "__init__.py"].map(|list| format!("{folder}/{list}"));
        let said = list.iter().filter_map(|list| tree.text(list)).any(|text| reason(text).is_some());
        let is_wide = *count > FILES_MAX;
        match (table.folders.get(*folder).map(|reason| reason.trim()), is_wide) {
            (None, true) if !said => complaints.push(format!(
                "{folder}: {count} source files do not fit in the head: a noun in it wants a folder of its own \
                 (or a reason in its mod.rs, or in {FILE} [folders])"
            )),
            (Some(""), _) => complaints.push(format!("{FILE} [folders]: {folder} without a reason")),
            (Some(_), false) => {
                complaints.push(format!("{FILE} [folders]: {folder} is within the limit of {FILES_MAX} files"));
            }
            _ => {}
        }
    }
    for folder in table.folders.keys().filter(|folder| !files.contains_key(folder.as_str())) {
        complaints.push(format!("{FILE} [folders]: there is no {folder}"));
    }
    complaints
}

/// How many source files each folder has.
fn files(tree: &Tree) -> BTreeMap<&str, usize> {
    let mut files = BTreeMap::new();
    for (path, _) in tree.sources() {
        *files.entry(folder(path)).or_default() += usize::from(!stands_for_folder(path));
    }
    files
}

/// Whether a folder needs a reason.
pub(super) fn is_wide(tree: &Tree, folder: &str) -> bool {
    files(tree).get(folder).is_some_and(|count| *count > FILES_MAX)
}

/// Why a file is long, if its opening doc says so.
fn reason(text: &str) -> Option<&str> {
    let mut lines = text.lines().skip_while(|line| line.is_empty() || line.starts_with("#!"));
    let first = lines.next()?;
    let doc: Vec<&str> = if first.starts_with("//!") {
        let rest = lines.take_while(|line| line.starts_with("//!"));
        [first].into_iter().chain(rest).map(|line| line.trim_start_matches("//!").trim()).collect()
    } else {
        let opened = first.strip_prefix("\"\"\"")?;
        if opened.contains("\"\"\"") {
            return None;
        }
        lines.take_while(|line| !line.starts_with("\"\"\"")).map(str::trim).collect()
    };
    doc.into_iter().find_map(|line| line.strip_prefix(REASON)).map(str::trim)
}
