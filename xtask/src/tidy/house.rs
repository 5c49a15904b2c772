//! The crates and the package among themselves: what their manifests say, against the table; and a reason beside each
//! dependency.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::circle::{Graph, circles};
use super::code::rust;
use super::table::{FILE, Part, Table};
use super::tree::{Tree, extension, folder, name};

/// Which part uses which, as manifests and imports say.
pub(super) fn edges(tree: &Tree, table: &Table) -> Result<Graph> {
    let mut by_package = BTreeMap::new();
    let mut by_library = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for (name, part) in &table.house {
        if let Some(manifest) = Manifest::read(tree, part)? {
            by_package.insert(manifest.package.clone(), name.clone());
            by_library.insert(manifest.lib_name.clone(), name.clone());
            manifests.insert(name.clone(), manifest);
        }
    }
    let used = |name: &String, part: &Part| match manifests.get(name) {
        Some(manifest) => manifest.uses.iter().filter_map(|name| by_package.get(name)).cloned().collect(),
        None => native_modules(tree, part).filter_map(|stem| by_library.get(stem)).cloned().collect(),
    };
    Ok(table.house.iter().map(|(name, part)| (name.clone(), used(name, part))).collect())
}

/// What a crate's manifest says of it.
struct Manifest {
    package: String,
    /// What it is called in code.
    lib_name: String,
    uses: Vec<String>,
}

impl Manifest {
    /// Nothing for a part that is no crate.
    fn read(tree: &Tree, part: &Part) -> Result<Option<Self>> {
        let path = format!("{}/Cargo.toml", part.folder);
        let Some(text) = tree.text(&path) else { return Ok(None) };
        let manifest: toml::Table = text.parse().with_context(|| path.clone())?;
        let section = |name: &str| manifest.get(name).and_then(toml::Value::as_table);
        let name =
            |of: &str| section(of).and_then(|section| section.get("name")).and_then(toml::Value::as_str);
        let package = name("package").with_context(|| format!("{path}: no name"))?.to_owned();
        let lib_name = name("lib").map_or_else(|| package.replace('-', "_"), str::to_owned);
        let uses = section("dependencies").into_iter().flat_map(toml::Table::keys).cloned().collect();
        Ok(Some(Self { package, lib_name, uses }))
    }
}

/// The native modules of a Python package, which it knows by their stubs.
fn native_modules<'a>(tree: &'a Tree, part: &'a Part) -> impl Iterator<Item = &'a str> {
    let stubs = tree.under(&part.folder).filter_map(|(_, inner, _)| inner.strip_suffix(".pyi"));
    stubs.filter(|stem| !tree.has(&format!("{}/{stem}.py", part.folder)))
}

/// Everything in which manifests and table differ.
pub(super) fn check(tree: &Tree, table: &Table) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let found = edges(tree, table)?;
    let nobody = BTreeSet::new();
    for (name, part) in &table.house {
        if part.is.trim().is_empty() {
            complaints.push(format!("{FILE} [house]: `{name}` has no sentence"));
        }
        let used = found.get(name).unwrap_or(&nobody);
        for other in used.difference(&part.uses) {
            complaints.push(format!("{}: `{name}` must not know `{other}`", part.folder));
        }
        for other in part.uses.difference(used) {
            complaints.push(format!("{FILE} [house]: `{name}` does not use `{other}`"));
        }
        for other in part.uses.intersection(used) {
            if !is_mentioned(tree, part, &table.house[other])? {
                complaints.push(format!("{}: no code of `{name}` uses `{other}`", part.folder));
            }
        }
    }
    for (path, text) in tree.iter().filter(|(path, _)| name(path) == "Cargo.toml") {
        let is_known = table.house.values().any(|part| part.folder == folder(path));
        if text.contains("[package]") && !is_known {
            complaints.push(format!("{FILE} [house]: {} is missing", folder(path)));
        }
    }
    for circle in circles(&table.graph()) {
        complaints.push(format!("{FILE} [house]: a circle: {}", circle.way.join(" -> ")));
    }
    check_reasons(tree, &mut complaints);
    Ok(complaints)
}

/// Whether a crate's code has the name of another. Who imports a package's native module is in the package's rooms.
fn is_mentioned(tree: &Tree, part: &Part, other: &Part) -> Result<bool> {
    let (Some(_), Some(other)) = (Manifest::read(tree, part)?, Manifest::read(tree, other)?) else {
        return Ok(true);
    };
    for (path, _, text) in tree.under(&part.folder) {
        if extension(path) == "rs" && rust::words(path, text)?.contains_key(&other.lib_name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every dependency of the workspace has its reason beside it.
fn check_reasons(tree: &Tree, complaints: &mut Vec<String>) {
    let text = tree.text("Cargo.toml").unwrap_or_default();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap_or_default();
    for line in section.lines().take_while(|line| !line.starts_with('[')) {
        if line.contains('=') && !line.contains('#') {
            complaints.push(format!("Cargo.toml: no reason beside: {line}"));
        }
    }
}
