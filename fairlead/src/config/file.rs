//! The configuration file as types: what the JSON Schema is made from.
//!
//! The texts below are shown by editors that know the schema, so they speak to whoever writes the
//! file. [`super::check_text`] builds these values; a test holds its list of keys and this one
//! together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use storage_core::Secret;

/// The arrays that volumes may come from, and the namespace of this cluster on them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[non_exhaustive]
pub struct ConfigFile {
    /// Prefix of every object on the arrays: 1 to 32 letters, digits, `-` and `_`, beginning and
    /// ending with a letter or digit. The same on every node of a cluster, and different from
    /// every other cluster's on the same arrays. Environment: `PURE_DOCKER_NAMESPACE`.
    #[schemars(extend("pattern" = "^[A-Za-z0-9]([A-Za-z0-9_-]{0,30}[A-Za-z0-9])?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub namespace: Option<String>,
    /// Every FlashArray: block volumes.
    #[serde(default)]
    pub flash_arrays: Vec<FlashArrayEntry>,
    /// Every FlashBlade: file volumes. Read and checked; not served by this version.
    #[serde(default)]
    pub flash_blades: Vec<FlashBladeEntry>,
}

/// One FlashArray. Give exactly one of `APIToken` and `APITokenFile`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[schemars(extend("oneOf" = [{"required": ["APIToken"]}, {"required": ["APITokenFile"]}]))]
pub struct FlashArrayEntry {
    /// Management address: a host name or IP address, with `:port` where it is not 443. No
    /// `https://`, no path.
    #[serde(rename = "MgmtEndPoint")]
    pub mgmt_end_point: String,
    /// API token of a user with the role `storage_admin`.
    #[serde(rename = "APIToken", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub api_token: Option<Secret>,
    /// Absolute path of a file that holds the API token and nothing else.
    #[serde(
        rename = "APITokenFile",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub api_token_file: Option<PathBuf>,
    /// Labels that a volume's `volume_label_selector` can ask for.
    #[serde(rename = "Labels", default)]
    pub labels: BTreeMap<String, String>,
    /// How hosts reach the volumes. Default: `PURE_FLASHARRAY_SAN_TYPE`, else `ISCSI`.
    #[serde(rename = "SanType", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SanType")]
    pub san_type: Option<SanType>,
    /// Absolute path of a PEM file with the certificate authority that signed the array's
    /// certificate.
    #[serde(rename = "CAFile", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub ca_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the array's own certificate, 64 hexadecimal digits with or without
    /// colons: trusts exactly that certificate.
    #[serde(
        rename = "Fingerprint",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub fingerprint: Option<String>,
    /// Networks of the iSCSI portals to use, in CIDR notation, separated by commas. Default: all.
    #[serde(
        rename = "ISCSIAllowedCIDR",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub iscsi_allowed_cidr: Option<String>,
    /// Credentials that hosts log in to the array's iSCSI targets with. Not used by this version.
    #[serde(rename = "CHAP", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ChapEntry")]
    pub chap: Option<ChapEntry>,
    /// Takes the array out of service: no new volumes, existing ones go on.
    #[serde(rename = "Drain", default)]
    pub drain: bool,
    /// With `SanType` `LOOP` only: absolute path of the folder in which the simulator shows the
    /// array's LUNs.
    #[serde(
        rename = "LoopFolder",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub loop_folder: Option<PathBuf>,
}

/// One FlashBlade. Give exactly one of `APIToken` and `APITokenFile`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[schemars(extend("oneOf" = [{"required": ["APIToken"]}, {"required": ["APITokenFile"]}]))]
pub struct FlashBladeEntry {
    /// Management address: a host name or IP address, with `:port` where it is not 443.
    #[serde(rename = "MgmtEndPoint")]
    pub mgmt_end_point: String,
    /// API token, `T-…`.
    #[serde(rename = "APIToken", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub api_token: Option<Secret>,
    /// Absolute path of a file that holds the API token and nothing else.
    #[serde(
        rename = "APITokenFile",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub api_token_file: Option<PathBuf>,
    /// Address of the data interface that serves NFS.
    #[serde(
        rename = "NFSEndPoint",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub nfs_end_point: Option<String>,
    /// Old spelling of `NFSEndPoint`; give one of them.
    #[serde(
        rename = "NfsEndPoint",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub nfs_end_point_old: Option<String>,
    /// Labels that a volume's `volume_label_selector` can ask for.
    #[serde(rename = "Labels", default)]
    pub labels: BTreeMap<String, String>,
    /// Absolute path of a PEM file with the certificate authority that signed the array's
    /// certificate.
    #[serde(rename = "CAFile", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub ca_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the array's own certificate, 64 hexadecimal digits with or without
    /// colons.
    #[serde(
        rename = "Fingerprint",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String")]
    pub fingerprint: Option<String>,
    /// Takes the array out of service: no new volumes, existing ones go on.
    #[serde(rename = "Drain", default)]
    pub drain: bool,
}

/// iSCSI credentials. Give exactly one of `Secret` and `SecretFile`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[non_exhaustive]
#[schemars(extend("oneOf" = [{"required": ["Secret"]}, {"required": ["SecretFile"]}]))]
pub struct ChapEntry {
    /// User name.
    pub user: String,
    /// Secret: 12 to 255 characters without blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub secret: Option<Secret>,
    /// Absolute path of a file that holds the secret and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub secret_file: Option<PathBuf>,
}

/// How hosts reach a FlashArray's volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum SanType {
    /// SCSI over TCP. In this version names are looked up there, and nothing is placed or mounted.
    #[serde(rename = "ISCSI")]
    Iscsi,
    /// SCSI over Fibre Channel. In this version as ISCSI.
    #[serde(rename = "FC")]
    FibreChannel,
    /// NVMe over TCP. In this version as ISCSI.
    #[serde(rename = "NVME-TCP")]
    NvmeTcp,
    /// Files that the array simulator shows, attached by loop devices.
    #[serde(rename = "LOOP")]
    Loop,
}

impl SanType {
    /// Every value, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Iscsi, Self::FibreChannel, Self::NvmeTcp, Self::Loop];

    /// The value as the file spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iscsi => "ISCSI",
            Self::FibreChannel => "FC",
            Self::NvmeTcp => "NVME-TCP",
            Self::Loop => "LOOP",
        }
    }

    /// Whether this version has the connector.
    #[must_use]
    pub const fn is_built(self) -> bool {
        matches!(self, Self::Loop)
    }

    /// Reads the file's spelling, upper case only.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == text)
    }

    /// The spellings, for messages.
    #[must_use]
    pub fn known() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}
