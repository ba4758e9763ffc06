//! A volume that comes back from the trash, while others want its name.

use std::sync::Arc;
use std::time::Duration;

use fairlead::operator::{self, Arrays, Recover};
use storage_core::{
    ArrayNumber, Backend, ClaimNonce, CreateVolume, DeleteVolume, Engine, ErrorKind, Filesystem,
    FilesystemSpec, Host, Initiators, Labels, Limits, MemoryArray, MemoryAttacher, MemoryBackend,
    Namespace, OptionDefaults, Size, Volume, VolumeName, VolumeOptions, VolumeState,
};
use tokio::time::Instant;

use super::memory::site;
use super::name;

fn backend(array: &Arc<MemoryArray>) -> MemoryBackend {
    MemoryBackend::new(Arc::clone(array), Namespace::new("ns").unwrap())
}

fn request(number: u16) -> CreateVolume {
    CreateVolume {
        name: name("data"),
        size: Size::from_gib(1),
        filesystem: FilesystemSpec::new(Filesystem::Ext4),
        format_grant: None,
        limits: Limits::default(),
        attributes: Labels::new(),
        nonce: ClaimNonce::by_chance(ArrayNumber(number)),
    }
}

/// As a plugin does it, and founding the fleet.
async fn create(arrays: &[Arc<MemoryArray>], text: &str) -> Volume {
    let host = Host::new("one", "one", Initiators::default());
    let attacher = Arc::new(MemoryAttacher::new(host, arrays.to_vec()));
    let options = VolumeOptions::parse([], &OptionDefaults::default()).unwrap();
    let backends = arrays
        .iter()
        .map(|one| -> Arc<dyn Backend> { Arc::new(backend(one)) });
    let engine = Engine::builder(backends.collect(), attacher).build();
    let until = Instant::now() + Duration::from_secs(60);
    let made = engine.create(VolumeName::new(text).unwrap(), options, until);
    made.await.unwrap().into_inner()
}

/// A fleet, and on its first array a volume `data` that was removed.
async fn removed() -> (Vec<Arc<MemoryArray>>, Volume) {
    let arrays: Vec<_> = ["near", "far", "third"]
        .map(|name| MemoryArray::new(name, Size::from_gib(1000)))
        .into();
    create(&arrays, "another").await;
    let near = backend(&arrays[0]);
    let volume = near.create(request(1)).await.unwrap().into_inner();
    let gone = near
        .delete(DeleteVolume {
            volume: volume.clone(),
        })
        .await;
    assert!(gone.unwrap().is_done());
    (arrays, volume)
}

async fn recover(arrays: &[Arc<MemoryArray>]) -> storage_core::Result<operator::Recovery> {
    let sites = arrays.iter().map(site).collect();
    let arrays = Arrays::new(sites, Duration::from_secs(60));
    let request = Recover {
        which: "data".to_owned(),
        name: None,
        array: None,
    };
    operator::recover(&arrays, &request).await
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_lacks_an_array_gets_nothing_back() {
    let (arrays, old) = removed().await;
    let far = backend(&arrays[1]);
    far.create(request(2)).await.unwrap().into_inner();
    let refused = recover(&arrays[..1]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    let told = refused.message();
    assert!(told.contains("far") && told.contains("third"), "{refused}");
    let near = backend(&arrays[0]);
    let now = near.get(storage_core::VolumeKey::Id(old.id)).await.unwrap();
    assert_ne!(now.unwrap().state, VolumeState::Ready, "left in the trash");
}

#[tokio::test(start_paused = true)]
async fn a_create_and_a_recover_of_one_name_give_one_volume() {
    let (arrays, old) = removed().await;
    let far = backend(&arrays[1]);
    let claims = far.claims().unwrap();
    let request = request(2);

    // The create was first: its volume waits.
    claims.propose(&request).await.unwrap();
    let refused = recover(&arrays).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
    let withdrawn = claims.withdraw(&request.name, request.nonce).await;
    assert!(withdrawn.unwrap().is_done());

    // The recover was first: a create that saw nothing, before it, does not get the votes.
    let back = recover(&arrays).await.unwrap();
    assert!(back.changed);
    for array in &arrays {
        let vote = backend(array);
        let vote = vote.claims().unwrap().mark(&request.name, request.nonce);
        assert_ne!(vote.await.unwrap().nonce, request.nonce);
    }
    assert!(!recover(&arrays).await.unwrap().changed);
    assert_eq!(create(&arrays, "data").await.id, old.id);
}

#[tokio::test(start_paused = true)]
async fn a_volume_comes_back_also_under_votes_that_are_left_of_it() {
    let (mut arrays, _) = removed().await;
    let first = create(&arrays, "v").await;
    arrays.rotate_left(1);
    for array in &arrays {
        let home = backend(array);
        let volume = first.clone();
        if home
            .get(storage_core::VolumeKey::Id(volume.id.clone()))
            .await
            .is_ok_and(|it| it.is_some())
        {
            let gone = home.delete(DeleteVolume { volume }).await;
            assert!(gone.unwrap().is_done());
        }
    }
    let sites = arrays.iter().map(site).collect();
    let request = Recover {
        which: "v".to_owned(),
        name: None,
        array: None,
    };
    let back = operator::recover(&Arrays::new(sites, Duration::from_secs(60)), &request).await;
    assert!(back.unwrap().changed);
    assert_eq!(create(&arrays, "v").await.id, first.id);
}
