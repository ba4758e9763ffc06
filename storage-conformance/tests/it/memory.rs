//! The reference implementations pass the suite.

use std::sync::Arc;

use storage_conformance::{AttachHarness, Harness, Hook, WithFaults, async_trait, seed};
use storage_core::{
    Attacher, Backend, MemoryArray, MemoryAttacher, MemoryBackend, Namespace, Size, Volume,
};
use uuid::Uuid;

struct Memory {
    array: Arc<MemoryArray>,
    attacher: Arc<MemoryAttacher>,
}

fn done(result: &storage_core::Result<()>) -> Hook {
    assert!(result.is_ok(), "the hook works: {result:?}");
    Hook::Done
}

impl Memory {
    fn new() -> Self {
        let array = MemoryArray::new("memory-1", Size::from_gib(1 << 20));
        let host = storage_core::Host::new("here", "one machine", Default::default());
        let arrays = vec![Arc::clone(&array)];
        Self {
            array,
            attacher: Arc::new(MemoryAttacher::new(host, arrays)),
        }
    }

    fn with_faults() -> WithFaults<Self> {
        WithFaults::new(Self::new(), seed())
    }
}

#[async_trait]
impl Harness for Memory {
    async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend> {
        let array = Arc::clone(&self.array);
        Arc::new(MemoryBackend::new(array, namespace.clone()))
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn add_foreign(&self, object: &str, size: Size) -> Hook {
        done(&self.array.add_foreign(object, size))
    }

    async fn connect_foreign(&self, object: &str, host: &str) -> Hook {
        done(&self.array.connect_foreign(object, host))
    }

    async fn destroy_foreign(&self, object: &str) -> Hook {
        done(&self.array.destroy_foreign(object))
    }

    async fn rename_foreign(&self, object: &str, to: &str) -> Hook {
        done(&self.array.rename_foreign(object, to))
    }

    async fn snapshot_foreign(&self, object: &str, suffix: &str) -> Hook {
        done(&self.array.snapshot_foreign(object, suffix))
    }

    async fn mark(&self, object: &str, mark: Uuid) -> Hook {
        done(&self.array.write_foreign(object, mark))
    }

    async fn mark_of(&self, object: &str) -> Option<Uuid> {
        self.array.content_of(object)
    }

    async fn set_down(&self, down: bool) -> Hook {
        self.array.set_down(down);
        Hook::Done
    }

    async fn objects(&self) -> Option<Vec<String>> {
        Some(self.array.objects())
    }
}

impl AttachHarness for Memory {
    fn attacher(&self) -> Arc<dyn Attacher> {
        Arc::clone(&self.attacher) as Arc<dyn Attacher>
    }

    fn filesystem_uuid(&self, volume: &Volume) -> Option<Uuid> {
        self.array.content_of(&volume.object)
    }
}

mod backend {
    use super::Memory;
    storage_conformance::backend_suite!(Memory::new());
}

mod backend_with_faults {
    use super::Memory;
    storage_conformance::backend_suite!(Memory::with_faults());
}

mod attacher {
    use super::Memory;
    storage_conformance::attach_suite!(Memory::new());
}

mod attacher_with_faults {
    use super::Memory;
    storage_conformance::attach_suite!(Memory::with_faults());
}
