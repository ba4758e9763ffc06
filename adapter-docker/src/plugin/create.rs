//! Create.

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

    /// Every node of a Swarm creates a task's volume where the task comes to run. One that each
    /// node has for itself would leave its data behind without a word.
    async fn refuse_in_swarm(&self, name: &VolumeName, peer: Peer) -> Result<()> {
        let Some(probe) = self.swarm.clone() else {
            return Ok(());
        };
        let found = tokio::task::spawn_blocking(move || probe.membership(peer.pid)).await;
        let why = match found {
            Ok(Membership::None) => return Ok(()),
            Ok(Membership::Member(file)) => format!(
                "this host is a member of a Docker Swarm ({} says so)",
                file.display()
            ),
            // Refuse rather than guess.
            Ok(Membership::Unknown(why)) => {
                format!("whether this host is in a Docker Swarm could not be told ({why})")
            }
            Err(error) => {
                let message = "whether this host is in a Docker Swarm could not be told";
                return Err(Error::new(ErrorKind::Unexpected, message).with_source(error));
            }
        };
        Err(unshared(name, &why))
    }
}

fn no_source(error: Error) -> Error {
    let message = "there is nothing to copy; `fairlead volume ls` lists the volumes there are";
    Error::new(ErrorKind::NotFound, message).with_source(error)
}

fn unshared(name: &VolumeName, why: &str) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!("{why}, and no namespace is set: each node would have a volume of its own under this name. Add `\"Namespace\": \"NAME\",` to the configuration, the same on every node, and restart the plugin"),
    )
    .with_context("volume", name.as_str())
}
