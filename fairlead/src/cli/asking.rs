//! The commands that ask arrays: from arguments to an answer, its text, and what is to be said
//! beside it.

use std::fmt::Write as _;
use std::future::Future;

use serde::Serialize;
use storage_core::{Clock as _, Error, ErrorChain, ErrorKind, SystemClock};

use super::arguments::{
    ArrayLsArguments, Asking, ConnectionsArguments, InspectArguments, Output, RecoverArguments,
    ReleaseArguments, TrashLsArguments, VolumeLsArguments,
};
use super::{FAILED, PARTIAL};
use crate::config::{self, Environment};
use crate::operator::{self, Arrays, ConnectionList, Here, Table, Unavailable};

/// What a command ends with.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// For standard output.
    pub(super) text: String,
    /// For standard error.
    pub(super) notes: String,
    pub(super) code: u8,
}

impl Answer {
    pub(super) fn failed(message: impl std::fmt::Display) -> Self {
        Self {
            notes: format!("fairlead: {message}\n"),
            code: FAILED,
            ..Self::default()
        }
    }

    fn of<T: Table + Serialize>(asking: &Asking, answer: &T) -> Self {
        Self::printed(asking.output, answer)
    }

    pub(super) fn printed<T: Table + Serialize>(output: Output, answer: &T) -> Self {
        let text = match output {
            Output::Table => answer.table(SystemClock.now_ms()),
            Output::Json => match serde_json::to_string_pretty(answer) {
                Ok(text) => text + "\n",
                Err(error) => return Self::failed(error),
            },
        };
        Self {
            text,
            ..Self::default()
        }
    }

