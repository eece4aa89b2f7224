//! Committing events, publishing them, finding them again.

use std::collections::BTreeSet;
use std::time::Duration;

use wardbell::clock::ManualClock;
use wardbell::domain::{AlertScope, Event, EventId, Position, RoomName};
use wardbell::ports::{Append, Appended, Receipt, Store};

use super::fixtures::*;

const END: Position = Position {
    major: u64::MAX >> 1,
    minor: 0,
};

async fn ids_in(
    store: &dyn Store,
    rooms: &[RoomName],
    after: Position,
    through: Position,
    limit: usize,
) -> Vec<EventId> {
    let found = store.published_in(rooms, after, through, limit).await.unwrap();
    assert!(found.is_sorted_by(|earlier, later| earlier.position < later.position));
    assert!(
        found
            .iter()
            .all(|found| after < found.position && found.position <= through)
    );
    found.iter().map(|found| found.event.id).collect()
}

pub(crate) async fn an_append_is_given_ascending_sequence_numbers_in_order(store: &dyn Store, _: &ManualClock) {
    let batch = vec![append([event(&["a"]), event(&["b"])]), append([event(&["c"])])];

    let outcomes = store.commit(batch).await.unwrap();

    let [Appended::Committed(first), Appended::Committed(second)] = &outcomes[..] else {
        panic!("not committed: {outcomes:?}");
    };
    assert_eq!((first.len(), second.len()), (2, 1));
    assert!(first[0] > 0 && first[0] < first[1] && first[1] < second[0]);
}

pub(crate) async fn sequence_numbers_go_on_over_batches(store: &dyn Store, _: &ManualClock) {
    let mut last = 0;

    for _ in 0..3 {
        for sequence in commit(store, append([event(&["a"]), alert("P1"), alert("P1").suppressed()])).await {
            assert!(sequence > last);
            last = sequence;
        }
    }
}

pub(crate) async fn an_append_without_events_is_committed(store: &dyn Store, _: &ManualClock) {
    assert!(commit(store, Append::default()).await.is_empty());
    assert!(store.commit(Vec::new()).await.unwrap().is_empty());
}

pub(crate) async fn an_event_comes_back_as_it_was_given(store: &dyn Store, _: &ManualClock) {
    let mut given = vec![
        event(&["patient_P1", "triage_queue", "odd\nroom\u{1f}ä", "patient_P1"]),
        event(&[]),
        alert("P1").of_hospital("H1").typed("critical").raised(at(7)),
        hospital_alert("H1"),
    ];
    given[0].name = "bridge:event".to_owned().into();

    commit(store, append(given.clone())).await;

    let found: Vec<Event> = fresh_events(store).await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(found, given);
}

pub(crate) async fn an_event_id_that_is_taken_is_a_conflict_and_harms_nobody_else(store: &dyn Store, _: &ManualClock) {
    let taken = event(&["a"]);
    let (before, after) = (event(&["a"]), event(&["a"]));
    let (with_taken, also_with_taken) = (event(&["a"]), event(&["a"]));
    commit(store, append([taken.clone()])).await;

    let batch = vec![
        append([before.clone()]),
        Append {
            once: Some(once("k", 1, "{}")),
            ..append([with_taken, taken.clone(), also_with_taken])
        },
        append([after.clone()]),
    ];
    let outcomes = store.commit(batch).await.unwrap();

    assert!(
        matches!(
            &outcomes[..],
            [Appended::Committed(_), Appended::Conflict, Appended::Committed(_)]
        ),
        "{outcomes:?}"
    );
    let kept: Vec<EventId> = fresh_events(store).await.iter().map(|(_, event)| event.id).collect();
    assert_eq!(kept, [taken.id, before.id, after.id]);
    assert_eq!(store.outcome_of("caller POST /api", "k").await.unwrap(), None);
}

