//! Moves of hosts, host groups and pods between the array and its realms, from REST 2.27 to 2.50 on.
//! This array has no realms: a move within the array changes nothing, any other is refused.

use crate::flasharray::state::Refusal;
use crate::flasharray::{Core, Request};

/// Refuses to move into or out of a realm. The text is assumed.
pub(super) fn refuse_moves(core: &Core, request: &Request) -> Result<(), Refusal> {
    let own = [
        ("to_member_names", &core.settings.name),
        ("from_member_names", &core.settings.name),
        ("to_member_ids", &core.settings.id),
        ("from_member_ids", &core.settings.id),
    ];
    for (param, own) in own {
        let members = request.params.list(param)?.unwrap_or_default();
        if let Some(realm) = members.iter().find(|one| !one.eq_ignore_ascii_case(own)) {
            return Err(Refusal::new("Realm does not exist.", Some(realm)));
        }
    }
    match request.params.get("modify_resource_access") {
        None | Some("none" | "create" | "delete") => Ok(()),
        Some(_) => Err(Refusal::invalid("modify_resource_access", None)),
    }
}
