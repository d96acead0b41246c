//! The program that the kernel runs at each signal: nothing but SIGBUS of the kernel's own making goes on from its third
//! instruction.
//!
//! Licence: this file, and it alone, may also be used under the MIT licence or the GNU General Public License, version 2
//! (SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only). The kernel is told `Dual MIT/GPL`, since
//! bpf_probe_read_kernel() is for GPL programs alone.
//!
//! It hangs at the raw tracepoint `signal_generate` (include/trace/events/signal.h), whose arguments are the signal, its
//! `struct kernel_siginfo *`, its receiver's `struct task_struct *`, and two that are not looked at. It looks at no field of a
//! task, so it needs no BTF; siginfo's fields are where user space sees them.
//!
//! ```text
//! cgroups  id → {seen, window, kept, delivered}    one entry for each cgroup that ever had one
//! lost     how many found none of those free
//! ring     events
//! ```
//!
//! What was seen and not delivered was dropped: since its cgroup has had [`A_MINUTE`] within the minute, the ring was
//! full, or there were more cgroups than entries. So drops are never lost, whoever is to blame.

use std::os::fd::BorrowedFd;

use super::instruction::{
    Helper, If, Register, Step, add, assemble, call, copy, count, exit, go, jump, jump_registers,
    load, load_half, set, set_map, set_map_value, set_wide, store, store_constant, subtract,
};

/// What the kernel is told of the licence.
pub(super) const LICENCE: &std::ffi::CStr = c"Dual MIT/GPL";
/// Where it hangs.
pub(super) const TRACEPOINT: &std::ffi::CStr = c"signal_generate";
/// So many events of a cgroup are delivered a minute.
pub(super) const A_MINUTE: i32 = 20;
/// So many cgroups above the one at hand are noted, from the outermost: pods of a cluster in a container lie seven deep.
pub(super) const LEVELS: usize = 8;
/// The length of an event in 64-bit words: [`Event`](super::event::Event) says what they are.
pub(super) const WORDS: usize = 7 + LEVELS;
/// Of an entry of `cgroups`.
pub(super) const ENTRY_WORDS: usize = 4;
/// Of `lost`.
pub(super) const LOST_WORDS: usize = 1;

const SIGBUS: i32 = 7;
const WINDOW: u64 = 60_000_000_000;

/// Kinds of maps, `enum bpf_map_type`.
#[derive(Debug, Clone, Copy)]
pub(super) enum MapKind {
    Hash = 1,
    Array = 2,
    Ring = 27,
}

impl MapKind {
    /// The length of its keys, in bytes.
    pub(super) fn key(self) -> u32 {
        match self {
            Self::Hash => 8,
            Self::Array => 4,
            Self::Ring => 0,
        }
    }
}

/// The maps that it uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maps<'a> {
    pub(super) cgroups: BorrowedFd<'a>,
    pub(super) lost: BorrowedFd<'a>,
    pub(super) ring: BorrowedFd<'a>,
}

/// Where things lie on the stack, from its end.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a hundred bytes")]
const EVENT: i16 = -(8 * WORDS as i16);
/// `si_signo`, `si_errno`, `si_code`, four bytes of nothing, `si_addr`.
const INFO: i16 = EVENT - 24;
/// The cgroup's id.
const KEY: i16 = INFO - 8;
/// A new entry.
const FRESH: i16 = KEY - 32;

/// The program's words. Kernels before 5.15 tell tracepoints nothing of the cgroups above: for them `with_ancestors` is false.
pub(super) fn program(maps: Maps<'_>, with_ancestors: bool) -> Option<Vec<u64>> {
    let mut steps = is_it_ours();
    steps.extend(count_it(maps));
    steps.extend(describe_it(with_ancestors));
    steps.extend(deliver_it(maps));
    assemble(&steps)
}

