//! Clone: a create whose tentative volume begins as a copy.
//!
//! 1. POST `<ns>-fl-new-<nonce>` with the source's id, and with limits. The array copies at that
//!    moment, without the source's tags: ours are not copyable.
//! 2. PATCH its size, where it is to be larger than its source.
//! 3. PUT its tags: never a format grant, but the UUID that the copied file system is to get.
//! 4. PATCH the name: [`crate::claim`].
//!
//! Whatever fails before step 4 leaves nothing under the name, at worst a stray under the
//! tentative one. Unlike a create's it holds data: a copy that nobody was told of.

use async_trait::async_trait;
use storage_core::{
    CloneSource, CloneVolume, Clones, Error, ErrorKind, Outcome, Result, Size, Volume, VolumeState,
};

use crate::api::{Api, NewVolume, WireVolume};
use crate::backend::FlashArray;
use crate::claim::nothing_claimed;
use crate::create::source_gone;
use crate::record::NewRecord;

impl FlashArray {
    async fn copy(&self, request: CloneVolume) -> Result<Outcome<Volume>> {
        let asked = &request.volume;
        if asked.format_grant.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a copy never carries a format grant",
            ));
        }
        let least = request.source.size();
        if asked.size < least {
            return Err(too_small(least));
        }
        let size = self.possible(asked)?;
        let record = NewRecord::new(&self.namespace, asked, Some(request.fresh_uuid))?;
        let (array, source) = match &request.source {
            CloneSource::Volume(volume) if volume.state != VolumeState::Ready => {
                return Err(source_gone());
            }
            CloneSource::Volume(volume) => (volume.id.array(), volume.id.object()),
            CloneSource::Snapshot(snapshot) => (snapshot.id.array(), snapshot.id.object()),
        };
        let api = self.api_on(array).await?;
        let new = NewVolume::copy_of(source, asked.limits);
        let made = self.make_tentative(&api, asked, &new).await?;
        let made = self.grown(&api, made, size).await?;
        self.finish(&api, asked, made, record).await
    }

    /// The copy with the size asked for. It has its source's, which may have grown since it was
    /// read.
    async fn grown(&self, api: &Api, mut made: WireVolume, size: Size) -> Result<WireVolume> {
        let copied = Size::from_bytes(made.provisioned);
        if copied > size {
            self.discard(api, &made).await;
            return Err(too_small(copied));
        }
        if copied < size {
            crash_points::point!("claim.C1.grow");
            match api.resize_volume(&made.id, size.bytes()).await {
                Ok(changed) => {
                    made.provisioned = changed.map_or(size.bytes(), |wire| wire.provisioned);
                }
                Err(failure) => {
                    self.discard(api, &made).await;
                    return Err(nothing_claimed(failure.into()));
                }
            }
        }
        Ok(made)
    }
}

fn too_small(source: Size) -> Error {
    Error::new(
        ErrorKind::OutOfRange,
        format!("a copy is at least as large as its source, {source}"),
    )
}

#[async_trait]
impl Clones for FlashArray {
    async fn clone_volume(&self, request: CloneVolume) -> Result<Outcome<Volume>> {
        let result = self.copy(request).await;
        result.map_err(|error| self.named(error, "clone volume"))
    }
}
