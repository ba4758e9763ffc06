//! The commands that change which arrays are one fleet. What they do takes minutes, so each step is
//! told on standard error as it is reached.

use std::io::Write;
use std::pin::pin;

use storage_core::{Error, ErrorChain, ErrorKind, MembershipStep};
use tokio::sync::mpsc;

use super::arguments::ArrayChangeArguments;
use super::asking::Answer;
use crate::config::{self, Environment};
use crate::fleet;
use crate::operator::{self, Membering};

pub(super) fn change(
    arguments: &ArrayChangeArguments,
    what: Membering,
    err: &mut dyn Write,
) -> Answer {
    let loaded = match config::load(&arguments.config, &Environment::from_process()) {
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
    let views = |namespace: &storage_core::Namespace| {
        fleet::views(&loaded.config, namespace).map_err(|error| {
            Error::new(ErrorKind::InvalidArgument, "the configuration cannot work")
                .with_source(error)
        })
    };
    let (to, mut steps) = mpsc::unbounded_channel();
    let told = move |step: MembershipStep| {
        // Whoever does not listen does not stop the change half way.
        drop(to.send(step));
    };
    let changed = runtime.block_on(async {
        let array = (arguments.array.as_str(), what);
        let changing = operator::change_fleet(&views, &loaded.config.namespace, array, &told);
        let mut changing = pin!(changing);
        loop {
            tokio::select! {
                biased;
                Some(step) = steps.recv() => {
                    drop(writeln!(err, "{}", operator::step_text(&step)));
                }
                changed = &mut changing => break changed,
            }
        }
    });
    while let Ok(step) = steps.try_recv() {
        drop(writeln!(err, "{}", operator::step_text(&step)));
    }
    match changed {
        Ok(change) => {
            let mut answer = Answer::printed(arguments.output, &change);
            if let Some(text) = afterwards(what, change.changed, &arguments.array) {
                answer.note(&text);
            }
            answer
        }
        Err(error) => Answer::refused(&error),
    }
}

/// What is left to do for a person, or that there was nothing to do.
fn afterwards(what: Membering, changed: bool, array: &str) -> Option<String> {
    match (what, changed) {
        (Membering::Join, true) => None,
        (Membering::Join, false) => Some(format!("{array} is a member already")),
        (Membering::Leave, false) => Some(format!("{array} is no member")),
        (Membering::Leave | Membering::GiveUp, _) => Some(format!(
            "{array} is no member any more: take it out of every node's configuration, which waits for it until then"
        )),
    }
}
