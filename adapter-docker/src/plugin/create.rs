//! Create.

use std::path::Path;

use storage_core::{Error, ErrorKind, Result, VolumeName, VolumeOptions};
use tokio::time::Instant;

use super::{Peer, Plugin, parse};
use crate::message::CreateRequest;
use crate::swarm::Membership;

impl Plugin {
    pub(super) async fn create(&self, body: &[u8], peer: Peer, deadline: Instant) -> Result<()> {
        let request: CreateRequest = parse(body)?;
        let name = VolumeName::new(request.name)?;
        let given = request.opts.unwrap_or_default();
        let options = VolumeOptions::parse(given.clone(), &self.defaults)?;
        let _pass = self.gate.enter(Some(&name))?;
        self.refuse_in_swarm(&name, peer).await?;
        let copy = options.source.is_some();
        let created = self.engine.create(name.clone(), options, deadline).await;
        let outcome = created.map_err(|error| match error.kind() {
            ErrorKind::NotFound if copy => no_source(error),
            _ => error,
        })?;
        let made = outcome.is_done();
        let volume = outcome.into_inner();
        tracing::info!(volume = %name, id = %volume.id, array = volume.array_name, made, "create");
        crash_points::point!("docker.create.created");
        self.names.remember(&name, volume.created_ms, Some(given));
        Ok(())
    }

    async fn refuse_in_swarm(&self, name: &VolumeName, peer: Peer) -> Result<()> {
        let probe = self.swarm.clone();
        let found = tokio::task::spawn_blocking(move || probe.membership(peer.pid)).await;
        match found {
            Ok(Membership::None) => Ok(()),
            Ok(Membership::Member(file)) => Err(swarm(name, &file)),
            // Refuse rather than guess: a Swarm that we do not see is a name made twice.
            Ok(Membership::Unknown(why)) => Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!("whether this host is in a Docker Swarm could not be told ({why}), and in a Swarm no volume is created; start the plugin with --docker-root naming Docker's data root"),
            )
            .with_context("volume", name.as_str())),
            Err(error) => Err(Error::new(
                ErrorKind::Unexpected,
                "whether this host is in a Swarm could not be told",
            )
            .with_source(error)),
        }
    }
}

fn no_source(error: Error) -> Error {
    let message = "there is nothing to copy; `fairlead volume ls` lists the volumes there are";
    Error::new(ErrorKind::NotFound, message).with_source(error)
}

fn swarm(name: &VolumeName, file: &Path) -> Error {
    let message = format!(
        "this host is a member of a Docker Swarm ({} says so), and this version does not create volumes there: every node creates the same name at once, and two arrays could each get one. Create the volume on a host outside the Swarm; existing volumes are found and mounted",
        file.display()
    );
    Error::new(ErrorKind::FailedPrecondition, message).with_context("volume", name.as_str())
}
