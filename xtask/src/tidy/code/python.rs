//! Python as tidy reads it: what a package's files import.
//!
//! `import` is a keyword of Python's, and stands nowhere but in an import statement. So tokens are enough to find each,
//! wherever it is (late, in a function, or under `if TYPE_CHECKING`), and neither an interpreter nor the weight of a
//! whole parser is needed: `cargo test` works without a Python. Strings and comments are passed over; a string within
//! an f-string has the other quotes, as Python 3.11 demands.

use std::collections::BTreeMap;

use super::names::{Mention, ModulePath, Names};
use super::reading::Reading;
use crate::tidy::tree::{Tree, extension, name};

/// Reads a package. A native module is known by its stub, which mentions nobody.
pub(crate) fn read(tree: &Tree, folder: &str) -> Reading {
    let mut names = Names::default();
    let mut mentions = Vec::new();
    for (path, inner, text) in tree.under(folder) {
        let module = module_path(inner);
        match extension(path) {
            "py" => {
                path.clone_into(&mut names.modules.entry(module.clone()).or_default().file);
                let tokens = tokens(text);
                let file = File { package: name(folder), inner, module, tokens: &tokens };
                file.read(&mut names, &mut mentions);
            }
            "pyi" => {
                let module = names.modules.entry(module).or_default();
                if module.file.is_empty() {
                    path.clone_into(&mut module.file);
                }
            }
            _ => {}
        }
    }
    Reading::new(names, &mentions, Vec::new())
}

/// `a/b.py` is `a.b`; `a/__init__.py` is `a`.
fn module_path(inner: &str) -> ModulePath {
    let stem = inner.strip_suffix(".py").or_else(|| inner.strip_suffix(".pyi")).unwrap_or(inner);
    let mut names: ModulePath = stem.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|name| name == "__init__") {
        names.pop();
    }
    names
}

/// One file while it is read.
struct File<'a> {
    package: &'a str,
    inner: &'a str,
    module: ModulePath,
    tokens: &'a [Token<'a>],
}

