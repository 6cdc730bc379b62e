//! What can be heard in a recording: tones by the Goertzel algorithm, prompts by correlation.
//!
//! The inner loops count by themselves: scenarios are played by a debug build, in which an iterator's step is a call,
//! and the phones' sound is sent and received by the same process.

use crate::sound::RATE;
use std::f64::consts::TAU;

/// Samples of one look at a tone: 40 ms, so that tones 25 Hz apart are told apart.
const LOOK: usize = RATE / 25;
/// Samples from one look to the next: 10 ms.
const STEP: usize = RATE / 100;
/// A tone softer than this share of full scale (-42 dB) is not heard.
const SOFTEST: f64 = 0.008;
/// A tone that is less than this share of all the energy is not heard: it is a splinter of something louder.
const SMALLEST_SHARE: f64 = 0.05;

/// A stretch of a recording, in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First sample.
    pub start: usize,
    /// One past the last sample.
    pub end: usize,
}

impl Stretch {
    /// Length in milliseconds.
    pub fn ms(&self) -> usize {
        (self.end - self.start) * 1000 / RATE
    }
}

/// Power of one frequency in a look, as (amplitude 0..1 of full scale, share of the look's energy).
fn goertzel(look: &[i16], hertz: u32) -> (f64, f64) {
    let factor = 2.0 * (TAU * f64::from(hertz) / RATE as f64).cos();
    let (mut last, mut before, mut energy) = (0.0, 0.0, 0.0);
    let mut at = 0;
    while at < look.len() {
        let sample = f64::from(look[at]) / 32768.0;
        let next = sample + factor * last - before;
        before = last;
        last = next;
        energy += sample * sample;
        at += 1;
    }
    let power = (last * last + before * before - factor * last * before).max(0.0);
    let length = look.len() as f64;
    (2.0 * power.sqrt() / length, if energy > 0.0 { 2.0 * power / (length * energy) } else { 0.0 })
}

/// The stretches in which a tone sounds. Gaps below 60 ms (a lost packet) do not break a stretch.
///
/// A voice has pitches too, but it glides and swells: only what stays as loud as it is counts as a tone.
pub fn tone(samples: &[i16], hertz: u32) -> Vec<Stretch> {
    stretches(samples, hertz, 60)
}

/// The same, where gaps below so many milliseconds do not break a stretch.
fn stretches(samples: &[i16], hertz: u32, gap_ms: usize) -> Vec<Stretch> {
    let mut found: Vec<(Stretch, Vec<f64>)> = Vec::new();
    let mut at = 0;
    while at + LOOK <= samples.len() {
        let (amplitude, share) = goertzel(&samples[at..at + LOOK], hertz);
        if amplitude >= SOFTEST && share >= SMALLEST_SHARE {
            // A look answers for its middle, so that a stretch is not longer than the tone.
            let (start, end) = (at + LOOK / 2 - STEP / 2, at + LOOK / 2 + STEP / 2);
            match found.last_mut() {
                Some((last, amplitudes)) if start <= last.end + RATE * gap_ms / 1000 => {
                    last.end = end;
                    amplitudes.push(amplitude);
                }
                _ => found.push((Stretch { start, end }, vec![amplitude])),
            }
        }
        at += STEP;
    }
    let tones = found.into_iter().filter(|(stretch, amplitudes)| stretch.ms() >= SHORTEST_MS && is_steady(amplitudes));
    tones.map(|(stretch, _)| stretch).collect()
}

/// A tone shorter than this is not told from a syllable.
const SHORTEST_MS: usize = 180;

/// Looks beside which one is judged: a third of a second on either side. A switch that evens out how loud people are
/// (mod_conference's `auto-gain-level`) halves a loud tone within seconds, and it is a tone all the same.
const BESIDE: usize = 33;

