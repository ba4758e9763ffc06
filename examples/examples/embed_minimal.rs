//! The smallest program that embeds the engine: two arrays and a host in memory, one volume from
//! create to remove. A real program gives it `FlashArray` and `LinuxAttacher` instead; nothing
//! else changes (see `provision_and_attach.rs`).
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::sync::Arc;
use std::time::Duration;

use storage_core::{
    Backend, Engine, Host, Initiators, MemoryArray, MemoryAttacher, MemoryBackend, Namespace,
    OptionDefaults, Size, VolumeName, VolumeOptions,
};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> storage_core::Result<()> {
    let namespace = Namespace::new("shop")?;
    let arrays = ["array-1", "array-2"].map(|name| MemoryArray::new(name, Size::from_gib(1024)));
    let backends = arrays.iter().map(|array| -> Arc<dyn Backend> {
        Arc::new(MemoryBackend::new(Arc::clone(array), namespace.clone()))
    });
    let host = Host::new("node-1", "8f3c5a0d7b1e4c2d", Initiators::default());
    let attacher = Arc::new(MemoryAttacher::new(host, arrays.to_vec()));

    let engine = Engine::builder(backends.collect(), attacher).build();
    engine.start().await?;

    // Every call takes a deadline. Called again after one has passed, it joins the work.
    let soon = || Instant::now() + Duration::from_secs(30);
    let name = VolumeName::new("orders")?;
    let asked = [("size".to_owned(), "20GB".to_owned())];
    let options = VolumeOptions::parse(asked, &OptionDefaults::default())?;
    let volume = engine.create(name.clone(), options, soon()).await?;
    let volume = volume.into_inner();
    println!("{name}: {} on {}", volume.size, volume.array_name);
    let mountpoint = engine.mount(name.clone(), soon()).await?;
    println!("{name}: mounted at {}", mountpoint.display());
    engine.unmount(name.clone(), soon()).await?;
    let removed = engine.remove(name.clone(), soon()).await?;
    println!("{name}: removed {}", removed.is_done());
    engine.stop(Duration::from_secs(10)).await;
    Ok(())
}
