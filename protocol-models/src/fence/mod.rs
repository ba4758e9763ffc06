//! One writer: publish, preemption and what a host does that was shut out.
