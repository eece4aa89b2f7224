//! When a hospital or a ward of it is full.
//!
//! *Occupancy* is the share of usable beds that are taken. Taken are `occupied` and `reserved`: neither can take the next
//! patient. Usable are all but those in `maintenance`; a bed in `cleaning` is usable and will be free. A hospital or ward
//! without a usable bed has nothing that could be taken, and counts as empty.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Bed, BedStatus};
use crate::domain::alert::{HospitalAlert, HospitalAlertType};
use crate::domain::{Event, EventId, FreeForm, HospitalId, Timestamp, WardName};

/// A hospital's beds, counted; the aggregate that capacity is decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BedBoard {
    /// Grows by one with every change of a bed of this hospital; 0 where there is none yet.
    pub revision: u64,
    /// Beds by ward and status; `None` are the beds without a ward.
    pub counts: Vec<BedCount>,
    /// The scopes that are at or over their threshold and whose alert went out.
    pub raised: Vec<CapacityScope>,
}

/// How many beds of one ward have one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BedCount {
    /// The ward; `None` for beds without one.
    pub ward: Option<WardName>,
    /// The status.
    pub status: BedStatus,
    /// How many beds.
    pub beds: u32,
}

/// What can be full.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CapacityScope {
    /// The whole hospital.
    Hospital,
    /// One ward of it.
    Ward(WardName),
}

/// When a hospital or ward counts as full, and when no longer.
///
/// Between the two nothing is told: a ward at the edge does not alert with every bed that is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacityPolicy {
    raise_at: f64,
    clear_below: f64,
}

/// The shares contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("capacity shares must satisfy 0 < clear_below <= raise_at <= 1")]
pub struct InvalidCapacityPolicy;

impl CapacityPolicy {
    /// A policy: full from the share `raise_at` of beds taken, no longer under `clear_below`.
    pub fn new(raise_at: f64, clear_below: f64) -> Result<Self, InvalidCapacityPolicy> {
        let is_valid = 0.0 < clear_below && clear_below <= raise_at && raise_at <= 1.0;
        if is_valid {
            Ok(Self { raise_at, clear_below })
        } else {
            Err(InvalidCapacityPolicy)
        }
    }
}

impl Default for CapacityPolicy {
    /// The contract's figures: full from 90 %, no longer under 85 %.
    fn default() -> Self {
        Self {
            raise_at: 0.90,
            clear_below: 0.85,
        }
    }
}

/// How many beds are taken, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Occupancy {
    /// Occupied or reserved.
    pub taken: u32,
    /// All but those in maintenance.
    pub usable: u32,
}

impl Occupancy {
    /// The share of usable beds that are taken, 0 to 1.
    pub fn share(self) -> f64 {
        if self.usable == 0 {
            0.0
        } else {
            f64::from(self.taken) / f64::from(self.usable)
        }
    }

    /// The share in whole percent, rounded down: 89.9 % is not yet 90.
    pub fn percent(self) -> u64 {
        u64::from(self.taken) * 100 / u64::from(self.usable.max(1))
    }

    fn add(&mut self, count: &BedCount) {
        match count.status {
            BedStatus::Occupied | BedStatus::Reserved => {
                self.taken = self.taken.saturating_add(count.beds);
                self.usable = self.usable.saturating_add(count.beds);
            }
            BedStatus::Available | BedStatus::Cleaning => self.usable = self.usable.saturating_add(count.beds),
            BedStatus::Maintenance => {}
        }
    }
}

/// A hospital or ward has become full, or is no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Which.
    pub scope: CapacityScope,
    /// How many beds are taken now.
    pub occupancy: Occupancy,
    /// Whether it has become full.
    pub is_full: bool,
}

impl Crossing {
    /// The `hospital_alert` of type `capacity` that tells it.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn alert(&self, id: EventId, hospital: &HospitalId, at: Timestamp) -> Result<Event, serde_json::Error> {
        let Occupancy { taken, usable } = self.occupancy;
        let (scope, ward) = match &self.scope {
            CapacityScope::Hospital => ("hospital", None),
            CapacityScope::Ward(ward) => ("ward", Some(ward)),
        };
        let place = ward.map(|ward| format!(" in ward {ward}")).unwrap_or_default();
        let what = if self.is_full {
            "Capacity reached"
        } else {
            "Capacity available again"
        };
        let message = format!(
            "{what}{place}: {taken} of {usable} beds taken ({} %)",
            self.occupancy.percent()
        );
        let data = FreeForm::of(&Told {
            scope,
            ward,
            state: if self.is_full { "reached" } else { "available" },
            taken_beds: taken,
            usable_beds: usable,
            occupancy: (self.occupancy.share() * 10_000.0).round() / 10_000.0,
        })?;
        let alert_type = HospitalAlertType::Capacity;
        HospitalAlert {
            id,
            hospital_id: hospital,
            alert_type,
            message: Some(&message),
            data: &data,
            at,
        }
        .event()
    }
}

