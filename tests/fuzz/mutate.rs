//! Makes odd input out of good input.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Pieces that mean something to one of the parsers.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b": ",
    b":",
    b"\0",
    b"\xff",
    b"\xc4",
    b"%",
    b"%0d%0a",
    b"%zz",
    b"|",
    b",",
    b"&",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"9223372036854775807",
    b"1e309",
    b"+",
    b"00",
    b"*",
    b"#",
    b"sip:",
    b"tel:",
    b"@",
    b"<",
    b">",
    b";",
    b"Content-Length: ",
    b"Content-Length: 4294967295\n",
    b"Event: ",
    b"Response: ",
    b"EventList: start",
    b"\xe2\x80\xae",
    b"\xcc\x81",
    b"${SHELL(id)}",
    b"Uniqueid: ",
    b"variable_SKLIC_IN",
    b"null",
    b"true",
    b"\xef\xbb\xbf",
];

/// Inputs that are kept to go on from.
const KEPT: usize = 256;
/// The most bytes of one input.
const LONGEST: usize = 64 * 1024;

/// An endless row of inputs, the same for the same seed.
pub struct Mutator {
    random: StdRng,
    kept: Vec<Vec<u8>>,
    seeds: usize,
}

impl Mutator {
    pub fn new(seed: u64, seeds: &[&[u8]]) -> Self {
        let kept: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
        Self { random: StdRng::seed_from_u64(seed), seeds: kept.len(), kept }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end.max(1))
    }

    pub fn next(&mut self) -> Vec<u8> {
        let from = self.below(self.kept.len());
        let mut input = self.kept[from].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        // Some are gone on from, so that changes add up; the seeds stay.
        if self.below(16) == 0 {
            if self.kept.len() < KEPT {
                self.kept.push(input.clone());
            } else {
                let old = self.seeds + self.below(KEPT - self.seeds);
                self.kept[old].clone_from(&input);
            }
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let until = (at + self.below(40)).min(input.len());
        match self.below(9) {
            0 => drop(input.drain(at..until)),
            1 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
            2 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(at..until, piece.iter().copied());
            }
            3 => {
                let again = input[at..until].to_vec();
                for _ in 0..=self.below(64) {
                    input.splice(at..at, again.iter().copied());
                }
            }
            4 => {
                let other = self.below(self.kept.len());
                let other = self.kept[other].clone();
                let begin = self.below(other.len() + 1);
                input.splice(at..until, other[begin..].iter().copied());
            }
            5 => input.truncate(at),
            6 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.random.random();
                }
            }
            7 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << (at % 8);
                }
            }
            _ => {
                let byte = self.random.random();
                input.splice(at..at, [byte]);
            }
        }
    }
}
