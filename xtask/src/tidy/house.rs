//! The crates and the package among themselves: what their manifests say, against the table; and a reason beside each
//! dependency.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::circle::{Graph, circles};
use super::table::{FILE, Part, Table};
use super::tree::{Tree, folder, name};

/// Which part uses which, as manifests and imports say.
pub(super) fn edges(tree: &Tree, table: &Table) -> Result<Graph> {
    let mut packages = BTreeMap::new();
    let mut libraries = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for (name, part) in &table.house {
        let path = format!("{}/Cargo.toml", part.folder);
        let Some(text) = tree.text(&path) else { continue };
        let manifest: toml::Table = text.parse().with_context(|| path)?;
        let named = |section: &str| {
            let section = manifest.get(section)?.as_table()?;
            section.get("name")?.as_str().map(str::to_owned)
        };
        if let Some(package) = named("package") {
            packages.insert(package, name.clone());
        }
        if let Some(library) = named("lib") {
            libraries.insert(library, name.clone());
        }
        manifests.insert(name.clone(), manifest);
    }
    let used = |name: &String, part: &Part| match manifests.get(name) {
        Some(manifest) => {
            let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
            let names = dependencies.into_iter().flat_map(toml::Table::keys);
            names.filter_map(|name| packages.get(name)).cloned().collect()
        }
        None => native_modules(tree, part).filter_map(|stem| libraries.get(stem)).cloned().collect(),
    };
    Ok(table.house.iter().map(|(name, part)| (name.clone(), used(name, part))).collect())
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
