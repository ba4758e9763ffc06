//! One name, one volume: the claim over several arrays.
