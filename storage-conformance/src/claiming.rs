//! The steps of a claim through wrapped backends, with the same repetitions and faults as
//! everything else.

use async_trait::async_trait;
use storage_core::{
    ClaimNonce, Claims, CloneVolume, Commit, CreateVolume, FleetRecord, ImportVolume, Marker,
    NameView, Outcome, Result, Stray, Tentative, VolumeName,
};

use crate::faulty::Faulty;
use crate::optional::absent;
use crate::retrying::Retrying;

#[async_trait]
impl Claims for Retrying {
    async fn view(&self, name: &VolumeName) -> Result<NameView> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.view(name)).await
    }

    async fn propose(&self, request: &CreateVolume) -> Result<Tentative> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.propose(request)).await
    }

    async fn propose_copy(&self, request: &CloneVolume) -> Result<Tentative> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.propose_copy(request)).await
    }

    async fn propose_import(&self, request: &ImportVolume) -> Result<Tentative> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.propose_import(request)).await
    }

    async fn find_object(&self, object: &str) -> Result<Option<String>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.find_object(object)).await
    }

    async fn mark(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.mark(name, nonce)).await
    }

    async fn commit(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Commit> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.commit(name, nonce)).await
    }

    async fn withdraw(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.withdraw(name, nonce)).await
    }

    async fn retire(&self, marker: &Marker) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.retire(marker)).await
    }

    async fn strays(&self) -> Result<Vec<Stray>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.strays()).await
    }

    async fn sweep(&self, stray: &Stray) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.sweep(stray)).await
    }

    async fn fleet_record(&self) -> Result<Option<FleetRecord>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.fleet_record()).await
    }

    async fn put_fleet_record(&self, record: &FleetRecord) -> Result<FleetRecord> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.put_fleet_record(record)).await
    }

    async fn drop_fleet_record(&self, record: &FleetRecord) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.repeat(|| claims.drop_fleet_record(record)).await
    }
}

#[async_trait]
impl Claims for Faulty {
    async fn view(&self, name: &VolumeName) -> Result<NameView> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.view(name)).await
    }

    async fn propose(&self, request: &CreateVolume) -> Result<Tentative> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.propose(request)).await
    }

    async fn propose_copy(&self, request: &CloneVolume) -> Result<Tentative> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.propose_copy(request)).await
    }

    async fn propose_import(&self, request: &ImportVolume) -> Result<Tentative> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.propose_import(request)).await
    }

    async fn find_object(&self, object: &str) -> Result<Option<String>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.find_object(object)).await
    }

    async fn mark(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.mark(name, nonce)).await
    }

    async fn commit(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Commit> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.commit(name, nonce)).await
    }

    async fn withdraw(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.withdraw(name, nonce)).await
    }

    async fn retire(&self, marker: &Marker) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.retire(marker)).await
    }

    async fn strays(&self) -> Result<Vec<Stray>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.strays()).await
    }

    async fn sweep(&self, stray: &Stray) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.sweep(stray)).await
    }

    async fn fleet_record(&self) -> Result<Option<FleetRecord>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.fleet_record()).await
    }

    async fn put_fleet_record(&self, record: &FleetRecord) -> Result<FleetRecord> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.put_fleet_record(record)).await
    }

    async fn drop_fleet_record(&self, record: &FleetRecord) -> Result<Outcome<()>> {
        let claims = self.inner().claims().ok_or_else(absent)?;
        self.dice.call(claims.drop_fleet_record(record)).await
    }
}
