//! Who may see the pages: basic authentication against bcrypt hashes.
//!
//! A hash takes long to check, on purpose. So it is done off the network's thread and one at a time, and a
//! password that was right is known again by a keyed digest. Wrong ones are not remembered: whoever guesses could
//! drive out what is right. An unknown user costs what a known one costs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bcrypt::HashParts;
use hyper::header::HeaderValue;
use ring::hmac;
use ring::rand::SystemRandom;
use serde_norway::Mapping;

use super::error::Wrong;
use crate::worker::Worker;

/// A check at the most of these takes some seconds; a scraper would not wait longer.
const COSTS: std::ops::RangeInclusive<u32> = 4..=18;

/// bcrypt's cost where there is no user to take it from.
const DECOY_COST: u32 = 10;

/// The users, each with the hash of a password.
#[derive(Debug)]
pub(in crate::web) struct Users {
    hashes: BTreeMap<String, String>,
    /// What the passwords of unknown users are checked against; none fits.
    decoy: String,
    /// What was right, at most one a user, as the digest of user and password.
    known: Mutex<BTreeMap<String, hmac::Tag>>,
    /// Of the digests; it dies with them.
    key: hmac::Key,
    /// Checks them one at a time; none where nobody is asked.
    worker: Option<Worker>,
}

impl Users {
    /// Checks what is written. A key of theirs is made from the system's randomness.
    pub(super) fn of(written: &Mapping) -> Result<Self, Wrong> {
        let mut hashes = BTreeMap::new();
        let mut dearest = None;
        for (user, hash) in written {
            let user = user
                .as_str()
                .filter(|user| !user.contains(':'))
                .ok_or_else(|| {
                    let expected = "text without a colon, in quotes if it looks like a number";
                    Wrong::key("basic_auth_users", "a user's name is none", expected)
                })?
                .to_owned();
            let (hash, cost) =
                hash.as_str().and_then(|hash| Some((hash, cost(hash)?))).ok_or_else(|| {
                    let expected = format!(
                        "bcrypt's $2a$, $2b$ or $2y$ at a cost from {} to {} (htpasswd -nBC 10 '')",
                        COSTS.start(),
                        COSTS.end()
                    );
                    let key = format!("basic_auth_users.{user}");
                    Wrong::key(key, "the hash can't be used", expected)
                })?;
            dearest = dearest.max(Some(cost));
            hashes.insert(user, hash.to_owned());
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| {
            Wrong::key("basic_auth_users", "the system gives no randomness", "some")
        })?;
        let cost = dearest.unwrap_or(DECOY_COST);
        let worker = (!hashes.is_empty()).then(|| Worker::start("passwords")).transpose();
        let worker = worker.map_err(|error| {
            Wrong::key("basic_auth_users", format!("can't start a thread: {error}"), "one")
        })?;
        Ok(Self {
            hashes,
            decoy: format!("$2b${cost:02}${}", "u".repeat(53)),
            known: Mutex::default(),
            key,
            worker,
        })
    }

    /// Whether nobody is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether an `Authorization` header is one of theirs. Everybody is let in where there are none.
    pub(in crate::web) async fn admit(self: &Arc<Self>, header: Option<&HeaderValue>) -> bool {
        let Some(worker) = &self.worker else { return true };
        let Some(given) = header.and_then(|header| Credentials::of(header.as_bytes())) else {
            return false;
        };
        if self.is_known(&given) {
            return true;
        }
        let Ok(turn) = worker.turn().await else { return false };
        // While others were checked, this one may have been.
        if self.is_known(&given) {
            return true;
        }
        let users = Arc::clone(self);
        turn.run(move || users.check(&given)).await.unwrap_or(false)
    }

    fn is_known(&self, given: &Credentials) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        given
            .user()
            .and_then(|user| known.get(user))
            // This compares in constant time.
            .is_some_and(|tag| hmac::verify(&self.key, &given.both, tag.as_ref()).is_ok())
    }

    /// Takes long.
    fn check(&self, given: &Credentials) -> bool {
        let user = given.user().and_then(|user| self.hashes.get_key_value(user));
        let hash = user.map_or(&self.decoy, |(_, hash)| hash);
        let fits = bcrypt::verify(given.password(), hash).unwrap_or(false);
        let (Some((user, _)), true) = (user, fits) else { return false };
        let tag = hmac::sign(&self.key, &given.both);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(user.clone(), tag);
        true
    }
}

