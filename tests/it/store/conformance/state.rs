//! The state behind the REST reads.

use wardbell::clock::ManualClock;
use wardbell::domain::bed::{Bed, BedBoard, BedCount, BedStatus, CapacityScope, Floor};
use wardbell::domain::staff::{StaffMember, StaffType};
use wardbell::domain::task::{Task, TaskStatus};
use wardbell::domain::triage::{TriageCase, TriageStatus};
use wardbell::domain::{FreeForm, TaskId, WardName};
use wardbell::ports::{Append, Appended, StateChange, Store, TriageFilter, TriageHospital};

use super::fixtures::*;

fn ward(name: &str) -> WardName {
    name.to_owned().try_into().unwrap()
}

fn insert(case: TriageCase) -> StateChange {
    StateChange::Triage { case, expected: None }
}

fn place(bed: Bed, expected: u64) -> StateChange {
    StateChange::Bed {
        bed,
        expected,
        raised: Vec::new(),
    }
}

pub(crate) async fn a_patients_hospital_is_remembered_and_can_change(store: &dyn Store, _: &ManualClock) {
    assert_eq!(store.hospital_of(&patient("P1")).await.unwrap(), None);

    for id in ["H1", "H1", "H2"] {
        commit(
            store,
            changing([StateChange::PatientHospital(patient("P1"), hospital(id))]),
        )
        .await;

        assert_eq!(store.hospital_of(&patient("P1")).await.unwrap(), Some(hospital(id)));
    }
    assert_eq!(store.hospital_of(&patient("P2")).await.unwrap(), None);
}

pub(crate) async fn a_triage_case_is_inserted_once(store: &dyn Store, _: &ManualClock) {
    let first = TriageCase {
        patient_id: None,
        hospital_id: None,
        ..case("T1")
    };
    commit(store, changing([insert(first.clone())])).await;

    let outcomes = store.commit(vec![changing([insert(case("T1"))])]).await.unwrap();

    assert_eq!(outcomes, [Appended::Conflict]);
    assert_eq!(store.triage_case(&first.triage_id).await.unwrap(), Some(first));
    assert_eq!(store.triage_case(&"T2".parse().unwrap()).await.unwrap(), None);
}

pub(crate) async fn a_triage_case_is_replaced_by_whoever_read_it_last(store: &dyn Store, _: &ManualClock) {
    commit(store, changing([insert(case("T1"))])).await;
    let taken = TriageCase {
        status: TriageStatus::Assigned,
        updated_at: at(1),
        ..case("T1")
    };
    let late = TriageCase {
        status: TriageStatus::Triaged,
        updated_at: at(2),
        ..case("T1")
    };
    let replace = |case: &TriageCase, expected| {
        changing([StateChange::Triage {
            case: case.clone(),
            expected: Some(expected),
        }])
    };

    let outcomes = store
        .commit(vec![replace(&taken, START), replace(&late, START)])
        .await
        .unwrap();

    assert_eq!(outcomes, [Appended::Committed(vec![]), Appended::Conflict]);
    assert_eq!(store.triage_case(&taken.triage_id).await.unwrap(), Some(taken));
}

