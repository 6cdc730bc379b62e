//! Passwords and tokens: how they are made, and what is stored of them.

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

/// How API tokens begin, so that scanners for lost secrets find them.
pub const API_TOKEN_PREFIX: &str = "sklic_";

/// The shortest new password, in characters.
pub const SHORTEST_PASSWORD: usize = 10;

/// The longest password that is looked at, in bytes.
pub const PASSWORD_LENGTH: usize = 1024;

/// What is stored of a token.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A new token of 256 random bits, in base64url (RFC 4648 §5) without padding: 43 characters.
#[must_use]
pub fn new_token() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    base64url(&bytes)
}

/// A new API token; shown once, and only [`token_hash`] of it is stored.
#[must_use]
pub fn new_api_token() -> String {
    format!("{API_TOKEN_PREFIX}{}", new_token())
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let word = part.iter().enumerate().fold(0_u32, |word, (place, byte)| word | u32::from(*byte) << (16 - 8 * place));
        for place in 0..=part.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

/// A new password that is long enough, and not too long to be looked at.
///
/// # Errors
/// A stable word, and what is wrong with it.
pub fn check_password(password: &str) -> Result<(), (&'static str, String)> {
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(("too_short", format!("at least {SHORTEST_PASSWORD} characters")));
    }
    if password.len() > PASSWORD_LENGTH {
        return Err(("too_long", format!("at most {PASSWORD_LENGTH} bytes")));
    }
    Ok(())
}

/// A PIN that can be keyed and is not the first that anybody would try.
///
/// # Errors
/// What is wrong with it.
pub fn check_pin(pin: &str) -> Result<(), &'static str> {
    let digits: Vec<u8> = pin.bytes().collect();
    if !(4..=10).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err("4 to 10 digits");
    }
    let steps: std::collections::BTreeSet<i16> = digits.windows(2).map(|pair| i16::from(pair[1]) - i16::from(pair[0])).collect();
    if steps.len() == 1 && steps.iter().all(|step| (-1..=1).contains(step)) {
        return Err("digits that are all the same or in a row are the first to be tried");
    }
    Ok(())
}

/// Argon2id in PHC string form with the library's parameters (19 MiB, 2 passes). Takes tens of milliseconds of a core.
///
/// # Errors
/// When the system gives no randomness.
pub fn hash_password(password: &str) -> Result<String, argon2::password_hash::Error> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
}

/// Whether a password belongs to a hash. Without a hash, or with one that cannot be read, the same work is done and the answer is no:
/// the time tells nobody which user numbers there are.
#[must_use]
pub fn verify_password(password: &str, hash: Option<&str>) -> bool {
    let readable = hash.filter(|hash| argon2::PasswordHash::new(hash).is_ok());
    // Of a password that nobody has.
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2tsaWMtbm9ib2R5LXNhbHQ$1Vq0p6Zl0i1Xo5mJx5tq7m4o0VQp3O3pT5f0V6l3m1k";
    let right = Argon2::default().verify_password(password.as_bytes(), readable.unwrap_or(NOBODY)).is_ok();
    right && readable.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_differ() {
        let (one, two) = (new_api_token(), new_api_token());
        assert_ne!(one, two);
        assert_eq!(one.len(), API_TOKEN_PREFIX.len() + 43);
        assert_eq!(token_hash("abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn base64url_of_rfc_4648() {
        for (bytes, text) in [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"foobar", "Zm9vYmFy"), (&[0xfb, 0xff], "-_8")] {
            assert_eq!(base64url(bytes), text);
        }
    }

    #[test]
    fn passwords_are_verified() {
        let hash = hash_password("skrivnost").expect("there is randomness");
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify_password("skrivnost", Some(&hash)));
        assert!(!verify_password("Skrivnost", Some(&hash)));
        assert!(!verify_password("skrivnost", None));
        assert!(!verify_password("skrivnost", Some("x")));
    }

    #[test]
    fn an_unknown_user_number_costs_the_same_work() {
        let hash = hash_password("skrivnost").expect("there is randomness");
        let time = |hash: Option<&str>| {
            let begin = std::time::Instant::now();
            assert!(!verify_password("napačno", hash));
            begin.elapsed()
        };
        let known: std::time::Duration = (0..3).map(|_| time(Some(&hash))).min().expect("there are three");
        let unknown: std::time::Duration = (0..3).map(|_| time(None)).min().expect("there are three");
        assert!(unknown > known / 4, "{unknown:?} against {known:?}");
    }
}
