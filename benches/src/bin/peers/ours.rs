//! Our own side: the backend as the engine calls it, over iSCSI as far as the array is concerned.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use array_sim::Array;
use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use storage_core::{
    ArrayNumber, Backend, ClaimNonce, CreateVolume, DeleteVolume, Filesystem, FilesystemSpec,
    FormatGrant, Host, Initiators, Labels, Limits, Namespace, Preemption, PublishVolume, Secret,
    Size, UnpublishVolume, Volume, VolumeName,
};
use storage_http::Trust;
use uuid::Uuid;

use crate::Rounds;

/// Each operation so many times.
pub(crate) async fn measure(array: &Array, rounds: u32) -> Result<HashMap<&'static str, Rounds>> {
    let backend = backend(array)?;
    let initiators = Initiators {
        iqns: vec!["iqn.2024-01.org.example:ours".to_owned()],
        ..Initiators::default()
    };
    let host = Host::new("ours", "machine", initiators);
    let mut meter = Meter {
        array,
        results: HashMap::new(),
    };
    for round in 0..rounds {
        let request = request(round)?;
        let made = meter.time("create", backend.create(request)).await?;
        let volume: Volume = made.into_inner();
        let publish = PublishVolume {
            volume: volume.clone(),
            host: host.clone(),
            preemption: Preemption::Refuse,
            avoid_luns: Vec::new(),
        };
        let _access = meter.time("publish", backend.publish(publish)).await?;
        let unpublish = UnpublishVolume {
            volume: volume.id.clone(),
            object: volume.object.clone(),
            host: host.clone(),
        };
        let _taken = meter
            .time("unpublish", backend.unpublish(unpublish))
            .await?;
        let delete = DeleteVolume { volume };
        let _removed = meter.time("delete", backend.delete(delete)).await?;
    }
    backend.close().await;
    Ok(meter.results)
}

fn backend(array: &Array) -> Result<FlashArray> {
    let mut config = FlashArrayConfig::new(
        array.address().to_string(),
        Secret::new(array.api_token()),
        Namespace::new("ours")?,
        San::Iscsi {
            allowed_networks: Vec::new(),
        },
    );
    config.trust = Trust::Fingerprint(array.fingerprint().parse()?);
    Ok(FlashArray::new(config)?)
}

fn request(round: u32) -> Result<CreateVolume> {
    Ok(CreateVolume {
        name: VolumeName::new(format!("volume-{round}")).context("a plain name")?,
        size: Size::from_gib(1),
        filesystem: FilesystemSpec::new(Filesystem::Ext4),
        format_grant: Some(FormatGrant {
            filesystem: Filesystem::Ext4,
            uuid: Uuid::new_v4(),
        }),
        limits: Limits::default(),
        attributes: Labels::new(),
        nonce: ClaimNonce::by_chance(ArrayNumber::default()),
    })
}

struct Meter<'a> {
    array: &'a Array,
    results: HashMap<&'static str, Rounds>,
}

impl Meter<'_> {
    async fn time<T>(
        &mut self,
        operation: &'static str,
        work: impl Future<Output = storage_core::Result<T>>,
    ) -> Result<T> {
        drop(self.array.take_calls());
        let start = Instant::now();
        let result = work.await;
        let elapsed = start.elapsed();
        // What a session costs is left out on both sides.
        let session = ["GET api_version", "POST login", "POST logout"];
        let calls = self.array.take_calls().into_iter();
        let calls = calls.filter(|call| !session.contains(&call.name().as_str()));
        let rounds = self.results.entry(operation).or_default();
        rounds.calls.push(calls.count() as u64);
        rounds.ms.push(elapsed.as_secs_f64() * 1000.0);
        Ok(result?)
    }
}