pub(crate) async fn what_is_committed_is_unpublished_until_it_is_marked(store: &dyn Store, _: &ManualClock) {
    let events = [event(&["a"]), event(&["a"])];
    let sequences = commit(store, append(events.clone())).await;
    if store.is_shared() {
        // Every node may hand it on from its commit on.
        assert!(store.unpublished(10).await.unwrap().is_empty());
        for (event, sequence) in events.iter().zip(sequences) {
            assert_eq!(store.position_of(event.id).await.unwrap(), Some(position(sequence)));
        }
        assert_eq!(
            ids_in(store, &[room("a")], Position::START, END, 10).await,
            events.map(|event| event.id)
        );
        return;
    }

    store
        .mark_published(vec![(sequences[0], position(sequences[0]))], START)
        .await
        .unwrap();

    let left: Vec<u64> = store
        .unpublished(10)
        .await
        .unwrap()
        .iter()
        .map(|(sequence, _)| *sequence)
        .collect();
    assert_eq!(left, [sequences[1]]);
}

pub(crate) async fn a_suppressed_alert_is_never_unpublished_and_in_no_room(store: &dyn Store, _: &ManualClock) {
    let (suppressed, sent) = (alert("P1").suppressed(), alert("P1"));

    publish(store, [suppressed.clone(), sent.clone(), alert("P1").suppressed()]).await;

    assert!(store.unpublished(10).await.unwrap().is_empty());
    assert_eq!(
        ids_in(store, &[room("patient_P1")], Position::START, END, 10).await,
        [sent.id]
    );
    assert_eq!(store.position_of(suppressed.id).await.unwrap(), None);
}

pub(crate) async fn unpublished_events_come_oldest_first_and_at_most_so_many(store: &dyn Store, _: &ManualClock) {
    let sequences = commit(store, append((0..5).map(|_| event(&["a"])))).await;

    let page: Vec<u64> = if store.is_shared() {
        let published = store.published_after(Position::START, 3).await.unwrap();
        published.iter().map(|one| one.position.major).collect()
    } else {
        let unpublished = store.unpublished(3).await.unwrap();
        unpublished.iter().map(|(sequence, _)| *sequence).collect()
    };

    assert_eq!(page, sequences[..3]);
}

pub(crate) async fn published_events_of_several_rooms_come_in_order_and_once(store: &dyn Store, _: &ManualClock) {
    let events = [
        event(&["a"]),
        event(&["b", "a"]),
        event(&["c"]),
        event(&["b"]),
        event(&["a", "a"]),
    ];
    publish(store, events.clone()).await;

    let found = ids_in(
        store,
        &[room("b"), room("a"), room("none"), room("a")],
        Position::START,
        END,
        10,
    )
    .await;

    assert_eq!(found, [events[0].id, events[1].id, events[3].id, events[4].id]);
    assert!(ids_in(store, &[], Position::START, END, 10).await.is_empty());
}

pub(crate) async fn published_events_are_bounded_on_both_sides(store: &dyn Store, _: &ManualClock) {
    let events: Vec<Event> = (0..4).map(|_| event(&["a"])).collect();
    publish(store, events.clone()).await;
    let mut positions = Vec::new();
    for event in &events {
        positions.push(store.position_of(event.id).await.unwrap().unwrap());
    }

    let found = ids_in(store, &[room("a")], positions[0], positions[2], 10).await;

    assert_eq!(found, [events[1].id, events[2].id]);
    assert!(
        ids_in(store, &[room("a")], positions[2], positions[0], 10)
            .await
            .is_empty()
    );
    assert!(ids_in(store, &[room("a")], positions[3], END, 10).await.is_empty());
}

