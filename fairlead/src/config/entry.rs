//! One entry of `FlashArrays` or `FlashBlades`: keys, values, and what does not go together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jsonc_parser::ast::Value;
use storage_core::Secret;

use super::check::Endpoints;
use super::file::{ChapEntry, FlashArrayEntry, FlashBladeEntry, SanType};
use super::reader::{Field, Findings, ObjectReader};
use super::values::{self, Complaint, Fingerprint};

/// Label keys that arrays carry without configuration; a configured one hides what they say.
const WELL_KNOWN_LABELS: [&str; 4] = [
    "purestorage.com/backend",
    "purestorage.com/hostname",
    "purestorage.com/id",
    "purestorage.com/family",
];

/// What adapters of this version do with an array whose connector is not built.
pub(super) const LOOKED_UP_ONLY: &str = "the entry may stay: names are looked up on this array, and no volume is placed or mounted there";

/// What a FlashBlade is to this version.
pub(crate) const BLADES_NOT_SERVED: &str =
    "FlashBlades are not served by this version: a volume of the same name on one is not seen";

pub(super) fn flash_array(
    field: &Field<&Value<'_>>,
    endpoints: &mut Endpoints,
    findings: &mut Findings<'_>,
) -> Option<FlashArrayEntry> {
    let mut reader = ObjectReader::new(field, findings)?;
    findings.remember(reader.path(), reader.range());
    let entry = read_flash_array(&mut reader, endpoints, findings);
    reader.finish(findings);
    Some(entry)
}

pub(super) fn read_flash_array(
    reader: &mut ObjectReader<'_, '_>,
    endpoints: &mut Endpoints,
    findings: &mut Findings<'_>,
) -> FlashArrayEntry {
    let mgmt_end_point = endpoints.read(reader, findings);
    let (api_token, api_token_file) = secret_pair(reader, ("APIToken", "APITokenFile"), findings);
    let labels = labels(reader, findings);
    let san_type = san_type(reader, findings);
    let ca_file = path(reader, "CAFile", findings);
    let fingerprint = fingerprint(reader, findings);
    let iscsi_allowed_cidr = allowed_networks(reader, findings);
    let chap = chap(reader, findings);
    let drain = reader.flag("Drain", findings);
    let loop_folder = path(reader, "LoopFolder", findings);
    let entry = FlashArrayEntry {
        mgmt_end_point,
        api_token,
        api_token_file,
        labels,
        san_type,
        ca_file,
        fingerprint,
        iscsi_allowed_cidr,
        chap,
        drain,
        loop_folder,
    };
    combinations(&entry, reader, findings);
    entry
}

/// What depends on more than one key of a FlashArray.
fn combinations(
    entry: &FlashArrayEntry,
    reader: &mut ObjectReader<'_, '_>,
    findings: &mut Findings<'_>,
) {
    let loops = entry.san_type == Some(SanType::Loop);
    if loops && entry.loop_folder.is_none() && !reader.meant("LoopFolder") {
        let message = "`SanType` is LOOP and there is no `LoopFolder`";
        let advice = "add \"LoopFolder\": the folder that the simulator printed for this array";
        findings.error(reader.range(), reader.path(), message, advice);
    }
    if !loops && let Some(field) = reader.place("LoopFolder") {
        let advice = "delete it, or add \"SanType\": \"LOOP\" to this entry";
        let message = "`LoopFolder` belongs to `SanType` LOOP only";
        findings.error(field.range, &field.path, message, advice);
    }
    trust(reader, findings);
    if loops {
        for key in ["ISCSIAllowedCIDR", "CHAP"] {
            if let Some(field) = reader.place(key) {
                let message = "it has no effect with `SanType` LOOP";
                findings.warning(field.range, &field.path, message, "delete it");
            }
        }
    }
}

/// One way to trust a certificate, not two that may disagree.
fn trust(reader: &ObjectReader<'_, '_>, findings: &mut Findings<'_>) {
    if let (Some(_), Some(field)) = (reader.place("CAFile"), reader.place("Fingerprint")) {
        let message = "both `CAFile` and `Fingerprint` are given";
        findings.error(field.range, &field.path, message, "delete one of them");
    }
}

pub(super) fn flash_blade(
    field: &Field<&Value<'_>>,
    endpoints: &mut Endpoints,
    findings: &mut Findings<'_>,
) -> Option<FlashBladeEntry> {
    let mut reader = ObjectReader::new(field, findings)?;
    let entry = read_flash_blade(&mut reader, endpoints, findings);
    let advice = "volumes come from the other arrays; create none under a name that it holds";
    findings.warning(reader.range(), reader.path(), BLADES_NOT_SERVED, advice);
    reader.finish(findings);
    Some(entry)
}

