//! One suite for every adapter of the port.
//!
//! The cases in `conformance` run against the simulator always, and against a real Asterisk and a real FreeSWITCH when the lab has them
//! (`make test`, or `vagrant/provision/lab.sh session -- cargo test --test pbx`).
//! `faults` plays the parts of a bad link that a real switch cannot be made to show.

mod callers;
mod conformance;
mod dial_in;
mod fake_ami;
mod fake_esl;
mod faults;
mod faults_callers;
mod faults_esl;
mod faults_grace;
mod injections;
mod lab;
mod live_only;
mod phones;
mod proxy;
mod rig;
mod sip;

/// Names each case three times: for the simulator and for each real switch.
macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod simulator {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::conformance::$case(crate::rig::Rig::simulator()).await;
                }
            )+
        }
        mod asterisk {
            $(
                #[test]
                fn $case() {
                    crate::lab::run(crate::lab::Kind::Asterisk, stringify!($case));
                }
            )+
        }
        mod freeswitch {
            $(
                #[test]
                fn $case() {
                    crate::lab::run(crate::lab::Kind::Freeswitch, stringify!($case));
                }
            )+
        }
        /// The cases by name.
        pub(crate) fn case(name: &str, rig: crate::rig::Rig) -> Option<crate::lab::Case> {
            match name {
                $(stringify!($case) => Some(Box::pin(crate::conformance::$case(rig))),)+
                _ => crate::live_only::case(name, rig),
            }
        }
        /// The names of all.
        pub(crate) const CASES: &[&str] = &[$(stringify!($case)),+];
    };
}

conformance!(
    answered_call_rings_and_joins,
    snapshot_shows_each_phase,
    one_is_muted_and_unmuted,
    all_but_the_convener_are_muted,
    late_joiner_comes_in_muted,
    talking_is_told,
    removed_member_leaves_and_ends,
    locked_room_refuses_and_unlocked_admits,
    closing_ends_all,
    conveners_end_ends_all,
    grace_keeps_the_others_until_he_is_back,
    grace_lets_one_wait_who_comes_while_nobody_is_inside,
    grace_brings_the_convener_back_into_a_locked_room,
    grace_is_given_again_in_a_room_that_a_waiting_one_made,
    every_outcome_is_told_apart,
    early_media_is_told_before_the_answer,
    hang_up_in_the_greeting_never_joins,
    hang_up_while_ringing_is_cancelled,
    hang_up_right_after_dialling_is_cancelled,
    redirected_call_is_not_followed,
    answer_after_the_end_is_not_left_alone,
    second_command_on_a_gone_leg_is_gone,
    beep_disturbs_no_roster,
    what_could_break_out_is_refused,
    cut_link_is_told_and_resynchronised,
    end_in_the_gap_is_on_record,
    forgotten_records_are_gone,
    restarted_switch_has_no_legs,
    caller_is_asked_and_let_in,
    answers_come_as_they_are_keyed,
    question_taken_back_is_not_answered,
    caller_hangs_up_in_each_step,
    convener_who_calls_in_ends_it_with_his_call,
    locked_room_refuses_a_caller,
    callers_are_found_again_after_a_cut,
    caller_whom_nobody_takes_is_let_go,
    caller_is_hung_up_without_words,
    brought_caller_arrives_with_his_pass,
    brought_caller_is_let_go_with_the_room,
    caller_who_cannot_be_brought_is_let_go,
);

/// Names the cases that need a real switch.
macro_rules! live_only {
    ($module:ident, $kind:ident: $($case:ident),+ $(,)?) => {
        mod $module {
            $(
                #[test]
                fn $case() {
                    crate::lab::run(crate::lab::Kind::$kind, stringify!($case));
                }
            )+
        }
    };
}

live_only!(
    asterisk_only, Asterisk:
    second_service_takes_over,
    caller_is_brought_between_the_kinds,
    paced_calls_can_be_cancelled,
    redirection_to_a_technology_is_ended,
    each_refusal_has_the_same_outcome,
    closed_trunk_is_out_of_reach,
    hostile_names_stop_nothing,
    what_callers_send_is_data,
    wave_of_calls_joins_whole,
    without_service_the_conveners_end_ends_all,
    without_service_the_grace_time_ends,
);
live_only!(
    freeswitch_only, Freeswitch:
    second_service_takes_over,
    paced_calls_can_be_cancelled,
    each_refusal_has_the_same_outcome,
    closed_trunk_is_out_of_reach,
    hostile_names_stop_nothing,
    what_callers_send_is_data,
    wave_of_calls_joins_whole,
    without_service_the_conveners_end_ends_all,
    without_service_the_grace_time_ends,
);
