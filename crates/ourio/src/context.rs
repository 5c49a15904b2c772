//! Context variables: inherited by a task when it is spawned, its own from then on.
//!
//! The context of what runs is the thread's; that of a task that waits is in its slot, that of a callback beside it.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::outcome::contain;

type Values = BTreeMap<usize, Rc<dyn Any>>;

/// The values that are set where a task runs; `None` while there are none, which is what most programs have. Copied
/// when it is written to while somebody else has it.
pub(crate) type Context = Option<Rc<Values>>;

thread_local! {
    static CURRENT: Cell<Context> = const { Cell::new(None) };
}

/// The context of what runs now.
pub(crate) fn current() -> Context {
    change(|current| current.clone())
}

/// Makes a context current, and returns the one that was.
#[inline]
pub(crate) fn enter(context: Context) -> Context {
    CURRENT.replace(context)
}

/// Calls what is the program's in a context of its own; a panic of it stays here.
pub(crate) fn contain_in(context: Context, callback: impl FnOnce()) {
    let outer = enter(context);
    contain(callback);
    // The context may be the last to have a value, whose destructor is the program's.
    drop(enter(outer));
}

/// Looks at the current context, or changes it. What happens meanwhile must not run anybody's code.
fn change<T>(change: impl FnOnce(&mut Context) -> T) -> T {
    let mut current = CURRENT.take();
    let changed = change(&mut current);
    CURRENT.set(current);
    changed
}

/// A variable with a value per task.
///
/// A task starts with the values that were set where it was spawned; what it sets is seen by itself and by what it
/// spawns afterwards. asyncio: `contextvars.ContextVar`.
///
/// ```
/// let user = ourio::ContextVar::new("user");
/// user.set("ann");
/// ourio::run(async move {
///     assert_eq!(user.get(), Some("ann"));
///     let task = ourio::spawn(async move {
///         user.set("bob");
///         user.get()
///     });
///     assert_eq!(task.await, Ok(Some("bob")));
///     assert_eq!(user.get(), Some("ann"));
/// })?;
/// # Ok::<(), ourio::Error>(())
/// ```
pub struct ContextVar<T> {
    name: &'static str,
    key: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for ContextVar<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ContextVar<T> {}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a variable was before it was set, for [`ContextVar::reset`].
#[derive(Debug)]
#[must_use = "without it the earlier value is lost; drop it where that is meant"]
pub struct ResetToken {
    key: usize,
    before: Option<Rc<dyn Any>>,
}

impl<T: Clone + 'static> ContextVar<T> {
    /// A new variable. Copies of it are the same variable; another call makes another one, whatever its name.
    pub fn new(name: &'static str) -> Self {
        static KEYS: AtomicUsize = AtomicUsize::new(0);
        Self { name, key: KEYS.fetch_add(1, Ordering::Relaxed), value: PhantomData }
    }

    /// The variable's name, for people.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The value that is set here; `None` if none is.
    pub fn get(&self) -> Option<T> {
        // Cloned outside: a value's `clone` may look at variables.
        let value = change(|current| current.as_ref()?.get(&self.key).cloned());
        value?.downcast_ref::<T>().cloned()
    }

    /// Sets the value from here on.
    pub fn set(&self, value: T) {
        drop(self.replace(value));
    }

    /// Sets the value from here on; [`ContextVar::reset`] brings the earlier one back.
    pub fn replace(&self, value: T) -> ResetToken {
        let value: Rc<dyn Any> = Rc::new(value);
        let before = change(|current| Rc::make_mut(current.get_or_insert_default()).insert(self.key, value));
        ResetToken { key: self.key, before }
    }

    /// Brings back the value that the variable had before the `replace` that gave the token.
    ///
    /// A token of another variable changes that one.
    pub fn reset(&self, token: ResetToken) {
        let after = change(|current| {
            let current = Rc::make_mut(current.get_or_insert_default());
            match token.before {
                Some(before) => current.insert(token.key, before),
                None => current.remove(&token.key),
            }
        });
        // Outside of the borrow: dropping a value may look at variables.
        drop(after);
    }
}