pub(crate) async fn published_events_are_paged(store: &dyn Store, _: &ManualClock) {
    let rooms = ["a", "b", "c"];
    let events: Vec<Event> = (0..20).map(|n| event(&[rooms[n % 3], rooms[n % 2]])).collect();
    publish(store, events.clone()).await;

    let mut found = Vec::new();
    let mut after = Position::START;
    loop {
        let page = store.published_in(&rooms.map(room), after, END, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = last.position;
        found.extend(page.into_iter().map(|found| found.event.id));
    }

    assert_eq!(found, events.iter().map(|event| event.id).collect::<Vec<_>>());
}

pub(crate) async fn what_is_not_published_is_in_no_room(store: &dyn Store, _: &ManualClock) {
    let published = event(&["a"]);
    publish(store, [published.clone()]).await;

    let other = event(&["a"]);
    commit(store, append([other.clone()])).await;

    let mut expected = vec![published.id];
    expected.extend(store.is_shared().then_some(other.id));
    assert_eq!(ids_in(store, &[room("a")], Position::START, END, 10).await, expected);
}

pub(crate) async fn a_room_is_not_matched_by_its_beginning(store: &dyn Store, _: &ManualClock) {
    publish(store, [event(&["patient_P1"])]).await;

    for other in ["patient_P", "patient_P10", "patient_p1", "PATIENT_P1", "patient_%", ""] {
        assert!(
            ids_in(store, &[room(other)], Position::START, END, 10).await.is_empty(),
            "{other:?}"
        );
    }
}

pub(crate) async fn the_last_position_is_that_of_the_last_published_event(store: &dyn Store, _: &ManualClock) {
    let last = event(&["a"]);
    publish(store, [event(&["a"]), last.clone()]).await;
    let position = store.position_of(last.id).await.unwrap().unwrap();

    let unmarked = commit(store, append([event(&["a"])])).await;

    let expected = if store.is_shared() {
        super::fixtures::position(unmarked[0])
    } else {
        position
    };
    assert_eq!(store.last_position().await.unwrap(), expected);
}

pub(crate) async fn a_position_is_known_from_publication_on(store: &dyn Store, _: &ManualClock) {
    let (one, other) = (event(&["a"]), alert("P1"));
    let sequences = commit(store, append([one.clone(), other.clone()])).await;
    assert_eq!(store.position_of(one.id).await.unwrap().is_some(), store.is_shared());

    store
        .mark_published(sequences.iter().map(|one| (*one, position(*one))).collect(), START)
        .await
        .unwrap();

    let (one, other) = (
        store.position_of(one.id).await.unwrap(),
        store.position_of(other.id).await.unwrap(),
    );
    assert!(one.is_some() && one < other, "{one:?} {other:?}");
    assert_eq!(store.position_of(EventId::new()).await.unwrap(), None);
}

pub(crate) async fn nothing_has_a_position_in_a_fresh_store(store: &dyn Store, _: &ManualClock) {
    assert_eq!(store.last_position().await.unwrap(), Position::START);
    assert_eq!(store.horizon().await.unwrap(), Position::START);
    assert!(ids_in(store, &[room("a")], Position::START, END, 10).await.is_empty());
    assert!(store.unpublished(10).await.unwrap().is_empty());
}

pub(crate) async fn an_alert_says_what_became_of_it(store: &dyn Store, clock: &ManualClock) {
    let (earlier, given, later) = (alert("P1"), alert("P1").raised(START), alert("P1"));
    clock.advance(Duration::from_secs(1));
    let first = commit(store, append([earlier.clone(), given.clone()])).await;
    let record = store.alert(given.id).await.unwrap().unwrap();
    assert_eq!(
        (record.stored_at, record.published_at),
        (at(1), store.is_shared().then_some(at(1)))
    );

    store
        .mark_published(vec![(first[0], position(first[0]))], at(2))
        .await
        .unwrap();
    store
        .mark_published(vec![(first[1], position(first[1]))], at(3))
        .await
        .unwrap();
    let second = commit(store, append([later.clone()])).await;
    store
        .mark_published(vec![(second[0], position(second[0]))], at(4))
        .await
        .unwrap();

    for (alert, published_at) in [(&earlier, at(2)), (&given, at(3)), (&later, at(4))] {
        let record = store.alert(alert.id).await.unwrap().unwrap();
        assert_eq!(&record.event, alert);
        assert_eq!(record.scope, AlertScope::Patient);
        assert_eq!(record.stored_at, at(1));
        let published_at = if store.is_shared() { at(1) } else { published_at };
        assert_eq!(record.published_at, Some(published_at));
        assert_eq!((record.delivered, record.recovered), (0, 0));
    }
}

pub(crate) async fn a_suppressed_alert_says_that_it_was_never_published(store: &dyn Store, _: &ManualClock) {
    let suppressed = alert("P1").suppressed();

    publish(store, [suppressed.clone(), alert("P1")]).await;

    let record = store.alert(suppressed.id).await.unwrap().unwrap();
    assert_eq!(record.event, suppressed);
    assert_eq!(record.published_at, None);
}

pub(crate) async fn an_event_that_is_no_alert_is_not_found_as_one(store: &dyn Store, _: &ManualClock) {
    let (given, of_hospital) = (event(&["a"]), hospital_alert("H1"));
    publish(store, [given.clone(), of_hospital.clone()]).await;

    assert!(store.alert(given.id).await.unwrap().is_none());
    assert!(store.alert(EventId::new()).await.unwrap().is_none());
    assert_eq!(
        store.alert(of_hospital.id).await.unwrap().unwrap().scope,
        AlertScope::Hospital
    );
}

pub(crate) async fn receipts_add_up(store: &dyn Store, _: &ManualClock) {
    let (given, other) = (alert("P1"), alert("P1"));
    publish(store, [given.clone(), other.clone()]).await;
    let receipt = |event: &Event, delivered, recovered| Receipt {
        event_id: event.id,
        delivered,
        recovered,
    };

    store
        .add_receipts(vec![
            receipt(&given, 3, 0),
            receipt(&other, 1, 0),
            receipt(&given, 2, 1),
        ])
        .await
        .unwrap();
    let record = store.alert(given.id).await.unwrap().unwrap();
    assert_eq!((record.delivered, record.recovered), (5, 1));
    store.add_receipts(vec![receipt(&given, 0, 4)]).await.unwrap();

    let record = store.alert(given.id).await.unwrap().unwrap();
    assert_eq!((record.delivered, record.recovered), (5, 5));
    let record = store.alert(other.id).await.unwrap().unwrap();
    assert_eq!((record.delivered, record.recovered), (1, 0));
}

pub(crate) async fn receipts_of_what_is_no_alert_are_ignored(store: &dyn Store, _: &ManualClock) {
    let (given, alert) = (event(&["a"]), alert("P1"));
    publish(store, [given.clone(), alert.clone()]).await;
    let receipts = [given.id, EventId::new(), alert.id].map(|event_id| Receipt {
        event_id,
        delivered: 1,
        recovered: 0,
    });

    store.add_receipts(receipts.into()).await.unwrap();

    assert_eq!(store.alert(alert.id).await.unwrap().unwrap().delivered, 1);
}

pub(crate) async fn concurrent_commits_keep_their_appends_apart(store: &dyn Store, _: &ManualClock) {
    let commits = (0..50).map(|n| {
        let batch: Vec<Append> = (0..n % 4).map(|_| append([event(&["a"]), event(&["b"])])).collect();
        async move { (batch.clone(), store.commit(batch).await.unwrap()) }
    });

    let all = futures_util::future::join_all(commits).await;

    let kept = fresh_events(store).await;
    let mut numbers = BTreeSet::new();
    for (batch, outcomes) in all {
        assert_eq!(batch.len(), outcomes.len());
        for (append, outcome) in batch.iter().zip(outcomes) {
            let Appended::Committed(sequences) = outcome else {
                panic!("not committed: {outcome:?}")
            };
            for (sequence, event) in sequences.iter().zip(&append.events) {
                assert!(numbers.insert(*sequence));
                let (_, found) = kept.iter().find(|(kept, _)| kept == sequence).unwrap();
                assert_eq!(found, &**event);
            }
        }
    }
    assert_eq!(numbers.len(), kept.len());
}

pub(crate) async fn a_check_of_a_store_that_works_succeeds(store: &dyn Store, _: &ManualClock) {
    store.check().await.unwrap();
    store.check().await.unwrap();

    assert!(store.unpublished(10).await.unwrap().is_empty());
}
