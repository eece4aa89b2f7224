//! Idempotency keys: a request has its effect once, and its repetitions the same answer.

use wardbell::clock::ManualClock;
use wardbell::domain::staff::{StaffMember, StaffType};
use wardbell::ports::{Append, Appended, Once, StateChange, Store};

use super::fixtures::*;

fn asking(once: Once) -> Append {
    Append {
        once: Some(once),
        ..append([alert("P1")])
    }
}

pub(crate) async fn a_key_is_kept_with_the_append(store: &dyn Store, _: &ManualClock) {
    assert_eq!(store.outcome_of("caller POST /api", "k").await.unwrap(), None);

    commit(store, asking(once("k", 1, r#"{"alert_id":1}"#))).await;

    let kept = store.outcome_of("caller POST /api", "k").await.unwrap();
    assert_eq!(kept, Some(([1; 32], r#"{"alert_id":1}"#.to_owned())));
}

pub(crate) async fn a_repetition_is_answered_with_the_first_outcome_and_keeps_nothing(
    store: &dyn Store,
    _: &ManualClock,
) {
    commit(store, asking(once("k", 1, "first"))).await;
    let member = StaffMember {
        hospital_id: hospital("H1"),
        staff_id: "S1".parse().unwrap(),
        staff_type: StaffType::Nurse,
        available: true,
        updated_at: START,
    };

    let again = Append {
        changes: vec![StateChange::Staff(member)],
        ..asking(once("k", 1, "second"))
    };
    let outcomes = store.commit(vec![again]).await.unwrap();

    assert_eq!(outcomes, [Appended::Repeated("first".to_owned())]);
    assert_eq!(fresh_events(store).await.len(), 1);
    assert!(store.available_staff(&hospital("H1")).await.unwrap().is_empty());
}

pub(crate) async fn a_repetition_in_the_same_batch_is_one_too(store: &dyn Store, _: &ManualClock) {
    let batch = ["first", "second", "third"].map(|outcome| asking(once("k", 1, outcome)));

    let outcomes = store.commit(batch.into()).await.unwrap();

    let repeated = Appended::Repeated("first".to_owned());
    assert!(matches!(outcomes[0], Appended::Committed(_)));
    assert_eq!(outcomes[1..], [repeated.clone(), repeated]);
    assert_eq!(fresh_events(store).await.len(), 1);
}

pub(crate) async fn the_same_key_with_another_body_is_refused(store: &dyn Store, _: &ManualClock) {
    let batch = vec![
        asking(once("k", 1, "first")),
        asking(once("k", 2, "other")),
        append([alert("P1")]),
    ];

    let outcomes = store.commit(batch).await.unwrap();

    let [
        Appended::Committed(first),
        Appended::KeyReused,
        Appended::Committed(last),
    ] = &outcomes[..]
    else {
        panic!("{outcomes:?}");
    };
    let kept: Vec<u64> = fresh_events(store)
        .await
        .iter()
        .map(|(sequence, _)| *sequence)
        .collect();
    assert_eq!(kept, [first[0], last[0]]);
}

pub(crate) async fn keys_of_different_scopes_do_not_meet(store: &dyn Store, _: &ManualClock) {
    let elsewhere = Once {
        scope: "another caller".to_owned(),
        ..once("k", 2, "other")
    };

    let outcomes = store
        .commit(vec![asking(once("k", 1, "first")), asking(elsewhere)])
        .await
        .unwrap();

    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Appended::Committed(_))),
        "{outcomes:?}"
    );
}

pub(crate) async fn a_key_is_not_used_up_by_a_conflict(store: &dyn Store, _: &ManualClock) {
    let decided_on_nothing = StateChange::Triage {
        case: case("T1"),
        expected: Some(at(9)),
    };
    let refused = Append {
        changes: vec![decided_on_nothing],
        ..asking(once("k", 1, "first"))
    };
    let accepted = Append {
        changes: vec![StateChange::Triage {
            case: case("T1"),
            expected: None,
        }],
        ..asking(once("k", 1, "second"))
    };

    let outcomes = store.commit(vec![refused, accepted]).await.unwrap();

    assert!(
        matches!(outcomes[..], [Appended::Conflict, Appended::Committed(_)]),
        "{outcomes:?}"
    );
    let kept = store.outcome_of("caller POST /api", "k").await.unwrap();
    assert_eq!(kept, Some(([1; 32], "second".to_owned())));
}
