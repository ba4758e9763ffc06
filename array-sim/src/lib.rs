//! Stateful simulators of storage arrays: HTTPS, faults by seed, LUNs as files
