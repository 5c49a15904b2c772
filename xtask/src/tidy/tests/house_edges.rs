//! The crates and the package among themselves.

use super::House;

#[test]
fn a_dependency_that_is_not_in_the_table_is_refused() {
    let house = House::new().add("crates/engine/Cargo.toml", "ourio-python.workspace = true\n");
    assert_eq!(house.complaints(), ["crates/engine: `engine` must not know `python`"]);
}

#[test]
fn a_row_that_no_manifest_has_is_refused() {
    let house = House::new().table("run\", uses = []", "run\", uses = [\"python\"]");
    let complaints = house.complaints();
    assert!(
        complaints.contains(&"rooms.toml [house]: `engine` does not use `python`".to_owned()),
        "{complaints:?}"
    );
    assert!(
        complaints.contains(&"rooms.toml [house]: a circle: engine -> python".to_owned()),
        "{complaints:?}"
    );
}

#[test]
fn a_dependency_that_no_code_uses_is_refused() {
    let house =
        House::new().change("crates/python/src/lib.rs", "use ourio_engine::Own;\n", "// ourio_engine\n");
    assert_eq!(house.complaints(), ["crates/python: no code of `python` uses `engine`"]);
}

#[test]
fn a_row_without_a_sentence_is_refused() {
    let house = House::new().table("when things run", "");
    assert_eq!(house.complaints(), ["rooms.toml [house]: `engine` has no sentence"]);
}

#[test]
fn a_crate_without_a_row_is_refused() {
    let house = House::new().add("crates/attic/Cargo.toml", "[package]\nname = \"attic\"\n");
    assert_eq!(house.complaints(), ["rooms.toml [house]: crates/attic is missing"]);
}

#[test]
fn a_package_uses_the_crate_of_its_native_module() {
    let house = House::new().table("package\", uses = [\"python\"]", "package\", uses = []");
    assert_eq!(house.complaints(), ["python/ourio: `package` must not know `python`"]);
}

#[test]
fn a_dependency_has_its_reason_beside_it() {
    let house = House::new().change("Cargo.toml", " # when things run", "");
    let told = "Cargo.toml: no reason beside: ourio-engine = { path = \"crates/engine\" }";
    assert_eq!(house.complaints(), [told]);
}
