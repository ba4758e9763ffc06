//! How the reference backend cuts its listings to pages.

use crate::error::{Error, ErrorKind, Result};
use crate::volume::Volume;

/// Volumes a page of a listing holds when the caller does not say.
pub(super) const PAGE: usize = 1000;

/// How the answer to "where to go on" begins; the last object's id follows.
const CONTINUATION: &str = "after:";

pub(super) fn continuation(token: &str) -> Result<&str> {
    token.strip_prefix(CONTINUATION).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "the listing cannot go on from there: it is no answer of this backend",
        )
    })
}

/// The answer to "where to go on" after the object or place.
pub(super) fn after(place: &str) -> String {
    format!("{CONTINUATION}{place}")
}

/// Cuts what is left of a listing to a page, and says where to go on.
pub(super) fn next_page(volumes: &mut Vec<Volume>, limit: usize) -> Option<String> {
    volumes.sort_by(|a, b| a.id.cmp(&b.id));
    let more = volumes.len() > limit;
    volumes.truncate(limit);
    let last = volumes.last().filter(|_| more)?;
    Some(after(last.id.object()))
}
