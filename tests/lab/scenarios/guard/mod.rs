//! The guard on the real kernel: who lives with it that would have died, and that nobody is worse off.

mod databases;
mod harmless;
mod keeper;
mod rescues;
mod running;
mod runtimes;

use super::Named;
use crate::evidence::Section;

pub use keeper::{Keeper, Places};

const SECTION: Section = Section { title: "The guard", scenarios: "guard::" };

pub const BOTH: &[Named] = &[
    ("guard::initdb_at_limit_0_succeeds", databases::initdb),
    ("guard::try_with_too_small_a_limit_falls_back", databases::falls_back),
    ("guard::a_server_that_inserts_at_once_lives", databases::inserts_at_once),
    ("guard::a_resize_to_0_of_what_is_mapped_is_rescued", rescues::resized),
    ("guard::how_soon_a_rescue_comes", rescues::how_soon),
    ("guard::a_sibling_keeps_what_it_was_granted", rescues::sibling),
    ("guard::a_file_reserved_here_and_touched_there_is_left_alone", rescues::crossed),
    ("guard::a_pool_that_can_not_give_the_rest_is_left_alone", rescues::empty_pool),
    ("guard::a_lowered_limit_is_raised_again_now_and_then", rescues::contested),
    ("guard::what_a_bound_costs", rescues::bound),
    ("guard::shared_memory_that_an_ungranted_one_maps_first", harmless::shared),
    ("guard::a_node_of_today_is_not_written_to", harmless::modern),
    ("guard::killed_at_any_moment_it_goes_on", running::killed),
    ("guard::what_it_wrote_is_taken_back_but_what_is_lived_by", running::undone),
    ("guard::paused_and_dry_it_writes_nothing", running::paused_and_dry),
    ("guard::a_full_disk_and_a_hostile_tree_are_no_harm", running::hostile),
    ("guard::it_opens_no_socket_and_costs_nothing_at_rest", running::at_rest),
    ("guard::before_the_first_process_of_a_container", runtimes::first),
    ("guard::an_update_of_a_guarded_container", runtimes::update),
];
