//! Every way in which Rust mentions another room is an edge, and nothing else is.

use super::House;

const BOTTOM: &str = "crates/engine/src/bottom.rs";
const TOP: &str = "crates/engine/src/top.rs";

/// What `bottom` must not know is told once, at its place.
#[track_caller]
fn assert_refused(code: &str, line: usize, room: &str) {
    let complaints = House::new().add(BOTTOM, code).complaints();
    let refused = format!("{BOTTOM}:{line}: room `bottom` must not know `{room}`");
    assert!(complaints.contains(&refused), "{complaints:?}");
}

#[track_caller]
fn assert_accepted(path: &'static str, code: &str) {
    assert_eq!(House::new().add(path, code).complaints(), [""; 0]);
}

#[test]
fn a_use_is_an_edge() {
    assert_refused("use crate::top::Top;\n", 7, "top");
}

#[test]
fn a_module_that_is_used_is_an_edge() {
    assert_refused("use crate::top;\n", 7, "top");
}

#[test]
fn each_leaf_of_a_nested_group_is_an_edge() {
    assert_refused(
        "use crate::{\n    bottom::Bottom as Own,\n    middle::{Left, Right},\n    top::{self},\n};\n",
        10,
        "top",
    );
}

#[test]
fn a_path_within_the_code_is_an_edge() {
    assert_refused("fn f() {\n    crate::top::go();\n}\n", 8, "top");
}

#[test]
fn a_path_within_a_type_is_an_edge() {
    assert_refused("fn f(_: Vec<Option<&'static crate::top::Top>>) {}\n", 7, "top");
}

#[test]
fn a_path_with_super_is_an_edge() {
    assert_refused("fn f() {\n    super::top::go();\n}\n", 8, "top");
    assert_refused("mod inner {\n    use super::super::top::Top;\n}\n", 8, "top");
}

#[test]
fn a_path_among_the_tokens_of_a_macro_is_an_edge() {
    assert_refused("fn f() {\n    println!(\"{}\", crate::top::go());\n}\n", 8, "top");
    assert_refused("methods! {\n    \"go\" => [crate::top::go as fn()],\n}\n", 8, "top");
}

#[test]
fn a_path_in_the_body_of_a_macro_is_an_edge() {
    assert_refused("macro_rules! m {\n    () => {\n        $crate::top::go()\n    };\n}\n", 9, "top");
}

#[test]
fn a_group_among_the_tokens_of_a_macro_is_an_edge() {
    assert_refused("loom! {\n    use crate::{bottom::Bottom as B, top::Top};\n}\n", 8, "top");
}

#[test]
fn a_path_in_an_attribute_is_an_edge() {
    assert_refused("#[derives(from = crate::top::Top)]\npub struct Derived;\n", 7, "top");
}

#[test]
fn what_the_list_passes_on_is_its_rooms() {
    assert_refused("use crate::Middle;\n", 7, "middle");
    assert_refused("fn f() {\n    crate::Middle::go();\n}\n", 8, "middle");
}

#[test]
fn an_exported_macro_is_its_rooms() {
    let house = House::new().add(TOP, "#[macro_export]\nmacro_rules! shout {\n    () => {};\n}\n");
    let complaints = house.add(BOTTOM, "fn f() {\n    crate::shout!();\n}\n").complaints();
    assert!(complaints.contains(&format!("{BOTTOM}:8: room `bottom` must not know `top`")), "{complaints:?}");
}

#[test]
fn a_name_that_another_room_passes_on_is_that_rooms() {
    // `bottom` is where it is from, but `middle` is who is asked.
    assert_accepted(TOP, "use crate::middle::Bottom;\n");
}

#[test]
fn what_the_list_defines_itself_may_be_used() {
    assert_accepted(TOP, "use crate::Own;\n");
}

#[test]
fn the_list_is_no_way_to_somebody_elses_name() {
    let complaints = House::new().add(TOP, "use crate::Duration;\n").complaints();
    assert_eq!(complaints, [format!("{TOP}:4: room `top` takes Duration from the list, which only lists")]);
    let complaints = House::new().add(TOP, "use crate::*;\n").complaints();
    assert_eq!(complaints, [format!("{TOP}:4: room `top` takes everything from the list, which only lists")]);
}

