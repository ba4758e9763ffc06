//! Thousands of volumes on arrays in memory: every page is read, and one of two arrays that are
//! down is told.

use std::sync::Arc;
use std::time::Duration;

use fairlead::operator::{self, Arrays, ConnectionFilter, Here, Site, VolumeFilter};
use storage_core::{
    ArrayNumber, Backend, ClaimNonce, CreateVolume, DeleteVolume, Filesystem, FilesystemSpec,
    Labels, Limits, MemoryArray, MemoryBackend, Namespace, Preemption, PublishVolume, Size,
    VolumeName,
};

use super::host;

/// More than two pages of the reference backend.
const VOLUMES: usize = 2300;

async fn fill(backend: &MemoryBackend) {
    for number in 0..VOLUMES {
        let request = CreateVolume {
            name: VolumeName::new(format!("v{number:04}")).unwrap(),
            size: Size::from_gib(1),
            filesystem: FilesystemSpec::new(Filesystem::Ext4),
            format_grant: None,
            limits: Limits::default(),
            attributes: Labels::new(),
            nonce: ClaimNonce::by_chance(ArrayNumber::default()),
        };
        let volume = backend.create(request).await.unwrap().into_inner();
        if number % 2 == 0 {
            let request = PublishVolume {
                volume,
                host: host("node-1"),
                preemption: Preemption::Refuse,
                avoid_luns: Vec::new(),
            };
            backend.publish(request).await.unwrap().into_inner();
        } else {
            let _outcome = backend.delete(DeleteVolume { volume }).await.unwrap();
        }
    }
}

pub(super) fn site(array: &Arc<MemoryArray>) -> Site {
    let namespace = Namespace::new("ns").unwrap();
    let backend = MemoryBackend::new(Arc::clone(array), namespace).with_label("rack", array.name());
    Site {
        endpoint: array.name().to_owned(),
        san_type: "LOOP".to_owned(),
        draining: false,
        backend: Ok(Arc::new(backend)),
    }
}

#[tokio::test]
async fn every_page_is_read_and_every_array_told() {
    let capacity = Size::from_gib(1 << 20);
    let (near, far) = (
        MemoryArray::new("near", capacity),
        MemoryArray::new("far", capacity),
    );
    let namespace = Namespace::new("ns").unwrap();
    fill(&MemoryBackend::new(Arc::clone(&near), namespace)).await;
    far.set_down(true);
    let mut broken = site(&far);
    broken.endpoint = "broken".to_owned();
    broken.backend = Err("its certificate cannot be read".to_owned());
    let sites = vec![site(&near), site(&far), broken];
    let arrays = Arrays::new(sites, Duration::from_secs(60));

    let list = operator::volumes(&arrays, &VolumeFilter::default()).await;
    assert_eq!(list.volumes.len(), VOLUMES / 2);
    assert!(list.volumes.iter().all(|one| one.hosts.len() == 1));
    let silent: Vec<&str> = list
        .unavailable
        .iter()
        .map(|one| one.endpoint.as_str())
        .collect();
    assert_eq!(silent, ["far", "broken"]);
    let all = VolumeFilter {
        all: true,
        selector: "rack=near".parse().unwrap(),
    };
    let list = operator::volumes(&arrays, &all).await;
    assert_eq!(list.volumes.len(), VOLUMES);
    let filter = ConnectionFilter::default();
    let list = operator::connections(&arrays, &filter, &Here::default()).await;
    assert_eq!(list.connections.len(), VOLUMES / 2);
    assert!(
        list.connections
            .iter()
            .all(|one| one.recorded && !one.this_host)
    );
    let trash = operator::trash(&arrays, 0).await;
    assert_eq!(trash.volumes.len(), VOLUMES / 2);
    // An array that may have the name did not answer.
    assert!(trash.volumes.iter().all(|one| one.name_taken.is_none()));
    let told = operator::arrays(&arrays).await;
    let told: Vec<(bool, Option<u64>)> = told
        .arrays
        .iter()
        .map(|one| (one.reachable, one.volumes))
        .collect();
    let half = u64::try_from(VOLUMES / 2).unwrap();
    assert_eq!(told, [(true, Some(half)), (false, None), (false, None)]);
}
