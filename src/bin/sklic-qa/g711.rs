//! G.711 as the phones speak it: A-law both ways, µ-law for listening only.

/// The A-law octet of silence.
pub const SILENCE: u8 = 0xD5;

/// One linear 16 bit sample as an A-law octet (ITU-T G.711, even bits inverted).
pub fn encode_alaw(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 { (0x80, i32::from(sample)) } else { (0x00, -(i32::from(sample)) - 1) };
    let magnitude = magnitude.min(0x7FFF) >> 4;
    let octet = if magnitude < 32 {
        magnitude
    } else {
        let segment = (magnitude as u32).ilog2() - 3;
        ((segment as i32) << 4) | ((magnitude >> (segment - 1)) & 0x0F)
    };
    ((octet as u8) | sign) ^ 0x55
}

/// One A-law octet as a linear 16 bit sample.
pub fn decode_alaw(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let segment = (octet >> 4) & 7;
    let mantissa = i16::from(octet & 0x0F);
    let magnitude = if segment == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 0x108) << (segment - 1) };
    if octet & 0x80 != 0 { magnitude } else { -magnitude }
}

/// One µ-law octet as a linear 16 bit sample.
pub fn decode_ulaw(octet: u8) -> i16 {
    let octet = !octet;
    let magnitude = (((i32::from(octet & 0x0F) << 3) + 0x84) << ((octet >> 4) & 7)) - 0x84;
    (if octet & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_a_round_trip() {
        for octet in 0..=255u8 {
            assert_eq!(encode_alaw(decode_alaw(octet)), octet, "octet {octet:#04x}");
        }
    }

    #[test]
    fn a_sample_comes_back_within_the_steps_of_its_segment() {
        for sample in (i16::MIN..=i16::MAX).step_by(37) {
            let back = i32::from(decode_alaw(encode_alaw(sample)));
            let error = (back - i32::from(sample)).abs();
            assert!(error <= 16.max(i32::from(sample).abs() / 16), "{sample} came back as {back}");
        }
    }

    #[test]
    fn silence_is_almost_nothing_in_both_laws() {
        assert_eq!(decode_alaw(SILENCE), 8);
        assert_eq!(decode_ulaw(0xFF), 0);
        assert!(decode_ulaw(0x80) > 30000 && decode_ulaw(0x00) < -30000);
    }
}
