//! What several benches measure on: a fleet of candidates, an engine that knows many volumes.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each bench is a program of its own and uses a part of this"
)]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use storage_core::{
    ArrayId, ArrayNumber, Backend, Candidate, Capabilities, ClaimNonce, CreateVolume, Engine,
    Filesystem, FilesystemSpec, Host, Initiators, Labels, Limits, MemoryArray, MemoryAttacher,
    MemoryBackend, NameRules, Namespace, PlacementRequest, Protocol, Size, Telemetry, VolumeName,
};
use tokio::time::{Instant, sleep};

/// The rules of an array that takes few characters and ignores case.
pub(crate) const RULES: NameRules = NameRules {
    max_length: 63,
    allowed: |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
    case_insensitive: true,
};

/// Arrays of which a third has the wrong label, a few are silent or full, and the rest differ in
/// how full they are.
pub(crate) fn candidates(count: u32) -> Vec<Candidate> {
    (0..count).map(candidate).collect()
}

fn candidate(index: u32) -> Candidate {
    let name = format!("array-{index}.example:443");
    let tier = if index.is_multiple_of(3) {
        "silver"
    } else {
        "gold"
    };
    let telemetry = Telemetry {
        array: ArrayId::new(format!("id-{index}")),
        array_name: name.clone(),
        capacity: Size::from_gib(100 << 10),
        used: Size::from_gib((index * 7919) % (100 << 10)),
    };
    Candidate {
        labels: Labels::from([
            ("tier".to_owned(), tier.to_owned()),
            ("purestorage.com/backend".to_owned(), "block".to_owned()),
            ("purestorage.com/hostname".to_owned(), name.clone()),
        ]),
        capabilities: Capabilities {
            protocol: Protocol::Iscsi,
            size_min: Size::from_mib(1),
            size_max: Size::from_gib(4 << 20),
            size_step: Size::from_bytes(512),
            expand: true,
            exclusive_publish: true,
            preemption: false,
            snapshots: false,
            clones: false,
            limits: None,
        },
        telemetry: if index.is_multiple_of(17) {
            Err("no answer within 5 s".to_owned())
        } else {
            Ok(telemetry)
        },
        draining: index.is_multiple_of(29),
        unsupported: None,
        recently_placed: Size::from_gib(index % 5),
        endpoint: name,
    }
}

pub(crate) fn placement(name: &str) -> Result<PlacementRequest> {
    Ok(PlacementRequest {
        name: VolumeName::new(name)?,
        size: Size::from_gib(32),
        selector: "purestorage.com/backend=block,tier in (gold,platinum),!retired".parse()?,
        limits: Limits::default(),
        copy: false,
    })
}

/// An engine over one array in memory with so many volumes, all of them known to it.
pub(crate) async fn engine_with(volumes: usize) -> Result<Arc<Engine>> {
    let namespace = Namespace::new("bench")?;
    let array = MemoryArray::new("array-1", Size::MAX);
    let backend = Arc::new(MemoryBackend::new(Arc::clone(&array), namespace));
    for index in 0..volumes {
        let request = CreateVolume {
            name: volume_name(index)?,
            size: Size::from_gib(1),
            filesystem: FilesystemSpec::new(Filesystem::Xfs),
            format_grant: None,
            limits: Limits::default(),
            attributes: Labels::new(),
            nonce: ClaimNonce::by_chance(ArrayNumber::default()),
        };
        ensure!(backend.create(request).await?.is_done(), "names are unique");
    }
    let host = Host::new("bench", "bench", Initiators::default());
    let attacher = Arc::new(MemoryAttacher::new(host, vec![array]));
    let engine = Engine::builder(vec![backend], attacher).build();
    engine.start().await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while engine.inventory().volumes.len() < volumes {
        ensure!(Instant::now() < deadline, "the inventory is not complete");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(engine)
}

pub(crate) fn volume_name(index: usize) -> Result<VolumeName> {
    Ok(VolumeName::new(format!(
        "service-{}_data.{index}",
        index % 97
    ))?)
}
