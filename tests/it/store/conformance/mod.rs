//! The conformance suite: what is asked of every implementation of the store traits.
//!
//! A store's own file names the suite once: `conformance::suite!(fresh)`, where `fresh` gives a new and empty store and
//! whatever must live as long as it does.

pub(super) mod ehr;
pub(super) mod events;
pub(crate) mod fixtures;
pub(super) mod history;
pub(super) mod idempotency;
pub(super) mod sessions;
pub(super) mod state;
pub(super) mod sweep;

use std::any::Any;
use std::sync::Arc;

use wardbell::clock::ManualClock;
use wardbell::ports::Store;

/// A new and empty store.
pub(super) struct Fresh {
    pub(super) store: Arc<dyn Store>,
    /// The clock it was given; it shows [`fixtures::START`].
    pub(super) clock: ManualClock,
    /// Its folder or database, removed when the test ends.
    pub(super) _home: Box<dyn Any + Send>,
}

/// One test for each behaviour, on stores that `$fresh` makes (`async fn() -> Fresh`).
macro_rules! suite {
    ($fresh:ident) => {
        $crate::store::conformance::suite!(@ $fresh, events:
            an_append_is_given_ascending_sequence_numbers_in_order,
            sequence_numbers_go_on_over_batches,
            an_append_without_events_is_committed,
            an_event_comes_back_as_it_was_given,
            an_event_id_that_is_taken_is_a_conflict_and_harms_nobody_else,
            what_is_committed_is_unpublished_until_it_is_marked,
            a_suppressed_alert_is_never_unpublished_and_in_no_room,
            unpublished_events_come_oldest_first_and_at_most_so_many,
            published_events_of_several_rooms_come_in_order_and_once,
            published_events_are_bounded_on_both_sides,
            published_events_are_paged,
            what_is_not_published_is_in_no_room,
            a_room_is_not_matched_by_its_beginning,
            the_last_position_is_that_of_the_last_published_event,
            a_position_is_known_from_publication_on,
            nothing_has_a_position_in_a_fresh_store,
            an_alert_says_what_became_of_it,
            a_suppressed_alert_says_that_it_was_never_published,
            an_event_that_is_no_alert_is_not_found_as_one,
            receipts_add_up,
            receipts_of_what_is_no_alert_are_ignored,
            concurrent_commits_keep_their_appends_apart,
            a_check_of_a_store_that_works_succeeds,
        );
        $crate::store::conformance::suite!(@ $fresh, history:
            history_is_newest_first,
            history_of_a_patient_has_no_other_patients_alerts,
            history_of_a_hospital_has_its_own_and_its_patients_alerts,
            history_of_a_patient_and_a_hospital_has_what_concerns_both,
            history_without_either_has_all_alerts,
            history_shows_suppressed_and_unpublished_alerts,
            history_has_no_events_that_are_no_alerts,
            history_begins_at_since_and_ends_before_until,
            history_of_one_alert_type_has_no_other,
            history_is_read_page_by_page_without_gap_or_overlap,
            the_last_page_has_no_cursor,
            the_cursor_stands_still_while_newer_alerts_come,
            alerts_of_the_same_instant_are_paged_too,
            a_limit_of_none_asks_for_nothing,
            history_after_a_position_is_what_was_published_since,
            recent_alerts_are_those_that_the_patient_was_sent,
            a_few_alerts_are_found_among_very_many_wherever_they_are,
            an_alert_is_found_by_its_time_also_when_the_clock_was_wrong,
        );
        $crate::store::conformance::suite!(@ $fresh, idempotency:
            a_key_is_kept_with_the_append,
            a_repetition_is_answered_with_the_first_outcome_and_keeps_nothing,
            a_repetition_in_the_same_batch_is_one_too,
            the_same_key_with_another_body_is_refused,
            keys_of_different_scopes_do_not_meet,
            a_key_is_not_used_up_by_a_conflict,
        );
        $crate::store::conformance::suite!(@ $fresh, state:
            a_patients_hospital_is_remembered_and_can_change,
            a_triage_case_is_inserted_once,
            a_triage_case_is_replaced_by_whoever_read_it_last,
            a_conflict_keeps_nothing_of_its_append_and_all_of_the_others,
            a_conflict_in_a_later_change_takes_the_earlier_ones_back,
            triage_cases_are_filtered_and_the_longest_waiting_comes_first,
            staff_are_available_until_they_are_not,
            beds_are_listed_by_ward_and_found_by_name_in_every_hospital,
            a_bed_board_counts_and_moves_on_with_every_bed,
            beds_decided_on_an_old_board_are_a_conflict,
            beds_of_one_append_advance_the_board_one_by_one,
            raised_scopes_are_replaced_as_a_whole,
            tasks_are_unfinished_until_they_succeed_or_fail,
        );
        $crate::store::conformance::suite!(@ $fresh, ehr:
            what_was_said_last_is_known_whatever_the_clocks_say,
            facts_of_tenants_topics_and_things_do_not_meet,
            the_longest_ids_are_kept_as_they_are,
            a_message_is_unread_once_until_it_is_read_and_never_again,
            messages_are_counted_for_each_user_of_each_tenant,
            old_facts_and_messages_are_swept_and_participants_stay,
        );
        $crate::store::conformance::suite!(@ $fresh, sessions:
            a_session_comes_back_as_it_was_opened,
            an_unknown_session_is_not_there,
            rooms_are_joined_and_left,
            joining_twice_keeps_the_first_position,
            advancing_a_session_neither_adds_a_room_nor_takes_one_away,
            advancing_counts_among_changes_that_are_saved_together,
            a_session_that_is_opened_again_is_replaced,
            changes_of_an_unknown_session_are_ignored,
            a_session_is_seen_later_and_never_earlier,
            a_forgotten_session_is_gone_with_its_rooms,
            many_sessions_are_saved_at_once,
        );
        $crate::store::conformance::suite!(@ $fresh, sweep:
            a_sweep_of_nothing_removes_nothing,
            swept_events_are_gone_and_the_horizon_says_so,
            nothing_that_is_unpublished_is_swept,
            alerts_outlive_the_log,
            alerts_are_swept_after_their_own_time,
            sequence_numbers_are_never_given_twice_after_a_sweep,
            a_sweep_of_many_removes_them_all,
            outcomes_are_swept_and_their_keys_are_free_again,
            finished_tasks_are_swept_and_others_stay,
            sessions_not_seen_are_swept_with_their_rooms,
        );
    };
    (@ $fresh:ident, $part:ident: $($name:ident),+ $(,)?) => {
        mod $part {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let fresh = super::$fresh().await;
                    $crate::store::conformance::$part::$name(&*fresh.store, &fresh.clock).await;
                }
            )+
        }
    };
}
pub(super) use suite;
