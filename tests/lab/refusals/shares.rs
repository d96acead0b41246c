//! Things that are shared out: a thread that wants some waits until there are enough.

use std::sync::{Condvar, Mutex};

/// So many of them.
pub struct Shares<T> {
    free: Mutex<Vec<T>>,
    changed: Condvar,
}

/// Some that somebody has; dropping them gives them back.
pub struct Share<'a, T> {
    things: Vec<T>,
    of: &'a Shares<T>,
}

impl<T> Shares<T> {
    pub fn new(things: Vec<T>) -> Self {
        Self { free: Mutex::new(things), changed: Condvar::new() }
    }

    /// Takes so many, as soon as they are there.
    pub fn take(&self, number: usize) -> Share<'_, T> {
        let free = self.free.lock().expect("what is free");
        let mut free =
            self.changed.wait_while(free, |free| free.len() < number).expect("what is free");
        let rest = free.len() - number;
        Share { things: free.split_off(rest), of: self }
    }
}

impl<T> Share<'_, T> {
    pub fn things(&self) -> &[T] {
        &self.things
    }
}

impl<T> Drop for Share<'_, T> {
    fn drop(&mut self) {
        // Another thread has panicked; the scenario ends anyway.
        let Ok(mut free) = self.of.free.lock() else { return };
        free.append(&mut self.things);
        self.of.changed.notify_all();
    }
}
