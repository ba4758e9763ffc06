//! The lists of cases, and the macros that make a test of each.

/// Expands to one `#[tokio::test]` for each case of [`crate::backend`], in a module for each
/// topic. The argument is an expression for a new [`crate::Harness`]; it is evaluated in each test
/// and may await. Names in it are resolved one module below the place of the macro, into which
/// everything from that place is imported.
#[macro_export]
macro_rules! backend_suite {
    ($harness:expr) => {
        $crate::case_tests! { backend, $harness;
            create {
                a_created_volume_is_got_and_listed,
                sizes_are_rounded_up,
                sizes_above_the_maximum_are_refused,
                what_was_asked_for_is_recorded,
                a_volume_without_grant_has_none,
                an_object_without_record_keeps_its_name,
                a_destroyed_object_keeps_its_name,
                a_dropped_create_is_finished_by_the_next,
            }
            get {
                absent_is_none,
                names_are_exact,
                another_cluster_sees_nothing,
                an_object_without_record_is_found_by_its_exact_name,
                an_identity_survives_the_name,
            }
            list {
                an_empty_namespace_lists_nothing,
                pages_hold_each_volume_once,
                changes_meanwhile_do_not_disturb_the_others,
                a_foreign_continuation_is_refused,
                only_recorded_volumes_of_the_namespace_are_listed,
            }
            expand {
                a_volume_grows,
                a_volume_never_shrinks,
                growth_is_rounded_and_limited,
                racing_growth_ends_at_the_largest,
                a_published_volume_grows,
                a_removed_volume_does_not_grow,
            }
            publish {
                access_is_complete,
                publishing_again_gives_the_same_grant,
                a_second_host_is_refused_with_the_holder,
                racing_hosts_end_with_one_grant,
                a_new_grant_after_unpublish,
                a_foreign_host_is_refused,
                a_removed_volume_is_not_found,
                volumes_of_one_host_have_paths_of_their_own,
                the_format_grant_is_read_anew,
                numbers_to_avoid_are_not_given,
                a_volume_tells_its_holder,
            }
            unpublish {
                access_ends,
                unpublishing_again_is_so_already,
                another_hosts_access_stays,
                a_removed_volume_is_so_already,
            }
            delete {
                a_deleted_volume_is_gone,
                deleting_again_is_so_already,
                a_connected_volume_stays_as_it_is,
                a_new_volume_has_a_new_identity,
                a_late_delete_spares_the_new_volume,
                other_late_calls_spare_the_new_volume,
                an_object_without_record_is_not_deleted,
                another_clusters_volume_is_not_deleted,
                racing_deletes_agree,
                a_delete_that_was_cut_off_is_finished,
                a_half_removed_volume_in_use_gets_its_name_back,
                a_delete_that_meets_a_publish,
            }
            restore {
                a_half_removed_volume_gets_its_name_back,
                a_usable_volume_is_so_already,
                a_removed_volume_is_not_restored,
                a_late_delete_spares_the_restored_volume,
                another_clusters_volume_is_not_restored,
                whichever_comes_first_wins,
            }
            snapshots {
                a_snapshot_is_got_and_listed,
                making_it_again_is_so_already,
                racing_snapshots_of_one_name_agree,
                pages_hold_each_snapshot_once,
                changes_meanwhile_do_not_disturb_other_snapshots,
                a_foreign_continuation_of_snapshots_is_refused,
                a_removed_snapshot_is_gone,
                a_removed_snapshot_is_never_given_again,
                names_in_two_cases_do_not_meet,
                every_allowed_snapshot_name_works,
                a_volume_that_is_gone_has_none,
                an_object_without_record_has_none,
                another_clusters_snapshots_stay,
                a_volume_with_snapshots_is_not_deleted,
                a_half_removed_volume_has_none,
            }
            clones {
                a_copy_is_a_volume_of_its_own,
                a_copy_has_its_sources_data,
                a_copy_of_a_snapshot_has_its_data,
                a_copy_may_be_larger,
                what_is_no_copy_is_refused,
                a_source_that_is_gone_is_not_found,
                an_existing_name_gives_its_volume,
                racing_clones_and_creates_give_one_volume,
                a_copy_lives_as_any_volume_does,
                an_object_without_record_is_copied,
                a_copy_has_the_limits_asked_for,
            }
            claims {
                of_a_name_that_nobody_has_nothing_is_seen,
                a_proposed_volume_waits,
                a_committed_volume_is_what_was_asked_for,
                anybody_commits,
                a_taken_name_is_told,
                what_was_given_up_is_gone,
                what_was_given_up_cannot_wait_again,
                a_committed_volume_is_not_given_up,
                a_proposed_copy_has_its_sources_data,
                an_imported_volume_keeps_its_data,
                an_import_that_is_given_up_is_restored,
                what_is_not_ours_to_take_is_not_imported,
                a_marker_is_made_once,
                racing_marks_agree,
                a_marker_goes_by_its_id,
                another_clusters_claims_stay_apart,
                a_silent_array_claims_nothing,
            }
            strays {
                what_is_left_over_is_seen_and_swept,
                a_late_sweep_spares_what_was_committed,
                an_import_is_given_its_name_back_by_a_sweep,
                a_half_removed_volume_is_swept,
                a_half_removed_volume_in_use_is_not_swept,
            }
            fleet {
                a_fleet_record_is_written_once,
                racing_fleet_records_agree,
                the_highest_fleet_record_counts,
            }
            fencing {
                a_holder_is_shut_out,
                a_number_does_not_come_back_after_a_fence,
                who_has_gone_shuts_nobody_out,
                a_foreign_host_is_never_shut_out,
                racing_fences_end_with_one_grant,
                a_fenced_host_comes_back_with_a_new_grant,
            }
            limits {
                limits_are_read_back,
                limits_out_of_range_are_refused,
            }
            trash {
                what_was_removed_is_listed,
                pages_hold_each_removed_volume_once,
                a_removed_volume_is_recovered,
                a_recover_gives_no_format_grant,
                recovering_again_is_so_already,
                a_volume_is_recovered_under_another_name,
                a_taken_name_is_refused,
                a_half_removed_volume_is_recovered,
                what_an_administrator_destroyed_is_recovered,
                another_clusters_trash_stays,
                racing_recovers_agree,
                a_racing_create_and_recover_give_one_volume,
            }
            survey {
                the_array_says_who_it_is,
                the_recorded_holder_is_told,
                a_foreign_connection_is_no_holders,
                pages_hold_each_connection_once,
                a_half_removed_volumes_connection_is_told,
            }
            names {
                names_that_differ_in_case_are_two_volumes,
                every_allowed_name_works,
                long_names_with_one_beginning_differ,
                a_name_in_the_form_of_a_hash_is_another_volume,
                names_in_the_form_of_reserved_ones_work,
                clusters_whose_objects_have_one_name_stay_apart,
            }
            errors {
                a_silent_array_is_never_an_empty_one,
                what_needs_no_array_works_without,
                telemetry_is_plausible,
                refusals_are_final_and_speak,
                powers_are_as_the_capabilities_say,
                a_silent_array_is_not_without_snapshots,
            }
            idempotency {
                creating_again_gives_the_same_volume,
                racing_creates_of_one_name_give_one_volume,
                racing_creates_of_many_names_give_all,
                the_format_grant_is_withdrawn_once,
                a_life_can_be_lived_again_and_again,
                nothing_is_left_over,
            }
        }
    };
}