/// Half of the looks lie within an eighth of the middle one of those beside them.
fn is_steady(amplitudes: &[f64]) -> bool {
    let near = amplitudes.iter().enumerate().filter(|&(index, &amplitude)| {
        let mut beside = amplitudes[index.saturating_sub(BESIDE)..(index + BESIDE + 1).min(amplitudes.len())].to_vec();
        beside.sort_by(f64::total_cmp);
        let middle = beside[beside.len() / 2];
        (amplitude - middle).abs() <= middle / 8.0
    });
    near.count() * 2 >= amplitudes.len()
}

/// The stretches of a beep: a tone that lasts about as long as the beep does, not a long tone of the same pitch.
///
/// One's own beep may be followed at once by the rest of that of who came just before: a gap that is none for a lost packet parts the two.
pub fn beep(samples: &[i16]) -> Vec<Stretch> {
    let fits = |stretch: &Stretch| (BEEP_MS - 100..=BEEP_MS + 100).contains(&stretch.ms());
    let mut found = tone(samples, BEEP_HERTZ);
    found.retain(fits);
    let mut parted = stretches(samples, BEEP_HERTZ, 0);
    parted.retain(|part| fits(part) && found.iter().all(|whole| part.end <= whole.start || whole.end <= part.start));
    found.extend(parted);
    found.sort_by_key(|stretch| stretch.start);
    found
}

/// Pitch of the entry beep, in hertz.
pub const BEEP_HERTZ: u32 = 1000;
/// Length of the entry beep, in milliseconds.
pub const BEEP_MS: usize = 400;

/// Loudness of a stretch of samples, as a share of full scale (root of the mean square).
pub fn loudness(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let (mut sum, mut at) = (0.0, 0);
    while at < samples.len() {
        let sample = f64::from(samples[at]);
        sum += sample * sample;
        at += 1;
    }
    (sum / samples.len() as f64).sqrt() / 32768.0
}

/// Samples of one point of an envelope: 5 ms.
const HOP: usize = RATE / 200;

/// The places where a prompt sounds, with how alike it is (1 = the same).
///
/// First the loudness curve of each second of the prompt is slid over that of the recording.
/// Where they run alike, pieces of 200 ms of the prompt are looked for in the samples themselves,
/// each near its place, so that a lost or late packet shifts a piece and not the verdict.
pub fn prompt(samples: &[i16], prompt: &[i16]) -> Vec<(Stretch, f64)> {
    let prompt = trimmed(prompt);
    let (curve, wanted) = (Signal::new(envelope(samples)), envelope(prompt));
    let sound = Signal::of(samples);
    let mut candidates: Vec<(usize, f64)> = Vec::new();
    for (index, second) in wanted.chunks_exact(SECOND).enumerate() {
        let second = Shape::new(second);
        for at in index * SECOND..(curve.values.len() + 1).saturating_sub(SECOND) {
            let score = curve.alike(at, &second);
            if score >= 0.75 {
                candidates.push((at - index * SECOND, score));
            }
        }
    }
    candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut found: Vec<(Stretch, f64)> = Vec::new();
    let mut looked_at: Vec<usize> = Vec::new();
    for (at, _) in candidates {
        if looked_at.iter().any(|&other| at.abs_diff(other) < SECOND / 4) {
            continue;
        }
        looked_at.push(at);
        let (start, end) = (at * HOP, (at * HOP + prompt.len()).min(samples.len()));
        if found.iter().any(|(other, _)| start < other.end && other.start < end) {
            continue;
        }
        let score = pieces_alike(&sound, prompt, start);
        if score >= FOUND {
            found.push((Stretch { start, end }, score));
        }
    }
    found.sort_by_key(|(stretch, _)| stretch.start);
    found
}

/// A prompt without the silence at both ends, which every recording has and which proves nothing.
fn trimmed(prompt: &[i16]) -> &[i16] {
    let loud = |&sample: &i16| i32::from(sample).abs() > 300;
    let Some(start) = prompt.iter().position(loud) else {
        return &[];
    };
    let end = prompt.iter().rposition(loud).unwrap_or(start);
    &prompt[start..=end]
}

