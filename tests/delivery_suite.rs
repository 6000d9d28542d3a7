//! One suite of delivery against two implementations of S3 that share no code: the sandbox's and moto. Both have the same
//! faults before them.
//!
//! Each case is written once and is a test of each store: `on_sandbox::…` and `on_moto::…`. What a store cannot show is an ignored
//! test of it, with the reason. `tests/moto/prepare` makes moto ready; when it is not, each of its tests says that it was
//! skipped, and why.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;

#[path = "delivery_suite/cases.rs"]
mod cases;
#[path = "delivery_suite/expected.rs"]
mod expected;
#[path = "delivery_suite/moto.rs"]
mod moto;
#[path = "delivery_suite/world.rs"]
mod world;

/// A test for each case and store: `case;`, or `case, not on moto: "why";`, or `case, not on sandbox: "why";`.
macro_rules! suite {
    (@tests $which:ident; $($(#[$attribute:meta])? $case:ident)*) => {
        $(
            #[tokio::test]
            $(#[$attribute])?
            async fn $case() {
                crate::cases::$case(crate::world::Which::$which).await;
            }
        )*
    };
    ($($case:ident $(, not on moto: $why:literal)? $(, not on sandbox: $why_sandbox:literal)?;)*) => {
        mod on_sandbox {
            suite!(@tests Sandbox; $($(#[ignore = $why_sandbox])? $case)*);
        }
        mod on_moto {
            suite!(@tests Moto; $($(#[ignore = $why])? $case)*);
        }
    };
}

suite! {
    an_object_arrives_with_its_bytes_type_and_metadata;
    what_was_stored_is_listed_by_folder_and_read_in_pieces;
    an_object_that_is_there_is_left_alone;
    each_fault_is_healed_within_the_attempt_or_ends_as_its_kind;
    an_outage_is_over_when_the_port_answers_again;
    an_answer_that_is_lost_makes_no_second_version;
    a_kept_connection_that_breaks_is_replaced_without_a_second_version;
    puts_at_the_same_time_make_one_version, not on moto: "moto looks and stores in two steps without a lock: two may win";
    unknown_keys_wrong_secrets_and_missing_buckets_are_told_apart;
    a_region_that_the_store_tells_is_learned_once;
    a_signature_for_another_region_is_mended_by_what_s3_says_to_it, not on moto: "moto serves a signature for any region";
    through_faults_of_every_kind_each_object_arrives_once_and_unchanged;
    bytes_that_do_not_match_their_checksum_are_refused, not on moto: "moto accepts wrong checksums";
    a_bucket_with_object_lock_takes_objects_with_a_digest_only;
    encryption_storage_class_tags_and_metadata_arrive;
    a_bucket_of_another_owner_takes_nothing, not on moto: "moto takes no notice of the expected owner";
    a_bucket_that_demands_a_condition_takes_conditional_puts_only, not on moto: "moto's policies refuse conditional puts as well";
    a_store_without_conditional_puts_is_asked_once_and_gets_plain_ones, not on moto: "moto has conditional puts";
    a_role_is_assumed_and_its_keys_are_those_that_sign, not on sandbox: "the sandbox has no STS";
}
