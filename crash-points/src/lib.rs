//! Crash points: named places in the product at which a test can have the process killed.
//!
//! A leaf: it depends on nothing of ours, so that every crate may name its steps. In an ordinary
//! build [`point!`] expands to nothing that is left in the program, its names included; a test
//! of the plugin looks for them. With the feature `armed`, which only the test binary
//! `fairlead-docker-armed` sets, a point asks the folder in `FAIRLEAD_CRASH_POINTS` what to do:
//! each one that is passed is a line of `passed`, and the one that `kill` orders ends the process
//! with SIGKILL, as it would end by kill -9 at that very place.
//!
//! It is *not* fault injection: nothing here fails a call or delays one. The names are listed in
//! `docs/crash-safety.md`.

#[cfg(feature = "armed")]
mod armed;

#[cfg(feature = "armed")]
pub use armed::pass;

/// Names a place: `point!("claim.look-up.before")`, or with a part that is known only when it is
/// passed, `point!("rest.send", call)`, which is one name with a blank between.
#[cfg(feature = "armed")]
#[macro_export]
macro_rules! point {
    ($name:literal) => {
        $crate::pass(::core::format_args!($name))
    };
    ($name:literal, $part:expr) => {
        $crate::pass(::core::format_args!(::core::concat!($name, " {}"), $part))
    };
}

/// Names a place, in an ordinary build: nothing.
#[cfg(not(feature = "armed"))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {};
    ($name:literal, $part:expr) => {
        // Looked at by the compiler, so that what is only used here is not called unused, and
        // never called.
        let _unused = || {
            let _part = &$part;
        };
    };
}
