//! BPF instructions as data (include/uapi/linux/bpf.h; Documentation/bpf/standardization/instruction-set.rst).
//!
//! A program is made of these constructors alone. Jumps name a label; [`assemble`] makes distances of them.

use std::os::fd::{AsRawFd, BorrowedFd};

/// A register. `Result` is what a helper returns and is lost at the next call, so are `One` to `Four`, its arguments;
/// `Six` to `Nine` stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Register {
    Result = 0,
    One = 1,
    Two = 2,
    Three = 3,
    Four = 4,
    Six = 6,
    Seven = 7,
    Eight = 8,
    /// The end of the stack, which grows down from it: 512 bytes.
    Frame = 10,
}

/// A function of the kernel's, by its number in `enum bpf_func_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    MapLookup = 1,
    MapUpdate = 2,
    CurrentPidTgid = 14,
    CurrentComm = 16,
    CurrentTask = 35,
    CurrentCgroupId = 80,
    /// For GPL programs alone.
    ProbeReadKernel = 113,
    /// For tracepoints from Linux 5.15 on.
    CurrentAncestorCgroupId = 123,
    TimeSinceBoot = 125,
    RingOutput = 130,
}

/// When a jump is taken. All but the last compare 64 bits without a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum If {
    NotEqual = 0x55,
    AtLeast = 0x35,
    /// Of the lower 32 bits, with their sign.
    NotAboveAsInt = 0xd6,
}

