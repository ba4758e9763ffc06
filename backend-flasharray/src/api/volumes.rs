//! `/volumes`.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use storage_core::{Limits, Size};
use storage_http::{Answer, Call, Idempotency, Method, Page};

use super::{Api, Envelope};
use crate::error::{Failure, REPEATABLE};

/// A volume as the array describes it `[2.26, Volume]`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireVolume {
    pub(crate) id: String,
    pub(crate) name: String,
    /// 24 hexadecimal digits.
    pub(crate) serial: String,
    /// Bytes.
    pub(crate) provisioned: u64,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub(crate) created: Option<u64>,
    #[serde(default)]
    pub(crate) destroyed: bool,
    /// Milliseconds until it is eradicated; of destroyed ones only.
    #[serde(default)]
    pub(crate) time_remaining: Option<u64>,
    #[serde(default)]
    pub(crate) space: Option<WireSpace>,
    /// `{}` where nothing is limited.
    #[serde(default)]
    pub(crate) qos: Option<WireQos>,
    /// Hosts and host groups together.
    #[serde(default)]
    pub(crate) connection_count: Option<u64>,
}

/// What a volume may do at most `[2.2, 2.26, 2.50, _qos]`. The documents give ranges and no step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct WireQos {
    /// Bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bandwidth_limit: Option<u64>,
    /// Reads and writes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iops_limit: Option<u64>,
}

impl From<Limits> for WireQos {
    fn from(limits: Limits) -> Self {
        Self {
            bandwidth_limit: limits.bandwidth.map(Size::bytes),
            iops_limit: limits.iops,
        }
    }
}

impl From<WireQos> for Limits {
    fn from(qos: WireQos) -> Self {
        Self {
            iops: qos.iops_limit,
            bandwidth: qos.bandwidth_limit.map(Size::from_bytes),
        }
    }
}

/// What a volume or an array occupies, in bytes `[2.26, Space]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireSpace {
    /// In newer versions.
    pub(crate) total_used: Option<u64>,
    /// In all versions, called deprecated in newer ones.
    pub(crate) total_physical: Option<u64>,
}

impl WireSpace {
    pub(crate) fn used(&self) -> Option<u64> {
        self.total_used.or(self.total_physical)
    }
}

/// A volume to make: blank, with a size, or a copy, which begins with its source's size
/// `[2.2, 2.26, VolumePost]`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NewVolume<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioned: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceId<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<WireQos>,
}

/// By id: a name may be another object's by the time the array reads it.
#[derive(Clone, Copy, Debug, Serialize)]
struct SourceId<'a> {
    id: &'a str,
}

impl<'a> NewVolume<'a> {
    /// A blank volume of that many bytes.
    pub(crate) fn blank(bytes: u64, limits: Limits) -> Self {
        Self {
            provisioned: Some(bytes),
            source: None,
            qos: qos(limits),
        }
    }

    /// A copy of the volume or snapshot with this id.
    pub(crate) fn copy_of(id: &'a str, limits: Limits) -> Self {
        Self {
            provisioned: None,
            source: Some(SourceId { id }),
            qos: qos(limits),
        }
    }

    pub(crate) const fn is_copy(&self) -> bool {
        self.source.is_some()
    }
}

/// The `Date` header, in whole seconds `[RFC 9110, 6.6.1]`.
fn date(answer: &Answer) -> Option<SystemTime> {
    httpdate::parse_http_date(answer.header("date")?).ok()
}

fn qos(limits: Limits) -> Option<WireQos> {
    (!limits.is_empty()).then(|| limits.into())
}

#[derive(Default, Serialize)]
struct VolumeChange<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioned: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroyed: Option<bool>,
}

impl Api {
    /// POST `/volumes?names=` `[2.26]`.
    pub(crate) async fn make_volume(
        &self,
        name: &str,
        new: &NewVolume<'_>,
    ) -> Result<Option<WireVolume>, Failure> {
        let call = Call::new(Method::Post, "/volumes", REPEATABLE)
            .query("names", name)
            .json(new);
        self.changed(call).await
    }

    /// GET `/volumes?filter=`, destroyed ones included `[2.26]`.
    pub(crate) async fn find_volumes(&self, filter: String) -> Result<Vec<WireVolume>, Failure> {
        self.list(Call::get("/volumes").query("filter", filter))
            .await
    }