/// The loudness curve, in windows so long that the beats of a voice (10 ms and less) do not show.
fn envelope(samples: &[i16]) -> Vec<f64> {
    samples.windows(5 * HOP).step_by(HOP).map(loudness).collect()
}

/// A curve or a sound in which shapes are looked for.
struct Signal {
    values: Vec<f64>,
    /// Sums of all values before each, and of their squares: the mean and spread of any stretch are differences of these.
    sums: Vec<(f64, f64)>,
}

impl Signal {
    fn new(values: Vec<f64>) -> Self {
        let mut sums = Vec::with_capacity(values.len() + 1);
        let (mut sum, mut squares, mut at) = (0.0, 0.0, 0);
        sums.push((sum, squares));
        while at < values.len() {
            sum += values[at];
            squares += values[at] * values[at];
            sums.push((sum, squares));
            at += 1;
        }
        Self { values, sums }
    }

    fn of(samples: &[i16]) -> Self {
        Self::new(samples.iter().map(|&sample| f64::from(sample)).collect())
    }

    /// Normalised correlation with what begins at `at`: 1 alike, 0 nothing in common, or not all of it there.
    fn alike(&self, at: usize, shape: &Shape) -> f64 {
        let length = shape.centred.len();
        let Some(window) = self.values.get(at..at + length) else { return 0.0 };
        let ((sum, squares), (sum_before, squares_before)) = (self.sums[at + length], self.sums[at]);
        let (sum, squares) = (sum - sum_before, squares - squares_before);
        let spread = squares - sum * sum / length as f64;
        // What is left of a stretch of silence is a rounding error.
        if spread <= 1e-9 * squares.max(f64::MIN_POSITIVE) || shape.spread <= 0.0 {
            return 0.0;
        }
        let (mut product, mut index) = (0.0, 0);
        while index < length {
            product += window[index] * shape.centred[index];
            index += 1;
        }
        product / (spread * shape.spread).sqrt()
    }
}

/// What is looked for, without its mean.
struct Shape {
    centred: Vec<f64>,
    spread: f64,
}

impl Shape {
    fn new(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let spread = centred.iter().map(|value| value * value).sum();
        Self { centred, spread }
    }
}

/// Points of an envelope in a second.
const SECOND: usize = RATE / HOP;
fn better(a: (f64, isize), b: (f64, isize)) -> (f64, isize) {
    if b.0 > a.0 { b } else { a }
}

/// Samples of one piece: 200 ms.
const PIECE: usize = RATE / 5;
/// How far a piece may lie from where the piece before it lay: 25 ms.
const NEAR: isize = RATE as isize / 40;
/// How far it may lie when it is not near: a switch that was kept from its work goes on a little later.
const FAR: isize = RATE as isize / 4;
/// Less alike than this, a piece is not found.
const FOUND: f64 = 0.6;

