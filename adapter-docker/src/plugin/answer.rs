//! Answers as bytes.

use std::path::Path;

use hyper::StatusCode;
use serde::Serialize;

use super::Reply;
use crate::message::{
    ActivateAnswer, CapabilitiesAnswer, ErrorAnswer, GetAnswer, ListAnswer, ListedVolume,
    MountpointAnswer, Scope, VolumeAnswer,
};

fn ok(answer: &impl Serialize) -> Reply {
    with_status(StatusCode::OK, answer)
}

fn with_status(status: StatusCode, answer: &impl Serialize) -> Reply {
    match serde_json::to_vec(answer) {
        Ok(bytes) => Reply::Answer(status, bytes.into()),
        // Nothing here can fail to serialise; if it did, no answer is the honest one.
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            Reply::HangUp
        }
    }
}

/// `{"Err": …}`; success is the empty text.
pub(crate) fn error(status: StatusCode, text: &str) -> Reply {
    with_status(status, &ErrorAnswer { err: text })
}

pub(super) fn activate() -> Reply {
    ok(&ActivateAnswer {
        implements: ["VolumeDriver"],
    })
}

pub(super) fn capabilities() -> Reply {
    ok(&CapabilitiesAnswer {
        capabilities: Scope { scope: "global" },
    })
}

pub(super) fn mountpoint(path: &Path) -> Reply {
    ok(&MountpointAnswer {
        mountpoint: &path.to_string_lossy(),
        err: "",
    })
}

pub(super) fn volume(volume: VolumeAnswer<'_>) -> Reply {
    ok(&GetAnswer { volume, err: "" })
}

pub(super) fn volumes(volumes: Vec<ListedVolume<'_>>) -> Reply {
    ok(&ListAnswer { volumes, err: "" })
}
