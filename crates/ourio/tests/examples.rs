//! Every example is a program that checks itself: each is run, and must end well.

use std::path::PathBuf;
use std::process::Command;

/// Cargo puts the examples beside the tests.
fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("a test");
    own.parent().and_then(|deps| deps.parent()).expect("target/debug/deps").join("examples")
}

/// What an example is started with, where that is not nothing.
const ARGUMENTS: [(&str, &[&str]); 4] = [
    ("many_units", &["100000"]),
    ("threads_against_tasks", &["300"]),
    ("http_server", &["--check"]),
    ("chat_server", &["--check"]),
];

#[test]
fn every_example_runs_and_ends_well() {
    // `cargo test --test examples` alone would not build them.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "ourio", "--examples"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.expect("cargo runs").success());
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut names: Vec<_> = std::fs::read_dir(sources)
        .expect("the examples")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let arguments =
            ARGUMENTS.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, arguments)| arguments);
        let output = Command::new(folder().join(&name)).args(arguments).output().expect("it is built");
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{said}\n{complained}", output.status);
        assert!(!said.is_empty(), "{name} shows nothing");
    }
}
