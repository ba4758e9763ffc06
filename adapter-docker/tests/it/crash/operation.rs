//! The operations that are cut off, what has to be there before each and after it.

use serde_json::{Value, json};

use super::node::Node;

/// An operation, in its circumstances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Create,
    CreateAgain,
    CreateOverTrash,
    /// A create with a `source`.
    Copy,
    MountNew,
    MountExisting,
    MountSecond,
    MountTrash,
    MountCopy,
    UnmountOne,
    UnmountLast,
    Remove,
    RemoveAgain,
    Get,
    List,
    Start,
    /// A create with `import_from_src`.
    Import,
    /// A mount of what another host has mounted.
    TakeOver,
}

impl Operation {
    /// Those that need no second host, and nothing that an administrator made.
    const ALL: [Self; 16] = [
        Self::Create,
        Self::CreateAgain,
        Self::CreateOverTrash,
        Self::Copy,
        Self::MountNew,
        Self::MountExisting,
        Self::MountSecond,
        Self::MountTrash,
        Self::MountCopy,
        Self::UnmountOne,
        Self::UnmountLast,
        Self::Remove,
        Self::RemoveAgain,
        Self::Get,
        Self::List,
        Self::Start,
    ];

    /// Every operation of one host but these. The first mount of a copy is special with XFS alone, which gives
    /// it a UUID of its own.
    pub(super) fn all_but(without: &[Self]) -> Vec<Self> {
        let mut operations = Self::ALL.to_vec();
        operations.retain(|operation| !without.contains(operation));
        operations
    }

    /// For people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateAgain => "create what exists",
            Self::CreateOverTrash => "create while half removed",
            Self::Copy => "create a copy",
            Self::MountCopy => "first mount of a copy",
            Self::MountNew => "first mount, mkfs",
            Self::MountExisting => "mount with a file system",
            Self::MountSecond => "second container's mount",
            Self::MountTrash => "mount of a half-removed one",
            Self::UnmountOne => "unmount one of two",
            Self::UnmountLast => "last unmount",
            Self::Remove => "remove",
            Self::RemoveAgain => "remove a half-removed one",
            Self::Get => "get",
            Self::List => "list",
            Self::Start => "start of the plugin",
            Self::Import => "import",
            Self::TakeOver => "mount, taken from another",
        }
    }

    /// What there is before it.
    pub(super) fn before(self) -> Facts {
        let (there, marked, ids): (There, bool, &[&str]) = match self {
            Self::Create => (There::No, false, &[]),
            Self::Copy => (There::Source, true, &[]),
            Self::MountCopy => (There::Copy, true, &[]),
            Self::Import => (There::Foreign, true, &[]),
            Self::TakeOver => (There::Elsewhere, true, &[]),
            Self::CreateAgain | Self::MountNew | Self::Get | Self::List => {
                (There::Live, false, &[])
            }
            Self::MountExisting | Self::Remove => (There::Live, true, &[]),
            Self::MountSecond | Self::UnmountLast | Self::Start => (There::Live, true, &["a"]),
            Self::UnmountOne => (There::Live, true, &["a", "b"]),
            Self::CreateOverTrash | Self::RemoveAgain | Self::MountTrash => {
                (There::Trash, true, &[])
            }
        };
        Facts {
            there,
            marked,
            ids: ids.to_vec(),
        }
    }

    /// What there has to be after it.
    pub(super) fn after(self) -> Facts {
        let before = self.before();
        let ids: &[&str] = match self {
            Self::MountNew
            | Self::MountExisting
            | Self::MountTrash
            | Self::MountCopy
            | Self::TakeOver
            | Self::UnmountOne => &["a"],
            Self::MountSecond => &["a", "b"],
            Self::UnmountLast => &[],
            _ => return self.after_without_mount(before),
        };
        Facts {
            there: There::Live,
            marked: before.marked,
            ids: ids.to_vec(),
        }
    }

    fn after_without_mount(self, before: Facts) -> Facts {
        match self {
            Self::Create | Self::Copy | Self::Import => Facts {
                there: There::Live,
                ..before
            },
            Self::Remove | Self::RemoveAgain => Facts {
                there: There::No,
                marked: false,
                ids: Vec::new(),
            },
            _ => before,
        }
    }

    /// What a refusal has to say, where the call rightly is refused.
    pub(super) const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::CreateOverTrash => Some("a remove of this volume has begun and not ended"),
            _ => None,
        }
    }

    /// Makes the call. A start is the plugin's own.
    pub(super) async fn perform(self, node: &mut Node, run: Run<'_>) -> Result<Value, String> {
        let name = run.volume;
        let mounted = |id: &str| json!({"Name": name, "ID": id});
        let (method, body) = match self {
            Self::Create | Self::CreateAgain | Self::CreateOverTrash => {
                ("Create", creation(name, run.filesystem))
            }
            Self::Copy => ("Create", copying(name)),
            Self::Import => ("Create", importing(name)),
            Self::MountNew
            | Self::MountExisting
            | Self::MountTrash
            | Self::MountCopy
            | Self::TakeOver => ("Mount", mounted("a")),
            Self::MountSecond => ("Mount", mounted("b")),
            Self::UnmountOne => ("Unmount", mounted("b")),
            Self::UnmountLast => ("Unmount", mounted("a")),
            Self::Remove | Self::RemoveAgain => ("Remove", json!({"Name": name})),
            Self::Get => ("Get", json!({"Name": name})),
            Self::List => ("List", json!({})),
            Self::Start => {
                let started = node.plugin.start_again().await;
                return started.map(|()| json!({})).map_err(|e| format!("{e:#}"));
            }
        };
        node.call(method, &body).await
    }
}

