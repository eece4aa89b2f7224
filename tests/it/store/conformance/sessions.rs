//! Sessions: what a client needs back when it returns.

use std::collections::BTreeMap;

use wardbell::clock::ManualClock;
use wardbell::domain::Position;
use wardbell::ports::{Session, SessionChange, Store};

use super::fixtures::*;

pub(crate) fn session(pid: &str) -> Session {
    Session {
        pid: pid.to_owned(),
        owner: [7; 32],
        began_at: Position {
            major: 1_763_679_000_123,
            minor: 4,
        },
        rooms: BTreeMap::from([
            (room("patient_P1"), position(5)),
            (room("triage_queue"), Position { major: 6, minor: 1 }),
        ]),
        seen_at: at(1),
    }
}

fn join(pid: &str, name: &str, at: u64) -> SessionChange {
    SessionChange::Join {
        pid: pid.to_owned(),
        room: room(name),
        at: position(at),
    }
}

fn leave(pid: &str, name: &str) -> SessionChange {
    SessionChange::Leave {
        pid: pid.to_owned(),
        room: room(name),
    }
}

pub(crate) async fn a_session_comes_back_as_it_was_opened(store: &dyn Store, _: &ManualClock) {
    let (with_rooms, without) = (
        session("one"),
        Session {
            rooms: BTreeMap::new(),
            owner: [8; 32],
            ..session("two")
        },
    );

    store
        .save(vec![
            SessionChange::Open(with_rooms.clone()),
            SessionChange::Open(without.clone()),
        ])
        .await
        .unwrap();

    assert_eq!(store.session("one").await.unwrap(), Some(with_rooms));
    assert_eq!(store.session("two").await.unwrap(), Some(without));
}

pub(crate) async fn an_unknown_session_is_not_there(store: &dyn Store, _: &ManualClock) {
    store.save(vec![SessionChange::Open(session("one"))]).await.unwrap();

    for pid in ["", "on", "ONE", "%"] {
        assert_eq!(store.session(pid).await.unwrap(), None, "{pid:?}");
    }
}

pub(crate) async fn rooms_are_joined_and_left(store: &dyn Store, _: &ManualClock) {
    store
        .save(vec![
            SessionChange::Open(session("one")),
            SessionChange::Open(session("two")),
        ])
        .await
        .unwrap();

    store
        .save(vec![
            join("one", "hospital_H1", 9),
            leave("one", "patient_P1"),
            leave("one", "never"),
        ])
        .await
        .unwrap();

    let found = store.session("one").await.unwrap().unwrap();
    let expected = [
        (room("hospital_H1"), position(9)),
        (room("triage_queue"), Position { major: 6, minor: 1 }),
    ];
    assert_eq!(found.rooms, BTreeMap::from(expected));
    assert_eq!(store.session("two").await.unwrap(), Some(session("two")));
}

pub(crate) async fn joining_twice_keeps_the_first_position(store: &dyn Store, _: &ManualClock) {
    let opened = Session {
        rooms: BTreeMap::new(),
        ..session("one")
    };
    store
        .save(vec![
            SessionChange::Open(opened),
            join("one", "a", 3),
            join("one", "b", 3),
        ])
        .await
        .unwrap();

    store
        .save(vec![join("one", "a", 8), leave("one", "b"), join("one", "b", 8)])
        .await
        .unwrap();

    let rooms = store.session("one").await.unwrap().unwrap().rooms;
    assert_eq!(
        rooms,
        BTreeMap::from([(room("a"), position(3)), (room("b"), position(8))])
    );
}

fn advance(pid: &str, rooms: &[(&str, u64)]) -> SessionChange {
    SessionChange::Advance {
        pid: pid.to_owned(),
        rooms: rooms
            .iter()
            .map(|(name, after)| (room(name), position(*after)))
            .collect(),
        at: at(3),
    }
}

/// The node that a client has left advances its session a moment after another node has let it join and leave rooms.
pub(crate) async fn advancing_a_session_neither_adds_a_room_nor_takes_one_away(store: &dyn Store, _: &ManualClock) {
    store.save(vec![SessionChange::Open(session("one"))]).await.unwrap();
    let changes = vec![join("one", "hospital_H1", 9), leave("one", "triage_queue")];
    store.save(changes).await.unwrap();

    let stale = advance("one", &[("patient_P1", 8), ("triage_queue", 8)]);
    store.save(vec![stale]).await.unwrap();

    let found = store.session("one").await.unwrap().unwrap();
    let expected = [(room("hospital_H1"), position(9)), (room("patient_P1"), position(8))];
    assert_eq!(found.rooms, BTreeMap::from(expected));
    assert_eq!(found.seen_at, at(3));
}

