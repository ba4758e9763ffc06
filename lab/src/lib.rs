//! Several hosts and arrays on one machine: private Docker engines, simulated arrays, processes
