//! What an EHR said of things, and the messages that somebody has not read (contract B).

use wardbell::clock::ManualClock;
use wardbell::domain::{Fact, TenantId, Timestamp, Topic, UserId};
use wardbell::ports::{MessageFor, StateChange, Store};

use super::fixtures::*;

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn fact(of: &str, topic: Topic, id: &str, value: &str, at: Timestamp) -> Fact {
    Fact {
        tenant: tenant(of),
        topic,
        id: id.to_owned(),
        value: value.to_owned(),
        at,
    }
}

fn letter(of: &str, to: &str, message: &str, at: Timestamp) -> MessageFor {
    MessageFor {
        tenant: tenant(of),
        user: user(to),
        message: message.to_owned(),
        at,
    }
}

async fn unread(store: &dyn Store, of: &str, to: &str) -> u64 {
    store.unread(&tenant(of), &user(to)).await.unwrap()
}

pub(crate) async fn what_was_said_last_is_known_whatever_the_clocks_say(store: &dyn Store, _: &ManualClock) {
    let topic = Topic::Participants;
    for (value, said_at) in [
        (r#"["ä\u0000\0"]"#, at(2)),
        ("from a node whose clock is behind", at(1)),
    ] {
        let said = fact("a", topic, "T1", value, said_at);

        commit(store, changing([StateChange::Fact(said.clone())])).await;

        assert_eq!(store.fact(&tenant("a"), topic, "T1").await.unwrap(), Some(said));
    }
    let twice = [
        fact("a", topic, "T1", "one", at(3)),
        fact("a", topic, "T1", "two", at(3)),
    ];
    commit(store, changing(twice.map(StateChange::Fact))).await;
    assert_eq!(
        store.fact(&tenant("a"), topic, "T1").await.unwrap().unwrap().value,
        "two"
    );
}

pub(crate) async fn the_longest_ids_are_kept_as_they_are(store: &dyn Store, _: &ManualClock) {
    // As many bytes as their characters can have, none of them like another: nothing that an index could compress.
    let long = |first: u32| {
        (0..128)
            .map(|n| char::from_u32(0x2_0000 + first + n * 7).unwrap())
            .collect::<String>()
    };
    let (of, to, id) = (long(0), long(1_000), long(2_000));
    let said = fact(&of, Topic::Appointment, &id, "said", at(0));

    let changes = [
        StateChange::Fact(said.clone()),
        StateChange::Unread(letter(&of, &to, &id, at(0))),
    ];
    commit(store, changing(changes)).await;

    let known = store.fact(&tenant(&of), Topic::Appointment, &id).await.unwrap();
    assert_eq!(known, Some(said));
    assert_eq!(unread(store, &of, &to).await, 1);
}

pub(crate) async fn facts_of_tenants_topics_and_things_do_not_meet(store: &dyn Store, _: &ManualClock) {
    let mut all = Vec::new();
    for (of, id) in [("a", "1"), ("a", "2"), ("b", "1")] {
        for topic in Topic::ALL {
            all.push(fact(of, topic, id, &format!("{of} {} {id}", topic.as_str()), at(0)));
        }
    }

    commit(store, changing(all.iter().cloned().map(StateChange::Fact))).await;

    for fact in all {
        let known = store.fact(&fact.tenant, fact.topic, &fact.id).await.unwrap();
        assert_eq!(known, Some(fact));
    }
    assert_eq!(store.fact(&tenant("b"), Topic::Assignee, "2").await.unwrap(), None);
}

pub(crate) async fn a_message_is_unread_once_until_it_is_read_and_never_again(store: &dyn Store, _: &ManualClock) {
    let one = letter("a", "u1", "M1", at(0));
    commit(
        store,
        changing([StateChange::Unread(one.clone()), StateChange::Unread(one.clone())]),
    )
    .await;
    commit(store, changing([StateChange::Unread(letter("a", "u1", "M2", at(0)))])).await;
    assert_eq!(unread(store, "a", "u1").await, 2);

    commit(store, changing([StateChange::Read(one.clone())])).await;
    assert_eq!(unread(store, "a", "u1").await, 1);
    commit(store, changing([StateChange::Unread(one)])).await;
    assert_eq!(unread(store, "a", "u1").await, 1, "a repetition is not unread again");
    // Read before it was said to be sent.
    let early = letter("a", "u1", "M3", at(0));
    commit(
        store,
        changing([StateChange::Read(early.clone()), StateChange::Unread(early)]),
    )
    .await;
    assert_eq!(unread(store, "a", "u1").await, 1);
}

pub(crate) async fn messages_are_counted_for_each_user_of_each_tenant(store: &dyn Store, _: &ManualClock) {
    let all = [
        letter("a", "u1", "M1", at(0)),
        letter("a", "u2", "M1", at(0)),
        letter("b", "u1", "M1", at(0)),
        letter("b", "u1", "M2", at(0)),
    ];

    commit(store, changing(all.map(StateChange::Unread))).await;
    commit(store, changing([StateChange::Read(letter("b", "u2", "M1", at(0)))])).await;

    let counts = [
        unread(store, "a", "u1").await,
        unread(store, "a", "u2").await,
        unread(store, "b", "u1").await,
    ];
    assert_eq!((counts, unread(store, "b", "u2").await), ([1, 1, 2], 0));
}

pub(crate) async fn old_facts_and_messages_are_swept_and_participants_stay(store: &dyn Store, _: &ManualClock) {
    let facts = Topic::ALL.map(|topic| StateChange::Fact(fact("a", topic, "1", "x", at(0))));
    let young = StateChange::Fact(fact("a", Topic::Assignee, "2", "x", at(9)));
    let letters = [letter("a", "u1", "old", at(0)), letter("a", "u1", "young", at(9))].map(StateChange::Unread);
    commit(store, changing(facts.into_iter().chain([young]).chain(letters))).await;

    let swept = store.sweep(everything_before(at(5))).await.unwrap();

    assert_eq!(swept.ehr, 4);
    assert!(
        store
            .fact(&tenant("a"), Topic::Participants, "1")
            .await
            .unwrap()
            .is_some()
    );
    assert!(store.fact(&tenant("a"), Topic::Assignee, "1").await.unwrap().is_none());
    assert!(store.fact(&tenant("a"), Topic::Assignee, "2").await.unwrap().is_some());
    assert_eq!(unread(store, "a", "u1").await, 1);
}
