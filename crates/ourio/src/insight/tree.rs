//! Who waits for whom, as a tree.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::task_info::{TaskInfo, is_living};
use crate::scheduling::{Scheduler, running};
use crate::table::{TaskId, TaskTable, Waits};

/// The tasks of the loop that runs in this thread as a tree: below each, what it waits for.
///
/// A task that waits for itself, by way of others, is marked as a cycle.
///
/// ```
/// let tree = ourio::run(async {
///     let worker = ourio::spawn_named("worker", std::future::pending::<()>());
///     let boss = ourio::spawn_named("boss", worker);
///     ourio::yield_now().await;
///     ourio::yield_now().await;
///     let tree = ourio::task_tree();
///     boss.cancel();
///     tree
/// })?;
/// let boss = tree.lines().position(|line| line.starts_with("boss")).expect("it is there");
/// assert!(tree.lines().nth(boss + 1).is_some_and(|line| line.contains("worker")));
/// # Ok::<(), ourio::Error>(())
/// ```
pub fn task_tree() -> String {
    running::with(|running| tree(running)).unwrap_or_default()
}

fn tree(scheduler: &Scheduler) -> String {
    let all: Vec<_> = scheduler.table.living().collect();
    let awaited: BTreeSet<_> = all.iter().flat_map(|id| awaited_by(&scheduler.table, *id)).collect();
    let mut text = String::new();
    let mut shown = BTreeSet::new();
    for id in all.iter().filter(|id| !awaited.contains(id)) {
        branch(scheduler, *id, &mut Vec::new(), &mut shown, &mut text);
    }
    // What is left waits in a circle.
    for id in &all {
        if !shown.contains(id) {
            branch(scheduler, *id, &mut Vec::new(), &mut shown, &mut text);
        }
    }
    text
}

fn branch(
    scheduler: &Scheduler,
    id: TaskId,
    path: &mut Vec<TaskId>,
    shown: &mut BTreeSet<TaskId>,
    text: &mut String,
) {
    let indent = "  ".repeat(path.len());
    let info = TaskInfo::of(scheduler, id);
    if path.contains(&id) {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{indent}{} (a cycle)", info.name);
        return;
    }
    let _ = writeln!(text, "{indent}{info}");
    shown.insert(id);
    path.push(id);
    for awaited in awaited_by(&scheduler.table, id) {
        branch(scheduler, awaited, path, shown, text);
    }
    path.pop();
}

/// The tasks that could end what a task waits for.
fn awaited_by(table: &TaskTable, id: TaskId) -> Vec<TaskId> {
    let waits = table.look(id, |slot| slot.waits.clone()).unwrap_or_default();
    let ids = match waits {
        Waits::Task(id) => vec![id],
        Waits::Point(point) => point.holders.borrow().iter().copied().collect(),
        _ => Vec::new(),
    };
    ids.into_iter().filter(|id| is_living(table, *id)).collect()
}