/// How alike the pieces of a prompt are to what sounds at their places, weighed by their loudness.
fn pieces_alike(sound: &Signal, prompt: &[i16], start: usize) -> f64 {
    let float = |part: &[i16]| part.iter().map(|&sample| f64::from(sample)).collect::<Vec<f64>>();
    let (mut sum, mut weight, mut shift, mut lost) = (0.0, 0.0, 0, 0);
    for (index, piece) in prompt.chunks_exact(PIECE).enumerate() {
        // A piece of silence has no shape to be recognised by.
        let loud = loudness(piece);
        if loud < 0.01 {
            continue;
        }
        let piece = Shape::new(&float(piece));
        let score_at = |shift: isize| {
            let place = (start + index * PIECE).checked_add_signed(shift);
            place.map_or(0.0, |at| sound.alike(at, &piece))
        };
        let best_of = |best: (f64, isize), shifts: &mut dyn Iterator<Item = isize>| {
            shifts.fold(best, |best, shift| if best.0 >= 0.95 { best } else { better(best, (score_at(shift), shift)) })
        };
        let mut best = (score_at(shift), shift);
        best = best_of(best, &mut (shift - NEAR..=shift + NEAR));
        if best.0 < FOUND {
            // Half a millisecond off, a voice still fits well enough to be looked at closely.
            let far = best_of(best, &mut (-FAR..=FAR).step_by(4)).1;
            best = best_of(best, &mut (far - 4..=far + 4));
        }
        if best.0 >= FOUND {
            shift = best.1;
        } else {
            lost += 1;
        }
        sum += best.0 * loud;
        weight += loud;
        // Four pieces that are nowhere: this is something else.
        if lost >= 4 && sum < FOUND * weight {
            return 0.0;
        }
    }
    if weight > 0.0 { sum / weight } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::{decode_alaw, encode_alaw};
    use crate::sound::{FRAME, Voice};

    fn voice(voice: &Voice, ms: usize) -> Vec<i16> {
        (0..ms / 20).flat_map(|n| voice.frame((n * FRAME) as u64).unwrap()).collect()
    }

    fn mixed(a: &[i16], b: &[i16], shift: usize) -> Vec<i16> {
        let mut sum = a.to_vec();
        for (index, sample) in b.iter().enumerate() {
            if let Some(place) = sum.get_mut(index + shift) {
                *place = place.saturating_add(*sample);
            }
        }
        sum
    }

    fn by_telephone(samples: &[i16], factor: f64) -> Vec<i16> {
        samples.iter().map(|&sample| decode_alaw(encode_alaw((f64::from(sample) * factor) as i16))).collect()
    }

    /// A stand-in for a spoken prompt: noise with a syllable rhythm of its own.
    fn spoken(seed: u64, ms: usize) -> Vec<i16> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut low = 0.0;
        (0..ms * RATE / 1000)
            .map(|n| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let noise = (state >> 40) as f64 / f64::from(1u32 << 23) - 1.0;
                low += 0.3 * (noise - low);
                let at = n as f64 / RATE as f64;
                let rhythm = (TAU * (2.0 + (seed % 5) as f64 * 0.7) * at).sin() + 0.7 * (TAU * 1.3 * at + seed as f64).sin();
                (20000.0 * low * rhythm.max(0.0)) as i16
            })
            .collect()
    }

    #[test]
    fn a_tone_is_found_where_it_is() {
        let samples = mixed(&vec![0; 3 * RATE], &voice(&Voice::Tone(600), 1000), RATE);
        let found = tone(&by_telephone(&samples, 1.0), 600);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].start.abs_diff(RATE) < 240 && found[0].ms().abs_diff(1000) < 50, "{found:?}");
    }

    #[test]
    fn a_tone_is_heard_beside_others_and_when_it_is_softer() {
        let samples = mixed(&voice(&Voice::Tone(440), 1000), &voice(&Voice::Tone(600), 1000), 0);
        let samples = by_telephone(&samples, 0.25);
        for hertz in [440, 600] {
            assert!(tone(&samples, hertz).iter().map(Stretch::ms).sum::<usize>() > 900, "{hertz}");
        }
        assert_eq!(tone(&samples, 520), []);
    }

    #[test]
    fn a_tone_that_is_slowly_turned_down_is_a_tone() {
        let mut samples = voice(&Voice::Tone(600), 4000);
        let length = samples.len() as f64;
        for (index, sample) in samples.iter_mut().enumerate() {
            *sample = (f64::from(*sample) * (1.0 - 0.6 * index as f64 / length)) as i16;
        }
        assert!(tone(&by_telephone(&samples, 1.0), 600).iter().map(Stretch::ms).sum::<usize>() > 3_900);
    }

    #[test]
    fn silence_speech_and_other_tones_are_no_tone() {
        assert_eq!(tone(&by_telephone(&vec![0; RATE], 1.0), 600), []);
        assert_eq!(tone(&voice(&Voice::Tone(650), 2000), 600), []);
        assert_eq!(beep(&voice(&Voice::Tone(1000), 2000)), [], "a long tone of the beep's pitch is no beep");
        assert_eq!(beep(&by_telephone(&spoken(3, 3000), 1.0)), []);
        let speech = voice(&Voice::Speech, 6000);
        for hertz in (300..1000).step_by(50) {
            assert_eq!(tone(&speech, hertz), [], "speech has no tone of {hertz} Hz");
        }
    }

    #[test]
    fn a_lost_packet_does_not_break_a_tone() {
        let mut samples = voice(&Voice::Tone(600), 1000);
        samples[4000..4160].fill(0);
        assert_eq!(tone(&samples, 600).len(), 1);
    }

    #[test]
    fn a_beep_is_told_by_pitch_and_length() {
        let samples = mixed(&vec![0; 2 * RATE], &voice(&Voice::Tone(1000), 400), 5000);
        let found = beep(&by_telephone(&samples, 0.5));
        assert_eq!(found.len(), 1);
        assert!(found[0].start.abs_diff(5000) < 240, "{found:?}");
    }

    #[test]
    fn a_beep_that_the_rest_of_another_follows_is_heard() {
        // As a real phone heard it: 60 ms after its own beep it came into the room, where one was ending.
        for rest in [40, 160, 400] {
            let samples = mixed(&vec![0; 2 * RATE], &voice(&Voice::Tone(1000), 400), 5000);
            let samples = mixed(&samples, &voice(&Voice::Tone(1000), rest), 5000 + 460 * RATE / 1000);
            let found = beep(&by_telephone(&samples, 0.5));
            assert!(!found.is_empty() && found[0].start.abs_diff(5000) < 240, "{rest} ms: {found:?}");
        }
        for long in [600, 860] {
            assert_eq!(beep(&by_telephone(&voice(&Voice::Tone(1000), long), 0.5)), [], "a longer tone is no beep");
        }
    }

    #[test]
    fn a_prompt_is_recognised_through_the_codec_softer_and_jittered() {
        let wanted = spoken(1, 2500);
        let mut samples = mixed(&vec![0; 8 * RATE], &wanted, 2 * RATE + 333);
        samples = by_telephone(&samples, 0.5);
        // One packet comes twice and another not at all.
        let twice = samples[20000..20160].to_vec();
        samples.splice(20000..20000, twice);
        samples.drain(28000..28160);
        let found = prompt(&samples, &wanted);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0.start.abs_diff(2 * RATE + 333) < 320, "{found:?}");
        assert!(found[0].1 > 0.7, "{found:?}");
    }

    #[test]
    fn a_prompt_that_halts_for_a_moment_is_still_the_prompt() {
        let wanted = spoken(1, 3000);
        let mut samples = mixed(&vec![0; 8 * RATE], &wanted, RATE);
        samples.splice(18000..18000, [0; 840]);
        assert_eq!(prompt(&by_telephone(&samples, 1.0), &wanted).len(), 1);
    }

    #[test]
    fn a_voice_is_recognised_wherever_it_begins() {
        let wanted = voice(&Voice::Speech, 3000);
        for place in (4000..4080).step_by(5) {
            let samples = mixed(&vec![0; 5 * RATE], &wanted, place);
            let found = prompt(&samples, &wanted);
            assert_eq!(found.len(), 1, "at sample {place}: {found:?}");
            assert!(found[0].1 > 0.95, "at sample {place}: {found:?}");
        }
    }

    #[test]
    fn another_prompt_a_tone_and_silence_are_not_the_prompt() {
        let wanted = spoken(1, 2500);
        for other in [spoken(2, 6000), voice(&Voice::Tone(440), 6000), vec![0; 6 * RATE], voice(&Voice::Speech, 6000)] {
            assert_eq!(prompt(&by_telephone(&other, 1.0), &wanted), []);
        }
    }

    #[test]
    fn half_a_prompt_is_not_the_prompt() {
        let wanted = spoken(1, 3000);
        let samples = mixed(&vec![0; 6 * RATE], &wanted[..wanted.len() / 2], RATE);
        assert_eq!(prompt(&samples, &wanted), []);
    }
}
