//! The table: `rooms.toml` at the workspace's root. Its own comments describe what may stand in it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::circle::Graph;
use super::tree::Tree;

/// Where the table is.
pub(super) const FILE: &str = "rooms.toml";

/// Who may know whom, and what is excepted from the limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The crates and the package, by short name.
    pub(super) house: BTreeMap<String, Part>,
    /// The rooms of those that have any.
    #[serde(default)]
    pub(super) rooms: BTreeMap<String, BTreeMap<String, Room>>,
    #[serde(default, rename = "unsafe")]
    pub(super) unsafe_code: Unsafe,
    /// Why a folder may have many files, for one without a `mod.rs` that could say it.
    #[serde(default)]
    pub(super) folders: BTreeMap<String, String>,
}

/// A crate or a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) folder: String,
    /// What it is, in one sentence.
    pub(super) is: String,
    pub(super) uses: BTreeSet<String>,
}

/// A folder directly in `src`, or a file there.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Room {
    /// What it is, in one sentence.
    pub(super) is: String,
    pub(super) uses: BTreeSet<String>,
    /// Why its files may know each other in a circle.
    pub(super) circle: Option<String>,
}

/// Where `unsafe` may stand.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unsafe {
    pub(super) files: BTreeSet<String>,
}

impl Table {
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        Self::parse(tree.text(FILE).with_context(|| format!("there is no {FILE}"))?)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text).context(FILE)?;
        for name in table.rooms.keys() {
            if !table.house.contains_key(name) {
                bail!("{FILE}: [rooms.{name}] belongs to nothing in [house]");
            }
        }
        Ok(table)
    }

    /// The rooms of a part; none if the table has none.
    pub(super) fn rooms_of(&self, part: &str) -> &BTreeMap<String, Room> {
        static NONE: BTreeMap<String, Room> = BTreeMap::new();
        self.rooms.get(part).unwrap_or(&NONE)
    }

    /// Which part uses which.
    pub(super) fn graph(&self) -> Graph {
        self.house.iter().map(|(name, part)| (name.clone(), part.uses.clone())).collect()
    }
}

/// Which room uses which.
pub(super) fn graph(rooms: &BTreeMap<String, Room>) -> Graph {
    rooms.iter().map(|(name, room)| (name.clone(), room.uses.clone())).collect()
}
