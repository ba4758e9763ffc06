//! An optional power of a backend: what people who look after arrays want to see in bulk. Who
//! answers there, and who can reach what, in pages rather than with one call a volume.
//!
//! Nothing acts on what is told here: it is as old as the page, and publish reads for itself.

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::Result;
use crate::name::VolumeName;
use crate::volume::{ArrayId, Volume, VolumeId};

/// Who answers at a backend's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayIdentity {
    /// The array's identifier for ever.
    pub id: ArrayId,
    /// The array's name for people.
    pub name: String,
    /// The version of its software, where it told.
    pub software: Option<String>,
    /// The version of the interface in use, where there are several.
    pub interface: Option<String>,
}

/// Asks for one page of connections.
#[derive(Clone, Debug, Default)]
pub struct ListConnections {
    /// Those of this volume; `None` for those of every recorded volume of the namespace.
    pub volume: Option<Volume>,
    /// Where to go on: [`ConnectionPage::next`] of the page before, `None` for the first.
    pub after: Option<String>,
    /// At most this many; `None` leaves it to the backend.
    pub limit: Option<usize>,
}

/// Whom a volume's record names as the holder of the latest grant. Worth nothing without a
/// connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedHolder {
    /// The machine, by [`crate::Host::object_name`].
    pub machine: String,
    /// Its host object on this array.
    pub host: String,
    /// The grant's nonce.
    pub nonce: Uuid,
}

/// A host that can reach a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The volume.
    pub volume: VolumeId,
    /// The user's name for it.
    pub name: VolumeName,
    /// The object's name on the array now.
    pub object: String,
    /// The host's object on the array; `None` for a group without hosts.
    pub host: Option<String>,
    /// The host group through which it reaches it, an administrator's.
    pub group: Option<String>,
    /// The logical unit number, where there is one.
    pub lun: Option<u64>,
    /// Whom the record names.
    pub recorded: Option<RecordedHolder>,
}

impl Connection {
    /// Whether this is the connection of the host that the record names.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        let (Some(host), Some(recorded)) = (&self.host, &self.recorded) else {
            return false;
        };
        self.group.is_none() && host.eq_ignore_ascii_case(&recorded.host)
    }
}

/// One page of connections.
#[derive(Clone, Debug, Default)]
pub struct ConnectionPage {
    /// Who can reach what.
    pub connections: Vec<Connection>,
    /// Give it to the next call; `None` on the last page.
    pub next: Option<String>,
    /// Calls to the array that this page took.
    pub calls: u32,
}

/// What people see of one array, through one namespace.
#[async_trait]
pub trait Survey: Send + Sync {
    /// Who answered last; `None` until the array was reached. No network call.
    fn identity(&self) -> Option<ArrayIdentity>;

    /// One page of connections, each exactly once over all pages even when others change
    /// meanwhile. Without a volume, only those of volumes that carry the namespace's record,
    /// those on their way out among them.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`; `InvalidArgument` for an `after` that is not this backend's;
    /// `NotFound` when the volume asked for is gone.
    async fn connections(&self, request: ListConnections) -> Result<ConnectionPage>;
}

const _: fn(&dyn Survey) = |_| {};
