//! The table says what is, no more and no less.

use super::House;
use crate::tidy::table::Table;

#[test]
fn a_row_that_no_code_uses_is_refused() {
    let house = House::new().table("uses = [\"middle\"]", "uses = [\"bottom\", \"middle\"]");
    assert_eq!(house.complaints(), ["rooms.toml [rooms.engine]: `top` does not use `bottom`"]);
}

#[test]
fn a_room_without_a_row_is_refused() {
    let house = House::new().add("crates/engine/src/attic.rs", "//! Attic.\nuse crate::top::Top;\n");
    assert_eq!(house.complaints(), ["rooms.toml [rooms.engine]: room `attic` is missing"]);
}

#[test]
fn a_row_without_a_room_is_refused() {
    let house =
        House::new().table("[rooms.package]", "cellar = { is = \"gone\", uses = [] }\n[rooms.package]");
    assert_eq!(house.complaints(), ["rooms.toml [rooms.engine]: there is no room `cellar`"]);
}

#[test]
fn a_row_without_a_sentence_is_refused() {
    let house = House::new().table("what knows most", " ");
    assert_eq!(house.complaints(), ["rooms.toml [rooms.engine]: `top` has no sentence"]);
}

#[test]
fn rooms_belong_to_something_in_the_house() {
    let error = Table::parse("[house]\n[rooms.attic]\n").expect_err("no attic");
    assert_eq!(error.to_string(), "rooms.toml: [rooms.attic] belongs to nothing in [house]");
}

#[test]
fn a_word_that_the_table_does_not_know_is_refused() {
    assert!(Table::parse("[house]\na = { folder = \"a\", is = \"a\", uses = [], use = [] }\n").is_err());
}

#[test]
fn a_circle_that_only_the_table_has_is_told() {
    let house = House::new().table("nothing\", uses = []", "nothing\", uses = [\"top\"]");
    assert_eq!(
        house.complaints(),
        [
            "rooms.toml [rooms.engine]: `bottom` does not use `top`",
            "rooms.toml [rooms.engine]: rooms in a circle: bottom -> top -> middle -> bottom",
        ]
    );
}

#[test]
fn what_the_code_says_is_printed_as_the_table_would_be() {
    let house = House::new().add(
        "crates/engine/src/attic.rs",
        "//! The attic,\n//! under the roof. Dusty.\nuse crate::top::Top;\n",
    );
    let house = house.add("rooms.toml", "[folders]\n\"python/ourio\" = \"once wide\"\n");
    let printed = house.edges();
    assert!(
        printed.contains("attic  = { is = \"The attic, under the roof\", uses = [\"top\"] }"),
        "{printed}"
    );
    assert!(printed.contains("top    = { is = \"what knows most\", uses = [\"middle\"] }"), "{printed}");
    assert!(!printed.contains("once wide"), "{printed}");
    let table = house.remove("rooms.toml").add("rooms.toml", &printed);
    assert_eq!(table.complaints(), [""; 0]);
}
