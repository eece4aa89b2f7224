//! Forgetting.

use wardbell::clock::ManualClock;
use wardbell::domain::task::TaskStatus;
use wardbell::domain::{Event, Position};
use wardbell::ports::{
    Append, Appended, HistoryQuery, Once, Receipt, Retention, SessionChange, StateChange, Store, Swept,
};

use super::fixtures::*;
use super::sessions::session;

const END: Position = Position {
    major: u64::MAX >> 1,
    minor: 0,
};

async fn history(store: &dyn Store) -> usize {
    let query = HistoryQuery {
        patient_id: Some(patient("P1")),
        limit: 10_000,
        ..HistoryQuery::default()
    };
    store.history(&query).await.unwrap().alerts.len()
}

async fn in_log(store: &dyn Store, rooms: &[&str]) -> usize {
    let rooms: Vec<_> = rooms.iter().map(|name| room(name)).collect();
    store
        .published_in(&rooms, Position::START, END, 10_000)
        .await
        .unwrap()
        .len()
}

pub(crate) async fn a_sweep_of_nothing_removes_nothing(store: &dyn Store, _: &ManualClock) {
    publish(store, [event(&["a"]), alert("P1")]).await;

    assert_eq!(store.sweep(everything_before(START)).await.unwrap(), Swept::default());
    assert_eq!(store.horizon().await.unwrap(), Position::START);
    assert_eq!(in_log(store, &["a", "patient_P1"]).await, 2);
}

pub(crate) async fn swept_events_are_gone_and_the_horizon_says_so(store: &dyn Store, _: &ManualClock) {
    let (old, older, young) = (
        event(&["a"]).raised(at(1)),
        event(&["a", "b"]).raised(at(0)),
        event(&["a"]).raised(at(2)),
    );
    publish(store, [old, older.clone(), young.clone()]).await;
    let last_swept = store.position_of(older.id).await.unwrap().unwrap();

    let swept = store.sweep(everything_before(at(2))).await.unwrap();

    assert_eq!(
        swept,
        Swept {
            events: 2,
            ..Swept::default()
        }
    );
    assert_eq!(store.horizon().await.unwrap(), last_swept);
    let left = store
        .published_in(&[room("a"), room("b")], Position::START, END, 10)
        .await
        .unwrap();
    assert_eq!(left.iter().map(|left| left.event.id).collect::<Vec<_>>(), [young.id]);
    assert_eq!(store.position_of(older.id).await.unwrap(), None);
    assert!(store.last_position().await.unwrap() > last_swept);
}

pub(crate) async fn nothing_that_is_unpublished_is_swept(store: &dyn Store, _: &ManualClock) {
    commit(store, append([event(&["a"]), alert("P1")])).await;

    let swept = store.sweep(everything_before(at(1_000))).await.unwrap();

    if store.is_shared() {
        // There is nothing unpublished.
        assert_eq!(swept.events, 2);
        return;
    }
    assert_eq!(swept.events, 0);
    assert_eq!(store.unpublished(10).await.unwrap().len(), 2);
    assert_eq!(store.horizon().await.unwrap(), Position::START);
}

pub(crate) async fn alerts_outlive_the_log(store: &dyn Store, _: &ManualClock) {
    let alert = alert("P1");
    publish(store, [event(&["a"]), alert.clone(), event(&["a"])]).await;
    store
        .add_receipts(vec![Receipt {
            event_id: alert.id,
            delivered: 2,
            recovered: 1,
        }])
        .await
        .unwrap();

    let swept = store
        .sweep(Retention {
            alerts_before: START,
            ..everything_before(at(1))
        })
        .await
        .unwrap();

    assert_eq!(swept.events, 2);
    assert_eq!(in_log(store, &["a", "patient_P1"]).await, 0);
    assert_eq!(store.horizon().await.unwrap(), store.last_position().await.unwrap());
    assert_eq!(history(store).await, 1);
    let record = store.alert(alert.id).await.unwrap().unwrap();
    assert_eq!((record.event, record.delivered, record.recovered), (alert, 2, 1));
    assert_eq!(record.published_at, Some(START));
}