/// The cost of a hash that can be used.
fn cost(hash: &str) -> Option<u32> {
    let versions = ["$2a$", "$2b$", "$2y$"];
    let cost = hash.parse::<HashParts>().ok()?.get_cost();
    (versions.iter().any(|version| hash.starts_with(version)) && COSTS.contains(&cost))
        .then_some(cost)
}

/// What a client says it is: `user:password`.
struct Credentials {
    both: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Of a header, `Basic dXNlcjpwYXNzd29yZA==`.
    fn of(header: &[u8]) -> Option<Self> {
        let (scheme, encoded) = header.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let both = BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?;
        let colon = both.iter().position(|byte| *byte == b':')?;
        Some(Self { both, colon })
    }

    /// Nothing where it is no text, and so nobody's.
    fn user(&self) -> Option<&str> {
        std::str::from_utf8(self.both.get(..self.colon)?).ok()
    }

    fn password(&self) -> &[u8] {
        self.both.get(self.colon + 1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(written: &str) -> Result<Arc<Users>, String> {
        let mapping: Mapping = serde_norway::from_str(written).expect("YAML");
        Users::of(&mapping).map(Arc::new).map_err(|wrong| format!("{wrong:?}"))
    }

    fn two() -> Arc<Users> {
        let hash = |password| bcrypt::hash(password, 4).expect("a hash");
        users(&format!("ann: {}\nbob: {}\n", hash("a:b"), hash(""))).expect("users")
    }

    fn header(credentials: impl AsRef<[u8]>) -> HeaderValue {
        let text = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        HeaderValue::from_str(&text).expect("a header")
    }

    fn admits(users: &Arc<Users>, header: Option<&HeaderValue>) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(users.admit(header))
    }

    #[test]
    fn the_right_password_and_no_other() {
        let users = two();
        for _ in 0..2 {
            for right in ["ann:a:b", "bob:"] {
                assert!(admits(&users, Some(&header(right))), "{right}");
            }
            for wrong in ["ann:a", "ann:a:b ", "bob:a:b", "ann:", "eve:a:b", ":", ":a:b", "ann"] {
                assert!(!admits(&users, Some(&header(wrong))), "{wrong}");
            }
            assert!(!admits(&users, Some(&header(b"\xff:a:b"))));
            assert!(!admits(&users, None));
        }
        assert_eq!(users.known.lock().expect("the known").len(), 2, "what was right is known");
        let lower = header("ann:a:b").to_str().expect("text").replace("Basic", "basic");
        assert!(admits(&users, Some(&HeaderValue::from_str(&lower).expect("a header"))));
        let bearer = lower.replace("basic", "Bearer");
        assert!(!admits(&users, Some(&HeaderValue::from_str(&bearer).expect("a header"))));
    }

    #[test]
    fn without_users_nobody_is_asked() {
        assert!(admits(&users("{}").expect("none"), None));
    }

    #[test]
    fn an_unknown_user_costs_what_the_dearest_does() {
        let users = users(&format!(
            "cheap: {}\ndear: {}\n",
            bcrypt::hash("x", 4).expect("a hash"),
            bcrypt::hash("x", 6).expect("a hash")
        ))
        .expect("users");
        let decoy: HashParts = users.decoy.parse().expect("a hash, or it would cost nothing");
        assert_eq!(decoy.get_cost(), 6);
    }

    #[test]
    fn hashes_of_htpasswd_and_of_go_are_right_and_others_are_not() {
        let rest = "X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
        for version in ["2a", "2b", "2y"] {
            assert!(users(&format!("ann: ${version}$10${rest}")).is_ok(), "{version}");
        }
        let cut = &rest[1..];
        for hash in [
            format!("$2x$10${rest}"),
            format!("$1$10${rest}"),
            format!("$2y$03${rest}"),
            format!("$2y$19${rest}"),
            format!("$2y$10${cut}"),
            "secret".to_owned(),
            "''".to_owned(),
            "12".to_owned(),
        ] {
            let error = users(&format!("ann: {hash}")).expect_err(&hash);
            assert!(error.contains("basic_auth_users.ann") && error.contains("$2y$"), "{error}");
            assert!(hash.len() < 10 || !error.contains(&hash), "a hash is nobody's business");
        }
        for user in ["1", "'a:b'", "[a]"] {
            assert!(users(&format!("{user}: $2y$10${rest}")).is_err(), "{user}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(header: Vec<u8>, credentials: Vec<u8>) {
            for bytes in [header, [b"Basic ", BASE64_STANDARD.encode(&credentials).as_bytes()].concat()] {
                if let Some(given) = Credentials::of(&bytes) {
                    let _ = (given.user(), given.password());
                }
            }
        }
    }
}
