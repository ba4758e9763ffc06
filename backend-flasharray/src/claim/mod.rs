//! The steps of a claim on one array: what `docs/protocols/claim.md` asks of it, in REST calls.
//!
//! | step | calls |
//! | --- | --- |
//! | C0 view | GET of everything that bears on the name; one of tags where some of it is a volume |
//! | C1 propose | POST (for a copy that grows: PATCH), PUT of the tags; [`import`] has its own |
//! | C2 mark | POST; a GET where the name is taken |
//! | C3 commit | PATCH of the name; for others' attempts a GET and their tags before |
//! | withdraw | PATCH destroyed, by the waiting name |
//! | retire | PATCH of the name by id, PATCH destroyed |
//!
//! Nothing here decides: several arrays together do, and the engine asks them.

mod commit;
mod fleet;
mod import;
mod mark;
mod propose;
mod sweep;
mod view;
mod waiting;
mod withdraw;

use async_trait::async_trait;
use storage_core::{
    ClaimNonce, Claims, CloneVolume, Commit, CreateVolume, FleetRecord, ImportVolume, Marker,
    NameView, Outcome, Result, Stray, Tentative, VolumeName,
};

pub(crate) use commit::lost_volume;
pub(crate) use propose::{Proposed, nothing_claimed};
pub(crate) use waiting::Waiting;

use crate::backend::FlashArray;

#[async_trait]
impl Claims for FlashArray {
    async fn view(&self, name: &VolumeName) -> Result<NameView> {
        let result = self.view_name(name).await;
        result.map_err(|error| self.named(error, "look at what bears on the name"))
    }

    async fn propose(&self, request: &CreateVolume) -> Result<Tentative> {
        let result = self.propose_blank(request).await;
        let (_api, proposed) = result.map_err(|error| self.named(error, "create volume"))?;
        Ok(self.waiting.keep(request.nonce, proposed))
    }

    async fn propose_copy(&self, request: &CloneVolume) -> Result<Tentative> {
        let result = self.propose_clone(request).await;
        let (_api, proposed) = result.map_err(|error| self.named(error, "clone volume"))?;
        Ok(self.waiting.keep(request.volume.nonce, proposed))
    }

    async fn propose_import(&self, request: &ImportVolume) -> Result<Tentative> {
        let result = self.set_aside(request).await;
        let proposed = result.map_err(|error| self.named(error, "import volume"))?;
        Ok(self.waiting.keep(request.nonce, proposed))
    }

    async fn find_object(&self, object: &str) -> Result<Option<String>> {
        let result = self.id_of(object).await;
        result.map_err(|error| self.named(error, "look for an object"))
    }

    async fn mark(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
        let result = self.mark_name(name, nonce).await;
        result.map_err(|error| self.named(error, "mark the name"))
    }

    async fn commit(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Commit> {
        let result = self.commit_attempt(name, nonce).await;
        result.map_err(|error| self.named(error, "name the volume"))
    }

    async fn withdraw(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Outcome<()>> {
        let result = self.withdraw_attempt(name, nonce).await;
        result.map_err(|error| self.named(error, "withdraw a volume that waits for its name"))
    }

    async fn retire(&self, marker: &Marker) -> Result<Outcome<()>> {
        let result = self.retire_marker(&marker.object).await;
        result.map_err(|error| self.named(error, "take a marker away"))
    }

    async fn strays(&self) -> Result<Vec<Stray>> {
        let result = self.left_over().await;
        result.map_err(|error| self.named(error, "list left-overs"))
    }

    async fn sweep(&self, stray: &Stray) -> Result<Outcome<()>> {
        let result = self.sweep_one(stray).await;
        let result = result.map_err(|error| error.with_context("object", &stray.object_name));
        result.map_err(|error| self.named(error, "remove a left-over"))
    }

    async fn fleet_record(&self) -> Result<Option<FleetRecord>> {
        let result = self.read_fleet_record().await;
        result.map_err(|error| self.named(error, "read the fleet record"))
    }

    async fn put_fleet_record(&self, record: &FleetRecord) -> Result<FleetRecord> {
        let result = self.write_fleet_record(record).await;
        result.map_err(|error| self.named(error, "write the fleet record"))
    }

    async fn drop_fleet_record(&self, record: &FleetRecord) -> Result<Outcome<()>> {
        let result = self.remove_fleet_record(record).await;
        result.map_err(|error| self.named(error, "take a fleet record away"))
    }
}