pub(super) fn read_flash_blade(
    reader: &mut ObjectReader<'_, '_>,
    endpoints: &mut Endpoints,
    findings: &mut Findings<'_>,
) -> FlashBladeEntry {
    let mgmt_end_point = endpoints.read(reader, findings);
    let (api_token, api_token_file) = secret_pair(reader, ("APIToken", "APITokenFile"), findings);
    let new = reader.text("NFSEndPoint", findings);
    let old = reader.text("NfsEndPoint", findings);
    for field in [&new, &old].into_iter().flatten() {
        drop(checked(field, values::Endpoint::parse, findings));
    }
    trust(reader, findings);
    match (&new, &old) {
        (Some(_), Some(old)) => {
            let message = "`NfsEndPoint` is the old spelling of `NFSEndPoint`, and both are here";
            findings.error(old.range, &old.path, message, "delete this one");
        }
        (None, None) if !reader.meant("NFSEndPoint") && !reader.has("NfsEndPoint") => {
            reader.missing("NFSEndPoint", findings);
        }
        _ => {}
    }
    FlashBladeEntry {
        mgmt_end_point,
        api_token,
        api_token_file,
        nfs_end_point: new.map(|field| field.value.to_owned()),
        nfs_end_point_old: old.map(|field| field.value.to_owned()),
        labels: labels(reader, findings),
        ca_file: path(reader, "CAFile", findings),
        fingerprint: fingerprint(reader, findings),
        drain: reader.flag("Drain", findings),
    }
}

/// Runs a rule and reports its complaint at the field.
fn checked<T>(
    field: &Field<&str>,
    rule: impl FnOnce(&str) -> Result<T, Complaint>,
    findings: &mut Findings<'_>,
) -> Option<T> {
    match rule(field.value) {
        Ok(value) => Some(value),
        Err((message, advice)) => {
            findings.error(field.range, &field.path, message, advice);
            None
        }
    }
}

fn path(
    reader: &mut ObjectReader<'_, '_>,
    key: &'static str,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    let field = reader.text(key, findings)?;
    findings.remember(&field.path, field.range);
    checked(&field, values::absolute, findings)
}

fn fingerprint(reader: &mut ObjectReader<'_, '_>, findings: &mut Findings<'_>) -> Option<String> {
    let field = reader.text("Fingerprint", findings)?;
    checked(&field, Fingerprint::parse, findings).map(|fingerprint| fingerprint.to_string())
}

fn allowed_networks(
    reader: &mut ObjectReader<'_, '_>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let field = reader.text("ISCSIAllowedCIDR", findings)?;
    // The predecessor's default is the empty text, which means all networks.
    if !field.value.trim().is_empty() {
        drop(checked(&field, values::cidrs, findings));
    }
    Some(field.value.to_owned())
}

fn san_type(reader: &mut ObjectReader<'_, '_>, findings: &mut Findings<'_>) -> Option<SanType> {
    let field = reader.text("SanType", findings)?;
    let Some(value) = SanType::from_text(field.value) else {
        let advice = format!("write one of {}", SanType::known());
        let message = "this is no way to reach an array's volumes";
        findings.error(field.range, &field.path, message, advice);
        return None;
    };
    if !value.is_built() {
        let message = format!("the connector for {} is not built yet", value.as_str());
        findings.warning(field.range, &field.path, message, LOOKED_UP_ONLY);
    }
    Some(value)
}

fn labels(
    reader: &mut ObjectReader<'_, '_>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, value) in reader.pairs("Labels", findings) {
        if let Err((message, advice)) = values::label(name.value, value.value) {
            findings.error(name.range, &name.path, message, advice);
        }
        if WELL_KNOWN_LABELS.contains(&name.value) {
            let message = "the array itself tells this label, and the one here hides it";
            findings.warning(name.range, &name.path, message, "delete it");
        }
        labels.insert(name.value.to_owned(), value.value.to_owned());
    }
    labels
}

fn chap(reader: &mut ObjectReader<'_, '_>, findings: &mut Findings<'_>) -> Option<ChapEntry> {
    let field = reader.value("CHAP")?;
    let mut inner = ObjectReader::new(&field, findings)?;
    let user = inner.required_text("User", findings);
    let (secret, secret_file) = secret_pair(&mut inner, ("Secret", "SecretFile"), findings);
    let message = "CHAP is not used by this version";
    let advice = "the entry may stay; it has no effect yet";
    findings.warning(field.range, &field.path, message, advice);
    inner.finish(findings);
    Some(ChapEntry {
        user: user.map(|user| user.value.to_owned()).unwrap_or_default(),
        secret,
        secret_file,
    })
}

/// A secret that stands either in the file itself or in a file of its own.
fn secret_pair(
    reader: &mut ObjectReader<'_, '_>,
    keys: (&'static str, &'static str),
    findings: &mut Findings<'_>,
) -> (Option<Secret>, Option<PathBuf>) {
    let (inline, file) = keys;
    let token = reader.text(inline, findings);
    if let Some(field) = &token {
        let _ = checked(field, values::secret, findings);
    }
    let token_file = path(reader, file, findings);
    match (reader.has(inline), reader.has(file)) {
        (true, true) => {
            if let Some(field) = reader.place(file) {
                let message = format!("both `{inline}` and `{file}` are given");
                findings.error(field.range, &field.path, message, "delete one of them");
            }
        }
        (false, false) if !reader.misspelt(inline) && !reader.misspelt(file) => {
            let message = format!("neither `{inline}` nor `{file}` is given");
            let advice = format!("add \"{inline}\" or \"{file}\"");
            findings.error(reader.range(), reader.path(), message, advice);
        }
        _ => {}
    }
    (token.map(|field| Secret::new(field.value)), token_file)
}
