//! Defects on purpose: each takes one step out of the protocols, and the checks have to find it.
//! They live in what the nodes of this crate are given for backends and hosts; nothing of it is in
//! the product.

/// A step that is left out or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// C2 asks no array and says that it won.
    SkipsMarkers,
    /// C3 says that it is done, and nothing was renamed.
    AcknowledgesTooEarly,
    /// C4 takes volumes for left-overs and destroys them by id.
    SweepsVolumes,
    /// F1 to F6 are left out: whoever asks is connected.
    SkipsTheFence,
    /// A host says that it has let go, and has not; F0 finds it clean all the same.
    LeavesOldMounts,
    /// A device is formatted although a file system is on it.
    FormatsWhatIsThere,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SkipsMarkers,
        Self::AcknowledgesTooEarly,
        Self::SweepsVolumes,
        Self::SkipsTheFence,
        Self::LeavesOldMounts,
        Self::FormatsWhatIsThere,
    ];
}
