//! The Python environments: `.venv` at the root, and `target/venvs/X.Y` for further interpreters.
//!
//! An environment is made once. A stamp in it says for which interpreter and which requirements, so that a
//! second call only asks cargo whether the extension is up to date. The extension is built into the source
//! tree under its interpreter's own suffix, so that several interpreters use one tree.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{Step, root, say};

/// A virtual environment in which `import ourio` works.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
    version: String,
    /// Of the file name of an extension.
    suffix: String,
}

/// The compiler's flags, of which a path may have spaces.
pub(crate) const FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";
const REQUIREMENTS: &str = "requirements-dev.txt";
/// Prints `3.14 .cpython-314-x86_64-linux-gnu.so /usr/bin/python3.14`: for an environment, the interpreter
/// that it was made from.
const DESCRIBE: &str = "import sys, sysconfig; \
    print('%d.%d' % sys.version_info[:2], sysconfig.get_config_var('EXT_SUFFIX'), sys._base_executable)";

impl Environment {
    /// `.venv`, made or remade for an interpreter if one is given.
    pub(crate) fn default_at(python: Option<&Path>) -> Result<Self> {
        Self::make(root().join(".venv"), python, REQUIREMENTS)
    }

    /// The environment for a choice on the command line: `.venv`, or one of its own for another interpreter.
    pub(crate) fn for_choice(python: Option<&Path>) -> Result<Self> {
        let Some(python) = python else { return Self::default_at(None) };
        let (version, _, _) = describe(python)?;
        Self::make(root().join("target/venvs").join(version), Some(python), REQUIREMENTS)
    }

