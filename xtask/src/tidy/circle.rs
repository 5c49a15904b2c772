//! Who knows whom, as a graph: its circles, and its layers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// To each name, the names that it uses. Names that are used but have no entry count for nothing.
pub(super) type Graph = BTreeMap<String, BTreeSet<String>>;

/// Names that reach each other, and the shortest way round.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Circle {
    /// The way, without its first name again at the end.
    pub(super) way: Vec<String>,
    /// Everybody who reaches everybody; the way may leave some out.
    pub(super) members: Vec<String>,
}

/// Every knot of a graph, once.
pub(super) fn circles(graph: &Graph) -> Vec<Circle> {
    let knots = knots(graph);
    let tied = knots.iter().filter(|knot| knot.len() > 1);
    tied.map(|knot| {
        let ways = knot.iter().filter_map(|start| way_round(graph, start));
        let way = ways.min_by_key(Vec::len).unwrap_or_default();
        Circle { way, members: knot.iter().cloned().collect() }
    })
    .collect()
}

/// The names in layers, from those who know most to those who know nothing; a knot stands in one layer.
pub(super) fn layers(graph: &Graph) -> Vec<Vec<String>> {
    let knots = knots(graph);
    let mut heights = vec![0_usize; knots.len()];
    let knot_of = |name: &str| knots.iter().position(|knot| knot.contains(name));
    // Each round settles at least one more layer.
    for _ in 0..knots.len() {
        for (place, knot) in knots.iter().enumerate() {
            let used = knot.iter().filter_map(|name| graph.get(name)).flatten();
            let beneath = used.filter_map(|name| knot_of(name)).filter(|other| *other != place);
            heights[place] = beneath.map(|other| heights[other] + 1).max().unwrap_or(0);
        }
    }
    let top = heights.iter().max().map_or(0, |top| top + 1);
    let mut layers = vec![Vec::new(); top];
    for (height, knot) in heights.iter().zip(&knots) {
        layers[top - 1 - height].extend(knot.iter().cloned());
    }
    for layer in &mut layers {
        layer.sort();
    }
    layers
}

/// The names, grouped by who reaches each other; most groups are of one.
fn knots(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|name| (name, reachable(graph, name))).collect();
    let mut knots: Vec<BTreeSet<String>> = Vec::new();
    for name in graph.keys() {
        if !knots.iter().any(|knot| knot.contains(name)) {
            let mutual = reach[name].iter().filter(|other| reach[other].contains(name)).cloned();
            knots.push(mutual.chain([name.clone()]).collect());
        }
    }
    knots
}

fn reachable(graph: &Graph, start: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        for used in graph.get(&name).into_iter().flatten() {
            if graph.contains_key(used) && found.insert(used.clone()) {
                open.push(used.clone());
            }
        }
    }
    found
}

/// The shortest way from a name back to itself.
fn way_round(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for used in graph.get(way.last()?).into_iter().flatten() {
            if used == start {
                return Some(way);
            }
            if seen.insert(used.clone()) {
                ways.push_back(way.iter().cloned().chain([used.clone()]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        edges.iter().map(|(name, uses)| ((*name).to_owned(), owned(uses))).collect()
    }

    #[test]
    fn a_circle_is_told_by_its_shortest_way_and_all_its_members() {
        let graph = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a", "d"]), ("d", &["c"]), ("e", &["a"])]);
        let circles = circles(&graph);
        assert_eq!(circles.len(), 1);
        assert_eq!(circles[0].way, ["c", "d"]);
        assert_eq!(circles[0].members, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_diamond_is_no_circle() {
        let graph = graph(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]);
        assert_eq!(circles(&graph), []);
    }

    #[test]
    fn layers_go_from_who_knows_most_to_who_knows_nothing() {
        let graph = graph(&[("a", &["b", "d"]), ("b", &["c"]), ("c", &["d"]), ("d", &[]), ("e", &[])]);
        assert_eq!(layers(&graph), [vec!["a"], vec!["b"], vec!["c"], vec!["d", "e"]]);
    }

    #[test]
    fn a_knot_stands_in_one_layer_above_what_it_uses() {
        let graph = graph(&[("a", &["b"]), ("b", &["a", "c"]), ("c", &[])]);
        assert_eq!(layers(&graph), [vec!["a", "b"], vec!["c"]]);
    }
}
