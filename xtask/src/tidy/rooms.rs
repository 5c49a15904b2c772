//! Rooms with one-way doors: what the code of a crate or a package says, against the table.
//!
//! A room is a folder directly in `src`, or a file there. `lib.rs`, `main.rs` and `__init__.py` are the list: it may know
//! every room, and nobody knows it but for what it defines itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::Result;

use super::circle::{Circle, Graph, circles};
use super::code::{Reading, Reference, python, rust};
use super::table::{self, FILE, Part, Room};
use super::tree::{Tree, extension, name, stem};

/// What the code of a part says.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// To each room, the sentence that it opens with.
    pub(super) names: BTreeMap<String, String>,
    /// Who uses whom, and each place where.
    pub(super) edges: BTreeMap<(String, String), Vec<String>>,
    /// Between the files of each room.
    inner: BTreeMap<String, Graph>,
    complaints: Vec<String>,
}

impl Rooms {
    pub(super) fn read(tree: &Tree, part: &Part) -> Result<Self> {
        let is_crate = tree.has(&format!("{}/Cargo.toml", part.folder));
        let folder = if is_crate { format!("{}/src", part.folder) } else { part.folder.clone() };
        let reading = if is_crate { rust::read(tree, &folder)? } else { python::read(tree, &folder) };
        let mut rooms = Self::default();
        rooms.find(tree, &folder);
        for reference in &reading.references {
            rooms.note(&reading, reference);
        }
        rooms.complaints.extend(reading.complaints);
        Ok(rooms)
    }

    fn find(&mut self, tree: &Tree, folder: &str) {
        for (path, inner, text) in tree.under(folder) {
            let is_list = matches!(inner, "lib.rs" | "main.rs" | "__init__.py");
            if is_list || !matches!(extension(path), "rs" | "py" | "pyi") {
                continue;
            }
            let room = inner.split_once('/').map_or(stem(inner), |(room, _)| room);
            let speaks = !inner.contains('/') || matches!(name(path), "mod.rs" | "__init__.py");
            let sentence = self.names.entry(room.to_owned()).or_default();
            if speaks && sentence.is_empty() {
                *sentence = first_sentence(text);
            }
        }
    }

    fn note(&mut self, reading: &Reading, reference: &Reference) {
        let Some(from) = reference.from.first() else { return };
        let place = format!("{}:{}", reference.file, reference.line);
        match (reference.to.module.first(), &reference.to.item) {
            (Some(to), _) if to == from => {
                if reference.file != reference.to_file && !reference.listing {
                    let graph = self.inner.entry(from.clone()).or_default();
                    graph.entry(reference.to_file.clone()).or_default();
                    graph.entry(reference.file.clone()).or_default().insert(reference.to_file.clone());
                }
            }
            (Some(to), _) => self.edges.entry((from.clone(), to.clone())).or_default().push(place),
            (None, Some(item)) if reading.root_defines(item) => {}
            (None, item) => {
                let what = item.as_deref().unwrap_or(if reference.glob { "everything" } else { "itself" });
                self.complaints
                    .push(format!("{place}: room `{from}` takes {what} from the list, which only lists"));
            }
        }
    }

    /// Which room uses which.
    pub(super) fn graph(&self) -> Graph {
        let mut graph: Graph = self.names.keys().map(|name| (name.clone(), BTreeSet::new())).collect();
        for (from, to) in self.edges.keys() {
            graph.entry(from.clone()).or_default().insert(to.clone());
        }
        graph
    }

    /// Everything in which code and table differ, and every circle.
    pub(super) fn check(&self, part: &str, rows: &BTreeMap<String, Room>) -> Vec<String> {
        let mut complaints = self.complaints.clone();
        let header = format!("{FILE} [rooms.{part}]");
        for name in self.names.keys().filter(|name| !rows.contains_key(*name)) {
            complaints.push(format!("{header}: room `{name}` is missing"));
        }
        for ((from, to), places) in &self.edges {
            // A room without a row is told once, above.
            if rows.get(from).is_some_and(|row| !row.uses.contains(to)) {
                let more = match places.len() {
                    1 => String::new(),
                    many => format!(" (and {} more)", many - 1),
                };
                complaints.push(format!("{}: room `{from}` must not know `{to}`{more}", places[0]));
            }
        }
        for (name, row) in rows {
            if !self.names.contains_key(name) {
                complaints.push(format!("{header}: there is no room `{name}`"));
                continue;
            }
            if row.is.trim().is_empty() {
                complaints.push(format!("{header}: `{name}` has no sentence"));
            }
            for used in &row.uses {
                if !self.edges.contains_key(&(name.clone(), used.clone())) {
                    complaints.push(format!("{header}: `{name}` does not use `{used}`"));
                }
            }
        }
        let code = self.graph();
        for circle in circles(&code) {
            let door =
                |from: &String, to: &String| format!(" ({})", self.edges[&(from.clone(), to.clone())][0]);
            complaints.push(format!("{part}: rooms in a circle: {}", told(&circle, door)));
        }
        let table = table::graph(rows);
        if table != code {
            for circle in circles(&table) {
                complaints
                    .push(format!("{header}: rooms in a circle: {}", told(&circle, |_, _| String::new())));
            }
        }
        self.check_inner_circles(part, rows, &mut complaints);
        complaints
    }

    fn check_inner_circles(&self, part: &str, rows: &BTreeMap<String, Room>, complaints: &mut Vec<String>) {
        for (name, row) in rows {
            let found = self.inner.get(name).map(circles).unwrap_or_default();
            match &row.circle {
                Some(reason) if reason.trim().is_empty() => {
                    complaints.push(format!("{FILE} [rooms.{part}]: the circle of `{name}` has no reason"));
                }
                Some(_) if found.is_empty() => {
                    complaints.push(format!("{FILE} [rooms.{part}]: the files of `{name}` are in no circle"));
                }
                Some(_) => {}
                None => complaints.extend(found.iter().map(|circle| {
                    let way = told(circle, |_, _| String::new());
                    format!("{part}: files of room `{name}` in a circle: {way}")
                })),
            }
        }
    }
}

/// `a -> b -> a`, with where each goes through its door.
fn told(circle: &Circle, door: impl Fn(&String, &String) -> String) -> String {
    let mut text = circle.way.first().cloned().unwrap_or_default();
    for (from, to) in circle.way.iter().zip(circle.way.iter().cycle().skip(1)) {
        let _ = write!(text, " -> {to}{}", door(from, to));
    }
    if circle.members.len() > circle.way.len() {
        let _ = write!(text, "; all who reach each other: {}", circle.members.join(", "));
    }
    text
}

/// Of the doc that a file opens with, without its full stop.
fn first_sentence(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.is_empty() || line.starts_with("#!"));
    let words = lines.map(|line| line.trim_start_matches("//!").trim_matches('"').trim());
    let paragraph = words.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let sentence = paragraph.split_once(". ").map_or(paragraph.as_str(), |(sentence, _)| sentence);
    sentence.trim_end_matches('.').to_owned()
}