/// One instruction, or a place to jump to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Its words; a jump's distance is filled in.
    Plain([u64; 1], Option<&'static str>),
    /// One that takes two words.
    Wide([u64; 2]),
    /// No instruction.
    Label(&'static str),
}

/// `struct bpf_insn`: operation, registers (destination in the lower half), distance, constant.
fn word(operation: u8, destination: u8, source: u8, offset: i16, constant: i32) -> u64 {
    let [low, high] = offset.to_ne_bytes();
    let [a, b, c, d] = constant.to_ne_bytes();
    // Bit fields are laid out from the low end on little-endian machines, from the high end on others.
    let registers = match cfg!(target_endian = "little") {
        true => destination | source << 4,
        false => source | destination << 4,
    };
    u64::from_ne_bytes([operation, registers, low, high, a, b, c, d])
}

fn plain(
    operation: u8,
    destination: Register,
    source: Register,
    offset: i16,
    constant: i32,
) -> Step {
    Step::Plain([word(operation, destination as u8, source as u8, offset, constant)], None)
}

/// `to = from`
pub(super) fn copy(to: Register, from: Register) -> Step {
    plain(0xbf, to, from, 0, 0)
}

/// `to = constant`
pub(super) fn set(to: Register, constant: i32) -> Step {
    plain(0xb7, to, Register::Result, 0, constant)
}

/// `to = constant`, of 64 bits
pub(super) fn set_wide(to: Register, constant: u64) -> Step {
    wide(to, 0, constant)
}

/// `to = map`, for a helper
pub(super) fn set_map(to: Register, map: BorrowedFd<'_>) -> Step {
    wide(to, 1, u64::from(map.as_raw_fd().unsigned_abs()))
}

/// `to =` where the value of an array with one entry begins
pub(super) fn set_map_value(to: Register, map: BorrowedFd<'_>) -> Step {
    wide(to, 2, u64::from(map.as_raw_fd().unsigned_abs()))
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves, with their bits as they are")]
fn wide(to: Register, source: u8, constant: u64) -> Step {
    let [low, high] = [constant as u32, (constant >> 32) as u32].map(u32::cast_signed);
    Step::Wide([word(0x18, to as u8, source, 0, low), word(0, 0, 0, 0, high)])
}

/// `to += constant`
pub(super) fn add(to: Register, constant: i32) -> Step {
    plain(0x07, to, Register::Result, 0, constant)
}

/// `to -= from`
pub(super) fn subtract(to: Register, from: Register) -> Step {
    plain(0x1f, to, from, 0, 0)
}

/// `to = *(u64 *)(from + offset)`
pub(super) fn load(to: Register, from: Register, offset: i16) -> Step {
    plain(0x79, to, from, offset, 0)
}

/// `to = *(u32 *)(from + offset)`
pub(super) fn load_half(to: Register, from: Register, offset: i16) -> Step {
    plain(0x61, to, from, offset, 0)
}

/// `*(u64 *)(to + offset) = from`
pub(super) fn store(to: Register, offset: i16, from: Register) -> Step {
    plain(0x7b, to, from, offset, 0)
}

/// `*(u64 *)(to + offset) = constant`
pub(super) fn store_constant(to: Register, offset: i16, constant: i32) -> Step {
    plain(0x7a, to, Register::Result, offset, constant)
}

/// `*(u64 *)(to + offset) += from`, as one step for all processors
pub(super) fn count(to: Register, offset: i16, from: Register) -> Step {
    plain(0xdb, to, from, offset, 0)
}

/// `if register … constant goto label`
pub(super) fn jump(condition: If, register: Register, constant: i32, label: &'static str) -> Step {
    Step::Plain([word(condition as u8, register as u8, 0, 0, constant)], Some(label))
}

/// `if register … other goto label`; `condition` compares with a register when bit 3 is set.
pub(super) fn jump_registers(
    condition: If,
    register: Register,
    other: Register,
    label: &'static str,
) -> Step {
    let operation = condition as u8 | 0x08;
    Step::Plain([word(operation, register as u8, other as u8, 0, 0)], Some(label))
}

/// `goto label`
pub(super) fn go(label: &'static str) -> Step {
    Step::Plain([word(0x05, 0, 0, 0, 0)], Some(label))
}

/// `Result = helper(One, Two, Three, Four)`
pub(super) fn call(helper: Helper) -> Step {
    plain(0x85, Register::Result, Register::Result, 0, helper as i32)
}

/// `return Result`
pub(super) fn exit() -> Step {
    plain(0x95, Register::Result, Register::Result, 0, 0)
}

/// The words of a program; nothing where a jump leads nowhere, or too far.
pub(super) fn assemble(steps: &[Step]) -> Option<Vec<u64>> {
    let length = |step: &Step| match step {
        Step::Plain(..) => 1,
        Step::Wide(_) => 2,
        Step::Label(_) => 0,
    };
    let place = |label: &str| {
        let is_it = |step: &Step| matches!(step, Step::Label(name) if *name == label);
        let before = steps.get(..steps.iter().position(is_it)?)?;
        Some(before.iter().map(length).sum::<usize>())
    };
    let mut words = Vec::new();
    for step in steps {
        match step {
            Step::Plain([word], None) => words.push(*word),
            Step::Plain([word], Some(label)) => {
                // A jump counts from the instruction after it.
                let distance = place(label)?.checked_sub(words.len() + 1)?;
                let [low, high] = i16::try_from(distance).ok()?.to_ne_bytes();
                let [operation, registers, _, _, a, b, c, d] = word.to_ne_bytes();
                words.push(u64::from_ne_bytes([operation, registers, low, high, a, b, c, d]));
            }
            Step::Wide(wide) => words.extend(wide),
            Step::Label(_) => {}
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_lead_to_their_labels_over_wide_instructions() {
        let steps = [
            jump(If::NotEqual, Register::One, 7, "out"),
            set_wide(Register::Two, 0x1234_5678_9abc_def0),
            Step::Label("out"),
            exit(),
        ];
        let words = assemble(&steps).expect("a program");
        let bytes: Vec<_> = words.iter().map(|word| word.to_ne_bytes()).collect();
        assert_eq!(bytes[0], [0x55, 0x01, 2, 0, 7, 0, 0, 0]);
        assert_eq!(bytes[1], [0x18, 0x02, 0, 0, 0xf0, 0xde, 0xbc, 0x9a]);
        assert_eq!(bytes[2], [0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12]);
        assert_eq!(bytes[3], [0x95, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_jump_to_nowhere_or_backwards_is_no_program() {
        let nowhere = [jump(If::NotEqual, Register::One, 0, "there"), exit()];
        assert_eq!(assemble(&nowhere), None);
        let back = [Step::Label("start"), jump(If::NotEqual, Register::One, 0, "start"), exit()];
        assert_eq!(assemble(&back), None, "no loops");
    }
}
