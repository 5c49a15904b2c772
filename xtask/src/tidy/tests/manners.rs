//! What each file owes.

use super::House;

const TOP: &str = "crates/engine/src/top.rs";

#[test]
fn a_file_says_what_it_is() {
    let house = House::new().change(TOP, "//! Top.\n", "");
    assert_eq!(house.complaints(), [format!("{TOP}: does not say what it is (`//!` first)")]);
    let house = House::new().add("tests/x.py", "import asyncio\n");
    assert_eq!(house.complaints(), ["tests/x.py: does not say what it is (a docstring first)"]);
}

#[test]
fn a_name_has_a_noun() {
    let house =
        House::new().add("tests/utils.py", "\"\"\"X.\"\"\"\n").add("tests/new_x.py", "\"\"\"X.\"\"\"\n");
    assert_eq!(
        house.complaints(),
        [
            "tests/new_x.py: its noun has not been found yet",
            "tests/utils.py: its noun has not been found yet"
        ]
    );
}

#[test]
fn unsafe_stands_in_its_rooms() {
    let house = House::new().add(TOP, "fn f() {\n    unsafe {}\n}\n");
    assert_eq!(house.complaints(), [format!("{TOP}:5: `unsafe` outside of its rooms")]);
    let house = House::new().add(TOP, "// unsafe {}\nconst S: &str = \"unsafe {}\";\n");
    assert_eq!(house.complaints(), [""; 0]);
}

#[test]
fn the_rooms_of_unsafe_have_some() {
    let house = House::new().change("crates/engine/src/bottom.rs", "    unsafe {}\n", "");
    assert_eq!(house.complaints(), ["rooms.toml [unsafe]: crates/engine/src/bottom.rs has no `unsafe`"]);
    let house = House::new().table("bottom.rs\"]", "bottom.rs\", \"crates/engine/src/attic.rs\"]");
    assert_eq!(house.complaints(), ["rooms.toml [unsafe]: there is no crates/engine/src/attic.rs"]);
}

#[test]
fn one_crate_knows_python() {
    let house = House::new().add(TOP, "use pyo3::prelude;\n");
    assert_eq!(house.complaints(), [format!("{TOP}:4: only crates/python knows Python")]);
}
