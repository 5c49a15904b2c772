//! The structure as a test: rooms and crates with one-way doors, limits, reasons and names.
//!
//! A rule that is not checked rots. Each check here is one that a compiler or a linter does not make. What may be is in
//! one table, `rooms.toml`; what is comes from the code; the picture in ARCHITECTURE.md is drawn from the table.

mod circle;
mod code;
mod edges;
mod house;
mod limits;
mod manners;
mod picture;
mod rooms;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use std::fs;

use anyhow::{Result, bail};

use crate::shell::{root, say};

use rooms::Rooms;
use table::Table;
use tree::Tree;

/// Checks everything.
pub(crate) fn run() -> Result<()> {
    say("tidy");
    let tree = Tree::read()?;
    let complaints = check(&tree, &Table::read(&tree)?)?;
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("{} complaint(s):\n{}", complaints.len(), complaints.join("\n"))
}

/// Draws the picture in ARCHITECTURE.md anew from the table.
pub(crate) fn write() -> Result<()> {
    let tree = Tree::read()?;
    let text = picture::hung(&tree, &Table::read(&tree)?)?;
    Ok(fs::write(root().join(picture::FILE), text)?)
}

/// What the code says, in the table's syntax.
pub(crate) fn found_table() -> Result<String> {
    let tree = Tree::read()?;
    edges::print(&tree, &Table::read(&tree)?)
}

fn check(tree: &Tree, table: &Table) -> Result<Vec<String>> {
    let mut complaints = manners::check(tree, table)?;
    complaints.extend(limits::check(tree, table));
    complaints.extend(house::check(tree, table)?);
    for name in table.rooms.keys() {
        let rooms = Rooms::read(tree, &table.house[name])?;
        complaints.extend(rooms.check(name, table.rooms_of(name)));
    }
    complaints.extend(picture::check(tree, table));
    Ok(complaints)
}
