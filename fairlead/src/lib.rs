//! Configuration, assembly of the fleet, and the command line for people