#[test]
fn comments_and_literals_are_no_edges() {
    assert_accepted(
        BOTTOM,
        "/// See [`crate::top::Top`].\n// crate::top::go();\npub const S: &str = \"crate::top::go()\";\n",
    );
}

#[test]
fn who_may_look_in_is_no_edge() {
    assert_accepted(BOTTOM, "pub(in crate::top) struct Hidden;\n");
}

#[test]
fn what_is_compiled_for_tests_only_is_no_edge() {
    assert_accepted(BOTTOM, "#[cfg(test)]\nmod tests {\n    use crate::top::Top;\n}\n");
    assert_accepted(BOTTOM, "#[cfg(all(test, loom))]\nmod models {\n    use crate::top::Top;\n}\n");
    assert_accepted(BOTTOM, "impl Bottom {\n    #[cfg(test)]\n    fn f(_: crate::top::Top) {}\n}\n");
    let house = House::new().add("crates/engine/src/middle/tests.rs", "//! Tests.\nuse crate::top::Top;\n");
    let house = house.add("crates/engine/src/middle/mod.rs", "#[cfg(test)]\nmod tests;\n");
    assert_eq!(house.complaints(), [""; 0]);
}

#[test]
fn what_is_compiled_but_for_tests_is_an_edge() {
    assert_refused("#[cfg(not(test))]\nuse crate::top::Top;\n", 8, "top");
    assert_refused("#[cfg(any(test, unix))]\nuse crate::top::Top;\n", 8, "top");
}

#[test]
fn other_crates_are_no_rooms() {
    assert_accepted(
        BOTTOM,
        "use top::Top;\nuse ::middle::Middle;\nfn f() {\n    dig!(::std::top::go(), a.middle::<u8>());\n}\n",
    );
}

#[test]
fn a_circle_of_rooms_is_told_with_its_doors() {
    let house = House::new().add(BOTTOM, "use crate::top::Top;\n");
    let complaints = house.table(
        "bottom = { is = \"what knows nothing\", uses = []",
        "bottom = { is = \"what knows nothing\", uses = [\"top\"]",
    );
    assert_eq!(
        complaints.complaints(),
        [format!(
            "engine: rooms in a circle: bottom -> top ({BOTTOM}:7) -> middle ({TOP}:2) -> bottom \
             (crates/engine/src/middle/mod.rs:6)"
        )]
    );
}

#[test]
fn a_circle_of_files_in_a_room_is_told() {
    let house = || House::new().add("crates/engine/src/middle/left.rs", "use super::Right;\n");
    let told = "engine: files of room `middle` in a circle: crates/engine/src/middle/left.rs -> \
                crates/engine/src/middle/right.rs -> crates/engine/src/middle/left.rs";
    assert_eq!(house().complaints(), [told]);
    let excused = house().table("uses = [\"bottom\"]", "uses = [\"bottom\"], circle = \"they are one\"");
    assert_eq!(excused.complaints(), [""; 0]);
}

#[test]
fn a_file_that_uses_what_its_list_defines_and_lists_is_a_circle() {
    let house = House::new().add("crates/engine/src/middle/mod.rs", "pub struct Whole;\nfn f(_: Left) {}\n");
    let complaints = house.add("crates/engine/src/middle/left.rs", "use super::Whole;\n").complaints();
    let told = "engine: files of room `middle` in a circle: crates/engine/src/middle/left.rs -> \
                crates/engine/src/middle/mod.rs -> crates/engine/src/middle/left.rs";
    assert_eq!(complaints, [told]);
}

#[test]
fn an_excuse_has_a_reason() {
    let house = House::new().table("uses = [\"bottom\"]", "uses = [\"bottom\"], circle = \"\"");
    assert_eq!(house.complaints(), ["rooms.toml [rooms.engine]: the circle of `middle` has no reason"]);
}

#[test]
fn an_excuse_for_no_circle_is_refused() {
    let house = House::new().table("uses = [\"bottom\"]", "uses = [\"bottom\"], circle = \"they are one\"");
    assert_eq!(house.complaints(), ["rooms.toml [rooms.engine]: the files of `middle` are in no circle"]);
}

#[test]
fn a_module_that_hides_its_ways_is_refused() {
    let house = House::new().change("crates/engine/src/lib.rs", "mod top", "#[macro_use]\nmod top");
    let told = "crates/engine/src/lib.rs:5: mod top: its attribute hides who knows whom";
    assert_eq!(house.complaints(), [told]);
}
