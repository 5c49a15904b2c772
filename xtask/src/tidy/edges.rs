//! The table as the code would have it: what is found, in the table's own syntax, with the sentences that it has.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::Result;

use super::circle::layers;
use super::code::rust;
use super::house;
use super::limits;
use super::rooms::Rooms;
use super::table::Table;
use super::tree::{Tree, extension};

const COLUMNS_MAX: usize = 110;
const HEADER: &str = "\
# The structure that `cargo xtask tidy` checks: who may know whom, and what is excepted from its limits.
#
# An edge that is not in the table is refused, and so is one that no code uses: the table is true. There are no circles.
# `cargo xtask tidy --edges` prints what the code says in this syntax, with the sentences and reasons from here (so not
# straight into this file); `cargo xtask tidy --write` draws ARCHITECTURE.md's picture from it.
#
# [house]       the crates and the package: where, what in one sentence, and which of the others its manifest names
# [rooms.x]     the rooms of x: folders directly in its `src`, or files there; `circle = \"why\"` lets the files of a room
#               know each other in a circle
# [unsafe]      the only files with `unsafe`
# [folders]     why a folder may have more than twelve source files, if it has no mod.rs that says `Length: why`
";

/// All of it, to be pasted.
pub(super) fn print(tree: &Tree, table: &Table) -> Result<String> {
    let mut text = format!("{HEADER}\n[house]\n");
    let house = house::edges(tree, table)?;
    let order: Vec<String> = layers(&house).concat();
    let width = order.iter().map(String::len).max().unwrap_or(0);
    for name in &order {
        let part = &table.house[name];
        let start = format!("{name:width$} = {{ folder = {:?}, is = {:?}", part.folder, part.is);
        text.push_str(&row(&start, &house[name], ""));
    }
    for name in &order {
        if !table.rooms.contains_key(name) {
            continue;
        }
        let rows = table.rooms_of(name);
        let found = Rooms::read(tree, &table.house[name])?;
        let graph = found.graph();
        let width = graph.keys().map(String::len).max().unwrap_or(0);
        let _ = write!(text, "\n[rooms.{name}]\n");
        for room in layers(&graph).concat() {
            let known = rows.get(&room).cloned().unwrap_or_default();
            let sentence = if known.is.is_empty() { &found.names[&room] } else { &known.is };
            let circle = known.circle.map_or(String::new(), |reason| format!(", circle = {reason:?}"));
            text.push_str(&row(&format!("{room:width$} = {{ is = {sentence:?}"), &graph[&room], &circle));
        }
    }
    text.push_str("\n[unsafe]\nfiles = [\n");
    for (path, source) in tree.sources() {
        if extension(path) == "rs" && rust::words(path, source)?.contains_key("unsafe") {
            let _ = writeln!(text, "    {path:?},");
        }
    }
    text.push_str("]\n\n[folders]\n");
    for (folder, reason) in table.folders.iter().filter(|(folder, _)| limits::is_wide(tree, folder)) {
        let _ = writeln!(text, "{folder:?} = {reason:?}");
    }
    Ok(text)
}

fn row(start: &str, used: &BTreeSet<String>, end: &str) -> String {
    let names: Vec<String> = used.iter().map(|name| format!("{name:?}")).collect();
    let line = format!("{start}, uses = [{}]{end} }}\n", names.join(", "));
    if names.is_empty() || line.trim_end().chars().count() <= COLUMNS_MAX {
        return line;
    }
    let mut lines = vec![String::from("   ")];
    for name in names {
        if lines[lines.len() - 1].len() + name.len() + 2 > COLUMNS_MAX {
            lines.push(String::from("   "));
        }
        let last = lines.len() - 1;
        let _ = write!(lines[last], " {name},");
    }
    format!("{start}, uses = [\n{}\n]{end} }}\n", lines.join("\n"))
}
