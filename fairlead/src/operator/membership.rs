//! `fairlead array add` and `fairlead array remove`: which arrays are one fleet.
//!
//! The arrays' own record says so and not the configuration, which only has their addresses. What
//! is done, step by step, is the library's (`storage_core::Membership`).

use std::sync::Arc;

use storage_core::{
    Backend, FleetRecord, Membership, MembershipStep, Namespace, Result, SystemChance,
};

use super::report::{FORMAT, FleetChange, MemberEntry};

/// All configured arrays, seen through a namespace.
pub type Views<'a> = &'a (dyn Fn(&Namespace) -> Result<Vec<Arc<dyn Backend>>> + Sync);

/// What is to become of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membering {
    /// It becomes a member.
    Join,
    /// It is none any more.
    Leave,
    /// The same for one that never answers again.
    GiveUp,
}

/// Changes the fleet that the arrays of `views` belong to. `namespace` is the configured one; the
/// fleet may have more.
///
/// # Errors
/// As [`Membership::add`], [`Membership::remove`] and [`Membership::give_up`].
pub async fn change_fleet(
    views: Views<'_>,
    namespace: &Namespace,
    (array, what): (&str, Membering),
    told: &(dyn Fn(MembershipStep) + Send + Sync),
) -> Result<FleetChange> {
    let own = views(namespace)?;
    let mut opened = own.clone();
    let mut membership = Membership::new(own, "fairlead-array".to_owned(), Arc::new(SystemChance));
    let changed = async {
        let record = match what {
            Membering::GiveUp => membership.record_without(array).await?,
            Membering::Join | Membering::Leave => membership.record().await?,
        };
        for other in &record.namespaces {
            if other != namespace {
                let backends = views(other)?;
                opened.extend(backends.iter().cloned());
                membership = membership.through(backends);
            }
        }
        match what {
            Membering::Join => membership.add(array, told).await,
            Membering::Leave => membership.remove(array, told).await,
            Membering::GiveUp => membership.give_up(array, told).await,
        }
    }
    .await;
    for backend in opened {
        backend.close().await;
    }
    let changed = changed?;
    Ok(report(changed.is_done(), changed.get()))
}

fn report(changed: bool, record: &FleetRecord) -> FleetChange {
    let members = record.members.iter().map(|member| MemberEntry {
        number: member.number.0,
        name: member.name.clone(),
        id: member.array.to_string(),
        votes: record.claim_arrays.contains(&member.number),
    });
    FleetChange {
        format: FORMAT,
        changed,
        epoch: record.epoch.0,
        members: members.collect(),
    }
}

/// A step for a person who waits.
#[must_use]
pub fn step_text(step: &MembershipStep) -> String {
    match step {
        MembershipStep::Frozen(epoch) => {
            format!("epoch {epoch}: new names wait on all nodes; volumes that exist are served")
        }
        MembershipStep::Waiting(time) => {
            format!(
                "waiting {} s for creates that are under way",
                time.as_secs()
            )
        }
        MembershipStep::Drained(0) => "nothing was left waiting for a name".to_owned(),
        MembershipStep::Drained(count) => {
            format!("taken back: {count} that waited for a name (nobody was told of them)")
        }
        MembershipStep::Checking => "looking at the names on the arrays".to_owned(),
        MembershipStep::RolledBack => "refused: the members are as they were".to_owned(),
        MembershipStep::Open(epoch) => format!("epoch {epoch}: new names are taken again"),
        other => format!("{other:?}"),
    }
}
