//! What a phone says, and sounds in files: generated voices and 8 kHz mono 16 bit WAV.

use anyhow::{Context, Result, bail};
use std::f64::consts::TAU;
use std::path::Path;

/// Samples in a second.
pub const RATE: usize = 8000;
/// Samples in one RTP packet of 20 ms.
pub const FRAME: usize = 160;

/// What a phone says while it is in a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Voice {
    /// Packets of silence.
    Silence,
    /// A steady tone of so many hertz.
    Tone(u32),
    /// Something with the rhythm and spectrum of speech.
    Speech,
    /// No packets at all.
    Nothing,
}

impl std::str::FromStr for Voice {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.split_once(' ') {
            None if text == "silence" => Self::Silence,
            None if text == "speech" => Self::Speech,
            None if text == "nothing" => Self::Nothing,
            Some(("tone", hertz)) => match hertz.trim().parse() {
                Ok(hertz) if (100..=3400).contains(&hertz) => Self::Tone(hertz),
                _ => bail!("a tone lies between 100 and 3400 Hz, not `{hertz}`"),
            },
            _ => bail!("`{text}` is nothing a phone can say: use \"silence\", \"speech\", \"nothing\" or \"tone 440\""),
        })
    }
}

impl Voice {
    /// The frame that begins `position` samples after the voice began, or nothing to send.
    pub fn frame(&self, position: u64) -> Option<[i16; FRAME]> {
        let mut frame = [0i16; FRAME];
        match self {
            Self::Nothing => return None,
            Self::Silence => {}
            Self::Tone(hertz) => {
                for (index, sample) in frame.iter_mut().enumerate() {
                    *sample = (6000.0 * (TAU * f64::from(*hertz) * seconds(position, index)).sin()) as i16;
                }
            }
            Self::Speech => {
                for (index, sample) in frame.iter_mut().enumerate() {
                    let at = seconds(position, index);
                    // Four syllables a second, a pause every third second, a pitch that wanders.
                    let syllable = (TAU * 4.0 * at).sin().max(0.0) * if at % 3.0 < 2.2 { 1.0 } else { 0.0 };
                    let pitch = 120.0 + 20.0 * (TAU * 0.4 * at).sin();
                    let harmonics: f64 = (1..=12).map(|n| (TAU * pitch * f64::from(n) * at).sin() / f64::from(n)).sum();
                    *sample = (5000.0 * syllable * harmonics).clamp(-30000.0, 30000.0) as i16;
                }
            }
        }
        Some(frame)
    }
}

fn seconds(position: u64, index: usize) -> f64 {
    (position + index as u64) as f64 / RATE as f64
}

/// Writes samples as a WAV file of 8 kHz, mono, 16 bit.
pub fn write_wav(path: &Path, samples: &[i16]) -> Result<()> {
    let length = u32::try_from(samples.len() * 2).context("a recording of more than 4 GB")?;
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    for half in [1u16, 1] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(&(RATE as u32).to_le_bytes());
    file.extend_from_slice(&(RATE as u32 * 2).to_le_bytes());
    for half in [2u16, 16] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    for sample in samples {
        file.extend_from_slice(&sample.to_le_bytes());
    }
    std::fs::write(path, file).with_context(|| format!("writing {}", path.display()))
}

/// Reads a WAV file of 8 kHz, mono, 16 bit.
pub fn read_wav(path: &Path) -> Result<Vec<i16>> {
    let file = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    parse_wav(&file).with_context(|| format!("{} is not a WAV file of 8 kHz, mono, 16 bit", path.display()))
}

fn parse_wav(file: &[u8]) -> Option<Vec<i16>> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12;
    let mut right_format = false;
    loop {
        let name = file.get(at..at + 4)?;
        let length = u32::from_le_bytes(file.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        let body = &file[at + 8..file.len().min(at + 8 + length)];
        if name == b"fmt " {
            let field = |at: usize| Some(u16::from_le_bytes(body.get(at..at + 2)?.try_into().ok()?));
            right_format = field(0)? == 1 && field(2)? == 1 && usize::from(field(4)?) == RATE && field(14)? == 16;
        } else if name == b"data" {
            let samples = body.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
            return right_format.then_some(samples);
        }
        at += 8 + length + length % 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let samples: Vec<i16> = (0..1000).map(|n| (n * 31 % 2000) as i16 - 1000).collect();
        write_wav(&path, &samples).unwrap();
        assert_eq!(read_wav(&path).unwrap(), samples);
    }

    #[test]
    fn what_is_no_wav_is_refused() {
        assert_eq!(parse_wav(b"RIFF"), None);
        assert_eq!(parse_wav(b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff"), None);
        assert_eq!(parse_wav(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"), None);
    }

    #[test]
    fn voices_are_read_from_words() {
        assert_eq!("tone 440".parse::<Voice>().unwrap(), Voice::Tone(440));
        assert_eq!("silence".parse::<Voice>().unwrap(), Voice::Silence);
        for wrong in ["tone", "tone 9", "tone x", "song", "tone 44000"] {
            assert!(wrong.parse::<Voice>().is_err(), "{wrong}");
        }
    }
}
