//! Whose a name is: modules, what they bind, and the way from a path in the code to the file that it leads to.
//!
//! The same for both languages. A path starts with `crate` (which stands for the package in Python), `self`, `super`,
//! or with a name that the module itself binds or contains; any other is somebody else's.

use std::collections::{BTreeMap, BTreeSet};

/// The names from the crate's root to a module; none for the root.
pub(crate) type ModulePath = Vec<String>;

/// Longer chains of re-exports than this are a circle of `use` that does not compile either.
const HOPS_MAX: usize = 16;

const KEYWORDS: [&str; 3] = ["crate", "self", "super"];

/// One module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    /// What `use` and `import` bring in: to each name, the path as it is written.
    pub(crate) bindings: BTreeMap<String, Vec<String>>,
    /// Whose every name is brought in.
    pub(crate) globs: Vec<Vec<String>>,
    /// What it defines itself.
    pub(crate) items: BTreeSet<String>,
}

/// The modules of one crate or package.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) modules: BTreeMap<ModulePath, Module>,
}

/// A path in the code.
#[derive(Debug)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    /// Where it stands.
    pub(crate) module: ModulePath,
    pub(crate) path: Vec<String>,
    /// Whether it stands where a value does, so that its last name is not a module's.
    pub(crate) value: bool,
    /// Whether all names of the path's module are meant.
    pub(crate) glob: bool,
    /// Whether it only lists the name for others: `pub use`.
    pub(crate) listing: bool,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) module: ModulePath,
    /// The name in that module; none if the module itself is meant.
    pub(crate) item: Option<String>,
}

impl Names {
    /// Where a mention leads; nowhere if that is not in this crate.
    pub(crate) fn place_of(&self, mention: &Mention) -> Option<Place> {
        let path = match &mention.path[..] {
            // A local variable may be called as a module is; so a name alone counts if it was brought in.
            [name] if !KEYWORDS.contains(&name.as_str()) => {
                let bound = self.modules.get(&mention.module)?.bindings.get(name)?;
                self.absolute(&mention.module, bound, 0)?
            }
            path => self.absolute(&mention.module, path, 0)?,
        };
        Some(self.follow(&path, mention.value, 0))
    }

    /// From the crate's root on.
    fn absolute(&self, module: &[String], path: &[String], hops: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let mut base = module.split_last()?.1;
                let mut rest = rest;
                while rest.first().is_some_and(|name| name == "super") {
                    base = base.split_last()?.1;
                    rest = &rest[1..];
                }
                Some([base, rest].concat())
            }
            _ => {
                let child = [module, std::slice::from_ref(first)].concat();
                if self.modules.contains_key(&child) {
                    return Some([&child, rest].concat());
                }
                let bound = self.modules.get(module)?.bindings.get(first)?;
                if hops == HOPS_MAX || bound.first() == Some(first) {
                    return None;
                }
                Some([&self.absolute(module, bound, hops + 1)?, rest].concat())
            }
        }
    }

    /// Along modules and re-exports, as far as the room that the path names.
    fn follow(&self, path: &[String], value: bool, hops: usize) -> Place {
        let mut at = ModulePath::new();
        for (depth, name) in path.iter().enumerate() {
            let rest = &path[depth + 1..];
            let module = self.modules.get(&at);
            let bound = module.and_then(|module| module.bindings.get(name));
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&child) && !(value && rest.is_empty() && bound.is_some()) {
                at = child;
                continue;
            }
            let here = Place { module: at.clone(), item: Some(name.clone()) };
            if hops == HOPS_MAX {
                return here;
            }
            if let Some(bound) = bound {
                return match self.absolute(&at, bound, 0) {
                    Some(target) => self.through(here, [&target, rest].concat(), value, hops),
                    None => here,
                };
            }
            let globs = module.into_iter().flat_map(|module| &module.globs);
            let defines = |target: &Vec<String>| {
                let module = self.modules.get(target);
                module.is_some_and(|module| module.items.contains(name) || module.bindings.contains_key(name))
            };
            let from_glob = globs.filter_map(|glob| self.absolute(&at, glob, 0)).find(defines);
            return match from_glob {
                Some(target) => {
                    self.through(here, [&target, std::slice::from_ref(name), rest].concat(), value, hops)
                }
                None => here,
            };
        }
        Place { module: at, item: None }
    }

    /// A re-export belongs to the room that re-exports, unless that is the crate's own list.
    fn through(&self, here: Place, target: Vec<String>, value: bool, hops: usize) -> Place {
        let there = self.follow(&target, value, hops + 1);
        let same_room = here.module.first() == there.module.first();
        if here.module.is_empty() || same_room { there } else { here }
    }
}
