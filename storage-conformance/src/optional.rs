//! The optional powers of wrapped backends: there where the backend itself has them, and with the
//! same repetitions and faults as everything else.

use async_trait::async_trait;
use storage_core::{
    ArrayIdentity, ArrayNumber, ClaimNonce, CloneVolume, Clones, ConnectionPage, CreateSnapshot,
    CreateVolume, Error, ErrorKind, ListConnections, ListSnapshots, ListTrash, Outcome,
    RecoverVolume, Result, Snapshot, SnapshotName, SnapshotPage, Snapshots, Survey, Trash,
    TrashPage, Volume,
};

use crate::faulty::Faulty;
use crate::retrying::Retrying;

/// Nobody gets here: the wrapper has the power only where the backend has it.
pub(crate) fn absent() -> Error {
    Error::new(ErrorKind::Unsupported, "the backend has no such power")
}

#[async_trait]
impl Trash for Retrying {
    async fn list_trash(&self, request: ListTrash) -> Result<TrashPage> {
        let trash = self.inner().trash().ok_or_else(absent)?;
        self.repeat(|| trash.list_trash(request.clone())).await
    }

    async fn recover(&self, request: RecoverVolume) -> Result<Outcome<Volume>> {
        let trash = self.inner().trash().ok_or_else(absent)?;
        self.repeat(|| trash.recover(request.clone())).await
    }
}

#[async_trait]
impl Survey for Retrying {
    fn identity(&self) -> Option<ArrayIdentity> {
        self.inner().survey()?.identity()
    }

    async fn connections(&self, request: ListConnections) -> Result<ConnectionPage> {
        let survey = self.inner().survey().ok_or_else(absent)?;
        self.repeat(|| survey.connections(request.clone())).await
    }
}

#[async_trait]
impl Trash for Faulty {
    async fn list_trash(&self, request: ListTrash) -> Result<TrashPage> {
        let trash = self.inner().trash().ok_or_else(absent)?;
        self.dice.call(trash.list_trash(request)).await
    }

    async fn recover(&self, request: RecoverVolume) -> Result<Outcome<Volume>> {
        let trash = self.inner().trash().ok_or_else(absent)?;
        self.dice.call(trash.recover(request)).await
    }
}

#[async_trait]
impl Survey for Faulty {
    fn identity(&self) -> Option<ArrayIdentity> {
        self.inner().survey()?.identity()
    }

    async fn connections(&self, request: ListConnections) -> Result<ConnectionPage> {
        let survey = self.inner().survey().ok_or_else(absent)?;
        self.dice.call(survey.connections(request)).await
    }
}

#[async_trait]
impl Snapshots for Retrying {
    async fn create_snapshot(&self, request: CreateSnapshot) -> Result<Outcome<Snapshot>> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.repeat(|| snapshots.create_snapshot(request.clone()))
            .await
    }

    async fn get_snapshot(&self, volume: &Volume, name: &SnapshotName) -> Result<Option<Snapshot>> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.repeat(|| snapshots.get_snapshot(volume, name)).await
    }

    async fn list_snapshots(&self, request: ListSnapshots) -> Result<SnapshotPage> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.repeat(|| snapshots.list_snapshots(request.clone()))
            .await
    }

    async fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<Outcome<()>> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.repeat(|| snapshots.delete_snapshot(snapshot)).await
    }
}

#[async_trait]
impl Clones for Retrying {
    /// Every attempt has a nonce of its own, the first one that of the request.
    async fn clone_volume(&self, request: CloneVolume) -> Result<Outcome<Volume>> {
        let clones = self.inner().clones().ok_or_else(absent)?;
        let mut next = Some(request.volume.nonce);
        self.repeat(|| {
            let nonce = next
                .take()
                .unwrap_or_else(|| ClaimNonce::by_chance(ArrayNumber::default()));
            let volume = CreateVolume {
                nonce,
                ..request.volume.clone()
            };
            clones.clone_volume(CloneVolume {
                volume,
                ..request.clone()
            })
        })
        .await
    }
}

#[async_trait]
impl Snapshots for Faulty {
    async fn create_snapshot(&self, request: CreateSnapshot) -> Result<Outcome<Snapshot>> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.dice.call(snapshots.create_snapshot(request)).await
    }

    async fn get_snapshot(&self, volume: &Volume, name: &SnapshotName) -> Result<Option<Snapshot>> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.dice.call(snapshots.get_snapshot(volume, name)).await
    }

    async fn list_snapshots(&self, request: ListSnapshots) -> Result<SnapshotPage> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.dice.call(snapshots.list_snapshots(request)).await
    }

    async fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<Outcome<()>> {
        let snapshots = self.inner().snapshots().ok_or_else(absent)?;
        self.dice.call(snapshots.delete_snapshot(snapshot)).await
    }
}

#[async_trait]
impl Clones for Faulty {
    async fn clone_volume(&self, request: CloneVolume) -> Result<Outcome<Volume>> {
        let clones = self.inner().clones().ok_or_else(absent)?;
        self.dice.call(clones.clone_volume(request)).await
    }
}
