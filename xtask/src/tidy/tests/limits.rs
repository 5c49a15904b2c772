//! Long files and wide folders say why.

use super::House;

const LONG: &str = "tests/long.py";

fn long(opening: &str) -> House {
    House::new().add(LONG, opening).add(LONG, &"x = 1\n".repeat(600))
}

/// Thirteen files of one folder.
fn wide(house: House) -> House {
    let names = [
        "tests/a.py",
        "tests/b.py",
        "tests/c.py",
        "tests/d.py",
        "tests/e.py",
        "tests/f.py",
        "tests/g.py",
        "tests/h.py",
        "tests/i.py",
        "tests/j.py",
        "tests/k.py",
        "tests/l.py",
        "tests/m.py",
    ];
    names.into_iter().fold(house, |house, name| house.add(name, "\"\"\"Test.\"\"\"\n"))
}

#[test]
fn a_long_file_is_refused() {
    let complaints = long("\"\"\"Long.\"\"\"\n").complaints();
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].starts_with("tests/long.py: 601 lines do not fit in the head"), "{complaints:?}");
}

#[test]
fn a_long_file_that_says_why_is_accepted() {
    assert_eq!(long("\"\"\"Long.\n\nLength: one table.\n\"\"\"\n").complaints(), [""; 0]);
    let house = House::new().add("crates/engine/src/top.rs", &"\n".repeat(600));
    let house =
        house.change("crates/engine/src/top.rs", "//! Top.\n", "//! Top.\n//!\n//! Length: one table.\n");
    assert_eq!(house.complaints(), [""; 0]);
}

#[test]
fn a_reason_that_is_empty_or_elsewhere_does_not_count() {
    let complaints = long("\"\"\"Long.\n\nLength:\n\"\"\"\n").complaints();
    assert_eq!(complaints, ["tests/long.py: `Length:` without a reason"]);
    assert_eq!(long("\"\"\"Long.\"\"\"\n\"\"\"\nLength: late.\n\"\"\"\n").complaints().len(), 1);
}

#[test]
fn a_reason_without_need_is_refused() {
    let house = House::new().change("python/ourio/_loop.py", "Loop.", "Loop.\n\nLength: once long.\n");
    assert_eq!(house.complaints(), ["python/ourio/_loop.py: `Length:` excuses what is within the limit"]);
}

#[test]
fn a_wide_folder_is_refused() {
    let complaints = wide(House::new()).complaints();
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].starts_with("tests: 13 source files do not fit in the head"), "{complaints:?}");
}

#[test]
fn lists_and_commands_do_not_count() {
    let house = wide(House::new()).remove("tests/m.py");
    let house =
        house.add("tests/__init__.py", "\"\"\"Tests.\"\"\"\n").add("tests/__main__.py", "\"\"\"Run.\"\"\"\n");
    assert_eq!(house.complaints(), [""; 0]);
}

#[test]
fn a_wide_folder_whose_list_or_row_says_why_is_accepted() {
    let house = wide(House::new()).add("tests/__init__.py", "\"\"\"Tests.\n\nLength: by name.\n\"\"\"\n");
    assert_eq!(house.complaints(), [""; 0]);
    let house = wide(House::new()).add("rooms.toml", "[folders]\ntests = \"by name\"\n");
    assert_eq!(house.complaints(), [""; 0]);
}

#[test]
fn a_row_for_a_folder_has_a_reason() {
    let house = wide(House::new()).add("rooms.toml", "[folders]\ntests = \"\"\n");
    assert_eq!(house.complaints(), ["rooms.toml [folders]: tests without a reason"]);
}

#[test]
fn a_row_for_a_folder_without_need_is_refused() {
    let rows = "[folders]\nattic = \"gone\"\n\"python/ourio\" = \"once wide\"\n";
    assert_eq!(
        House::new().add("rooms.toml", rows).complaints(),
        [
            "rooms.toml [folders]: python/ourio is within the limit of 12 files",
            "rooms.toml [folders]: there is no attic",
        ]
    );
}