pub(crate) async fn advancing_counts_among_changes_that_are_saved_together(store: &dyn Store, _: &ManualClock) {
    let changes = vec![
        SessionChange::Open(session("one")),
        advance("one", &[("patient_P1", 6), ("never", 6)]),
        join("one", "a", 7),
        advance("one", &[("a", 8), ("patient_P1", 8)]),
        leave("one", "triage_queue"),
    ];
    store.save(changes).await.unwrap();
    let more = vec![
        join("one", "b", 9),
        advance("one", &[("a", 10), ("b", 10)]),
        leave("one", "patient_P1"),
    ];

    store.save(more).await.unwrap();

    let found = store.session("one").await.unwrap().unwrap();
    let expected = [(room("a"), position(10)), (room("b"), position(10))];
    assert_eq!(found.rooms, BTreeMap::from(expected));
}

pub(crate) async fn a_session_that_is_opened_again_is_replaced(store: &dyn Store, _: &ManualClock) {
    store
        .save(vec![SessionChange::Open(session("one")), join("one", "hospital_H1", 9)])
        .await
        .unwrap();
    let again = Session {
        owner: [9; 32],
        began_at: position(20),
        rooms: BTreeMap::from([(room("triage_queue"), position(21))]),
        seen_at: at(0),
        ..session("one")
    };

    store.save(vec![SessionChange::Open(again.clone())]).await.unwrap();

    assert_eq!(store.session("one").await.unwrap(), Some(again));
}

pub(crate) async fn changes_of_an_unknown_session_are_ignored(store: &dyn Store, _: &ManualClock) {
    let unknown = || "unknown".to_owned();
    let changes = vec![
        join("unknown", "a", 1),
        leave("unknown", "a"),
        advance("unknown", &[("a", 1)]),
        SessionChange::Seen {
            pid: unknown(),
            at: at(1),
        },
        SessionChange::Forget { pid: unknown() },
        SessionChange::Open(session("one")),
    ];

    store.save(changes).await.unwrap();
    store.save(Vec::new()).await.unwrap();

    assert_eq!(store.session("unknown").await.unwrap(), None);
    assert_eq!(store.session("one").await.unwrap(), Some(session("one")));
}

pub(crate) async fn a_session_is_seen_later_and_never_earlier(store: &dyn Store, _: &ManualClock) {
    store.save(vec![SessionChange::Open(session("one"))]).await.unwrap();

    for seen in [at(5), at(2)] {
        store
            .save(vec![SessionChange::Seen {
                pid: "one".to_owned(),
                at: seen,
            }])
            .await
            .unwrap();

        assert_eq!(store.session("one").await.unwrap().unwrap().seen_at, at(5));
    }
}

pub(crate) async fn a_forgotten_session_is_gone_with_its_rooms(store: &dyn Store, _: &ManualClock) {
    store
        .save(vec![
            SessionChange::Open(session("one")),
            SessionChange::Open(session("two")),
        ])
        .await
        .unwrap();

    store
        .save(vec![SessionChange::Forget { pid: "one".to_owned() }])
        .await
        .unwrap();

    assert_eq!(store.session("one").await.unwrap(), None);
    assert_eq!(store.session("two").await.unwrap(), Some(session("two")));
    let anew = Session {
        rooms: BTreeMap::new(),
        ..session("one")
    };
    store.save(vec![SessionChange::Open(anew.clone())]).await.unwrap();
    assert_eq!(store.session("one").await.unwrap(), Some(anew));
}

pub(crate) async fn many_sessions_are_saved_at_once(store: &dyn Store, _: &ManualClock) {
    let pids: Vec<String> = (0..100).map(|n| format!("pid-{n}")).collect();

    let saves = pids
        .iter()
        .map(|pid| store.save(vec![SessionChange::Open(session(pid)), join(pid, pid, 7)]));
    futures_util::future::try_join_all(saves).await.unwrap();

    for pid in &pids {
        assert_eq!(
            store.session(pid).await.unwrap().unwrap().rooms[&room(pid)],
            position(7)
        );
    }
}
