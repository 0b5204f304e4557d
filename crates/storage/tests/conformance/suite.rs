//! The laws of the store, judged alike on SQLite in memory, SQLite in a file and a real PostgreSQL.
//!
//! A law is an async function of a [`ground::Ground`]; the list below makes one test of it for each database. The
//! PostgreSQL ones need TEST_DATABASE_URL, which `make test` sets; without it they fail.
#![cfg(test)]

mod ground;
mod sample;
mod accounts;
mod sessions;
mod journal;
mod settling;
mod parking;
mod searching;
mod replaying;
mod leases;
mod pacing;
mod balancing;
mod lasting;
mod cable;
mod absence;

/// Makes a test of each law in a module for one database.
macro_rules! tests_on {
    ($module:ident, $ground:expr, $($file:ident: $($law:ident)+;)+) => {
        mod $module {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    let ground = $ground;
                    crate::$file::$law(&ground).await;
                }
            )+)+
        }
    };
}

/// Makes the tests of the laws that hold everywhere.
macro_rules! laws {
    ($($list:tt)+) => {
        tests_on!(sqlite_in_memory, crate::ground::Ground::memory().await, $($list)+);
        tests_on!(sqlite_file, crate::ground::Ground::file().await, $($list)+);
        tests_on!(postgresql, crate::ground::Ground::server().await, $($list)+);
    };
}

/// Makes the tests of the laws that need a database which outlives the store.
macro_rules! lasting_laws {
    ($($list:tt)+) => {
        tests_on!(lasting_sqlite_file, crate::ground::Ground::file().await, $($list)+);
        tests_on!(lasting_postgresql, crate::ground::Ground::server().await, $($list)+);
    };
}

/// Makes the tests of the laws of a database that processes share.
macro_rules! shared_laws {
    ($($list:tt)+) => {
        tests_on!(shared_postgresql, crate::ground::Ground::server().await, $($list)+);
    };
}

