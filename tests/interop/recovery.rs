//! What a client gets that was away: by connection state recovery where its library takes part in it, else by the id of its
//! last event.

use serde_json::{Value, json};

use super::wire::post_alert;
use super::{Library, Options, Stock};
use crate::support::proxy::Proxy;
use crate::support::{Rest, ServerProcess, Transport};

const ROOM: &str = "patient_P-1";

/// A client that says that it understands recovery, or else keeps its last event's id.
fn returning(library: Library, transport: Transport) -> Options {
    let options = Options::new(library, transport);
    if library.can_recover() {
        options.auth(json!({"recovery": true}))
    } else {
        options.remembering()
    }
}

async fn post(rest: &Rest, messages: &[&str]) {
    for message in messages {
        post_alert(rest, "P-1", message).await;
    }
}

/// Waits until the client is back and, unless its rooms came back with it, asks for its room again; then for as many alerts
/// as it has missed, which must be these.
async fn comes_back_and_hears(client: &mut Stock, library: Library, missed: &[&str]) {
    let mut heard = Vec::new();
    while heard.len() < missed.len() {
        let happened = client.next("what was missed").await;
        match happened["on"].as_str() {
            Some("connect") => {
                assert_eq!(
                    happened["recovered"].as_bool(),
                    library.can_recover().then_some(true),
                    "{happened}"
                );
                if !library.can_recover() {
                    client.emit("join_room", json!({"room": ROOM}));
                }
            }
            Some("patient_alert") => heard.push(message_of(&happened)),
            Some("connection_response" | "room_joined" | "disconnect" | "connect_error") => {}
            _ => panic!("{happened}"),
        }
    }
    if let Library::Python(_) = library {
        // It runs each handler in a thread of its own: what arrived in order may be told out of order.
        heard.sort_unstable();
    }
    assert_eq!(heard, missed);
}

fn message_of(happened: &Value) -> String {
    happened["args"][0]["message"].as_str().unwrap().to_owned()
}

/// The next thing is this alert: nothing came twice before it.
async fn expect_alert(client: &mut Stock, rest: &Rest, message: &str) {
    post(rest, &[message]).await;
    loop {
        let happened = client.next(message).await;
        // Its greeting may stand behind what it missed.
        if matches!(
            happened["on"].as_str(),
            Some("connection_response" | "room_joined" | "connect")
        ) {
            continue;
        }
        assert_eq!(
            (happened["on"].as_str(), message_of(&happened).as_str()),
            (Some("patient_alert"), message),
            "{happened}"
        );
        return;
    }
}

pub(super) async fn gets_what_it_missed_while_its_connection_was_cut(library: Library, transport: Transport) {
    let server = ServerProcess::start().await;
    let rest = server.rest();
    let network = Proxy::to(server.addr()).await;
    let mut client = returning(library, transport).start(network.addr());
    client.connected().await;
    client.join(ROOM).await;
    expect_alert(&mut client, &rest, "before").await;

    network.cut();
    post(&rest, &["missed 1", "missed 2", "missed 3"]).await;
    network.restore();
    comes_back_and_hears(&mut client, library, &["missed 1", "missed 2", "missed 3"]).await;

    expect_alert(&mut client, &rest, "after").await;
}

pub(super) async fn gets_what_it_missed_although_it_never_heard_an_event(library: Library, transport: Transport) {
    if !library.can_recover() {
        return; // Without an event there is no id of a last one.
    }
    let server = ServerProcess::start().await;
    let rest = server.rest();
    post(&rest, &["before it came"]).await;
    let network = Proxy::to(server.addr()).await;
    let mut client = returning(library, transport).start(network.addr());
    client.connected().await;
    client.join(ROOM).await;

    network.cut();
    post(&rest, &["missed"]).await;
    network.restore();
    comes_back_and_hears(&mut client, library, &["missed"]).await;

    expect_alert(&mut client, &rest, "after").await;
}

pub(super) async fn gets_what_it_missed_across_a_kill_of_the_server(library: Library, transport: Transport) {
    let server = ServerProcess::start().await;
    let network = Proxy::to(server.addr()).await;
    let mut client = returning(library, transport).start(network.addr());
    client.connected().await;
    client.join(ROOM).await;
    expect_alert(&mut client, &server.rest(), "before").await;

    network.cut();
    post(&server.rest(), &["missed 1, before the kill"]).await;
    let server = server.kill_and_restart().await;
    post(&server.rest(), &["missed 2, after the kill"]).await;
    network.restore();
    comes_back_and_hears(
        &mut client,
        library,
        &["missed 1, before the kill", "missed 2, after the kill"],
    )
    .await;

    expect_alert(&mut client, &server.rest(), "after").await;
}