#[derive(Serialize)]
struct Told<'a> {
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ward: Option<&'a WardName>,
    state: &'static str,
    taken_beds: u32,
    usable_beds: u32,
    occupancy: f64,
}

/// What a changed bed does to its hospital's board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardChange {
    /// The scopes that are full from now on, alerted and not yet cleared.
    pub raised: Vec<CapacityScope>,
    /// Those that this change made full or no longer full; each is told once.
    pub crossings: Vec<Crossing>,
}

impl CapacityPolicy {
    /// Whether something counts as full that did so before or did not.
    fn is_full(self, occupancy: Occupancy, was_full: bool) -> bool {
        let share = occupancy.share();
        if was_full {
            share >= self.clear_below
        } else {
            share >= self.raise_at
        }
    }
}

impl BedBoard {
    /// What follows from a bed becoming `after`. `before` is the same bed as this board counts it, if it does.
    pub fn change(&self, before: Option<&Bed>, after: &Bed, policy: CapacityPolicy) -> BoardChange {
        let counts = self.counts_after(before, after);
        let wards = counts.iter().filter_map(|count| count.ward.as_ref());
        // A ward that was raised and has lost its last bed is no longer among the counts; it still has to be cleared.
        let raised_wards = self.raised.iter().filter_map(|scope| match scope {
            CapacityScope::Hospital => None,
            CapacityScope::Ward(ward) => Some(ward),
        });
        let wards: BTreeSet<&WardName> = wards.chain(raised_wards).collect();
        let scopes =
            std::iter::once(CapacityScope::Hospital).chain(wards.into_iter().cloned().map(CapacityScope::Ward));

        let mut change = BoardChange::default();
        for scope in scopes {
            let occupancy = occupancy_of(&counts, &scope);
            let was_full = self.raised.contains(&scope);
            let is_full = policy.is_full(occupancy, was_full);
            if is_full {
                change.raised.push(scope.clone());
            }
            if is_full != was_full {
                change.crossings.push(Crossing {
                    scope,
                    occupancy,
                    is_full,
                });
            }
        }
        change
    }

    fn counts_after(&self, before: Option<&Bed>, after: &Bed) -> Vec<BedCount> {
        let mut counts = self.counts.clone();
        if let Some(before) = before
            && let Some(count) = counts
                .iter_mut()
                .find(|count| count.ward == before.ward && count.status == before.status)
        {
            count.beds = count.beds.saturating_sub(1);
        }
        match counts
            .iter_mut()
            .find(|count| count.ward == after.ward && count.status == after.status)
        {
            Some(count) => count.beds = count.beds.saturating_add(1),
            None => counts.push(BedCount {
                ward: after.ward.clone(),
                status: after.status,
                beds: 1,
            }),
        }
        counts
    }
}

