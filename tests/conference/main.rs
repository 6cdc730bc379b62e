//! The rules of a conference, tested on the pure state machine: scenarios as data, properties, journals that replay.

mod chaos;
mod differences;
mod invariants;
mod journals;
mod model;
mod outcomes;
mod scenarios;
mod script;
mod switch_and_service;
mod words;
mod world;
