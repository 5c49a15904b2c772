//! The picture hangs as the table says, and fits on a screen.

use super::House;

#[test]
fn a_stale_picture_is_refused() {
    assert_eq!(House::new().with_old_picture().complaints(), [""; 0]);
    let house = House::new().with_old_picture().table("what knows most", "what knows all");
    let told = "ARCHITECTURE.md: the picture is not the table's; `cargo xtask tidy --write` draws it anew";
    assert_eq!(house.complaints(), [told]);
}

#[test]
fn a_picture_without_its_marks_is_refused() {
    let house = House::new().with_old_picture().change("ARCHITECTURE.md", "<!-- end of rooms -->", "");
    let complaints = house.complaints();
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].starts_with("ARCHITECTURE.md: the picture's marks are missing"), "{complaints:?}");
}

#[test]
fn a_sentence_too_long_for_a_line_is_refused() {
    let house = House::new().table("what knows most", &"most ".repeat(30));
    let complaints = house.complaints();
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].starts_with("engine: wider than 110 columns:"), "{complaints:?}");
}

#[test]
fn a_picture_longer_than_a_screen_is_refused() {
    let rows: Vec<String> = (0..45).map(|n| format!("r{n} = {{ is = \"x\", uses = [] }}")).collect();
    let house = House::new().table("[rooms.package]", &format!("{}\n[rooms.package]", rows.join("\n")));
    let complaints = house.complaints();
    let told = "engine: its picture has 49 lines, more than a screen's 45".to_owned();
    assert!(complaints.contains(&told), "{complaints:?}");
}

#[test]
fn rooms_stand_in_layers_with_their_sentences_and_whom_they_use() {
    let house = House::new().with_old_picture();
    let picture = "\
```
crates/engine: when things run
 3  top     what knows most  -> middle
 2  middle  what stands between  -> bottom
 1  bottom  what knows nothing
```
";
    assert!(house.text("ARCHITECTURE.md").contains(picture), "{}", house.text("ARCHITECTURE.md"));
}
