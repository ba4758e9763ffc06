//! The layers below the engine, one call after another, against a simulated array: create,
//! publish, attach (format and mount), write, detach, unpublish, all of that once
//! more without formatting, delete. The engine does the same, with retries, deadlines and many volumes at once.
//!
//! Needs root, FUSE, loop devices and mkfs.ext4; without them it says so and does nothing. On a
//! real array only [`San`] and the address change.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::path::Path;

use anyhow::{Context, Result, ensure};
use array_sim::{Array, ArrayConfig, Simulator};
use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use host_attach::{Config, LinuxAttacher};
use lab::environment::{Need, ready};
use storage_core::{
    ArrayNumber, AttachVolume, Attacher, Backend, ClaimNonce, CreateVolume, DeleteVolume,
    Filesystem, FilesystemSpec, FormatGrant, Host, Initiators, Labels, Limits, Namespace,
    Preemption, PublishVolume, Secret, Size, UnpublishVolume, Volume, VolumeName,
};
use storage_http::Trust;
use uuid::Uuid;

const NEEDS: [Need; 4] = [Need::Root, Need::Fuse, Need::Loop, Need::Tool("mkfs.ext4")];

#[tokio::main]
async fn main() -> Result<()> {
    if !ready(&NEEDS) {
        return Ok(());
    }
    let folder = tempfile::Builder::new()
        .prefix("fairlead-example")
        .tempdir()?;
    let result = provision_and_attach(folder.path()).await;
    // Where something failed half way: nothing may stay mounted below a folder that goes.
    lab::mounts::unmount_under(folder.path())?;
    result
}

async fn provision_and_attach(folder: &Path) -> Result<()> {
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-1"))
        .state_dir(folder.join("array"))
        .lun_folder(folder.join("luns"))
        .start()
        .await?;
    let array = simulator.array("array-1").context("the array runs")?;
    println!("a simulated FlashArray at {}", array.url());

    let backend = connect(array)?;
    let host = Host::new("node-1", "8f3c5a0d7b1e4c2d", Initiators::default());
    let attacher = LinuxAttacher::open(Config::new(folder.join("host"), host))?;
    let result = live(&backend, &*attacher).await;
    let left = array.connections().len();
    backend.close().await;
    simulator.stop().await?;
    result?;
    ensure!(left == 0, "{left} connections are left on the array");
    Ok(())
}

fn connect(array: &Array) -> Result<FlashArray> {
    let folder = array.lun_folder().context("LUNs are shown as files")?;
    let mut config = FlashArrayConfig::new(
        array.address().to_string(),
        Secret::new(array.api_token()),
        Namespace::new("example")?,
        San::Loop {
            folder: folder.to_owned(),
        },
    );
    config.trust = Trust::CaPem(array.certificate_pem().as_bytes().to_vec());
    Ok(FlashArray::new(config)?)
}

/// One volume from create to delete.
async fn live(backend: &dyn Backend, attacher: &dyn Attacher) -> Result<()> {
    let filesystem = FilesystemSpec::new(Filesystem::Ext4);
    let request = CreateVolume {
        name: VolumeName::new("Orders 2025")?,
        size: Size::from_mib(64),
        limits: Limits::default(),
        format_grant: Some(FormatGrant {
            filesystem: filesystem.kind,
            uuid: Uuid::new_v4(),
        }),
        filesystem,
        attributes: Labels::new(),
        nonce: ClaimNonce::by_chance(ArrayNumber::default()),
    };
    let volume = backend.create(request).await?.into_inner();
    println!(
        "created `{}` as {}, {}",
        volume.name, volume.object, volume.size
    );

    // The first mount formats. Once a file system is known to exist, the permission goes.
    in_use(backend, attacher, &volume, |mountpoint| {
        std::fs::write(mountpoint.join("greeting"), "hello").context("write")
    })
    .await?;
    let withdrawn = backend.withdraw_format_grant(&volume).await?;
    ensure!(withdrawn.is_done(), "the grant was there until now");
    // The second one finds what was written.
    in_use(backend, attacher, &volume, |mountpoint| {
        let text = std::fs::read_to_string(mountpoint.join("greeting")).context("read")?;
        ensure!(text == "hello", "the data is not what was written: {text}");
        println!("read back: {text}");
        Ok(())
    })
    .await?;

    let name = volume.name.clone();
    let deleted = backend.delete(DeleteVolume { volume }).await?;
    println!("deleted `{name}`: {}", deleted.is_done());
    Ok(())
}

/// Publishes and mounts, does something with the mount, and gives everything back in the order
/// that keeps the data: the array takes the access away only after the host has let go.
async fn in_use(
    backend: &dyn Backend,
    attacher: &dyn Attacher,
    volume: &Volume,
    work: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let host = attacher.host().clone();
    attacher.prepare(volume).await?;
    let request = PublishVolume {
        volume: volume.clone(),
        host: host.clone(),
        preemption: Preemption::Refuse,
        avoid_luns: Vec::new(),
    };
    let access = backend.publish(request).await?.into_inner();
    println!(
        "published to {}, nonce {}",
        access.grant.host, access.grant.nonce
    );
    let request = AttachVolume {
        name: volume.name.clone(),
        object: volume.object.clone(),
        access,
        filesystem: volume.filesystem.clone().context("recorded at create")?,
        fresh_uuid: volume.fresh_uuid,
    };
    let attachment = attacher.attach(request).await?.into_inner();
    println!("mounted at {}", attachment.mountpoint.display());
    let worked = work(&attachment.mountpoint);

    let _released = attacher.detach(&volume.id).await?;
    let request = UnpublishVolume {
        volume: volume.id.clone(),
        object: volume.object.clone(),
        host,
    };
    let _unpublished = backend.unpublish(request).await?;
    attacher.forget(&volume.id).await?;
    println!("detached and unpublished");
    worked
}
