//! What the models say, with the bounds that fit into every test run.