/// On what an operation works.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) volume: &'a str,
    pub(super) filesystem: &'a str,
}

/// A small volume's create.
pub(super) fn creation(name: &str, filesystem: &str) -> Value {
    let size = if filesystem == "xfs" {
        "300MiB"
    } else {
        "32MiB"
    };
    let limit = IOPS_LIMIT.to_string();
    json!({"Name": name, "Opts": {"size": size, "fstype": filesystem, "iops_limit": limit}})
}

/// The create of a copy of this run's source.
pub(super) fn copying(name: &str) -> Value {
    let opts = json!({"source": source_of(name), "iops_limit": IOPS_LIMIT.to_string()});
    json!({"Name": name, "Opts": opts})
}

/// The create that imports this run's foreign object.
fn importing(name: &str) -> Value {
    json!({"Name": name, "Opts": {"import_from_src": foreign_of(name), "fstype": "ext4"}})
}

/// What an administrator called what is imported.
pub(super) fn foreign_of(name: &str) -> String {
    format!("theirs-{name}")
}

/// What a copy is made of.
pub(super) fn source_of(name: &str) -> String {
    format!("source{name}")
}

/// Every volume's limit.
pub(super) const IOPS_LIMIT: u64 = 5000;

/// Whether a volume is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    No,
    Live,
    /// Half removed: renamed aside, not destroyed.
    Trash,
    /// Only what it is to be a copy of.
    Source,
    /// As a copy.
    Copy,
    /// Only as an object that an administrator made.
    Foreign,
    /// Mounted on the other host.
    Elsewhere,
}

/// What has to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) there: There,
    /// A file was written, and synced.
    pub(super) marked: bool,
    /// The IDs of its mounts.
    pub(super) ids: Vec<&'static str>,
}

impl Operation {
    /// Whether making the call twice is something else than making it once.
    pub(super) const fn is_counted(self) -> bool {
        matches!(
            self,
            Self::MountNew
                | Self::MountExisting
                | Self::MountSecond
                | Self::MountTrash
                | Self::MountCopy
                | Self::TakeOver
        )
    }

    /// The file that is written a moment after its answer, and how often it was by then.
    pub(super) const fn written_later(self) -> Option<(&'static str, usize)> {
        match self {
            Self::Create | Self::Copy | Self::Import | Self::Remove | Self::RemoveAgain => {
                Some(("names", 1))
            }
            Self::MountNew
            | Self::MountExisting
            | Self::MountSecond
            | Self::MountTrash
            | Self::MountCopy
            | Self::TakeOver => Some(("counts", 2)),
            _ => None,
        }
    }

    /// What another node asks for while the first one is dead.
    pub(super) fn on_other_node(self, run: Run<'_>) -> (&'static str, Value) {
        let name = run.volume;
        match self {
            Self::Create | Self::CreateAgain | Self::CreateOverTrash => {
                ("Create", creation(name, run.filesystem))
            }
            Self::Copy => ("Create", copying(name)),
            Self::Import => ("Create", importing(name)),
            Self::Remove | Self::RemoveAgain => ("Remove", json!({"Name": name})),
            _ => ("Mount", json!({"Name": name, "ID": "other"})),
        }
    }
}