impl File<'_> {
    fn read(&self, names: &mut Names, mentions: &mut Vec<Mention>) {
        // Names by which the package itself is known here.
        let mut selves: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for at in (0..self.tokens.len()).filter(|at| self.tokens[*at].text == "import") {
            for import in self.imports(at) {
                let module = names.modules.entry(self.module.clone()).or_default();
                match import.name {
                    Some("*") => module.globs.push(import.path.clone()),
                    Some(bound) if import.path.len() == 1 && !import.is_from => {
                        selves.insert(bound, import.path);
                        continue;
                    }
                    Some(bound) => {
                        module.bindings.entry(bound.to_owned()).or_insert_with(|| import.path.clone());
                    }
                    // `import ourio.a` also binds `ourio`.
                    None => {
                        selves.insert(self.package, vec!["crate".to_owned()]);
                    }
                }
                let glob = import.name == Some("*");
                // What a package's `__init__` imports at its top is its list.
                let listing = self.inner.ends_with("__init__.py") && import.is_from && !import.is_late;
                let (line, path, module) = (import.line, import.path, self.module.clone());
                mentions.push(Mention { line, module, path, value: false, glob, listing });
            }
        }
        self.read_attributes(&selves, mentions);
        let module = names.modules.entry(self.module.clone()).or_default();
        for (at, token) in self.tokens.iter().enumerate() {
            let next = self.text(at + 1);
            if token.starts_line && matches!(token.text, "def" | "class" | "async") {
                let name = if token.text == "async" { self.text(at + 2) } else { next };
                module.items.insert(name.to_owned());
            } else if token.starts_line && matches!(next, "=" | ":") {
                module.items.insert(token.text.to_owned());
            }
        }
    }

    /// `ourio.a.b`, where `ourio` is imported.
    fn read_attributes(&self, selves: &BTreeMap<&str, Vec<String>>, mentions: &mut Vec<Mention>) {
        for (at, token) in self.tokens.iter().enumerate() {
            let before = at.checked_sub(1).map_or("", |at| self.text(at));
            if let Some(base) = selves.get(token.text)
                && !matches!(before, "." | "import" | "from" | "as")
                && self.text(at + 1) == "."
            {
                let mut path = base.clone();
                let mut next = at + 1;
                while self.text(next) == "." {
                    path.push(self.text(next + 1).to_owned());
                    next += 2;
                }
                let (line, module) = (token.line, self.module.clone());
                mentions.push(Mention { line, module, path, value: false, glob: false, listing: false });
            }
        }
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    /// What the statement with the `import` at a place imports of this package.
    fn imports(&self, at: usize) -> Vec<Import<'_>> {
        let mut start = at;
        while start > 0 && (self.text(start - 1) == "." || is_name(self.text(start - 1))) {
            start -= 1;
            if self.text(start) == "from" {
                break;
            }
        }
        let is_from = start < at && self.text(start) == "from";
        let is_late = !self.tokens[if is_from { start } else { at }].starts_line;
        let source: Vec<&str> = (start + 1..at).map(|at| self.text(at)).collect();
        let base = if is_from { self.absolute(&source) } else { Some(Vec::new()) };
        let Some(base) = base else { return Vec::new() };
        let mut found = Vec::new();
        let mut next = at + 1;
        while !matches!(self.text(next), "" | "\n" | ";" | ")") {
            if matches!(self.text(next), "(" | ",") {
                next += 1;
                continue;
            }
            let line = self.tokens[next].line;
            let mut dotted = Vec::new();
            while !matches!(self.text(next), "" | "\n" | ";" | ")" | "," | "as") {
                dotted.push(self.text(next));
                next += 1;
            }
            let alias = (self.text(next) == "as").then(|| self.text(next + 1));
            next += if alias.is_some() { 2 } else { 0 };
            if is_from {
                let name = dotted.first().copied().unwrap_or_default();
                let leaf = (name != "*").then(|| name.to_owned());
                let path = base.iter().cloned().chain(leaf).collect();
                found.push(Import { line, path, name: Some(alias.unwrap_or(name)), is_from, is_late });
            } else if let Some(path) = self.absolute(&dotted) {
                let name = alias.or_else(|| (dotted.len() == 1).then_some(dotted[0]));
                found.push(Import { line, path, name, is_from, is_late });
            }
        }
        found
    }

    /// From `crate` on; nothing if it is of another package.
    fn absolute(&self, dotted: &[&str]) -> Option<Vec<String>> {
        let dots = dotted.iter().take_while(|token| **token == ".").count();
        let names = dotted[dots..].iter().filter(|token| **token != ".").map(|name| (*name).to_owned());
        let root = ["crate".to_owned()].into_iter();
        if dots == 0 {
            let is_own = dotted.first() == Some(&self.package);
            return is_own.then(|| root.chain(names.skip(1)).collect());
        }
        let is_package = self.inner.ends_with("__init__.py");
        let above = dots - usize::from(is_package);
        let kept = self.module.len().checked_sub(above)?;
        Some(root.chain(self.module[..kept].iter().cloned()).chain(names).collect())
    }
}

/// One name that an import statement brings in.
struct Import<'a> {
    line: usize,
    path: Vec<String>,
    /// What it is called here; nothing for `import a.b`, which binds `a`.
    name: Option<&'a str>,
    is_from: bool,
    is_late: bool,
}

/// A word, a sign, or the end of a logical line: `"\n"`.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    line: usize,
    /// Whether it stands in the first column.
    starts_line: bool,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found: Vec<Token<'_>> = Vec::new();
    let (mut at, mut line, mut brackets) = (0, 1, 0_usize);
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match letter {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => string_length(rest, letter),
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ if letter.is_alphanumeric() || letter == '_' => {
                rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len())
            }
            _ => letter.len_utf8(),
        };
        let token = &rest[..length];
        match letter {
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        let is_word = letter.is_alphanumeric() || letter == '_';
        let is_prefix = is_word && text[at + length..].starts_with(['"', '\'']);
        let is_sign = !letter.is_whitespace() && !matches!(letter, '#' | '"' | '\'' | '\\');
        if (letter == '\n' && brackets == 0) || (is_sign && !is_prefix) {
            let starts_line = at == 0 || text[..at].ends_with('\n');
            found.push(Token { text: token, line, starts_line });
        }
        line += token.matches('\n').count();
        at += length;
    }
    found
}

/// Of a string with its quotes.
fn string_length(rest: &str, quote: char) -> usize {
    let triple = rest.len() >= 3 && rest[1..].starts_with([quote]) && rest[2..].starts_with([quote]);
    let end = &rest[..if triple { 3 } else { 1 }];
    let mut at = end.len();
    while let Some(letter) = rest[at..].chars().next() {
        if rest[at..].starts_with(end) {
            return at + end.len();
        }
        at += letter.len_utf8();
        if letter == '\\' {
            at += rest[at..].chars().next().map_or(0, char::len_utf8);
        } else if letter == '\n' && !triple {
            return at - 1;
        }
    }
    rest.len()
}
