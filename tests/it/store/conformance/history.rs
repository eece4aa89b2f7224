//! The history of alerts.

use wardbell::clock::ManualClock;
use wardbell::domain::{Event, Payload, Position};
use wardbell::ports::{HistoryPage, HistoryQuery, Store};

use super::fixtures::*;

fn of_patient(id: &str) -> HistoryQuery {
    HistoryQuery {
        patient_id: Some(patient(id)),
        limit: 100,
        ..HistoryQuery::default()
    }
}

fn of_hospital(id: &str) -> HistoryQuery {
    HistoryQuery {
        hospital_id: Some(hospital(id)),
        limit: 100,
        ..HistoryQuery::default()
    }
}

async fn history(store: &dyn Store, query: HistoryQuery) -> HistoryPage {
    store.history(&query).await.unwrap()
}

/// Their payloads, the last first.
fn newest_first<'a>(events: impl IntoIterator<Item = &'a Event, IntoIter: DoubleEndedIterator>) -> Vec<Payload> {
    events.into_iter().rev().map(|event| event.payload.clone()).collect()
}

pub(crate) async fn history_is_newest_first(store: &dyn Store, _: &ManualClock) {
    let alerts: Vec<Event> = (0..5).map(|n| alert("P1").raised(at(n))).collect();

    publish(store, alerts.clone()).await;

    assert_eq!(history(store, of_patient("P1")).await.alerts, newest_first(&alerts));
}

pub(crate) async fn history_of_a_patient_has_no_other_patients_alerts(store: &dyn Store, _: &ManualClock) {
    let (mine, other) = (alert("P1"), alert("P10"));

    publish(store, [mine.clone(), other, hospital_alert("H1")]).await;

    assert_eq!(history(store, of_patient("P1")).await.alerts, [mine.payload]);
    assert!(history(store, of_patient("P")).await.alerts.is_empty());
}

pub(crate) async fn history_of_a_hospital_has_its_own_and_its_patients_alerts(store: &dyn Store, _: &ManualClock) {
    let alerts = [
        hospital_alert("H1").raised(at(1)),
        alert("P1").of_hospital("H1").raised(at(2)),
    ];

    publish(store, alerts.clone()).await;
    publish(
        store,
        [hospital_alert("H2"), alert("P2").of_hospital("H2"), alert("P3")],
    )
    .await;

    assert_eq!(history(store, of_hospital("H1")).await.alerts, newest_first(&alerts));
}

pub(crate) async fn history_of_a_patient_and_a_hospital_has_what_concerns_both(store: &dyn Store, _: &ManualClock) {
    let both = alert("P1").of_hospital("H1");
    publish(
        store,
        [
            both.clone(),
            alert("P1").of_hospital("H2"),
            alert("P2").of_hospital("H1"),
            hospital_alert("H1"),
        ],
    )
    .await;

    let query = HistoryQuery {
        hospital_id: Some(hospital("H1")),
        ..of_patient("P1")
    };

    assert_eq!(history(store, query).await.alerts, [both.payload]);
}

pub(crate) async fn history_without_either_has_all_alerts(store: &dyn Store, _: &ManualClock) {
    let alerts = [
        hospital_alert("H1").raised(at(1)),
        alert("P1").raised(at(2)),
        alert("P2").suppressed().raised(at(3)),
    ];
    publish(store, alerts.clone()).await;

    let first = history(
        store,
        HistoryQuery {
            limit: 2,
            ..HistoryQuery::default()
        },
    )
    .await;
    let second = history(
        store,
        HistoryQuery {
            limit: 2,
            before: first.next,
            ..HistoryQuery::default()
        },
    )
    .await;

    assert_eq!(first.alerts, newest_first(&alerts[1..]));
    assert_eq!((second.alerts, second.next), (newest_first(&alerts[..1]), None));
}

pub(crate) async fn history_shows_suppressed_and_unpublished_alerts(store: &dyn Store, _: &ManualClock) {
    let alerts = [alert("P1").suppressed().raised(at(1)), alert("P1").raised(at(2))];

    commit(store, append(alerts.clone())).await;

    assert_eq!(history(store, of_patient("P1")).await.alerts, newest_first(&alerts));
}

pub(crate) async fn history_has_no_events_that_are_no_alerts(store: &dyn Store, _: &ManualClock) {
    publish(store, [event(&["patient_P1"]), event(&["hospital_H1"])]).await;

    assert!(history(store, of_patient("P1")).await.alerts.is_empty());
    assert!(
        history(
            store,
            HistoryQuery {
                limit: 10,
                ..HistoryQuery::default()
            }
        )
        .await
        .alerts
        .is_empty()
    );
}