/// Expands to one `#[tokio::test]` for each case of [`crate::attach`], as [`crate::backend_suite`]
/// does; the argument is an expression for a new [`crate::AttachHarness`].
#[macro_export]
macro_rules! attach_suite {
    ($harness:expr) => {
        $crate::case_tests! { attach, $harness;
            attaching {
                a_published_volume_is_mounted,
                attaching_again_is_so_already,
                another_grant_never_reuses_a_mount,
                a_blank_volume_without_grant_is_not_formatted,
                a_formatted_volume_needs_no_grant,
                what_is_unknown_is_absent,
            }
            copying {
                a_copied_xfs_gets_its_own_uuid,
                a_copied_ext4_keeps_its_uuid,
            }
            detaching {
                a_detached_volume_is_released_until_forgotten,
                detaching_again_is_so_already,
                a_mounted_volume_is_not_forgotten,
                a_volume_moves_and_comes_back,
            }
        }
    };
}

/// Makes the tests of a list of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! case_tests {
    ($suite:ident, $harness:expr; $($topic:ident { $($case:ident,)* })*) => {
        $(
            mod $topic {
                #[allow(
                    unused_imports,
                    clippy::allow_attributes,
                    reason = "the harness's expression may need none of them"
                )]
                use super::*;
                $(
                    #[tokio::test]
                    async fn $case() {
                        let name = concat!(stringify!($topic), "::", stringify!($case));
                        let harness = $harness;
                        $crate::run(name, harness, async |harness| {
                            $crate::$suite::$topic::$case(harness).await
                        })
                        .await;
                    }
                )*
            }
        )*
    };
}
