//! Growing what is attached: first the device sees the new size, then the file system gets it.

use std::time::Duration;

use rustix::fs::OFlags;
use storage_core::{ErrorKind, Outcome, Result, Size, VolumeId};

use crate::blocking::{Progress, poll_until};
use crate::device::{Use, VerifiedDevice};
use crate::failure::{call_error, error};
use crate::filesystem;
use crate::machine::Machine;
use crate::steps::Step;
use crate::sys;

/// How long a device may take to show a size that the array already has.
const SIZE_PATIENCE: Duration = Duration::from_secs(10);
const SIZE_INTERVAL: Duration = Duration::from_millis(50);

impl Machine {
    /// Takes over a larger size. Blocking.
    pub(crate) fn resize(
        &self,
        volume: &VolumeId,
        size: Size,
        progress: &Progress,
    ) -> Result<Outcome<()>> {
        let not_here = || {
            error(
                ErrorKind::NotFound,
                "the volume is not attached to this host",
            )
            .with_context("volume", volume.to_string())
        };
        let mut record = self.load(volume)?.ok_or_else(not_here)?;
        let view = self.view(&record)?;
        let (true, Some((node, _))) = (view.proven(), &view.mounted) else {
            return Err(not_here());
        };
        if size < record.access.size {
            return Err(error(
                ErrorKind::OutOfRange,
                "a volume is never made smaller",
            ));
        }
        let kind = record.filesystem.kind;
        let connector = self.connector_of(&record)?;
        let shown = || -> Result<u64> {
            let file = node.open(OFlags::RDONLY)?;
            sys::block_size_bytes(&file)
                .map_err(|source| call_error("asking for the device's size", source))
        };
        let wanted = size.bytes() / 512 * 512;
        if size == record.access.size && shown()? >= wanted {
            return Ok(Outcome::AlreadySo(()));
        }
        progress.set("waiting for the device's new size");
        let seen = poll_until(SIZE_PATIENCE, SIZE_INTERVAL, || {
            connector.refresh_size(node)?;
            Ok((shown()? >= wanted).then_some(()))
        })?;
        if seen.is_none() {
            return Err(error(
                ErrorKind::Unavailable,
                format!(
                    "{} shows {} bytes and not {wanted} yet",
                    node.name,
                    shown()?
                ),
            ));
        }
        if !filesystem::grows_mounted(kind) {
            return Err(error(
                ErrorKind::PermissionDenied,
                "the device has its new size, but growing a mounted ext4 needs CAP_SYS_RESOURCE; it \
                 is grown when it is next attached",
            ));
        }
        progress.set("growing the file system");
        let device = VerifiedDevice::verify(connector, &record, node, Use::Mounted)?;
        self.steps.run(Step::Grow, || {
            filesystem::grow(
                &self.runner,
                &device,
                record.filesystem.kind,
                &record.mountpoint,
            )
        })?;
        record.access.size = size;
        self.store(&record)?;
        Ok(Outcome::Done(()))
    }
}
