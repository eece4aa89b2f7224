//! What a Redis manager of python-socketio may publish: pickle and JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the other dialect is another target's")]
#[path = "../../src/bus/bridges/json.rs"]
mod json;
#[path = "../../src/bus/bridges/pickle/mod.rs"]
mod pickle;
#[path = "../../src/bus/bridges/python/mod.rs"]
mod python;

/// What the decoders make of a message.
mod ports {
    pub struct Published {
        pub event: String,
        pub arguments: Vec<Box<serde_json::value::RawValue>>,
        pub rooms: Vec<String>,
        pub except: Vec<String>,
    }
}

const MAX_BYTES: usize = 1 << 20;

fuzz_target!(|message: &[u8]| {
    if let Ok(pickle) = pickle::Pickle::read(message) {
        if let Ok(json) = pickle.to_json(MAX_BYTES) {
            assert!(json.len() <= MAX_BYTES);
            serde_json::from_str::<serde_json::Value>(&json).unwrap();
        }
    }
    for dialect in [python::Dialect::Auto, python::Dialect::Arguments, python::Dialect::Raw] {
        if let Ok(published) = python::read(message, dialect, MAX_BYTES) {
            check(&published);
        }
    }
});

/// Whatever is told to clients must be what their parsers take.
fn check(published: &ports::Published) {
    for argument in &published.arguments {
        serde_json::from_str::<serde_json::Value>(argument.get()).unwrap();
    }
    let _ = (&published.event, &published.rooms, &published.except);
}
