//! What a tester brings: one array to test against, and what can be done to it from outside.

use std::sync::Arc;

use async_trait::async_trait;
use storage_core::{Attacher, Backend, Host, Initiators, Namespace, Size, Volume};
use uuid::Uuid;

/// How a case ended when it did not fail. A case fails by panicking.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Everything held.
    Passed,
    /// It could not be tried: the reason.
    Skipped(String),
}

impl Verdict {
    /// The case cannot be tried for this reason.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }
}

/// Whether an optional power of a [`Harness`] was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Hook {
    /// It was, and did what was asked.
    Done,
    /// This harness cannot do it; cases that need it are skipped.
    Missing,
}

/// One array, empty in this harness's namespaces at the beginning of a case. Made anew for each.
///
/// The hooks act as an administrator or a failing network would, past the backend. None of them
/// is affected by injected faults.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A backend object of its own over the array: every call gives another node.
    async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend>;

    /// What is tested, with the seed if there is one, for the output.
    fn describe(&self) -> String {
        "backend".to_owned()
    }

    /// What this machine lacks for running any case (root, a kernel module), if anything. Nothing
    /// else of the harness is then asked.
    fn missing(&self) -> Option<String> {
        None
    }

    /// What happened during the case (faults injected, calls made), for the output.
    fn report(&self) -> String {
        String::new()
    }

    /// Whether calls fail now and then. The cases then repeat calls that ended in `Unavailable`,
    /// `Timeout` or `Busy`, and no longer tell [`storage_core::Outcome::Done`] from `AlreadySo`.
    /// Without faults only `Busy` is repeated.
    fn faulty(&self) -> bool {
        false
    }

    /// The namespace of the cases; at most 28 characters. Some use `<namespace>-two` besides.
    /// Give a random one where several harnesses share an array.
    fn namespace(&self) -> Namespace {
        known_namespace("cf")
    }

    /// A machine that the array can be told about; different ones for 0 and 1.
    fn host(&self, index: usize) -> Host {
        let initiators = Initiators {
            iqns: vec![format!("iqn.2024-01.org.example:conformance-{index}")],
            nqns: vec![format!("nqn.2014-08.org.example:conformance-{index}")],
            wwns: vec![format!("{:016X}", 0x5001_4380_1234_0000_u64 + index as u64)],
        };
        Host::new(
            &format!("conformance{index}"),
            &format!("conformance machine {index}"),
            initiators,
        )
    }

    /// Makes an object of that name without any record.
    async fn add_foreign(&self, object: &str, size: Size) -> Hook {
        let _ = (object, size);
        Hook::Missing
    }

    /// Connects an object to a host, made for the purpose, of that name.
    async fn connect_foreign(&self, object: &str, host: &str) -> Hook {
        let _ = (object, host);
        Hook::Missing
    }

    /// Destroys an object, recoverably where the array can.
    async fn destroy_foreign(&self, object: &str) -> Hook {
        let _ = object;
        Hook::Missing
    }

    /// Gives an object another name. Under a trash name ([`storage_core::trash_name`]) a volume is
    /// half removed, as by a delete that was cut off after its first step.
    async fn rename_foreign(&self, object: &str, to: &str) -> Hook {
        let _ = (object, to);
        Hook::Missing
    }

    /// Makes a snapshot of an object, whose name is the object's, a dot and this suffix.
    async fn snapshot_foreign(&self, object: &str, suffix: &str) -> Hook {
        let _ = (object, suffix);
        Hook::Missing
    }

    /// Writes these 16 bytes at the beginning of an object's data, as a host would.
    async fn mark(&self, object: &str, mark: Uuid) -> Hook {
        let _ = (object, mark);
        Hook::Missing
    }

    /// The first 16 bytes of an object's data, where the harness can read it.
    async fn mark_of(&self, object: &str) -> Option<Uuid> {
        let _ = object;
        None
    }

    /// Makes the array answer nothing, or answer again.
    async fn set_down(&self, down: bool) -> Hook {
        let _ = down;
        Hook::Missing
    }

    /// Ends a case that passed or was skipped on its way: what it left on a shared array can be
    /// removed here. Not called after a failure, as what is there then is the evidence.
    async fn finish(&self) {}

    /// The names of all objects on the array that are not destroyed, whoever made them; `None`
    /// when the harness cannot tell. What is there and no volume is a stray.
    async fn objects(&self) -> Option<Vec<String>> {
        None
    }
}

/// A harness with a host beside the array.
#[async_trait]
pub trait AttachHarness: Harness {
    /// The host. The same one in every call.
    fn attacher(&self) -> Arc<dyn Attacher>;

    /// The UUID of the file system on a volume that is not attached, where the harness can tell.
    fn filesystem_uuid(&self, volume: &Volume) -> Option<Uuid> {
        let _ = volume;
        None
    }
}

/// A namespace that is known to be a good one.
pub(crate) fn known_namespace(text: &str) -> Namespace {
    match Namespace::new(text) {
        Ok(namespace) => namespace,
        Err(error) => panic!("{error}"),
    }
}