pub(crate) async fn history_begins_at_since_and_ends_before_until(store: &dyn Store, _: &ManualClock) {
    let alerts: Vec<Event> = (0..6).map(|n| alert("P1").of_hospital("H1").raised(at(n))).collect();
    publish(store, alerts.clone()).await;

    for query in [
        of_patient("P1"),
        of_hospital("H1"),
        HistoryQuery {
            limit: 100,
            ..HistoryQuery::default()
        },
    ] {
        let query = HistoryQuery {
            since: Some(at(2)),
            until: Some(at(4)),
            ..query
        };

        assert_eq!(
            history(store, query.clone()).await.alerts,
            newest_first(&alerts[2..4]),
            "{query:?}"
        );
    }
}

pub(crate) async fn history_of_one_alert_type_has_no_other(store: &dyn Store, _: &ManualClock) {
    let critical = alert("P1").typed("critical");
    publish(store, [critical.clone(), alert("P1").typed("warning")]).await;

    let query = HistoryQuery {
        alert_type: Some("critical".to_owned()),
        ..of_patient("P1")
    };

    assert_eq!(history(store, query).await.alerts, [critical.payload]);
}

/// All pages of a query, newest first.
async fn paged(store: &dyn Store, mut query: HistoryQuery) -> Vec<Payload> {
    let mut all = Vec::new();
    loop {
        let page = history(store, query.clone()).await;
        assert!(page.alerts.len() <= query.limit);
        assert!(page.next.is_none() || page.alerts.len() == query.limit);
        all.extend(page.alerts);
        match page.next {
            Some(next) => query.before = Some(next),
            None => return all,
        }
    }
}

pub(crate) async fn history_is_read_page_by_page_without_gap_or_overlap(store: &dyn Store, _: &ManualClock) {
    let alerts: Vec<Event> = (0..23).map(|n| alert("P1").of_hospital("H1").raised(at(n))).collect();
    for chunk in alerts.chunks(5) {
        publish(
            store,
            chunk.iter().cloned().chain([alert("P2"), event(&["patient_P1"])]),
        )
        .await;
    }

    for limit in [1, 2, 7, 23, 24] {
        assert_eq!(
            paged(
                store,
                HistoryQuery {
                    limit,
                    ..of_patient("P1")
                }
            )
            .await,
            newest_first(&alerts),
            "{limit}"
        );
        assert_eq!(
            paged(
                store,
                HistoryQuery {
                    limit,
                    ..of_hospital("H1")
                }
            )
            .await,
            newest_first(&alerts),
            "{limit}"
        );
    }
}

pub(crate) async fn the_last_page_has_no_cursor(store: &dyn Store, _: &ManualClock) {
    publish(store, (0..4).map(|n| alert("P1").raised(at(n)))).await;

    assert_eq!(
        history(
            store,
            HistoryQuery {
                limit: 4,
                ..of_patient("P1")
            }
        )
        .await
        .next,
        None
    );
    assert!(
        history(
            store,
            HistoryQuery {
                limit: 3,
                ..of_patient("P1")
            }
        )
        .await
        .next
        .is_some()
    );
    assert_eq!(history(store, of_patient("nobody")).await.next, None);
}

pub(crate) async fn the_cursor_stands_still_while_newer_alerts_come(store: &dyn Store, _: &ManualClock) {
    let alerts: Vec<Event> = (0..4).map(|n| alert("P1").raised(at(n))).collect();
    publish(store, alerts.clone()).await;
    let query = HistoryQuery {
        limit: 2,
        ..of_patient("P1")
    };
    let first = history(store, query.clone()).await;

    publish(store, [alert("P1").raised(at(10))]).await;

    let second = history(
        store,
        HistoryQuery {
            before: first.next,
            ..query
        },
    )
    .await;
    assert_eq!(first.alerts, newest_first(&alerts[2..]));
    assert_eq!(second.alerts, newest_first(&alerts[..2]));
}

pub(crate) async fn alerts_of_the_same_instant_are_paged_too(store: &dyn Store, _: &ManualClock) {
    let alerts: Vec<Event> = (0..9).map(|_| alert("P1").raised(at(1))).collect();
    publish(store, alerts.clone()).await;

    assert_eq!(
        paged(
            store,
            HistoryQuery {
                limit: 2,
                ..of_patient("P1")
            }
        )
        .await,
        newest_first(&alerts)
    );
}

pub(crate) async fn a_limit_of_none_asks_for_nothing(store: &dyn Store, _: &ManualClock) {
    publish(store, [alert("P1")]).await;

    let page = history(
        store,
        HistoryQuery {
            limit: 0,
            ..of_patient("P1")
        },
    )
    .await;

    assert!(page.alerts.is_empty());
}

