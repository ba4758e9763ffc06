//! A simulated array, nodes that use it, and an administrator who works past them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use array_sim::{Array, ArrayConfig, Simulator};
use async_trait::async_trait;
use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use serde_json::Value;
use storage_core::{
    Access, ArrayNumber, Backend, ClaimNonce, CloneSource, CloneVolume, CreateSnapshot,
    CreateVolume, DeleteVolume, Fence, Filesystem, FilesystemSpec, FormatGrant, Host, Initiators,
    Labels, Namespace, Outcome, Permit, PermitGuard, Preemption, PublishVolume, ReleaseHost,
    Result, Secret, Size, Snapshot, SnapshotName, UnpublishVolume, Volume, VolumeKey, VolumeName,
};
use storage_http::{
    Answer, Call, Client, ClientConfig, HttpError, Idempotency, Login, LoginCalls, Method, Session,
    Trust,
};
use uuid::Uuid;

/// One array with everything around it.
pub(crate) struct Rig {
    /// Ends, with its arrays, when the rig does.
    _simulator: Simulator,
    pub(crate) array: Array,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_config| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ArrayConfig)) -> Self {
        let mut config = ArrayConfig::new("array-a");
        change(&mut config);
        let simulator = Simulator::builder()
            .array(config)
            .seed(storage_conformance::seed())
            .start()
            .await
            .unwrap();
        let array = simulator.arrays()[0].clone();
        Self {
            _simulator: simulator,
            array,
        }
    }

    pub(crate) fn config(&self, namespace: &str) -> FlashArrayConfig {
        let endpoint = self.array.address().to_string();
        let token = Secret::new(self.array.api_token());
        let namespace = Namespace::new(namespace).unwrap();
        let san = San::Iscsi {
            allowed_networks: Vec::new(),
        };
        let mut config = FlashArrayConfig::new(endpoint, token, namespace, san);
        config.trust = Trust::Fingerprint(self.array.fingerprint().parse().unwrap());
        config.retry.backoff_min = Duration::from_millis(2);
        config.retry.backoff_max = Duration::from_millis(20);
        config
    }

    /// A node of its own.
    pub(crate) fn node(&self) -> FlashArray {
        self.node_in("ns")
    }

    pub(crate) fn node_in(&self, namespace: &str) -> FlashArray {
        FlashArray::new(self.config(namespace)).unwrap()
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::of(&self.array)
    }

    /// What was asked since the last time, without logins.
    pub(crate) fn taken(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.array.take_calls() {
            let name = call.name();
            let login = ["GET api_version", "POST login", "POST logout", "GET arrays"];
            if !login.contains(&name.as_str()) {
                *counts.entry(name).or_insert(0) += 1;
            }
        }
        counts
    }

    /// Waits until the array is so.
    pub(crate) async fn until(&self, so: impl Fn(&Array) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !so(&self.array) {
            assert!(tokio::time::Instant::now() < deadline, "it never is so");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until that many calls are held.
    pub(crate) async fn until_held(&self, calls: usize) {
        self.until(|array| array.held_calls() >= calls).await;
    }

    /// Names of all objects that are not destroyed.
    pub(crate) fn objects(&self) -> Vec<String> {
        let volumes = self.array.volumes().into_iter();
        volumes
            .filter(|v| v.destroyed.is_none())
            .map(|v| v.name)
            .collect()
    }
}

pub(crate) fn host(number: usize) -> Host {
    let initiators = Initiators {
        iqns: vec![format!("iqn.2024-01.org.example:node-{number}")],
        ..Initiators::default()
    };
    Host::new(
        &format!("node{number}"),
        &format!("machine {number}"),
        initiators,
    )
}

pub(crate) fn name(text: &str) -> VolumeName {
    VolumeName::new(text).unwrap()
}

pub(crate) fn request(text: &str) -> CreateVolume {
    CreateVolume {
        name: name(text),
        size: Size::from_gib(1),
        filesystem: FilesystemSpec::new(Filesystem::Ext4),
        limits: storage_core::Limits::default(),
        format_grant: Some(FormatGrant {
            filesystem: Filesystem::Ext4,
            uuid: Uuid::new_v4(),
        }),
        attributes: Labels::from([("placement".to_owned(), "the only array".to_owned())]),
        nonce: ClaimNonce::by_chance(ArrayNumber::default()),
    }
}

/// A copy of the source's size.
pub(crate) fn clone_request(text: &str, source: CloneSource) -> CloneVolume {
    CloneVolume {
        volume: CreateVolume {
            size: source.size(),
            format_grant: None,
            ..request(text)
        },
        source,
        fresh_uuid: Uuid::new_v4(),
    }
}

/// What tests do to volumes, in few words.
#[async_trait]
pub(crate) trait Verbs: Backend {
    async fn make(&self, text: &str) -> Volume {
        self.create(request(text)).await.unwrap().into_inner()
    }

    async fn find(&self, text: &str) -> Option<Volume> {
        self.get(VolumeKey::Name(name(text))).await.unwrap()
    }

    async fn give(&self, volume: &Volume, number: usize) -> Result<Outcome<Access>> {
        self.give_to(volume, host(number)).await
    }

    async fn give_to(&self, volume: &Volume, host: Host) -> Result<Outcome<Access>> {
        let request = PublishVolume {
            volume: volume.clone(),
            host,
            preemption: Preemption::Refuse,
            avoid_luns: Vec::new(),
        };
        self.publish(request).await
    }

    /// Gives a host the volume, with the right to shut others out until the answer is there.
    async fn wrest(&self, volume: &Volume, number: usize) -> Result<Outcome<Access>> {
        let (_guard, permit) = PermitGuard::new();
        self.wrest_with(volume, number, permit).await
    }

    async fn wrest_with(
        &self,
        volume: &Volume,
        number: usize,
        permit: Permit,
    ) -> Result<Outcome<Access>> {
        let request = PublishVolume {
            volume: volume.clone(),
            host: host(number),
            preemption: Preemption::ShutOut(permit),
            avoid_luns: Vec::new(),
        };
        self.publish(request).await
    }

    async fn last_fence_of(&self, volume: &Volume) -> Option<Fence> {
        let fencing = self.fencing().unwrap();
        fencing.last_fence(volume).await.unwrap()
    }

    async fn release(&self, volume: &Volume, host: &str) -> Result<Outcome<Fence>> {
        let request = ReleaseHost {
            volume: volume.clone(),
            host: host.to_owned(),
        };
        self.fencing().unwrap().release(request).await
    }

    async fn take(&self, volume: &Volume, number: usize) -> Result<Outcome<()>> {
        let request = UnpublishVolume {
            volume: volume.id.clone(),
            object: volume.object.clone(),
            host: host(number),
        };
        self.unpublish(request).await
    }

    async fn copy_volume(&self, text: &str, source: &Volume) -> Result<Outcome<Volume>> {
        let source = CloneSource::Volume(Box::new(source.clone()));
        let clones = self.clones().unwrap();
        clones.clone_volume(clone_request(text, source)).await
    }

    async fn freeze(&self, volume: &Volume, text: &str) -> Result<Outcome<Snapshot>> {
        let request = CreateSnapshot {
            volume: volume.clone(),
            name: SnapshotName::new(text).unwrap(),
        };
        self.snapshots().unwrap().create_snapshot(request).await
    }

    async fn frozen(&self, volume: &Volume, text: &str) -> Option<Snapshot> {
        let name = SnapshotName::new(text).unwrap();
        let found = self.snapshots().unwrap().get_snapshot(volume, &name).await;
        found.unwrap()
    }

    async fn remove(&self, volume: &Volume) -> Result<Outcome<()>> {
        let volume = volume.clone();
        self.delete(DeleteVolume { volume }).await
    }
}

impl<B: Backend + ?Sized> Verbs for B {}

/// Somebody with the array's password and no Fairlead.
pub(crate) struct Admin(Client);

#[derive(Debug)]
struct AdminLogin(Secret);

#[async_trait]
impl Login for AdminLogin {
    async fn login(&self, calls: &LoginCalls<'_>) -> std::result::Result<Session, HttpError> {
        let answer = calls.send("", Call::get("/api/api_version")).await?;
        let versions: Value = answer.json()?;
        let newest = versions["version"].as_array().unwrap().last().unwrap();
        let base = format!("/api/{}", newest.as_str().unwrap());
        let call = Call::new(Method::Post, "/login", Idempotency::Idempotent)
            .secret_header("api-token", self.0.clone());
        let answer = calls.send(&base, call).await?;
        let token = Secret::new(answer.header("x-auth-token").unwrap());
        Ok(Session::new(base, "x-auth-token", token))
    }

    async fn logout(
        &self,
        _calls: &LoginCalls<'_>,
        _session: &Session,
    ) -> std::result::Result<(), HttpError> {
        Ok(())
    }
}

impl Admin {
    pub(crate) fn of(array: &Array) -> Self {
        let fingerprint = array.fingerprint().parse().unwrap();
        let endpoint = array.address().to_string().parse().unwrap();
        let config = ClientConfig::new(endpoint, Trust::Fingerprint(fingerprint));
        let login = AdminLogin(Secret::new(array.api_token()));
        Self(Client::new(&config, Arc::new(login)).unwrap())
    }

    /// `POST /volumes?names=…` and the like.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &'static str,
        query: &[(&'static str, &str)],
        body: Value,
    ) -> Answer {
        let mut call = Call::new(method, path, Idempotency::Idempotent);
        for (key, value) in query {
            call = call.query(key, *value);
        }
        if !body.is_null() {
            call = call.json(&body);
        }
        self.0.send(call).await.unwrap()
    }

    pub(crate) async fn add_volume(&self, object: &str, size: Size) {
        let body = serde_json::json!({"provisioned": size.bytes()});
        self.call(Method::Post, "/volumes", &[("names", object)], body)
            .await;
    }

    pub(crate) async fn add_host(&self, host: &str, iqns: &[&str]) {
        let body = serde_json::json!({"iqns": iqns});
        self.call(Method::Post, "/hosts", &[("names", host)], body)
            .await;
    }

    pub(crate) async fn connect(&self, object: &str, host: &str) {
        let query = [("volume_names", object), ("host_names", host)];
        self.call(Method::Post, "/connections", &query, Value::Null)
            .await;
    }

    pub(crate) async fn disconnect(&self, object: &str, host: &str) {
        let query = [("volume_names", object), ("host_names", host)];
        self.call(Method::Delete, "/connections", &query, Value::Null)
            .await;
    }

    pub(crate) async fn destroy(&self, object: &str) {
        let body = serde_json::json!({"destroyed": true});
        self.call(Method::Patch, "/volumes", &[("names", object)], body)
            .await;
    }

    pub(crate) async fn rename(&self, object: &str, new: &str) {
        let body = serde_json::json!({"name": new});
        self.call(Method::Patch, "/volumes", &[("names", object)], body)
            .await;
    }

    pub(crate) async fn snapshot(&self, object: &str) {
        self.snapshot_as(object, "keep").await;
    }

    pub(crate) async fn snapshot_as(&self, object: &str, suffix: &str) {
        let body = serde_json::json!({"suffix": suffix});
        self.call(
            Method::Post,
            "/volume-snapshots",
            &[("source_names", object)],
            body,
        )
        .await;
    }

    pub(crate) async fn tag(&self, object: &str, key: &str, value: &str) {
        let body = serde_json::json!([
            {"key": key, "value": value, "namespace": "fairlead", "copyable": false}
        ]);
        self.call(
            Method::Put,
            "/volumes/tags/batch",
            &[("resource_names", object)],
            body,
        )
        .await;
    }
}