    /// An error of the arrays, or their no.
    pub(super) fn refused(error: &Error) -> Self {
        Self {
            code: match error.kind() {
                ErrorKind::Unavailable | ErrorKind::Timeout => PARTIAL,
                _ => FAILED,
            },
            ..Self::failed(error.chain())
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        let plain: String = text.chars().filter(|c| !c.is_control()).collect();
        let _infallible = writeln!(self.notes, "fairlead: {plain}");
    }

    /// Says which arrays are missing in the answer.
    fn without(mut self, silent: &[Unavailable], what: &str) -> Self {
        for one in silent {
            self.note(&format!("{}: {}; {what}", one.endpoint, one.error));
            self.code = self.code.max(PARTIAL);
        }
        self
    }
}

/// Runs a command against the configured arrays, and ends their sessions.
fn ask<F, R>(asking: &Asking, command: F) -> Answer
where
    F: FnOnce(Arrays) -> R,
    R: Future<Output = (Arrays, Answer)>,
{
    let loaded = match config::load(&asking.config, &Environment::from_process()) {
        Ok(loaded) => loaded,
        Err(error) => return Answer::failed(error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Answer::failed(ErrorChain::new(&error)),
    };
    runtime.block_on(async {
        let arrays = Arrays::of(&loaded.config, asking.timeout);
        let (arrays, answer) = command(arrays).await;
        arrays.close().await;
        answer
    })
}

pub(super) fn volume_ls(arguments: &VolumeLsArguments) -> Answer {
    let filter = operator::VolumeFilter {
        selector: arguments.selector.clone(),
        all: arguments.all,
    };
    ask(&arguments.asking, async |arrays| {
        let arrays = arrays.only(arguments.array.as_deref());
        let list = operator::volumes(&arrays, &filter).await;
        let answer = Answer::of(&arguments.asking, &list);
        let answer = answer.without(&list.unavailable, "its volumes are missing here");
        finish(arrays, answer, arguments.array.as_deref())
    })
}

pub(super) fn inspect(arguments: &InspectArguments) -> Answer {
    let (here, notes) = Here::look(&arguments.state_dir);
    ask(&arguments.asking, async |arrays| {
        let list = operator::inspect(&arrays, &arguments.names, &here).await;
        let answer = Answer::of(&arguments.asking, &list);
        let mut answer = answer.without(&list.unavailable, "it may have more to tell");
        notes.iter().for_each(|note| answer.note(note));
        for name in &list.not_found {
            if list.unavailable.is_empty() {
                answer.note(&format!(
                    "no array has a volume `{name}`, in use or in its trash; `fairlead volume ls` \
                     lists what there is"
                ));
                answer.code = FAILED;
            } else {
                answer.note(&format!("no array that answers has a volume `{name}`"));
            }
        }
        (arrays, answer)
    })
}

pub(super) fn trash_ls(arguments: &TrashLsArguments) -> Answer {
    ask(&arguments.asking, async |arrays| {
        let list = operator::trash(&arrays, SystemClock.now_ms()).await;
        let answer = Answer::of(&arguments.asking, &list);
        let answer = answer.without(&list.unavailable, "its trash is missing here");
        (arrays, answer)
    })
}

pub(super) fn recover(arguments: &RecoverArguments) -> Answer {
    let request = operator::Recover {
        which: arguments.which.clone(),
        name: arguments.name.clone(),
        array: arguments.array.clone(),
    };
    ask(&arguments.asking, async |arrays| {
        let recovered = operator::recover(&arrays, &request).await;
        let answer = changed(&arguments.asking, recovered);
        (arrays, answer)
    })
}

pub(super) fn release(arguments: &ReleaseArguments) -> Answer {
    ask(&arguments.asking, async |arrays| {
        let released = operator::release(&arrays, &arguments.name, &arguments.host).await;
        let answer = changed(&arguments.asking, released);
        (arrays, answer)
    })
}

/// The answer of a command that changes something. What was not done, or is not known to be, as an
/// array did not answer is told from a no.
fn changed<T: Table + Serialize>(asking: &Asking, result: storage_core::Result<T>) -> Answer {
    match result {
        Ok(done) => Answer::of(asking, &done),
        Err(error) => Answer::refused(&error),
    }
}

pub(super) fn array_ls(arguments: &ArrayLsArguments) -> Answer {
    ask(&arguments.asking, async |arrays| {
        let list = operator::arrays(&arrays).await;
        let mut answer = Answer::of(&arguments.asking, &list);
        if let Some(fleet) = &list.fleet {
            if fleet.changing {
                answer.note("arrays are being added to the fleet or removed from it, and new names wait; if nobody is at it, repeat `fairlead array add` or `remove`");
            }
            for unseen in &fleet.unseen {
                answer.note(&format!(
                    "{unseen} is one of the fleet's arrays and does not answer here: it is down, or not configured; if it is broken for good, `fairlead array remove NAME --lost` with this name or id gives it up"
                ));
            }
            let strangers = list.arrays.iter().filter(|one| one.member.is_none());
            for stranger in strangers.filter_map(|one| one.name.as_deref()) {
                answer.note(&format!(
                    "{stranger} is none of the fleet's arrays, or none any more: it gets no volumes. `fairlead array add {stranger}` makes it one; else take it out of the configuration"
                ));
            }
        }
        for one in &list.arrays {
            if let (Some(error), "FlashArray") = (&one.error, one.family.as_str()) {
                answer.note(&format!("{}: {error}", one.endpoint));
                answer.code = PARTIAL;
            }
        }
        (arrays, answer)
    })
}

pub(super) fn connections(arguments: &ConnectionsArguments) -> Answer {
    let (here, notes) = Here::look(&arguments.state_dir);
    let filter = operator::ConnectionFilter {
        host: arguments.host.clone(),
        volume: arguments.volume.clone(),
    };
    ask(&arguments.asking, async |arrays| {
        let arrays = arrays.only(arguments.array.as_deref());
        let list = operator::connections(&arrays, &filter, &here).await;
        let answer = Answer::of(&arguments.asking, &list);
        let mut answer = answer.without(&list.unavailable, "its connections are missing here");
        notes.iter().for_each(|note| answer.note(note));
        let array = arguments.array.as_deref();
        // An array that is not there has no volumes to miss: that is said in the end.
        if array.is_none() || arrays.has_wanted() {
            say_what_is_missing(&mut answer, &list, filter.host.as_deref());
        }
        finish(arrays, answer, array)
    })
}

/// A volume that is not there is an error. A host that can reach nothing is not, and an array tells
/// such a one apart from a slip of the pen in no list: both are said.
fn say_what_is_missing(answer: &mut Answer, list: &ConnectionList, host: Option<&str>) {
    let complete = list.unavailable.is_empty();
    for name in &list.not_found {
        if complete {
            answer.note(&format!(
                "no array that was asked has a volume `{name}`; `fairlead volume ls --all` lists \
                 what there is, removed ones too"
            ));
            answer.code = FAILED;
        } else {
            answer.note(&format!("no array that answers has a volume `{name}`"));
        }
    }
    if let Some(host) = host
        && complete
        && list.not_found.is_empty()
        && list.connections.is_empty()
    {
        answer.note(&format!(
            "no host called `{host}` can reach what was asked for; `fairlead connections` shows \
             who can reach what"
        ));
    }
}

/// Says what no answer covers: an array that is not there, and arrays that this version cannot ask.
fn finish(arrays: Arrays, mut answer: Answer, wanted: Option<&str>) -> (Arrays, Answer) {
    if let Some(wanted) = wanted
        && answer.code == 0
        && !arrays.has_wanted()
    {
        answer = Answer::failed(format!(
            "no configured array is called `{wanted}`; `fairlead array ls` shows them"
        ));
    }
    for blade in arrays.unasked() {
        answer.note(&format!("{}: {}", blade.endpoint, blade.error));
    }
    (arrays, answer)
}
