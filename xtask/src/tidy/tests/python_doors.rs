//! Every import of a Python package is an edge, wherever it stands.

use super::House;

const WAITS: &str = "python/ourio/_insight/waits.py";

#[track_caller]
fn assert_refused(code: &str, line: usize, room: &str) {
    let complaints = House::new().add(WAITS, code).complaints();
    let refused = format!("{WAITS}:{line}: room `_insight` must not know `{room}`");
    assert_eq!(complaints, [refused]);
}

#[test]
fn an_import_is_an_edge() {
    assert_refused("from ourio._loop import EventLoop\n", 6, "_loop");
    assert_refused("import ourio._loop\n", 6, "_loop");
    assert_refused("import sys, ourio._loop as l\n", 6, "_loop");
    assert_refused("from ourio import _loop\n", 6, "_loop");
}

#[test]
fn a_late_import_is_an_edge() {
    assert_refused("def f():\n    from ourio._loop import EventLoop\n", 7, "_loop");
    assert_refused("def f(): from ourio._loop import EventLoop\n", 6, "_loop");
    assert_refused("x = 1; from ourio._loop import EventLoop\n", 6, "_loop");
}

#[test]
fn an_import_for_types_only_is_an_edge() {
    assert_refused("if TYPE_CHECKING:\n    from ourio._loop import EventLoop\n", 7, "_loop");
}

#[test]
fn a_relative_import_is_an_edge() {
    assert_refused("from .. import _loop\n", 6, "_loop");
    assert_refused("from .._loop import EventLoop\n", 6, "_loop");
    assert_refused("from ...ourio_of_others import x\nfrom .. import _loop\n", 7, "_loop");
}

#[test]
fn each_name_in_brackets_is_an_edge_at_its_line() {
    assert_refused("from ourio import (  # why\n    _insight,\n    _loop as loop,\n)\n", 8, "_loop");
    assert_refused("from ourio import _insight, \\\n    _loop\n", 7, "_loop");
}

#[test]
fn what_the_package_lists_is_its_rooms() {
    assert_refused("from ourio import Loop\n", 6, "_loop");
}

#[test]
fn an_attribute_of_the_package_is_an_edge() {
    assert_refused("import ourio\n\n\ndef f():\n    return ourio.Loop()\n", 10, "_loop");
    assert_refused("import ourio as o\n\nx = o._loop.EventLoop\n", 8, "_loop");
}

#[test]
fn the_native_module_is_a_room() {
    assert_refused("from ourio._ourio import x\n", 6, "_ourio");
}

#[test]
fn strings_comments_and_other_packages_are_no_edges() {
    let code = r#"
"""
from ourio._loop import EventLoop
"""
# from ourio._loop import EventLoop
text = "import ourio._loop" + 'it\'s "' + f"import {ourio._loop}"
raw = r"\"" + '''
import ourio._loop
'''
import asyncio.ourio._loop
from ouriox._loop import EventLoop
from x import ourio
x.ourio._loop = 1
"#;
    assert_eq!(House::new().add(WAITS, code).complaints(), [""; 0]);
}

#[test]
fn a_circle_of_modules_in_a_room_is_told() {
    let house = House::new().add(WAITS, "from ourio._insight import deadlock\n");
    let house =
        house.add("python/ourio/_insight/deadlock.py", "\"\"\"Deadlock.\"\"\"\nfrom .waits import waits\n");
    let told = "package: files of room `_insight` in a circle: python/ourio/_insight/deadlock.py -> \
                python/ourio/_insight/waits.py -> python/ourio/_insight/deadlock.py";
    assert_eq!(house.complaints(), [told]);
}

#[test]
fn a_package_that_lists_its_modules_is_in_no_circle() {
    let house = House::new().add("python/ourio/_insight/__init__.py", "from .waits import waits\n");
    assert_eq!(house.add(WAITS, "import ourio._insight\n").complaints(), [""; 0]);
}