pub(crate) async fn a_conflict_keeps_nothing_of_its_append_and_all_of_the_others(store: &dyn Store, _: &ManualClock) {
    let with_event = |changes: Vec<StateChange>| Append {
        changes,
        ..append([event(&["a"])])
    };
    let batch = vec![
        with_event(vec![insert(case("T1"))]),
        with_event(vec![
            StateChange::PatientHospital(patient("P9"), hospital("H9")),
            insert(case("T1")),
        ]),
        with_event(vec![insert(case("T2"))]),
    ];

    let outcomes = store.commit(batch).await.unwrap();

    let [
        Appended::Committed(first),
        Appended::Conflict,
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
    assert_eq!(store.hospital_of(&patient("P9")).await.unwrap(), None);
    assert!(store.triage_case(&"T2".parse().unwrap()).await.unwrap().is_some());
}

pub(crate) async fn a_conflict_in_a_later_change_takes_the_earlier_ones_back(store: &dyn Store, _: &ManualClock) {
    let outdated = place(bed("H1", "B1", None, BedStatus::Available), 7);

    let outcomes = store
        .commit(vec![changing([insert(case("T1")), outdated])])
        .await
        .unwrap();

    assert_eq!(outcomes, [Appended::Conflict]);
    assert_eq!(store.triage_case(&"T1".parse().unwrap()).await.unwrap(), None);
    assert_eq!(store.bed_board(&hospital("H1")).await.unwrap(), BedBoard::default());
}

pub(crate) async fn triage_cases_are_filtered_and_the_longest_waiting_comes_first(store: &dyn Store, _: &ManualClock) {
    let cases = [
        TriageCase {
            created_at: at(3),
            ..case("T1")
        },
        TriageCase {
            created_at: at(1),
            status: TriageStatus::Triaged,
            ..case("T2")
        },
        TriageCase {
            created_at: at(2),
            hospital_id: Some(hospital("H2")),
            ..case("T3")
        },
        TriageCase {
            created_at: at(4),
            hospital_id: None,
            patient_id: Some(patient("P2")),
            ..case("T4")
        },
    ];
    commit(store, changing(cases.into_iter().map(insert))).await;
    let all = TriageFilter {
        limit: 10,
        ..TriageFilter::default()
    };
    let at_hospital = |hospital| TriageFilter {
        hospital,
        ..all.clone()
    };

    for (filter, expected) in [
        (all.clone(), &["T2", "T3", "T1", "T4"][..]),
        (
            TriageFilter {
                limit: 2,
                ..all.clone()
            },
            &["T2", "T3"],
        ),
        (at_hospital(TriageHospital::Only(hospital("H1"))), &["T2", "T1"]),
        (at_hospital(TriageHospital::OrNone(hospital("H1"))), &["T2", "T1", "T4"]),
        (at_hospital(TriageHospital::OrNone(hospital("H3"))), &["T4"]),
        (at_hospital(TriageHospital::None), &["T4"]),
        (
            TriageFilter {
                patient_id: Some(patient("P1")),
                ..all.clone()
            },
            &["T2", "T3", "T1"],
        ),
        (
            TriageFilter {
                status: Some(TriageStatus::Triaged),
                ..all.clone()
            },
            &["T2"],
        ),
        (
            TriageFilter {
                patient_id: Some(patient("P1")),
                status: Some(TriageStatus::Pending),
                ..at_hospital(TriageHospital::OrNone(hospital("H2")))
            },
            &["T3"],
        ),
    ] {
        let found = store.triage_cases(&filter).await.unwrap();
        let found: Vec<&str> = found.iter().map(|case| case.triage_id.as_str()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

pub(crate) async fn staff_are_available_until_they_are_not(store: &dyn Store, _: &ManualClock) {
    let member = |id: &str, available, updated_at| StaffMember {
        hospital_id: hospital("H1"),
        staff_id: id.parse().unwrap(),
        staff_type: StaffType::Doctor,
        available,
        updated_at,
    };
    let elsewhere = StaffMember {
        hospital_id: hospital("H2"),
        ..member("S1", true, at(0))
    };
    let (first, second, third) = (
        member("S1", true, at(2)),
        member("S2", true, at(1)),
        member("S3", false, at(0)),
    );
    commit(
        store,
        changing([&first, &second, &third, &elsewhere].map(|one| StateChange::Staff(one.clone()))),
    )
    .await;
    assert_eq!(
        store.available_staff(&hospital("H1")).await.unwrap(),
        [second.clone(), first.clone()]
    );

    commit(store, changing([StateChange::Staff(member("S2", false, at(3)))])).await;

    assert_eq!(
        store.available_staff(&hospital("H1")).await.unwrap(),
        std::slice::from_ref(&first)
    );
    let found = store
        .staff_member(&hospital("H1"), &"S2".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found, Some(member("S2", false, at(3))));
    assert_eq!(
        store
            .staff_member(&hospital("H2"), &"S2".parse().unwrap())
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        store
            .staff_member(&hospital("H2"), &"S1".parse().unwrap())
            .await
            .unwrap(),
        Some(elsewhere)
    );
}

pub(crate) async fn beds_are_listed_by_ward_and_found_by_name_in_every_hospital(store: &dyn Store, _: &ManualClock) {
    let mut taken = bed("H1", "B1", Some("Ward B"), BedStatus::Occupied);
    (taken.patient_id, taken.floor) = (Some(patient("P1")), Some(Floor::Name("3A".to_owned())));
    let mut bare = bed("H1", "B9", Some("ICU 2"), BedStatus::Cleaning);
    (bare.floor, bare.extra) = (None, FreeForm::default());
    let other = bed("H1", "B0", Some("Ward B"), BedStatus::Reserved);
    let elsewhere = bed("H2", "B1", None, BedStatus::Maintenance);

    let changes = [
        place(taken.clone(), 0),
        place(bare.clone(), 1),
        place(other.clone(), 2),
        place(elsewhere.clone(), 0),
    ];
    commit(store, changing(changes)).await;

    assert_eq!(store.beds(&hospital("H1")).await.unwrap(), [bare, other, taken.clone()]);
    assert_eq!(
        store.beds_named(&"B1".parse().unwrap()).await.unwrap(),
        [taken, elsewhere]
    );
    assert!(store.beds(&hospital("H3")).await.unwrap().is_empty());
}

pub(crate) async fn a_bed_board_counts_and_moves_on_with_every_bed(store: &dyn Store, _: &ManualClock) {
    assert_eq!(store.bed_board(&hospital("H1")).await.unwrap(), BedBoard::default());

    for (revision, (id, ward, status)) in [
        ("B1", None, BedStatus::Available),
        ("B2", Some("ICU"), BedStatus::Available),
        ("B3", Some("ICU"), BedStatus::Occupied),
        ("B4", Some("ICU"), BedStatus::Occupied),
        ("B2", Some("ICU"), BedStatus::Occupied),
    ]
    .into_iter()
    .enumerate()
    {
        commit(store, changing([place(bed("H1", id, ward, status), revision as u64)])).await;
    }

    let board = store.bed_board(&hospital("H1")).await.unwrap();
    assert_eq!(board.revision, 5);
    assert_eq!(board.counts.len(), 2);
    assert!(board.counts.contains(&BedCount {
        ward: None,
        status: BedStatus::Available,
        beds: 1
    }));
    assert!(board.counts.contains(&BedCount {
        ward: Some(ward("ICU")),
        status: BedStatus::Occupied,
        beds: 3
    }));
}

pub(crate) async fn beds_decided_on_an_old_board_are_a_conflict(store: &dyn Store, _: &ManualClock) {
    let change = |id: &str, expected| changing([place(bed("H1", id, None, BedStatus::Available), expected)]);
    let batch = vec![change("B1", 0), change("B2", 0), change("B3", 1), change("B4", 3)];

    let outcomes = store.commit(batch).await.unwrap();

    let kept = Appended::Committed(vec![]);
    assert_eq!(outcomes, [kept.clone(), Appended::Conflict, kept, Appended::Conflict]);
    let beds = store.beds(&hospital("H1")).await.unwrap();
    assert_eq!(
        beds.iter().map(|bed| bed.bed_id.as_str()).collect::<Vec<_>>(),
        ["B1", "B3"]
    );
}

pub(crate) async fn beds_of_one_append_advance_the_board_one_by_one(store: &dyn Store, _: &ManualClock) {
    let changes = [0, 1, 2].map(|n| place(bed("H1", &format!("B{n}"), None, BedStatus::Available), n));

    commit(store, changing(changes)).await;

    assert_eq!(store.bed_board(&hospital("H1")).await.unwrap().revision, 3);
}

pub(crate) async fn raised_scopes_are_replaced_as_a_whole(store: &dyn Store, _: &ManualClock) {
    let raising = |raised: &[CapacityScope], expected| {
        let bed = bed("H1", "B1", None, BedStatus::Occupied);
        changing([StateChange::Bed {
            bed,
            expected,
            raised: raised.to_vec(),
        }])
    };
    let all = [
        CapacityScope::Hospital,
        CapacityScope::Ward(ward("ICU")),
        CapacityScope::Ward(ward("ward")),
    ];

    commit(store, raising(&all, 0)).await;
    let raised = store.bed_board(&hospital("H1")).await.unwrap().raised;
    assert_eq!(raised.len(), 3);
    assert!(all.iter().all(|scope| raised.contains(scope)));
    commit(store, raising(&all[1..2], 1)).await;

    assert_eq!(store.bed_board(&hospital("H1")).await.unwrap().raised, all[1..2]);
    assert!(store.bed_board(&hospital("H2")).await.unwrap().raised.is_empty());
}

pub(crate) async fn tasks_are_unfinished_until_they_succeed_or_fail(store: &dyn Store, _: &ManualClock) {
    let (first, second, third) = (
        task(TaskStatus::Pending, at(1)),
        task(TaskStatus::Started, at(2)),
        task(TaskStatus::Pending, at(0)),
    );
    commit(
        store,
        changing([&first, &second, &third].map(|task| StateChange::Task(task.clone()))),
    )
    .await;
    assert_eq!(
        store.unfinished_tasks().await.unwrap(),
        [third.clone(), first.clone(), second.clone()]
    );

    let done = Task {
        status: TaskStatus::Success,
        result: Some("{}".to_owned()),
        updated_at: at(3),
        ..first
    };
    let failed = Task {
        status: TaskStatus::Failure,
        error: Some("no".to_owned()),
        hospital_id: None,
        ..second
    };
    commit(
        store,
        changing([&done, &failed].map(|task| StateChange::Task(task.clone()))),
    )
    .await;

    assert_eq!(store.unfinished_tasks().await.unwrap(), [third]);
    assert_eq!(store.task(done.id).await.unwrap(), Some(done));
    assert_eq!(store.task(failed.id).await.unwrap(), Some(failed));
    assert_eq!(store.task(TaskId::new()).await.unwrap(), None);
}