    /// One page of GET `/volumes?filter=`, destroyed ones included `[2.26]`.
    pub(crate) async fn page_of_all_volumes(
        &self,
        filter: String,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<WireVolume>, Failure> {
        let call = Call::get("/volumes")
            .query("filter", filter)
            .query("limit", limit.to_string());
        self.page(call, after).await
    }

    /// The oldest of GET `/volumes?filter=`, without destroyed ones, and the array's time `[2.26]`.
    pub(crate) async fn oldest_volumes(
        &self,
        filter: String,
        limit: usize,
    ) -> Result<(Vec<WireVolume>, Option<SystemTime>), Failure> {
        let call = Call::get("/volumes")
            .query("filter", filter)
            .query("destroyed", "false")
            .query("sort", "created")
            .query("limit", limit.to_string());
        let answer = self.send(call).await?;
        Ok((answer.json::<Envelope<WireVolume>>()?.items, date(&answer)))
    }

    /// As [`Self::find_volumes`], with the array's time.
    pub(crate) async fn find_volumes_dated(
        &self,
        filter: String,
    ) -> Result<(Vec<WireVolume>, Option<SystemTime>), Failure> {
        let call = Call::get("/volumes").query("filter", filter.clone());
        let answer = self.send(call).await?;
        let first = answer.json::<Envelope<WireVolume>>()?.into_page();
        if first.next.is_none() {
            return Ok((first.items, date(&answer)));
        }
        // More than a page bears on it: seldom enough to read the first one twice.
        Ok((self.find_volumes(filter).await?, date(&answer)))
    }

    /// PATCH `/volumes?names=` with `name`: one atomic step, refused when the new name is taken, and
    /// when no volume has the old one `[2.26]`. So a repetition that comes late finds nothing.
    pub(crate) async fn rename_volume(
        &self,
        from: &str,
        to: &str,
    ) -> Result<Option<WireVolume>, Failure> {
        let change = VolumeChange {
            name: Some(to),
            ..VolumeChange::default()
        };
        self.change_volume(("names", from), &change, REPEATABLE)
            .await
    }

    /// PATCH `/volumes?ids=` with `name`, whatever the volume is called now `[2.26]`. Not repeated
    /// once it may have been executed: a repetition that comes late would give the name again.
    pub(crate) async fn rename_volume_once(
        &self,
        id: &str,
        to: &str,
    ) -> Result<Option<WireVolume>, Failure> {
        let change = VolumeChange {
            name: Some(to),
            ..VolumeChange::default()
        };
        self.change_volume(("ids", id), &change, Idempotency::Once)
            .await
    }

    /// PATCH `/volumes?ids=` with `provisioned`; without `truncate` it never shrinks `[2.26]`.
    pub(crate) async fn resize_volume(
        &self,
        id: &str,
        provisioned: u64,
    ) -> Result<Option<WireVolume>, Failure> {
        let change = VolumeChange {
            provisioned: Some(provisioned),
            ..VolumeChange::default()
        };
        self.change_volume(("ids", id), &change, REPEATABLE).await
    }

    /// PATCH `/volumes?names=` with `destroyed`: recoverable until it is eradicated `[2.26]`. By name,
    /// so that a volume is spared that has another one by then.
    pub(crate) async fn destroy_volume(&self, name: &str) -> Result<(), Failure> {
        let change = VolumeChange {
            destroyed: Some(true),
            ..VolumeChange::default()
        };
        self.change_volume(("names", name), &change, REPEATABLE)
            .await
            .map(drop)
    }

    /// PATCH `/volumes?names=` with `destroyed: false`: it is there again under the name that it
    /// has; nothing else can be changed in the same call `[2.26]`.
    pub(crate) async fn recover_volume(&self, name: &str) -> Result<(), Failure> {
        let change = VolumeChange {
            destroyed: Some(false),
            ..VolumeChange::default()
        };
        self.change_volume(("names", name), &change, REPEATABLE)
            .await
            .map(drop)
    }

    async fn change_volume(
        &self,
        (key, volume): (&'static str, &str),
        change: &VolumeChange<'_>,
        idempotency: Idempotency,
    ) -> Result<Option<WireVolume>, Failure> {
        let call = Call::new(Method::Patch, "/volumes", idempotency)
            .query(key, volume)
            .json(change);
        self.changed(call).await
    }
}
