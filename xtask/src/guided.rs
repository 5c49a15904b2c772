//! Profile-guided builds: a build that counts, the benchmarks as training, a build from what was counted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::environment::{Environment, FLAGS};
use crate::shell::{Step, root, say};

/// What is trained: every case of these groups, a fifth of it, twice.
const TRAINING: [&str; 5] = ["--quick", "--loops", "ourio", "scheduling", "network"];

/// Builds the extension from a profile, and puts it where `import ourio` of this environment finds it until the next
/// command builds it without.
pub(crate) fn install(environment: &Environment) -> Result<()> {
    let profile = profile(environment)?;
    say("building with the profile");
    let library = environment.compile(&folder(environment).join("guided"), &with_profile(&profile))?;
    environment.place(&library)
}

/// Builds a wheel from a profile, into `target/wheels`.
pub(crate) fn wheel(environment: &Environment) -> Result<()> {
    let profile = profile(environment)?;
    let wheels = root().join("target/wheels");
    say(&format!("building a wheel for Python {} into {}", environment.version(), wheels.display()));
    let build = Environment::installer()?.args(["build", "--wheel", "--python"]).arg(environment.python());
    build
        .arg("--out-dir")
        .arg(&wheels)
        .env(FLAGS, with_profile(&profile))
        .env("CARGO_TARGET_DIR", folder(environment).join("wheel"))
        .run()
}

/// What was counted, made anew if the sources have changed since.
fn profile(environment: &Environment) -> Result<PathBuf> {
    let profdata = find_profdata()?;
    let folder = folder(environment);
    let (counts, profile) = (folder.join("counts"), folder.join("ourio.profdata"));
    say("building what counts");
    let library = environment.compile(&folder.join("counting"), &with_counters(&counts))?;
    let made = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if made(&profile).is_ok_and(|trained| made(&library).is_ok_and(|built| built < trained)) {
        return Ok(profile);
    }
    environment.place(&library)?;
    if counts.exists() {
        fs::remove_dir_all(&counts)?;
    }
    say("training");
    // A file for each process.
    let files = counts.join("%p.profraw");
    environment.program("benches").args(TRAINING).env("LLVM_PROFILE_FILE", files).run()?;
    let merge = Step::new(&profdata).args(["merge", "-o"]).arg(&profile).arg(&counts);
    merge.read().context("cannot merge what was counted")?;
    Ok(profile)
}

fn folder(environment: &Environment) -> PathBuf {
    root().join("target/pgo").join(environment.version())
}

/// The flags are for build scripts too: with a target named to spare them, cargo would name the functions otherwise
/// than where no target is named, and the profile would be of functions that do not exist.
fn with_counters(counts: &Path) -> String {
    // Names uncompressed: not every llvm-profdata is built with zlib.
    format!("-Cprofile-generate={}\u{1f}-Cllvm-args=-enable-name-compression=false", counts.display())
}

fn with_profile(profile: &Path) -> String {
    format!("-Cprofile-use={}", profile.display())
}

/// The tool that reads the compiler's profiles.
fn find_profdata() -> Result<PathBuf> {
    let about = Step::new("rustc").arg("-vV").read()?;
    let told = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (Some(host), Some(llvm)) = (told("host:"), told("LLVM version:")) else {
        bail!("rustc does not tell its host and its LLVM: {about}");
    };
    let sysroot = Step::new("rustc").args(["--print", "sysroot"]).read()?;
    let bundled = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    let major = major(llvm);
    let named = std::env::var_os("LLVM_PROFDATA").map(PathBuf::from);
    let by_version = PathBuf::from(format!("llvm-profdata-{major}"));
    let candidates = named.into_iter().chain([bundled, by_version, "llvm-profdata".into()]);
    for profdata in candidates {
        let Ok(text) = Step::new(&profdata).arg("--version").read() else { continue };
        let version = text.split("LLVM version").nth(1).map_or("", str::trim);
        // An older one cannot read what this compiler's programs write.
        if self::major(version) >= major {
            return Ok(profdata);
        }
    }
    bail!(
        "no llvm-profdata of LLVM {major} was found, which reads profiles: \
             `rustup component add llvm-tools` installs it, or name one in LLVM_PROFDATA"
    )
}

/// The first number of a version; 0 if there is none.
fn major(version: &str) -> u32 {
    let digits = version.split(|letter: char| !letter.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
