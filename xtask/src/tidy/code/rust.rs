//! Rust as tidy reads it: which paths a crate's files mention, found by a parser of the whole grammar.
//!
//! Comments, literals and what is compiled for tests only do not count. What a macro is given is no syntax tree yet, and
//! is read as tokens: any names with `::` between them.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, Meta, Token, UseTree, Visibility};

use super::names::{Mention, ModulePath, Names};
use super::reading::Reading;
use crate::tidy::tree::{Tree, extension};

/// Reads a crate's `src`.
pub(crate) fn read(tree: &Tree, src: &str) -> Result<Reading> {
    let mut reader = Reader::default();
    for (path, inner, text) in tree.under(src) {
        if extension(path) == "rs" {
            let parsed =
                syn::parse_file(text).map_err(|error| anyhow!("{path}:{}: {error}", line(error.span())))?;
            path.clone_into(&mut reader.file);
            reader.module = module_path(inner);
            reader.declare();
            reader.visit_file(&parsed);
        }
    }
    let Reader { names, mut mentions, for_tests, complaints, .. } = reader;
    mentions.retain(|mention| !for_tests.iter().any(|module| mention.module.starts_with(module)));
    Ok(Reading::new(names, &mentions, complaints))
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; `lib.rs` and `main.rs` are the root.
fn module_path(inner: &str) -> ModulePath {
    let stem = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut names: ModulePath = stem.split('/').map(str::to_owned).collect();
    let is_root = names.len() == 1 && matches!(stem, "lib" | "main");
    if is_root || names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

/// Walks through the files of a crate, one after another.
#[derive(Debug, Default)]
struct Reader {
    names: Names,
    mentions: Vec<Mention>,
    /// Modules with files of their own that are compiled for tests only.
    for_tests: Vec<ModulePath>,
    complaints: Vec<String>,
    /// Where the walk is.
    file: String,
    module: ModulePath,
    is_value: bool,
}

impl Reader {
    fn declare(&mut self) {
        self.names.modules.entry(self.module.clone()).or_default().file.clone_from(&self.file);
    }

    fn mention(&mut self, path: Vec<String>, line: usize) -> &mut Mention {
        let (module, value) = (self.module.clone(), self.is_value);
        self.mentions.push(Mention { line, module, path, value, glob: false, listing: false });
        let last = self.mentions.len() - 1;
        &mut self.mentions[last]
    }

    /// The leaves of a `use`, each with its whole path.
    fn read_use(&mut self, prefix: &[String], tree: &UseTree, listing: bool) {
        let with = |ident: &Ident| [prefix, &[plain(ident)]].concat();
        match tree {
            UseTree::Path(path) => self.read_use(&with(&path.ident), &path.tree, listing),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.read_use(prefix, item, listing));
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.bind(prefix.to_vec(), &name.ident, None, listing);
            }
            UseTree::Name(name) => self.bind(with(&name.ident), &name.ident, None, listing),
            UseTree::Rename(rename) if rename.ident == "self" => {
                self.bind(prefix.to_vec(), &rename.ident, Some(&rename.rename), listing);
            }
            UseTree::Rename(rename) => {
                self.bind(with(&rename.ident), &rename.ident, Some(&rename.rename), listing);
            }
            UseTree::Glob(glob) => {
                let mention = self.mention(prefix.to_vec(), line(glob.star_token.spans[0]));
                (mention.glob, mention.listing) = (true, listing);
                if let Some(module) = self.names.modules.get_mut(&self.module) {
                    module.globs.push(prefix.to_vec());
                }
            }
        }
    }

    fn bind(&mut self, path: Vec<String>, ident: &Ident, rename: Option<&Ident>, listing: bool) {
        let name = rename.map(plain).or_else(|| path.last().cloned()).unwrap_or_default();
        if let Some(module) = self.names.modules.get_mut(&self.module) {
            // The first is the module's own; a later one is a function's.
            module.bindings.entry(name).or_insert_with(|| path.clone());
        }
        self.mention(path, line(ident.span())).listing = listing;
    }

    fn read_tokens(&mut self, tokens: &TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        let mut after_path = false;
        for token in tokens.clone() {
            match token {
                TokenTree::Ident(ident) => {
                    if colons == 2 && after_path {
                        path.push(ident);
                    } else {
                        self.end_path(&mut path);
                        // After a leading `::` it is another crate's; after a dot it is a field or a method.
                        if colons != 2 {
                            path.push(ident);
                        }
                    }
                    (colons, after_path) = (0, !path.is_empty());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    if colons > 2 {
                        self.end_path(&mut path);
                    }
                }
                TokenTree::Group(group) => {
                    let is_use = colons == 2 && !path.is_empty() && group.delimiter() == Delimiter::Brace;
                    if !(is_use && self.read_use_group(&path, &group)) {
                        self.end_path(&mut path);
                        self.read_tokens(&group.stream());
                    }
                    path.clear();
                    (colons, after_path) = (0, false);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end_path(&mut path);
                    (colons, after_path) = (0, false);
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<Ident>) {
        if path.len() > 1 {
            let names = path.iter().map(plain).collect();
            self.mention(names, line(path[0].span()));
        }
        path.clear();
    }

    /// `use crate::{a, b}` among tokens; false if the braces hold no such list.
    fn read_use_group(&mut self, path: &[Ident], group: &Group) -> bool {
        let list = Punctuated::<UseTree, Token![,]>::parse_terminated.parse2(group.stream());
        let prefix: Vec<String> = path.iter().map(plain).collect();
        list.is_ok_and(|list| {
            list.iter().for_each(|tree| self.read_use(&prefix, tree, false));
            true
        })
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            if let Item::Mod(module) = item {
                self.for_tests.push([&self.module[..], &[plain(&module.ident)]].concat());
            }
            return;
        }
        if let Some(name) = defined(item)
            && let Some(module) = self.names.modules.get_mut(&self.module)
        {
            module.items.insert(plain(name));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        for attribute in &item.attrs {
            if attribute.path().is_ident("macro_use") || attribute.path().is_ident("path") {
                let at = line(item.ident.span());
                let what = "its attribute hides who knows whom";
                self.complaints.push(format!("{}:{at}: mod {}: {what}", self.file, item.ident));
            }
        }
        if item.content.is_some() {
            self.module.push(plain(&item.ident));
            self.declare();
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(name) = &item.ident
            && item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
        {
            // It is in the crate's root, wherever it is written.
            let path = [&["crate".to_owned()], &self.module[..], &[plain(name)]].concat();
            let root = self.names.modules.entry(ModulePath::new()).or_default();
            root.bindings.insert(plain(name), path);
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.read_use(&[], &item.tree, !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // `self` alone is a method's receiver.
        let is_receiver = path.is_ident("self");
        if path.leading_colon.is_none() && !is_receiver {
            let names = path.segments.iter().map(|segment| plain(&segment.ident)).collect();
            self.mention(names, line(path.segments[0].ident.span()));
        }
        self.is_value = false;
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.is_value = true;
        visit::visit_expr_path(self, path);
        self.is_value = false;
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.read_tokens(tokens);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(in crate::a)` names who may look in, not whom it knows.
    }
}

fn line(span: proc_macro2::Span) -> usize {
    span.start().line
}

/// Without the `r#` of a name that is a keyword elsewhere.
fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// Whether something is compiled for tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args().is_ok_and(|meta| needs_test(&meta))
        }
        _ => false,
    })
}

fn needs_test(predicate: &Meta) -> bool {
    match predicate {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
            let Ok(parts) = list.parse_args_with(parse) else { return false };
            let mut parts = parts.iter();
            match list.path.get_ident() {
                Some(ident) if ident == "all" => parts.any(needs_test),
                Some(ident) if ident == "any" => parts.len() > 0 && parts.all(needs_test),
                _ => false,
            }
        }
        Meta::NameValue(_) => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines.
fn defined(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::TraitAlias(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

/// The words of a file's code, each with its first line: not those of comments and literals.
pub(crate) fn words(path: &str, text: &str) -> Result<BTreeMap<String, usize>> {
    fn gather(tokens: TokenStream, words: &mut BTreeMap<String, usize>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    words.entry(plain(&ident)).or_insert_with(|| line(ident.span()));
                }
                TokenTree::Group(group) => gather(group.stream(), words),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
    let tokens = text.parse().map_err(|error| anyhow!("{path}: {error}"))?;
    let mut words = BTreeMap::new();
    gather(tokens, &mut words);
    Ok(words)
}
