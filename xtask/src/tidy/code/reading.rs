//! What reading a crate or a package gives: its modules, and who refers to whom.

use super::names::{Mention, ModulePath, Names, Place};

/// One crate or package, read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) names: Names,
    pub(crate) references: Vec<Reference>,
    /// What hides who knows whom.
    pub(crate) complaints: Vec<String>,
}

/// A mention that leads to a module of the same crate.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) from: ModulePath,
    pub(crate) to: Place,
    pub(crate) to_file: String,
    pub(crate) glob: bool,
    pub(crate) listing: bool,
}

impl Reading {
    pub(crate) fn new(names: Names, mentions: &[Mention], complaints: Vec<String>) -> Self {
        let refer = |mention: &Mention| {
            let to = names.place_of(mention)?;
            Some(Reference {
                file: names.modules.get(&mention.module)?.file.clone(),
                line: mention.line,
                from: mention.module.clone(),
                to_file: names.modules.get(&to.module)?.file.clone(),
                to,
                glob: mention.glob,
                listing: mention.listing,
            })
        };
        let references = mentions.iter().filter_map(refer).collect();
        Self { names, references, complaints }
    }

    /// Whether a name of the root is defined there, and not only passed on.
    pub(crate) fn root_defines(&self, name: &str) -> bool {
        self.names.modules.get(&ModulePath::new()).is_some_and(|root| root.items.contains(name))
    }
}
