//! Official clients against the real binary, over each transport: what a hospital's frontend and backends see.
//!
//! Each scenario is written once and run by every client that it concerns. `make interop` installs the clients.

mod ehr;
mod recovery;
mod stock;
mod wire;
mod workers;

pub(crate) use stock::{Library, Options, Stock};

use crate::support::Transport;

/// One test for each client over each transport.
macro_rules! clients {
    ($($name:ident: $library:expr, $transport:ident;)*) => {$(
        mod $name {
            use super::*;

            const LIBRARY: Library = $library;
            const TRANSPORT: Transport = Transport::$transport;

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn is_greeted_over_its_transport() {
                wire::is_greeted_over_its_transport(LIBRARY, TRANSPORT).await;
            }

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn joins_and_leaves_with_and_without_a_callback() {
                wire::joins_and_leaves_with_and_without_a_callback(LIBRARY, TRANSPORT).await;
            }

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn hears_all_six_events_exactly_as_promised() {
                wire::hears_all_six_events_exactly_as_promised(LIBRARY, TRANSPORT).await;
            }

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn is_told_what_is_wrong_with_a_payload_and_lives_on() {
                wire::is_told_what_is_wrong_with_a_payload_and_lives_on(LIBRARY, TRANSPORT).await;
            }

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn comes_back_by_itself_after_the_server_was_killed() {
                wire::comes_back_by_itself_after_the_server_was_killed(LIBRARY, TRANSPORT).await;
            }

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn gets_what_it_missed_while_its_connection_was_cut() {
                recovery::gets_what_it_missed_while_its_connection_was_cut(LIBRARY, TRANSPORT).await;
            }

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn gets_what_it_missed_although_it_never_heard_an_event() {
                recovery::gets_what_it_missed_although_it_never_heard_an_event(LIBRARY, TRANSPORT).await;
            }

            #[tokio::test]
            #[ignore = "needs the stock clients: make interop"]
            async fn gets_what_it_missed_across_a_kill_of_the_server() {
                recovery::gets_what_it_missed_across_a_kill_of_the_server(LIBRARY, TRANSPORT).await;
            }
        }
    )*};
}

clients! {
    js_4_0_0_polling: Library::JavaScript("4.0.0"), Polling;
    js_4_0_0_upgrade: Library::JavaScript("4.0.0"), Upgrade;
    js_4_0_0_websocket: Library::JavaScript("4.0.0"), Websocket;
    js_4_7_2_polling: Library::JavaScript("4.7.2"), Polling;
    js_4_7_2_upgrade: Library::JavaScript("4.7.2"), Upgrade;
    js_4_7_2_websocket: Library::JavaScript("4.7.2"), Websocket;
    js_newest_polling: Library::JavaScript("newest"), Polling;
    js_newest_upgrade: Library::JavaScript("newest"), Upgrade;
    js_newest_websocket: Library::JavaScript("newest"), Websocket;
    python_oldest_polling: Library::Python("oldest"), Polling;
    python_oldest_upgrade: Library::Python("oldest"), Upgrade;
    python_oldest_websocket: Library::Python("oldest"), Websocket;
    python_newest_polling: Library::Python("newest"), Polling;
    python_newest_upgrade: Library::Python("newest"), Upgrade;
    python_newest_websocket: Library::Python("newest"), Websocket;
}
