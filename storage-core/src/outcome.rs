//! The answer of a mutation: done now, or so already.
//!
//! Idempotency stands in the type: "already so" is neither an error nor lost.

/// What a mutation found: it changed something, or the state asked for was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// This call made it so.
    Done(T),
    /// It was so before this call.
    AlreadySo(T),
}

impl<T> Outcome<T> {
    /// The value, however it came about.
    pub fn into_inner(self) -> T {
        match self {
            Self::Done(value) | Self::AlreadySo(value) => value,
        }
    }

    /// The value by reference.
    pub const fn get(&self) -> &T {
        match self {
            Self::Done(value) | Self::AlreadySo(value) => value,
        }
    }

    /// Whether this call changed anything.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// The same outcome with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(value) => Outcome::Done(f(value)),
            Self::AlreadySo(value) => Outcome::AlreadySo(f(value)),
        }
    }
}
