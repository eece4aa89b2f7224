//! Typing: who is told, how often, and that whoever was told hears of its end.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::clients::two;
use super::{Clinic, dropped, names, staff, until};
use crate::support::Client;

fn types(thread: &str, is_typing: bool) -> Value {
    json!({"threadId": thread, "isTyping": is_typing})
}

/// The next word about typing must be this one; its thread.
async fn told(client: &mut Client, is_typing: bool) -> String {
    let typing = until(client, "message:typing").await;
    assert_eq!(typing["isTyping"], is_typing, "{typing}");
    typing["threadId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn typing_is_told_to_the_other_participants_with_the_identity_of_the_token() {
    let clinic = Clinic::start().await;
    let (mut one, mut other) = two(&clinic).await;
    let mut second_window = clinic.connect(&staff("a", "u1")).await;

    one.emit(
        "message:typing",
        json!({"threadId": "T1", "isTyping": true, "userId": "forged", "userName": "forged"}),
    );

    assert_eq!(
        until(&mut other, "message:typing").await,
        json!({"threadId": "T1", "userId": "u1", "userName": "Dr. u1", "isTyping": true})
    );
    for client in [&mut one, &mut second_window] {
        let heard = clinic.heard(client, &staff("a", "u1")).await;
        assert!(!names(&heard).contains(&"message:typing"), "not the sender: {heard:?}");
    }
}

#[tokio::test]
async fn typing_is_throttled_and_its_end_is_not() {
    let clinic = Clinic::of(Clinic::builder().set("WARDBELL__EHR__TYPING_EVERY", "1m")).await;
    let (one, mut other) = two(&clinic).await;

    for _ in 0..200 {
        one.emit("message:typing", json!({"threadId": "T1", "isTyping": true}));
    }
    one.emit("message:typing", json!({"threadId": "T1", "isTyping": false}));

    assert_eq!(until(&mut other, "message:typing").await["isTyping"], true);
    assert_eq!(
        until(&mut other, "message:typing").await["isTyping"],
        false,
        "and no other in between"
    );
    assert!(dropped(&clinic.server).await >= 199);
}

#[tokio::test]
async fn the_end_is_told_of_every_thread_that_was_told_of_and_of_no_more_than_are_kept_in_mind() {
    let clinic = Clinic::of(
        Clinic::builder()
            .set("WARDBELL__SOCKET__EVENTS_PER_SECOND", "1000")
            .set("WARDBELL__SOCKET__EVENTS_BURST", "1000"),
    )
    .await;
    let (one, mut other) = two(&clinic).await;
    let threads: Vec<String> = (0..100).map(|number| format!("N{number}")).collect();
    for thread in &threads {
        clinic.thread(&staff("a", "u2"), thread, &["u1", "u2"]).await;
    }

    for is_typing in [true, false] {
        for thread in &threads {
            one.emit("message:typing", types(thread, is_typing));
        }
    }
    one.emit("user:status", json!("away"));

    let mut going_on = BTreeSet::new();
    let mut most = 0;
    loop {
        match super::next(&mut other).await {
            (name, typing) if name == "message:typing" => {
                let thread = typing["threadId"].as_str().unwrap().to_owned();
                if typing["isTyping"] == true {
                    going_on.insert(thread);
                    most = most.max(going_on.len());
                } else {
                    going_on.remove(&thread);
                }
            }
            (name, _) if name == "user:status" => break,
            _ => {}
        }
    }
    assert_eq!((most, going_on), (64, BTreeSet::new()));
}

#[tokio::test]
async fn who_was_told_of_typing_hears_of_its_end_though_the_sender_is_no_participant_any_more() {
    let clinic = Clinic::start().await;
    let (one, mut other) = two(&clinic).await;
    one.emit("message:typing", types("T1", true));
    told(&mut other, true).await;
    clinic.thread(&staff("a", "u2"), "T1", &["u2"]).await;

    one.emit("message:typing", types("T1", false));

    told(&mut other, false).await;
}

#[tokio::test]
async fn who_is_taken_out_of_a_thread_hears_of_the_end_when_the_others_hear_that_it_goes_on() {
    let clinic = Clinic::of(Clinic::builder().set("WARDBELL__EHR__TYPING_EVERY", "100ms")).await;
    let (one, mut other) = two(&clinic).await;
    one.emit("message:typing", types("T1", true));
    told(&mut other, true).await;
    clinic.thread(&staff("a", "u2"), "T1", &["u1", "u3"]).await;
    let mut third = clinic.connect(&staff("a", "u3")).await;

    one.emit("message:typing", types("T1", true));

    told(&mut third, true).await;
    told(&mut other, false).await;
}

#[tokio::test]
async fn who_goes_away_types_no_more() {
    let clinic = Clinic::start().await;
    let (one, mut other) = two(&clinic).await;
    clinic.thread(&staff("a", "u2"), "T2", &["u1", "u2"]).await;
    for thread in ["T1", "T2"] {
        one.emit("message:typing", types(thread, true));
        assert_eq!(told(&mut other, true).await, thread);
    }
    let window = clinic.connect(&staff("a", "u1")).await;

    one.vanish();

    let ended = BTreeSet::from([told(&mut other, false).await, told(&mut other, false).await]);
    assert_eq!(ended, BTreeSet::from(["T1".to_owned(), "T2".to_owned()]));

    window.emit("message:typing", types("T1", true));
    told(&mut other, true).await;
    window.emit("message:typing", types("T1", false));
    window.leave_politely().await;

    told(&mut other, false).await;
    let heard = clinic.heard(&mut other, &staff("a", "u2")).await;
    assert!(!names(&heard).contains(&"message:typing"), "once is enough: {heard:?}");
}
