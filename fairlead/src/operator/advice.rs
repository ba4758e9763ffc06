//! From what is seen of a volume to what it means and what to do next, in sentences for people.
//! What is said here is what the engine does; nothing is done.

use storage_core::{Connection, Ownership, Volume, VolumeState};

use super::connections::Here;

/// What the volume's state means, and what to do next.
pub(super) fn advice(volume: &Volume, connections: &[Connection], here: &Here) -> Vec<String> {
    let name = &volume.name;
    let mut advice = Vec::new();
    match volume.state {
        VolumeState::Destroyed => {
            advice.push(format!(
                "it was removed and is kept for a while: `fairlead volume trash recover {}` makes it a volume again",
                volume.object
            ));
            return advice;
        }
        VolumeState::Deleting => advice.push(format!(
            "a remove was cut off: `docker volume rm {name}` finishes it; a mount, or `fairlead volume trash recover {}`, takes it back",
            volume.object
        )),
        _ => {}
    }
    if volume.ownership == Ownership::Unrecorded {
        advice.push(
            "it carries no record of this namespace (the predecessor's, or made by hand): it is found by its exact name, and neither listed nor removed nor formatted".to_owned(),
        );
    }
    match connections {
        [] => advice.push("no host can reach it: the next mount, on any host, gets it".to_owned()),
        [one] => advice.push(of_one(volume, one, here)),
        several => advice.push(of_several(volume, several)),
    }
    advice.extend(
        connections
            .iter()
            .filter(|one| here.is_mine(one))
            .filter_map(|one| here.hint(one)),
    );
    advice
}

fn of_one(volume: &Volume, connection: &Connection, here: &Here) -> String {
    let object = &volume.object;
    if let Some(group) = &connection.group {
        return format!(
            "host group {group}, an administrator's, has it: mounts are refused until `purevol disconnect --hgroup {group} {object}` on the array"
        );
    }
    let host = connection
        .host
        .as_deref()
        .unwrap_or("a host without a name");
    if here.is_mine(connection) {
        return "this host has it: a mount here goes on with it, a container that is new on another host takes it over, unless that is turned off"
            .to_owned();
    }
    let take_away = if connection.is_recorded() {
        format!("`fairlead volume release {} --host {host}`", volume.name)
    } else {
        format!("take its access away on the array (`purevol disconnect --host {host} {object}`)")
    };
    let recorded = if connection.is_recorded() {
        "by a grant on record"
    } else {
        "without a grant on record"
    };
    format!(
        "host {host} has it, {recorded}: a container that is new on another host takes it over, unless that is turned off; anything else is refused until the volume is unmounted there. \
         If {host} is dead, {take_away} and mount it elsewhere; \
         what {host} has not written yet is lost by that"
    )
}

fn of_several(volume: &Volume, connections: &[Connection]) -> String {
    let hosts: Vec<&str> = connections
        .iter()
        .filter_map(|one| one.host.as_deref())
        .collect();
    let recorded = connections.iter().find(|one| one.is_recorded());
    let recorded = recorded.and_then(|one| one.host.as_deref());
    let keep = recorded.map_or_else(
        || "none of them has a grant on record".to_owned(),
        |host| format!("the grant on record is {host}'s"),
    );
    format!(
        "DANGER: {} can reach it at once ({keep}); two hosts that write destroy the file system. \
         Stop the containers that use it, find out who connected the others, and disconnect them on the array from {}",
        hosts.join(" and "),
        volume.object
    )
}
