//! Who may have been connected to one volume, when.
//!
//! Between a request and its answer it may be executed at any time; after a time-out for ever. So
//! for each host there is what may be the case from each step on: connected, not connected, or
//! either.

use std::collections::{BTreeMap, BTreeSet};

/// What may be the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Can {
    on: bool,
    off: bool,
}

/// Requests of one kind for one host.
#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    under_way: u32,
    /// When the earliest of those that are or were last under way together was sent.
    from: usize,
    /// When the latest answer came.
    until: usize,
    /// One got no answer, and may come at any time.
    late: bool,
}

impl Requests {
    fn asked(&mut self, at: usize) {
        if self.under_way == 0 {
            self.from = at;
        }
        self.under_way += 1;
    }

    fn answered(&mut self, at: usize, late: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        self.until = at;
        self.late |= late;
    }

    /// Whether one may be executed after `from`.
    const fn may_be_after(&self, from: usize) -> bool {
        self.under_way > 0 || self.late || self.until > from
    }

    const fn may_come(&self) -> bool {
        self.under_way > 0 || self.late
    }
}

/// One host's connection.
#[derive(Debug)]
struct One {
    connects: Requests,
    disconnects: Requests,
    /// What may be the case from that step on.
    since: Vec<(usize, Can)>,
}

impl Default for One {
    fn default() -> Self {
        Self {
            connects: Requests::default(),
            disconnects: Requests::default(),
            since: vec![(
                0,
                Can {
                    on: false,
                    off: true,
                },
            )],
        }
    }
}

impl One {
    fn now(&self) -> Can {
        self.since.last().map_or(
            Can {
                on: true,
                off: true,
            },
            |(_, can)| *can,
        )
    }

    fn note(&mut self, at: usize, mut can: Can) {
        can.on |= self.connects.may_come();
        can.off |= self.disconnects.may_come();
        self.since.push((at, can));
    }

    /// Whether it may have been so at some moment between two steps.
    fn may(&self, connected: bool, from: usize, to: usize) -> bool {
        let before = self.since.iter().rposition(|(at, _)| *at <= from);
        let within = self.since.iter().skip(before.unwrap_or_default());
        within
            .take_while(|(at, _)| *at <= to)
            .any(|(_, can)| if connected { can.on } else { can.off })
    }

    fn connect(&mut self, answer: &str, at: usize) {
        let now = self.now();
        match answer {
            "asked" => {
                self.connects.asked(at);
                self.note(at, now);
            }
            "done" => {
                let from = self.connects.from;
                self.connects.answered(at, false);
                let crossed = self.disconnects.may_be_after(from);
                self.note(
                    at,
                    Can {
                        on: true,
                        off: crossed,
                    },
                );
            }
            "timeout" => {
                self.connects.answered(at, true);
                self.note(at, now);
            }
            // Refused: it is as it was, whatever that is.
            _ => {
                self.connects.answered(at, false);
                self.note(at, now);
            }
        }
    }

    fn disconnect(&mut self, answer: &str, at: usize) {
        let now = self.now();
        match answer {
            "asked" => {
                self.disconnects.asked(at);
                self.note(at, now);
            }
            "timeout" => {
                self.disconnects.answered(at, true);
                self.note(at, now);
            }
            "nothing done" => {
                self.disconnects.answered(at, false);
                self.note(at, now);
            }
            // There was none, or it is gone.
            _ => {
                let from = self.disconnects.from;
                self.disconnects.answered(at, false);
                let crossed = self.connects.may_be_after(from);
                self.note(
                    at,
                    Can {
                        on: crossed,
                        off: true,
                    },
                );
            }
        }
    }
}

/// The connections of one volume.
#[derive(Debug, Default)]
pub(super) struct Connections(BTreeMap<String, One>);

impl Connections {
    fn of(&mut self, host: &str) -> &mut One {
        self.0.entry(host.to_ascii_lowercase()).or_default()
    }

    pub(super) fn connect(&mut self, hosts: &BTreeSet<&str>, answer: &str, at: usize) {
        hosts
            .iter()
            .for_each(|host| self.of(host).connect(answer, at));
    }

    /// A request about several hosts that is refused because one of them has no connection does
    /// nothing for the others either, and does not tell which one it was.
    pub(super) fn disconnect(&mut self, hosts: &BTreeSet<&str>, answer: &str, at: usize) {
        let answer = match answer {
            "refused" if hosts.len() > 1 => "nothing done",
            other => other,
        };
        hosts
            .iter()
            .for_each(|host| self.of(host).disconnect(answer, at));
    }

    /// A reader was told who is connected; it read after its own step `since`.
    ///
    /// # Errors
    /// When that was at no moment so.
    pub(super) fn read(
        &mut self,
        hosts: &BTreeSet<&str>,
        since: usize,
        at: usize,
    ) -> Result<(), String> {
        let seen: BTreeSet<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        // Who never asked for a connection is an administrator's or of before the trace.
        for (host, one) in &mut self.0 {
            let connected = seen.contains(host);
            if !one.may(connected, since, at) {
                let was = if connected { "cannot have been" } else { "was" };
                return Err(format!("the read does not fit: {host} {was} connected"));
            }
            let quiet = !one.connects.may_come() && !one.disconnects.may_come();
            let settled = one.since.last().is_some_and(|(from, _)| *from <= since);
            if quiet && settled {
                one.note(
                    at,
                    Can {
                        on: connected,
                        off: !connected,
                    },
                );
            }
        }
        Ok(())
    }
}