pub(crate) async fn alerts_are_swept_after_their_own_time(store: &dyn Store, _: &ManualClock) {
    let (old, young) = (alert("P1").raised(at(0)), alert("P1").raised(at(2)));
    publish(
        store,
        [old.clone(), alert("P1").suppressed().raised(at(1)), young.clone()],
    )
    .await;

    let retention = Retention {
        alerts_before: at(2),
        ..everything_before(at(10))
    };
    let swept = store.sweep(retention).await.unwrap();

    assert_eq!(swept.events, 2);
    assert_eq!(history(store).await, 1);
    assert!(store.alert(old.id).await.unwrap().is_none());
    assert!(store.alert(young.id).await.unwrap().is_some());
}

pub(crate) async fn sequence_numbers_are_never_given_twice_after_a_sweep(store: &dyn Store, _: &ManualClock) {
    let before = publish(store, [event(&["a"]), event(&["a"])]).await;

    store.sweep(everything_before(at(1))).await.unwrap();

    let after = publish(store, [event(&["a"])]).await;
    assert!(after[0] > before[1]);
    assert!(store.horizon().await.unwrap() < store.last_position().await.unwrap());
    assert_eq!(in_log(store, &["a"]).await, 1);
}

pub(crate) async fn a_sweep_of_many_removes_them_all(store: &dyn Store, _: &ManualClock) {
    let events = |count: u64| (0..count).map(|n| if n % 2 == 0 { event(&["a", "b"]) } else { alert("P1") });
    publish(store, events(2_300)).await;
    let young: Vec<Event> = events(7).map(|event| event.raised(at(5))).collect();
    publish(store, young).await;

    let swept = store.sweep(everything_before(at(5))).await.unwrap();

    assert_eq!(swept.events, 2_300);
    assert_eq!(in_log(store, &["a", "b", "patient_P1"]).await, 7);
    assert_eq!(history(store).await, 3);
}

pub(crate) async fn outcomes_are_swept_and_their_keys_are_free_again(store: &dyn Store, _: &ManualClock) {
    let asking = |once: Once| Append {
        once: Some(once),
        ..Append::default()
    };
    commit(store, asking(once("old", 1, "first"))).await;
    commit(
        store,
        asking(Once {
            at: at(5),
            ..once("young", 1, "first")
        }),
    )
    .await;

    let swept = store.sweep(everything_before(at(5))).await.unwrap();

    assert_eq!(swept.outcomes, 1);
    let batch = vec![asking(once("old", 2, "second")), asking(once("young", 1, "second"))];
    let outcomes = store.commit(batch).await.unwrap();
    assert_eq!(
        outcomes,
        [Appended::Committed(vec![]), Appended::Repeated("first".to_owned())]
    );
}

pub(crate) async fn finished_tasks_are_swept_and_others_stay(store: &dyn Store, _: &ManualClock) {
    let tasks = [
        task(TaskStatus::Success, at(0)),
        task(TaskStatus::Failure, at(1)),
        task(TaskStatus::Pending, at(0)),
        task(TaskStatus::Started, at(0)),
        task(TaskStatus::Success, at(5)),
    ];
    commit(store, changing(tasks.iter().cloned().map(StateChange::Task))).await;

    let swept = store.sweep(everything_before(at(5))).await.unwrap();

    assert_eq!(swept.tasks, 2);
    for (task, is_left) in tasks.iter().zip([false, false, true, true, true]) {
        assert_eq!(store.task(task.id).await.unwrap().is_some(), is_left, "{task:?}");
    }
}

pub(crate) async fn sessions_not_seen_are_swept_with_their_rooms(store: &dyn Store, _: &ManualClock) {
    let changes = ["one", "two", "three"].map(|pid| SessionChange::Open(session(pid)));
    store.save(changes.into()).await.unwrap();
    store
        .save(vec![SessionChange::Seen {
            pid: "two".to_owned(),
            at: at(9),
        }])
        .await
        .unwrap();

    let swept = store.sweep(everything_before(at(9))).await.unwrap();

    assert_eq!(swept.sessions, 2);
    assert_eq!(store.session("one").await.unwrap(), None);
    assert_eq!(store.session("two").await.unwrap().unwrap().rooms, session("two").rooms);
}