laws! {
    accounts:
        an_account_is_found_by_what_it_logs_in_with
        an_account_put_again_is_replaced
        two_accounts_never_share_a_log_in
        only_accounts_with_a_brand_are_listed_with_one
        an_account_is_added_once_and_listed_without_its_secret
        a_disabled_account_neither_logs_in_nor_refreshes_until_it_is_enabled
        a_secret_is_changed_alone_and_sessions_are_ended_alone;
    sessions:
        a_token_is_exchanged_once_for_its_successor
        a_token_that_was_never_issued_is_unknown
        an_expired_token_stays_as_it_was
        a_spent_token_ends_the_whole_session
        the_tokens_of_an_ended_session_count_as_reused
        a_token_from_another_address_stays_unspent
        of_many_rotations_at_once_exactly_one_is_done
        sessions_that_were_ended_are_told_since_a_moment
        opening_a_session_again_changes_nothing
        what_is_long_over_is_forgotten;
    journal:
        a_published_event_is_found_with_its_times
        an_event_told_twice_stays_as_it_was_first_told
        a_row_only_moves_forward_in_whatever_order_it_is_told
        an_event_published_after_its_delivery_gets_its_times
        the_later_of_two_parkings_stays
        more_rows_than_one_statement_takes_are_written
        an_event_twice_in_one_call_is_one_row
        pages_follow_each_other_without_gap_or_overlap
        pages_keep_to_what_is_asked_for
        a_source_sees_its_own_events_only
        counts_are_by_state
        text_with_a_nul_is_kept_without_it
        days_that_are_over_go_and_later_ones_stay
        an_event_sent_again_on_another_day_is_known_by_its_furthest_row
        names_of_any_length_are_written_and_found;
    settling:
        offsets_are_kept_and_never_go_back
        a_commit_without_offset_leaves_it
        a_dead_event_keeps_payload_attempts_and_reason
        a_record_that_is_no_event_becomes_a_dead_letter_without_ids
        dead_letters_come_newest_first
        settled_events_are_told_from_others
        a_commit_repeated_changes_nothing
        an_event_twice_in_one_commit_takes_its_highest_state
        commits_and_news_of_the_same_events_at_once_all_succeed
        partitions_that_share_a_transaction_are_fenced_one_by_one;
    parking:
        a_parked_event_is_due_at_its_moment
        due_events_come_oldest_first_and_by_topic
        a_parked_event_that_is_delivered_leaves_no_parked_row
        a_parked_event_that_dies_leaves_no_parked_row
        a_parked_event_that_is_parked_again_is_replaced
        a_delivered_event_is_neither_parked_nor_buried
        a_dead_event_that_was_delivered_after_all_leaves_no_dead_row
        an_event_delivered_elsewhere_is_no_longer_parked
        parked_events_are_told_to_the_owner_of_their_partition;
    leases:
        a_member_alone_owns_everything_under_a_new_epoch
        a_live_lease_is_taken_by_nobody_and_one_that_is_over_by_the_next
        a_late_renewal_keeps_what_nobody_has_claimed_and_nothing_else
        a_member_that_begins_again_takes_its_partitions_over_at_once
        shares_are_equal_once_the_surplus_is_given_back
        members_beyond_the_partitions_own_nothing
        a_member_that_stops_claims_nothing_and_others_share_its_part
        a_member_claims_what_it_is_short_of_and_no_more
        who_has_left_is_no_member
        a_lease_for_ever_is_never_over
        of_many_beats_at_once_each_partition_goes_to_one
        a_commit_under_an_epoch_that_is_over_writes_nothing
        that_an_event_was_delivered_may_be_told_by_anybody
        owners_tell_where_partitions_end_and_all_learn_how_much_is_left
        what_the_topic_dropped_is_counted_once;
    searching:
        pages_of_all_sources_come_newest_first_and_miss_none
        every_condition_narrows_a_search
        dead_letters_are_counted_by_reason;
    replaying:
        a_replay_moves_dead_events_turn_by_turn_until_it_is_done
        an_event_that_dies_again_is_not_of_the_same_replay
        a_replayed_event_that_is_delivered_is_so_for_good
        a_choice_chooses_by_every_condition
        an_event_that_the_topic_refused_is_replayed_past_it
        a_record_that_is_no_event_stays_dead_and_is_told
        what_did_not_read_when_it_died_is_replayed_as_the_event_it_is
        a_cancelled_replay_moves_no_more
        parked_events_become_due_before_their_time
        of_many_turns_at_once_one_is_taken
        the_oldest_event_that_has_not_ended_is_told;
    pacing:
        a_configured_limit_is_found_and_a_changed_one_stays_until_another_is_configured
        a_target_without_a_limit_has_none;
    lasting:
        migrating_again_changes_nothing;
}

shared_laws! {
    journal:
        news_of_publication_alone_is_committed_without_an_fsync
        a_day_of_many_rows_without_a_table_holds_up_no_other_day;
    settling:
        a_beat_and_commits_of_many_partitions_do_not_wait_for_each_other;
    pacing:
        slots_follow_each_other_at_the_limits_distance
        no_slot_is_given_out_twice_whoever_asks
        nothing_is_given_out_further_ahead_than_asked
        an_idle_time_saves_no_slots_up
        a_pause_holds_for_everybody
        where_the_databases_clock_is_set_back_slots_go_on_beyond_those_given_out
        a_push_counts_once_however_often_it_is_asked_for
        a_faster_limit_does_not_wait_out_the_slower_one;
}

lasting_laws! {
    balancing:
        records_that_ended_balance_however_often_their_commit_is_written
        a_record_passed_without_an_end_is_counted_and_named
        what_the_topic_dropped_or_could_not_be_read_is_not_named
        rows_count_before_anybody_owns_a_partition
        an_event_whose_row_is_gone_is_counted_and_named;
    lasting:
        two_processes_may_migrate_at_once
        an_older_version_goes_on_beside_a_newer_ones_steps
        two_processes_may_write_at_once
        everything_survives_the_end_of_the_process
        a_commit_that_fails_leaves_nothing
        a_parked_row_that_does_not_read_is_told_apart_and_dies_with_its_payload;
}
