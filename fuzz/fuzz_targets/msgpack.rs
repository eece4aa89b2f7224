//! What `@socket.io/redis-emitter` may publish.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the other dialect is another target's")]
#[path = "../../src/bus/bridges/json.rs"]
mod json;
#[path = "../../src/bus/bridges/msgpack.rs"]
mod msgpack;
#[path = "../../src/bus/bridges/node.rs"]
mod node;

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
    if let Ok(json) = msgpack::to_json(message, MAX_BYTES) {
        assert!(json.len() <= MAX_BYTES);
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }
    if let Ok(published) = node::read(message, MAX_BYTES) {
        for argument in &published.arguments {
            serde_json::from_str::<serde_json::Value>(argument.get()).unwrap();
        }
        let _ = (&published.event, &published.rooms, &published.except);
    }
});
