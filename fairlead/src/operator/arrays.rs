//! `fairlead array ls`.

use std::sync::Arc;

use storage_core::{ArrayIdentity, Backend, FleetPhase, FleetRecord, Labels, Result, Telemetry};
use tokio::time::Instant;

use super::gather::all_volumes;
use super::reach::{Arrays, Site};
use super::report::{ArrayEntry, ArrayList, FORMAT, FleetEntry, plain};

/// What one array told.
struct Told {
    telemetry: Telemetry,
    identity: Option<ArrayIdentity>,
    labels: Labels,
    volumes: u64,
    latency_ms: u64,
    record: Option<FleetRecord>,
}

/// Every configured array, how full it is, and whether it answers.
pub async fn arrays(arrays: &Arrays) -> ArrayList {
    let answers = arrays.ask(ask).await;
    let told = answers.told.iter();
    let records: Vec<&FleetRecord> = told.filter_map(|(_, told)| told.record.as_ref()).collect();
    let record = in_force(&records);
    let mut entries = Vec::new();
    for site in &arrays.sites {
        let told = answers
            .told
            .iter()
            .find(|(one, _)| one.endpoint == site.endpoint);
        let silent = answers
            .silent
            .iter()
            .find(|one| one.endpoint == site.endpoint);
        match (told, silent) {
            (Some((_, told)), _) => entries.push(reached(site, told, record)),
            (None, Some(silent)) => entries.push(unreached(site, &silent.error)),
            // Another array was asked for.
            (None, None) => {}
        }
    }
    entries.extend(arrays.unasked.iter().map(|blade| ArrayEntry {
        family: "FlashBlade".to_owned(),
        error: Some(blade.error.clone()),
        ..empty(&blade.endpoint)
    }));
    ArrayList {
        format: FORMAT,
        fleet: record.map(|record| fleet(record, &entries)),
        arrays: entries,
    }
}

/// The newest record of the larger fleet. An array that was given up and is back has an older one
/// of the same fleet, with more members.
fn in_force<'a>(records: &[&'a FleetRecord]) -> Option<&'a FleetRecord> {
    let ours = records
        .iter()
        .max_by_key(|record| (record.members.len(), record.epoch))?;
    let is_ours = |record: &&&FleetRecord| {
        let mut members = record.members.iter();
        members.any(|member| ours.member(&member.array).is_some())
    };
    let of_ours = records.iter().filter(is_ours);
    of_ours.max_by_key(|record| record.epoch).copied()
}

fn fleet(record: &FleetRecord, entries: &[ArrayEntry]) -> FleetEntry {
    let is_seen = |id: &str| entries.iter().any(|entry| entry.id.as_deref() == Some(id));
    let unseen = record.members.iter();
    let unseen = unseen.filter(|member| !is_seen(member.array.as_str()));
    FleetEntry {
        epoch: record.epoch.0,
        changing: record.phase == FleetPhase::Changing,
        namespaces: record.namespaces.iter().map(ToString::to_string).collect(),
        unseen: unseen
            .map(|member| format!("{} (id {})", member.name, member.array))
            .collect(),
    }
}

async fn ask(backend: Arc<dyn Backend>) -> Result<Told> {
    // The first call opens the session.
    backend.telemetry().await?;
    let volumes = all_volumes(&*backend).await?.len();
    let record = match backend.claims() {
        Some(claims) => claims.fleet_record().await?,
        None => None,
    };
    let began = Instant::now();
    let telemetry = backend.telemetry().await?;
    Ok(Told {
        latency_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        telemetry,
        identity: backend.survey().and_then(|survey| survey.identity()),
        labels: backend.labels(),
        volumes: u64::try_from(volumes).unwrap_or(u64::MAX),
        record,
    })
}

fn reached(site: &Site, told: &Told, record: Option<&FleetRecord>) -> ArrayEntry {
    let member = record.and_then(|record| record.member(&told.telemetry.array));
    let identity = told.identity.as_ref();
    ArrayEntry {
        reachable: true,
        name: Some(told.telemetry.array_name.clone()),
        id: Some(told.telemetry.array.to_string()),
        software: identity.and_then(|identity| identity.software.clone()),
        rest: identity.and_then(|identity| identity.interface.clone()),
        san_type: Some(site.san_type.clone()),
        draining: site.draining,
        member: member.map(|member| member.number.0),
        votes: member.is_some_and(|member| {
            record.is_some_and(|record| record.claim_arrays.contains(&member.number))
        }),
        capacity_bytes: Some(told.telemetry.capacity.bytes()),
        used_bytes: Some(told.telemetry.used.bytes()),
        free_bytes: Some(told.telemetry.free().bytes()),
        volumes: Some(told.volumes),
        latency_ms: Some(told.latency_ms),
        labels: plain(&told.labels),
        ..empty(&site.endpoint)
    }
}

fn unreached(site: &Site, error: &str) -> ArrayEntry {
    let labels = site.backend.as_ref().map(|backend| backend.labels());
    ArrayEntry {
        error: Some(error.to_owned()),
        san_type: Some(site.san_type.clone()),
        draining: site.draining,
        labels: labels.map(|labels| plain(&labels)).unwrap_or_default(),
        ..empty(&site.endpoint)
    }
}

fn empty(endpoint: &str) -> ArrayEntry {
    ArrayEntry {
        endpoint: endpoint.to_owned(),
        family: "FlashArray".to_owned(),
        reachable: false,
        error: None,
        name: None,
        id: None,
        software: None,
        rest: None,
        san_type: None,
        draining: false,
        member: None,
        votes: false,
        capacity_bytes: None,
        used_bytes: None,
        free_bytes: None,
        volumes: None,
        latency_ms: None,
        labels: std::collections::BTreeMap::new(),
    }
}
