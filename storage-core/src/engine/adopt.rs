//! Mounts of ours that the host has lost its record of: the state folder was deleted, or a record
//! is damaged.
//!
//! Such a mount is in use, and nobody could ever unmount it. It is taken into the ledger again
//! when array and host agree on everything: the array says that this host holds the volume under a
//! grant, and the device, asked live, is that volume under that grant, mounted where this host
//! mounts it. Whatever does not match is told and left exactly as it is.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::access::Grant;
use crate::attach::AdoptVolume;
use crate::backend::{Publication, VolumeKey};
use crate::engine::fleet::Located;
use crate::engine::mount::withdraw_grant;
use crate::engine::operations::{Call, Operations};
use crate::engine::{Shared, no_such};
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::FilesystemSpec;

/// Time between two looks at this host.
const PERIOD: Duration = Duration::from_secs(30);

/// The first wait while something is there to be adopted; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The longest wait for what does not match: each look asks its array, and an idle node may ask an
/// array twice a minute.
const RETRY_LAST: Duration = Duration::from_secs(300);

/// How long the adoption of one volume is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks for what the ledger does not know, for ever.
#[expect(
    clippy::infinite_loop,
    reason = "background work that ends by being aborted"
)]
pub(crate) async fn adopt_for_ever(shared: Arc<Shared>, operations: Arc<Operations>) {
    let mut told = HashSet::new();
    let mut wait = RETRY_FIRST;
    loop {
        let Left { unlisted, left } = adopt_once(&shared, &operations).await;
        // Each once, and again when it went and came back.
        for line in left.difference(&told) {
            tracing::warn!(
                device = line.0,
                reason = line.1,
                "a device of ours is not on the ledger"
            );
        }
        let longest = if left.is_empty() { PERIOD } else { RETRY_LAST };
        if left.is_empty() && !unlisted {
            wait = PERIOD;
        }
        told = left;
        sleep(wait).await;
        wait = wait.saturating_mul(2).min(longest);
    }
}

/// What a round could not adopt.
#[derive(Debug, Default)]
struct Left {
    /// There are devices whose volume may be on an array that was not listed yet.
    unlisted: bool,
    /// The other devices, and why.
    left: HashSet<(String, String)>,
}

/// One round.
async fn adopt_once(shared: &Arc<Shared>, operations: &Operations) -> Left {
    let found = match shared.attacher.unrecorded().await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(error = %error.chain(), "whether devices are missing on the ledger cannot be told");
            return Left::default();
        }
    };
    let listed = shared.known.age(shared.fleet.members().len()).is_some();
    let mut unlisted = false;
    let mut left = HashSet::new();
    for one in found {
        let Some(serial) = one.serial else {
            left.insert((one.device, "it does not answer who it is".to_owned()));
            continue;
        };
        let Some(located) = shared.known.by_serial(&serial) else {
            if !listed {
                unlisted = true;
                continue;
            }
            let reason = format!("no volume of this namespace with the serial {serial} is known");
            left.insert((one.device, reason));
            continue;
        };
        let name = located.volume.name.clone();
        let work = {
            let shared = Arc::clone(shared);
            async move { adopt(&shared, &located).await.map(drop) }
        };
        let call = Call::new(&name, "adopt", Instant::now() + LIMIT);
        if let Err(error) = operations.run(call, work).await {
            left.insert((one.device, format!("{name}: {}", error.chain())));
        }
    }
    Left { unlisted, left }
}

/// For a mount that cannot go on because this host has something of the volume that is not on its
/// ledger: adopts it, and gives its mount point.
///
/// # Errors
/// `cause` when it is something else; what does not match, when it cannot be adopted.
pub(crate) async fn instead(shared: &Shared, located: &Located, cause: Error) -> Result<PathBuf> {
    let serial = located.volume.identity.as_ref().map(|found| &found.serial);
    if cause.kind() != ErrorKind::FailedPrecondition || serial.is_none() {
        return Err(cause);
    }
    let found = shared.attacher.unrecorded().await?;
    if found.iter().all(|one| one.serial.as_ref() != serial) {
        return Err(cause);
    }
    adopt(shared, located)
        .await
        .map_err(|error| error.with_source(cause))
}

/// Adopts one volume's mount. Call in its line.
async fn adopt(shared: &Shared, located: &Located) -> Result<PathBuf> {
    let backend = &located.member.backend;
    let name = &located.volume.name;
    let key = VolumeKey::Id(located.volume.id.clone());
    let volume = backend.get(key).await?.ok_or_else(|| no_such(name))?;
    let host = shared.attacher.host().object_name();
    let publications = backend.published(&volume).await?;
    let held = |one: &Publication| {
        let ours = !one.group && one.host == host;
        one.nonce.filter(|_| ours)
    };
    let Some(nonce) = publications.iter().find_map(held) else {
        let message = "its array does not say that this host holds the volume: it is left as it is";
        return Err(Error::new(ErrorKind::FailedPrecondition, message));
    };
    let filesystem = volume
        .filesystem
        .clone()
        .unwrap_or_else(|| FilesystemSpec::new(shared.settings.default_filesystem));
    let granted = volume.format_grant.is_some();
    let request = AdoptVolume {
        volume,
        grant: Grant { nonce, host },
        filesystem,
    };
    crash_points::point!("adopt.before");
    let outcome = shared.attacher.adopt(request).await?;
    crash_points::point!("adopt.after");
    let new = outcome.is_done();
    let attachment = outcome.into_inner();
    if new {
        tracing::warn!(volume = %name, mountpoint = %attachment.mountpoint.display(), "this host had lost its record of the volume, which is mounted; everything matches, and it is on record again");
        // An earlier process told somebody of this mount.
        shared.callers.tell(name);
        shared.set_mountpoint(name, Some(attachment.mountpoint.clone()));
        shared.adopted().insert(name.clone());
        if granted {
            withdraw_grant(located).await;
        }
    }
    Ok(attachment.mountpoint)
}