fn occupancy_of(counts: &[BedCount], scope: &CapacityScope) -> Occupancy {
    let mut occupancy = Occupancy::default();
    for count in counts {
        let is_inside = match scope {
            CapacityScope::Hospital => true,
            CapacityScope::Ward(ward) => count.ward.as_ref() == Some(ward),
        };
        if is_inside {
            occupancy.add(count);
        }
    }
    occupancy
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{BedId, FreeForm, HospitalId, Timestamp};

    fn ward(name: &str) -> WardName {
        WardName::try_from(name.to_owned()).unwrap()
    }

    fn bed(id: u32, in_ward: Option<&str>, status: BedStatus) -> Bed {
        Bed {
            bed_id: BedId::parse(&format!("B{id}")).unwrap(),
            hospital_id: HospitalId::parse("H1").unwrap(),
            status,
            patient_id: None,
            ward: in_ward.map(ward),
            floor: None,
            extra: FreeForm::default(),
            updated_at: Timestamp::from_micros(0),
        }
    }

    /// A hospital whose beds change one by one, as the service and a store together make it.
    #[derive(Default)]
    struct Hospital {
        board: BedBoard,
        beds: BTreeMap<BedId, Bed>,
    }

    impl Hospital {
        fn set(&mut self, after: Bed) -> Vec<Crossing> {
            let before = self.beds.get(&after.bed_id).cloned();
            let change = self.board.change(before.as_ref(), &after, CapacityPolicy::default());
            self.beds.insert(after.bed_id.clone(), after);
            self.board.raised = change.raised;
            self.board.counts = count(self.beds.values());
            change.crossings
        }

        fn occupancy(&self, scope: &CapacityScope) -> Occupancy {
            occupancy_of(&count(self.beds.values()), scope)
        }
    }

    fn count<'a>(beds: impl Iterator<Item = &'a Bed>) -> Vec<BedCount> {
        let mut counts: Vec<BedCount> = Vec::new();
        for bed in beds {
            match counts.iter_mut().find(|c| c.ward == bed.ward && c.status == bed.status) {
                Some(count) => count.beds += 1,
                None => counts.push(BedCount {
                    ward: bed.ward.clone(),
                    status: bed.status,
                    beds: 1,
                }),
            }
        }
        counts
    }

    fn of_hospital(crossings: &[Crossing]) -> Vec<(bool, u32, u32)> {
        let hospital = crossings.iter().filter(|c| c.scope == CapacityScope::Hospital);
        hospital
            .map(|c| (c.is_full, c.occupancy.taken, c.occupancy.usable))
            .collect()
    }

    #[test]
    fn a_hospital_is_full_from_nine_in_ten_and_no_longer_under_85_percent() {
        let mut hospital = Hospital::default();
        for id in 0..20 {
            hospital.set(bed(id, None, BedStatus::Available));
        }
        for id in 0..17 {
            assert_eq!(hospital.set(bed(id, None, BedStatus::Occupied)), [], "{id}");
        }

        let mut told = |id, status| of_hospital(&hospital.set(bed(id, None, status)));

        assert_eq!(told(17, BedStatus::Occupied), [(true, 18, 20)], "90 %");
        assert_eq!(told(18, BedStatus::Occupied), [], "95 %");
        assert_eq!(told(18, BedStatus::Available), [], "90 %");
        assert_eq!(told(17, BedStatus::Available), [], "85 % is not under 85 %");
        assert_eq!(told(16, BedStatus::Cleaning), [(false, 16, 20)], "80 %");
        assert_eq!(told(16, BedStatus::Occupied), [], "85 % is not 90 %");
        assert_eq!(told(17, BedStatus::Occupied), [(true, 18, 20)], "90 % again");
    }

    #[test]
    fn reserved_beds_are_taken_and_beds_in_maintenance_do_not_count() {
        let mut hospital = Hospital::default();
        for id in 0..10 {
            hospital.set(bed(id, None, BedStatus::Available));
        }
        hospital.set(bed(10, None, BedStatus::Maintenance));
        for id in 0..8 {
            hospital.set(bed(id, None, BedStatus::Occupied));
        }

        let crossings = hospital.set(bed(8, None, BedStatus::Reserved));

        assert_eq!(of_hospital(&crossings), [(true, 9, 10)]);
    }

    #[test]
    fn taking_a_bed_out_of_order_can_make_a_ward_full() {
        let mut hospital = Hospital::default();
        for id in 0..11 {
            hospital.set(bed(id, None, BedStatus::Available));
        }
        for id in 0..9 {
            hospital.set(bed(id, None, BedStatus::Occupied));
        }

        let crossings = hospital.set(bed(10, None, BedStatus::Maintenance));

        assert_eq!(of_hospital(&crossings), [(true, 9, 10)]);
    }

    #[test]
    fn a_ward_is_told_apart_from_its_hospital() {
        let mut hospital = Hospital::default();
        for id in 0..10 {
            hospital.set(bed(id, Some("ICU 2"), BedStatus::Available));
            hospital.set(bed(100 + id, Some("Kinderstation"), BedStatus::Available));
        }
        for id in 0..8 {
            hospital.set(bed(id, Some("ICU 2"), BedStatus::Occupied));
        }

        let crossings = hospital.set(bed(8, Some("ICU 2"), BedStatus::Occupied));

        let icu = Crossing {
            scope: CapacityScope::Ward(ward("ICU 2")),
            occupancy: Occupancy { taken: 9, usable: 10 },
            is_full: true,
        };
        assert_eq!(crossings, [icu]);
    }

    #[test]
    fn a_bed_that_moves_counts_in_its_new_ward_and_the_ward_it_left_empty_is_cleared() {
        let mut hospital = Hospital::default();
        for id in 0..10 {
            hospital.set(bed(100 + id, Some("B"), BedStatus::Available));
        }
        let filled = hospital.set(bed(1, Some("A"), BedStatus::Occupied));

        let moved = hospital.set(bed(1, Some("B"), BedStatus::Occupied));

        assert_eq!(filled.len(), 1, "one of one bed of ward A is taken");
        let cleared = Crossing {
            scope: CapacityScope::Ward(ward("A")),
            occupancy: Occupancy { taken: 0, usable: 0 },
            is_full: false,
        };
        assert_eq!(moved, [cleared]);
    }

    #[test]
    fn a_crossing_is_told_with_its_figures() {
        let json = |scope, taken, is_full| {
            let crossing = Crossing {
                scope,
                occupancy: Occupancy { taken, usable: 10 },
                is_full,
            };
            let event = crossing.alert(
                EventId::new(),
                &HospitalId::parse("H1").unwrap(),
                Timestamp::from_micros(0),
            );
            event.unwrap().payload.as_json().to_owned()
        };

        let ward = json(CapacityScope::Ward(ward("ICU 2")), 9, true);
        let hospital = json(CapacityScope::Hospital, 8, false);

        assert!(
            ward.starts_with(r#"{"alert_type":"capacity","hospital_id":"H1","timestamp":"#),
            "{ward}"
        );
        assert!(ward.contains(
            r#""message":"Capacity reached in ward ICU 2: 9 of 10 beds taken (90 %)","scope":"ward","ward":"ICU 2","state":"reached","taken_beds":9,"usable_beds":10,"occupancy":0.9,"#
        ), "{ward}");
        assert!(hospital.contains(
            r#""message":"Capacity available again: 8 of 10 beds taken (80 %)","scope":"hospital","state":"available""#
        ), "{hospital}");
    }

    #[test]
    fn shares_that_contradict_each_other_are_refused() {
        for (raise_at, clear_below) in [(0.8, 0.9), (1.1, 0.5), (0.9, 0.0), (f64::NAN, 0.8), (0.9, f64::NAN)] {
            assert_eq!(
                CapacityPolicy::new(raise_at, clear_below),
                Err(InvalidCapacityPolicy),
                "{raise_at} {clear_below}"
            );
        }
        assert!(CapacityPolicy::new(0.9, 0.9).is_ok());
    }

    mod property {
        use proptest::prelude::*;

        use super::*;

        fn any_bed() -> impl Strategy<Value = Bed> {
            let status = prop_oneof![
                3 => Just(BedStatus::Occupied),
                1 => Just(BedStatus::Reserved),
                2 => Just(BedStatus::Available),
                1 => Just(BedStatus::Cleaning),
                1 => Just(BedStatus::Maintenance),
            ];
            (
                0_u32..12,
                prop_oneof![Just(None), Just(Some("A")), Just(Some("B"))],
                status,
            )
                .prop_map(|(id, in_ward, status)| bed(id, in_ward, status))
        }

        proptest! {
            /// Checked against occupancies that are counted afresh from the beds after every change.
            #[test]
            fn alerts_alternate_and_come_exactly_when_a_threshold_is_crossed(
                changes in prop::collection::vec(any_bed(), 1..120),
            ) {
                let scopes =
                    [CapacityScope::Hospital, CapacityScope::Ward(ward("A")), CapacityScope::Ward(ward("B"))];
                let mut hospital = Hospital::default();
                let mut full = [false; 3];
                for after in changes {
                    let crossings = hospital.set(after);

                    for (scope, was_full) in scopes.iter().zip(&mut full) {
                        let share = hospital.occupancy(scope).share();
                        let told: Vec<_> = crossings.iter().filter(|c| c.scope == *scope).collect();
                        let expected = if *was_full { share >= 0.85 } else { share >= 0.90 };
                        if expected == *was_full {
                            prop_assert!(told.is_empty(), "{scope:?} at {share}: {told:?}");
                        } else {
                            prop_assert_eq!(told.len(), 1);
                            prop_assert_eq!(told[0].is_full, expected);
                            prop_assert_eq!(told[0].occupancy, hospital.occupancy(scope));
                        }
                        *was_full = expected;
                        prop_assert_eq!(hospital.board.raised.contains(scope), expected);
                    }
                }
            }
        }
    }
}