pub(crate) async fn history_after_a_position_is_what_was_published_since(store: &dyn Store, _: &ManualClock) {
    let (seen, missed, also_missed) = (alert("P1"), alert("P1").raised(at(1)), alert("P1").raised(at(2)));
    publish(store, [seen.clone()]).await;
    publish(
        store,
        [
            missed.clone(),
            alert("P1").suppressed().raised(at(1)),
            alert("P2"),
            also_missed.clone(),
        ],
    )
    .await;
    let unmarked = alert("P1").raised(at(3));
    if !store.is_shared() {
        commit(store, append([unmarked])).await;
    }
    let after = store.position_of(seen.id).await.unwrap();

    for query in [
        of_patient("P1"),
        HistoryQuery {
            limit: 1,
            ..of_patient("P1")
        },
    ] {
        let query = HistoryQuery { after, ..query };
        assert_eq!(
            paged(store, query.clone()).await,
            newest_first([&missed, &also_missed]),
            "{query:?}"
        );
    }
    let after = store.position_of(also_missed.id).await.unwrap();
    assert!(
        history(
            store,
            HistoryQuery {
                after,
                ..of_patient("P1")
            }
        )
        .await
        .alerts
        .is_empty()
    );
}

pub(crate) async fn recent_alerts_are_those_that_the_patient_was_sent(store: &dyn Store, _: &ManualClock) {
    let mut of_hospital = hospital_alert("H1").raised(at(4));
    of_hospital.alert.as_mut().unwrap().patient_id = Some(patient("P1"));
    commit(
        store,
        append([
            alert("P1").raised(at(1)),
            alert("P1").typed("critical").raised(at(2)),
            alert("P1").suppressed().raised(at(3)),
            alert("P1").typed("info").raised(at(3)),
            alert("P2").raised(at(3)),
            of_hospital,
        ]),
    )
    .await;

    let recent = store.recent_alerts(&patient("P1"), at(2)).await.unwrap();

    assert_eq!(recent, [(at(2), "critical".to_owned()), (at(3), "info".to_owned())]);
}

pub(crate) async fn a_few_alerts_are_found_among_very_many_wherever_they_are(store: &dyn Store, _: &ManualClock) {
    let events: Vec<Event> = (0..18_000)
        .map(|n| match n % 1_000 {
            7 => alert("P1").of_hospital("H1").raised(at(n)),
            8 => alert("P2").raised(at(n)),
            _ => event(&["patient_P2"]).raised(at(n)),
        })
        .collect();
    let of_p1: Vec<Event> = events.iter().skip(7).step_by(1_000).cloned().collect();
    for chunk in events.chunks(3_000) {
        publish(store, chunk.iter().cloned()).await;
    }

    for limit in [1, 5, 18, 19] {
        assert_eq!(
            paged(
                store,
                HistoryQuery {
                    limit,
                    ..of_patient("P1")
                }
            )
            .await,
            newest_first(&of_p1),
            "{limit}"
        );
        assert_eq!(
            paged(
                store,
                HistoryQuery {
                    limit,
                    ..of_hospital("H1")
                }
            )
            .await,
            newest_first(&of_p1),
            "{limit}"
        );
    }
    let in_the_middle = HistoryQuery {
        since: Some(at(3_007)),
        until: Some(at(12_007)),
        ..of_patient("P1")
    };
    assert_eq!(history(store, in_the_middle).await.alerts, newest_first(&of_p1[3..12]));
    let after = store.position_of(of_p1[8].id).await.unwrap();
    let missed = HistoryQuery {
        after,
        limit: 4,
        ..of_patient("P1")
    };
    assert_eq!(paged(store, missed).await, newest_first(&of_p1[9..]));
    assert_eq!(store.recent_alerts(&patient("P1"), at(8_000)).await.unwrap().len(), 10);
    let last = store.last_position().await.unwrap();
    let mut found = Vec::new();
    let mut from = Position::START;
    loop {
        let page = store
            .published_in(&[room("patient_P1"), room("none")], from, last, 7)
            .await
            .unwrap();
        let Some(end) = page.last() else { break };
        from = end.position;
        found.extend(page.iter().map(|found| found.event.id));
    }
    assert_eq!(found, of_p1.iter().map(|alert| alert.id).collect::<Vec<_>>());
    let rest = store.published_after(after.unwrap(), 100_000).await.unwrap();
    assert_eq!(rest.len(), 18_000 - 8_008);
    assert_eq!(rest[0].event.id, events[8_008].id);
}

pub(crate) async fn an_alert_is_found_by_its_time_also_when_the_clock_was_wrong(store: &dyn Store, _: &ManualClock) {
    let (early, ahead, back) = (
        alert("P1").raised(at(10)),
        alert("P1").raised(at(90_000)),
        alert("P1").raised(at(20)),
    );
    let (early, ahead, back) = (early.of_hospital("H1"), ahead.of_hospital("H1"), back.of_hospital("H1"));
    publish(store, [early.clone(), ahead.clone()]).await;
    publish(store, [back.clone()]).await;

    for query in [of_patient("P1"), of_hospital("H1")] {
        let since = HistoryQuery {
            since: Some(at(50)),
            ..query.clone()
        };
        let until = HistoryQuery {
            until: Some(at(50)),
            ..query
        };
        assert_eq!(history(store, since).await.alerts, newest_first([&ahead]));
        assert_eq!(history(store, until).await.alerts, newest_first([&early, &back]));
    }
}