/// A fault of the receiver itself: another's fault raises no signal here, and only an uncorrectable memory error is sent to a
/// process that did nothing.
fn is_it_ours() -> Vec<Step> {
    use Register::*;
    vec![
        copy(Six, One),
        load(One, Six, 0),
        jump(If::NotEqual, One, SIGBUS, "out"),
        call(Helper::CurrentTask),
        load(One, Six, 16),
        jump_registers(If::NotEqual, Result, One, "out"),
        copy(One, Frame),
        add(One, INFO.into()),
        set(Two, 24),
        load(Three, Six, 8),
        call(Helper::ProbeReadKernel),
        // Signals without siginfo have 0 or 1 in its place.
        jump(If::NotEqual, Result, 0, "out"),
        // What a process sends has 0 or less; 1 to 5 are the kernel's, or one's own to oneself.
        load_half(One, Frame, INFO + 8),
        jump(If::NotAboveAsInt, One, 0, "out"),
    ]
}

/// The entry of its cgroup is in `Seven` and the time in `Eight` where it is to be delivered.
fn count_it(maps: Maps<'_>) -> Vec<Step> {
    use Register::*;
    let key = |to| [copy(to, Frame), add(to, KEY.into())];
    let look_up = || {
        let mut steps = vec![set_map(One, maps.cgroups)];
        steps.extend(key(Two));
        steps.push(call(Helper::MapLookup));
        steps
    };
    let mut steps = vec![set(Eight, 1), call(Helper::CurrentCgroupId), store(Frame, KEY, Result)];
    steps.extend(look_up());
    steps.push(jump(If::NotEqual, Result, 0, "known"));
    steps.extend([0, 8, 16, 24].map(|offset| store_constant(Frame, FRESH + offset, 0)));
    steps.push(set_map(One, maps.cgroups));
    steps.extend(key(Two));
    // BPF_NOEXIST: another processor may have been faster.
    steps.extend([copy(Three, Frame), add(Three, FRESH.into()), set(Four, 1)]);
    steps.push(call(Helper::MapUpdate));
    steps.extend(look_up());
    steps.extend([
        jump(If::NotEqual, Result, 0, "known"),
        set_map_value(One, maps.lost),
        count(One, 0, Eight),
        go("out"),
        Step::Label("known"),
        copy(Seven, Result),
        count(Seven, 0, Eight),
        call(Helper::TimeSinceBoot),
        copy(Eight, Result),
        load(One, Seven, 8),
        subtract(Result, One),
        set_wide(One, WINDOW),
        load(Two, Seven, 16),
        // A new minute.
        jump_registers(If::AtLeast, Result, One, "renew"),
        jump(If::AtLeast, Two, A_MINUTE, "out"),
        set(One, 1),
        count(Seven, 16, One),
        go("describe"),
        Step::Label("renew"),
        store(Seven, 8, Eight),
        store_constant(Seven, 16, 1),
        Step::Label("describe"),
    ]);
    steps
}

/// The event, on the stack.
fn describe_it(with_ancestors: bool) -> Vec<Step> {
    use Register::*;
    let mut steps = vec![
        store(Frame, EVENT, Eight),
        call(Helper::CurrentPidTgid),
        store(Frame, EVENT + 8, Result),
        load(One, Frame, KEY),
        store(Frame, EVENT + 16, One),
        load(One, Frame, INFO + 16),
        store(Frame, EVENT + 24, One),
        load_half(One, Frame, INFO + 8),
        store(Frame, EVENT + 32, One),
        copy(One, Frame),
        add(One, (EVENT + 40).into()),
        set(Two, 16),
        call(Helper::CurrentComm),
    ];
    for (offset, level) in (EVENT + 56..0).step_by(8).zip(1..) {
        if with_ancestors {
            let ask = [set(One, level), call(Helper::CurrentAncestorCgroupId)];
            steps.extend(ask);
            steps.push(store(Frame, offset, Result));
        } else {
            steps.push(store_constant(Frame, offset, 0));
        }
    }
    steps
}

fn deliver_it(maps: Maps<'_>) -> Vec<Step> {
    use Register::*;
    vec![
        set_map(One, maps.ring),
        copy(Two, Frame),
        add(Two, EVENT.into()),
        set(Three, i32::from(-EVENT)),
        set(Four, 0),
        call(Helper::RingOutput),
        jump(If::NotEqual, Result, 0, "out"),
        set(One, 1),
        count(Seven, 24, One),
        Step::Label("out"),
        set(Result, 0),
        exit(),
    ]
}
