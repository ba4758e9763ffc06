//! Which arrays are one fleet: changed, and shown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairlead::operator::{self, Arrays, Membering, Table as _};
use storage_core::{
    Backend, Engine, Host, Initiators, MemoryArray, MemoryAttacher, MemoryBackend, Namespace,
    OptionDefaults, Result, Size, VolumeName, VolumeOptions,
};
use tokio::time::Instant;

use super::memory::site;

fn backends(arrays: &[Arc<MemoryArray>], namespace: &Namespace) -> Vec<Arc<dyn Backend>> {
    let backend = |array: &Arc<MemoryArray>| -> Arc<dyn Backend> {
        Arc::new(MemoryBackend::new(Arc::clone(array), namespace.clone()))
    };
    arrays.iter().map(backend).collect()
}

async fn create(arrays: &[Arc<MemoryArray>], namespace: &Namespace) {
    let host = Host::new("one", "one", Initiators::default());
    let attacher = Arc::new(MemoryAttacher::new(host, arrays.to_vec()));
    let options = VolumeOptions::parse([], &OptionDefaults::default()).unwrap();
    let made = Engine::builder(backends(arrays, namespace), attacher)
        .build()
        .create(
            VolumeName::new("v").unwrap(),
            options,
            Instant::now() + Duration::from_secs(60),
        )
        .await;
    let _made = made.unwrap();
}

#[tokio::test(start_paused = true)]
async fn arrays_are_added_and_removed_with_all_namespaces_looked_at() {
    let arrays: Vec<_> = ["near", "far", "new"]
        .map(|name| MemoryArray::new(name, Size::from_gib(1000)))
        .into();
    let [namespace, other] = ["ns", "other"].map(|text| Namespace::new(text).unwrap());
    create(&arrays[..2], &namespace).await;
    create(&arrays[..2], &other).await;
    let views = |namespace: &Namespace| -> Result<_> { Ok(backends(&arrays, namespace)) };
    let told = Mutex::new(Vec::new());
    let tell = |step| told.lock().unwrap().push(operator::step_text(&step));
    let change = ("new", Membering::Join);
    let joined = operator::change_fleet(&views, &namespace, change, &tell).await;
    let joined = joined.unwrap();
    assert!(joined.changed && joined.members.len() == 3);
    assert!(joined.members.iter().all(|member| member.votes));
    assert!(joined.table(0).contains("new"));
    let told = told.into_inner().unwrap();
    assert!(told[0].contains("new names wait"), "{told:?}");
    assert!(told.last().unwrap().contains("taken again"), "{told:?}");
    let again = operator::change_fleet(&views, &namespace, change, &|_| ()).await;
    assert!(!again.unwrap().changed);

    let sites = arrays.iter().map(site).collect();
    let shown = operator::arrays(&Arrays::new(sites, Duration::from_secs(60))).await;
    assert!(
        shown
            .arrays
            .iter()
            .all(|one| one.member.is_some() && one.votes)
    );
    let fleet = shown.fleet.unwrap();
    assert!(!fleet.changing && fleet.unseen.is_empty());
    assert_eq!(fleet.namespaces, ["ns", "other"]);
    let sites = arrays[..2].iter().map(site).collect();
    let shown = operator::arrays(&Arrays::new(sites, Duration::from_secs(60))).await;
    assert!(shown.fleet.unwrap().unseen[0].starts_with("new (id "));

    // The last array of the first fleet record, and of all configurations.
    arrays[2].set_down(true);
    let lost = ("new", Membering::GiveUp);
    let early = operator::change_fleet(&views, &namespace, ("far", Membering::GiveUp), &|_| ());
    let error = early.await.unwrap_err();
    assert!(error.message().contains("answers"), "{error}");
    let gone = operator::change_fleet(&views, &namespace, lost, &|_| ()).await;
    assert_eq!(gone.unwrap().members.len(), 2);
    let again = operator::change_fleet(&views, &namespace, lost, &|_| ()).await;
    let error = again.unwrap_err();
    assert!(error.message().contains("its arrays are"), "{error}");
    arrays[2].set_down(false);
    let joined = operator::change_fleet(&views, &namespace, change, &|_| ()).await;
    assert_eq!(joined.unwrap().members.len(), 3);

    let change = ("new", Membering::Leave);
    let left = operator::change_fleet(&views, &namespace, change, &|_| ()).await;
    assert_eq!(left.unwrap().members.len(), 2);
}
