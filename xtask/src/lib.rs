//! The index of every command: demo, test, bench