    /// An environment apart, with the packages of a requirements file, for what the tests do not need.
    pub(crate) fn apart(python: Option<&Path>, name: &str, requirements_file: &str) -> Result<Self> {
        let base = python.map_or_else(default_python, |python| Ok(python.to_owned()))?;
        let (version, _, _) = describe(&base)?;
        let folder = root().join("target/venvs").join(format!("{version}-{name}"));
        Self::make(folder, Some(&base), requirements_file)
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// A Python file of the workspace, or a folder with a `__main__.py`, to run with this interpreter.
    pub(crate) fn program(&self, file: &str) -> Step {
        Step::new(self.python()).arg(file)
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn make(folder: PathBuf, python: Option<&Path>, requirements_file: &str) -> Result<Self> {
        // One at a time: a second command waits until the first has made what both need.
        fs::create_dir_all(root().join("target"))?;
        let lock = fs::File::create(root().join("target/xtask.lock"))?;
        lock.lock().context("target/xtask.lock")?;
        let stamp_file = folder.join("ourio-setup.txt");
        let requirements = fs::read_to_string(root().join(requirements_file));
        let requirements = requirements.with_context(|| requirements_file.to_owned())?;
        let existing = folder.join("bin/python");
        let base = match python {
            Some(python) => python.to_owned(),
            None if existing.exists() && stamp_file.exists() => existing.clone(),
            None => default_python()?,
        };
        let (version, suffix, executable) = describe(&base)?;
        let stamped = fs::read_to_string(&stamp_file).unwrap_or_default();
        let stamp = format!("{version}\n{requirements}");
        let same_base = python.is_none() || stamped.lines().nth(0) == Some(&version);
        if stamped != stamp || !same_base {
            create(&folder, Path::new(&executable), &version, requirements_file)?;
            fs::write(&stamp_file, stamp)?;
        }
        let this = Self { folder, version, suffix };
        this.build()?;
        Ok(this)
    }

    fn build(&self) -> Result<()> {
        let compiler = Step::new("cc").arg("--version").read();
        compiler.context("no C compiler (cc) was found, which links the extension; install gcc or clang")?;
        say(&format!("building ourio for Python {}", self.version));
        let target = root().join("target/py").join(&self.version);
        self.cargo_build(&target).run()?;
        self.place(&target.join("release/lib_ourio.so"))?;
        self.link()
    }

    fn cargo_build(&self, target: &Path) -> Step {
        let build = Step::cargo().args(["build", "--release", "--package", "ourio-python", "--target-dir"]);
        build.arg(target).env("PYO3_PYTHON", self.python())
    }

    /// Builds the extension in a folder of its own, with flags that U+001F separates, and tells where the library is.
    pub(crate) fn compile(&self, target: &Path, rustflags: &str) -> Result<PathBuf> {
        self.cargo_build(target).env(FLAGS, rustflags).run()?;
        Ok(target.join("release/lib_ourio.so"))
    }

    /// Puts a library where `import ourio` finds it.
    pub(crate) fn place(&self, built: &Path) -> Result<()> {
        let place = root().join(format!("python/ourio/_ourio{}", self.suffix));
        let fresh = fs::read(built).with_context(|| built.display().to_string())?;
        if fs::read(&place).ok().as_deref() != Some(&fresh) {
            // Renamed into place: a running interpreter keeps the file that it has mapped.
            let beside = place.with_extension("new");
            fs::write(&beside, &fresh)?;
            fs::rename(&beside, &place)?;
        }
        Ok(())
    }

    /// uv, for what it does besides.
    pub(crate) fn installer() -> Result<Step> {
        Ok(Step::new(Installer::find()?.uv))
    }

    /// Makes `import ourio` and the command `ourio` work in the environment.
    fn link(&self) -> Result<()> {
        let packages = self.folder.join("lib").join(format!("python{}", self.version)).join("site-packages");
        fs::write(packages.join("ourio.pth"), format!("{}\n", root().join("python").display()))?;
        let command = self.folder.join("bin/ourio");
        let python = self.python();
        let text = format!(
            "#!{}\nimport sys\nfrom ourio.__main__ import main\nsys.exit(main())\n",
            python.display()
        );
        fs::write(&command, text)?;
        let mut permissions = fs::metadata(&command)?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(&command, permissions)?;
        Ok(())
    }
}

fn create(folder: &Path, base: &Path, version: &str, requirements_file: &str) -> Result<()> {
    say(&format!("making {} for Python {version}", folder.display()));
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let installer = Installer::find()?;
    installer.create(folder, base)?;
    say("installing the tools from PyPI");
    installer.install(folder, &["-r", requirements_file])
}

/// uv, which also serves interpreters that come without ensurepip.
struct Installer {
    uv: PathBuf,
}

impl Installer {
    /// uv on the path, or one of our own in `target/tools`.
    fn find() -> Result<Self> {
        if Step::new("uv").arg("--version").read().is_ok() {
            return Ok(Self { uv: "uv".into() });
        }
        let tools = root().join("target/tools");
        let uv = tools.join("bin/uv");
        if !uv.exists() {
            say("installing uv from PyPI into target/tools");
            let python = default_python()?;
            let made = Step::new(&python).args(["-m", "venv", "--clear"]).arg(&tools).read();
            made.context(
                "no uv on the path, and this Python cannot make a virtual environment to install it in; \
                 install uv, or the package python3-venv",
            )?;
            let pip = Step::new(tools.join("bin/python")).args(["-m", "pip", "install", "--quiet", "uv"]);
            pip.read().context("cannot install uv from PyPI")?;
        }
        Ok(Self { uv })
    }

    fn create(&self, folder: &Path, base: &Path) -> Result<()> {
        let step =
            Step::new(&self.uv).args(["venv", "--quiet", "--no-project", "--python"]).arg(base).arg(folder);
        step.run().context("cannot make the virtual environment")
    }

    fn install(&self, folder: &Path, packages: &[&str]) -> Result<()> {
        let python = folder.join("bin/python");
        let step = Step::new(&self.uv).args(["pip", "install", "--quiet", "--python"]).arg(python);
        step.args(packages).run().context("cannot install from PyPI")
    }
}

/// The interpreters on the path that can be used, one per version.
pub(crate) fn on_the_path() -> Vec<PathBuf> {
    let names = (11..=15).map(|minor| PathBuf::from(format!("python3.{minor}")));
    names.filter(|name| describe(name).is_ok()).collect()
}

fn default_python() -> Result<PathBuf> {
    let named = std::env::var_os("OURIO_PYTHON").map(PathBuf::from);
    let candidates = named.into_iter().chain(
        ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.15"].map(PathBuf::from),
    );
    for candidate in candidates {
        if let Ok((_, _, executable)) = describe(&candidate) {
            return Ok(executable.into());
        }
    }
    bail!("no CPython from 3.11 on was found; install one, or name it with --python PATH")
}

/// Version, suffix of extensions, and executable of an interpreter that can be used.
fn describe(python: &Path) -> Result<(String, String, String)> {
    let text = Step::new(python).args(["-c", DESCRIBE]).read()?;
    let mut parts = text.splitn(3, ' ').map(str::to_owned);
    let (Some(version), Some(suffix), Some(executable)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("{} does not look like CPython: {text:?}", python.display());
    };
    let minor = version.strip_prefix("3.").and_then(|minor| minor.parse::<u32>().ok());
    if !minor.is_some_and(|minor| (11..=15).contains(&minor)) {
        bail!("{} is Python {version}; Ourio supports 3.11 to 3.15", python.display());
    }
    Ok((version, suffix, executable))
}
