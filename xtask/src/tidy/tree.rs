//! The files of the project, read once: every check looks at these, so that a test can plant a tree of its own.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::shell::{Step, root};

/// The text of what any check reads, by path from the workspace's root.
#[derive(Debug)]
pub(super) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// What git tracks or would.
    pub(super) fn read() -> Result<Self> {
        let listed = Step::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).read();
        let listed = listed.context("tidy needs git to know which files belong to the project")?;
        let mut files = BTreeMap::new();
        for path in listed.lines() {
            let place = root().join(path);
            if matches!(extension(path), "rs" | "py" | "pyi" | "toml" | "md") && place.is_file() {
                let text = fs::read_to_string(place).with_context(|| path.to_owned())?;
                files.insert(path.to_owned(), text);
            }
        }
        Ok(Self { files })
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Path and text of every source file: `.rs` and `.py`.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(path, _)| matches!(extension(path), "rs" | "py"))
    }

    /// Path, path from the folder, and text of every file beneath a folder.
    pub(super) fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.iter().filter_map(move |(path, text)| {
            let inner = path.strip_prefix(folder)?.strip_prefix('/')?;
            Some((path, inner, text))
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

pub(super) fn extension(path: &str) -> &str {
    name(path).rsplit_once('.').map_or("", |(_, extension)| extension)
}

pub(super) fn stem(path: &str) -> &str {
    name(path).rsplit_once('.').map_or(name(path), |(stem, _)| stem)
}

pub(super) fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The folder of a file, `.` for the workspace's root.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

/// Whether a file is its folder's list or command, rather than a room of its own.
pub(super) fn stands_for_folder(path: &str) -> bool {
    matches!(name(path), "mod.rs" | "__init__.py" | "__main__.py")
}
