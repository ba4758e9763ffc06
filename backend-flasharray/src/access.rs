//! From the array's own words to what a host needs: identity of the device, portals, paths.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use storage_core::{AccessPath, DeviceIdentity, Error, ErrorKind, IscsiTarget, Protocol, Result};

use tokio::time::timeout_at;

use crate::api::{Api, WirePort};
use crate::backend::FlashArray;
use crate::config::San;

/// Type 3 identifier, NAA 6, and the vendor's company id 24a937: what precedes a volume's serial
/// in its SCSI identifier (VPD page 0x83, SPC-4 section 7.8.6.6.5).
const WWID_PREFIX: &str = "3624a9370";

/// What the device of a volume with this serial must answer.
pub(crate) fn identity(serial: &str) -> DeviceIdentity {
    DeviceIdentity {
        serial: serial.to_owned(),
        wwid: format!("{WWID_PREFIX}{}", serial.to_ascii_lowercase()),
    }
}

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(self.prefix.into());
                let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(self.prefix.into());
                let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    /// `10.0.0.0/8`, `fd00::/64`, or one address.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let message = format!("`{text}` is not a network in CIDR notation");
            Error::new(ErrorKind::InvalidArgument, message)
        };
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|error| wrong().with_source(error))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|error| wrong().with_source(error))?,
            None => longest,
        };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

/// How hosts reach the volumes: the configuration, checked.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Iscsi { networks: Vec<Network> },
    Loop { folder: PathBuf },
    NotBuilt(Protocol),
}

impl Way {
    pub(crate) fn new(san: &San) -> Result<Self> {
        match san {
            San::Iscsi { allowed_networks } => {
                let networks = allowed_networks.iter().map(|text| text.parse());
                Ok(Self::Iscsi {
                    networks: networks.collect::<Result<_>>()?,
                })
            }
            San::Loop { folder } if folder.is_absolute() => Ok(Self::Loop {
                folder: folder.clone(),
            }),
            San::Loop { folder } => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "the folder of LUNs, `{}`, must be an absolute path",
                    folder.display()
                ),
            )),
            San::NotBuilt(protocol) => Ok(Self::NotBuilt(*protocol)),
        }
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        match self {
            Self::Iscsi { .. } => Protocol::Iscsi,
            Self::Loop { .. } => Protocol::Loop,
            Self::NotBuilt(protocol) => *protocol,
        }
    }

    /// Whether hosts are known to the array by their iSCSI names.
    pub(crate) const fn uses_iqns(&self) -> bool {
        matches!(self, Self::Iscsi { .. })
    }
}

/// The file that the simulator shows: `<folder>/<host>/<lun>`.
pub(crate) fn loop_path(folder: &Path, host: &str, lun: u16) -> AccessPath {
    AccessPath::Loop {
        file: folder.join(host).join(lun.to_string()),
    }
}

impl FlashArray {
    /// The array's portals that hosts may use; its ports are read once.
    pub(crate) async fn targets(
        &self,
        api: &Api,
        networks: &[Network],
    ) -> Result<Vec<IscsiTarget>> {
        let known = timeout_at(api.deadline(), self.ports.lock()).await;
        let mut known = known.map_err(|elapsed| {
            Error::new(ErrorKind::Unavailable, "the array does not tell its ports")
                .with_source(elapsed)
        })?;
        let array = api.identity.id.as_str();
        if let Some(ports) = known.get(array) {
            return iscsi_targets(ports, networks);
        }
        let ports = api.ports().await?;
        // Remembered only when they are usable: an administrator may be setting them up.
        let targets = iscsi_targets(&ports, networks)?;
        known.insert(array.to_owned(), ports.into());
        Ok(targets)
    }
}

/// The portals that hosts may use.
///
/// # Errors
/// `FailedPrecondition` when there are none.
fn iscsi_targets(ports: &[WirePort], networks: &[Network]) -> Result<Vec<IscsiTarget>> {
    let mut targets: Vec<IscsiTarget> = ports
        .iter()
        .filter_map(|port| {
            let iqn = port.iqn.clone().filter(|iqn| !iqn.is_empty())?;
            let portal = port.portal.clone().filter(|portal| !portal.is_empty())?;
            Some(IscsiTarget { iqn, portal })
        })
        .collect();
    if targets.is_empty() {
        return Err(Error::new(
            ErrorKind::FailedPrecondition,
            "the array has no iSCSI ports",
        ));
    }
    let allowed = |target: &IscsiTarget| {
        networks.is_empty()
            || target
                .portal
                .parse::<SocketAddr>()
                .is_ok_and(|portal| networks.iter().any(|network| network.contains(portal.ip())))
    };
    targets.retain(allowed);
    if targets.is_empty() {
        return Err(Error::new(
            ErrorKind::FailedPrecondition,
            "none of the array's iSCSI portals is in an allowed network (`ISCSIAllowedCIDR`)",
        ));
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::{Network, Way, identity, iscsi_targets};
    use crate::api::WirePort;
    use crate::config::San;

    #[test]
    fn the_identifier_is_the_serial_behind_the_vendors_prefix() {
        let identity = identity("F92A1DA2F8C9429700011010");
        assert_eq!(identity.wwid, "3624a9370f92a1da2f8c9429700011010");
        assert_eq!(identity.serial, "F92A1DA2F8C9429700011010");
    }

    #[test]
    fn networks_contain_what_they_should() {
        let contains = |network: &str, address: &str| {
            network
                .parse::<Network>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(contains("10.1.0.0/16", "10.1.255.1") && !contains("10.1.0.0/16", "10.2.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8") && contains("10.0.0.1", "10.0.0.1"));
        assert!(contains("fd00::/64", "fd00::1") && !contains("fd00::/64", "fd01::1"));
        assert!(contains("::/0", "fd01::1") && !contains("::/0", "1.1.1.1"));
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "x/1",
            "::/129",
            "10.0.0.0/-1",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_iscsi_portals_in_allowed_networks_are_handed_out() {
        let port = |iqn: &str, portal: &str| WirePort {
            iqn: (!iqn.is_empty()).then(|| iqn.to_owned()),
            portal: (!portal.is_empty()).then(|| portal.to_owned()),
        };
        let ports = [
            port("iqn.a", "10.0.0.1:3260"),
            port("iqn.a", "[fd00::1]:3260"),
            port("", "10.0.0.2:4420"),
            port("", ""),
        ];
        assert_eq!(iscsi_targets(&ports, &[]).unwrap().len(), 2);
        let only = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(
            iscsi_targets(&ports, &only).unwrap()[0].portal,
            "10.0.0.1:3260"
        );
        assert!(iscsi_targets(&ports, &["192.0.2.0/24".parse().unwrap()]).is_err());
        assert!(iscsi_targets(&[], &[]).is_err());
    }

    #[test]
    fn a_relative_folder_is_refused() {
        let folder = "luns".into();
        assert!(Way::new(&San::Loop { folder }).is_err());
    }
}
