//! The trash and the survey of wrapped backends: there where the backend itself has them, and with
//! the same repetitions and faults as everything else.

use async_trait::async_trait;
use storage_core::{
    ArrayIdentity, ConnectionPage, Error, ErrorKind, ListConnections, ListTrash, Outcome,
    RecoverVolume, Result, Survey, Trash, TrashPage, Volume,
};

use crate::faulty::Faulty;
use crate::retrying::Retrying;

/// Nobody gets here: the wrapper has the power only where the backend has it.
fn absent() -> Error {
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
