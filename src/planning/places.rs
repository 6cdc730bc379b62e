//! Whether a conference finds room beside others at the same time.

/// The most people for whom there is room in one conference: a conference is on one switch as a whole.
///
/// `switches` are the most members of each, `others` the sizes of the conferences at the same time.
/// The big ones are placed first, each where most room is left, as at their start; one that finds no room takes none.
#[must_use]
pub fn free_places(switches: &[u32], others: &[u32]) -> u32 {
    let mut room = switches.to_vec();
    let mut sizes = others.to_vec();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    for size in sizes {
        if let Some(most) = room.iter_mut().max()
            && *most >= size
        {
            *most -= size;
        }
    }
    room.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conference_needs_room_on_one_switch() {
        assert_eq!(free_places(&[400], &[]), 400);
        assert_eq!(free_places(&[400], &[100, 250]), 50);
        assert_eq!(free_places(&[400, 400], &[300, 300]), 100);
        assert_eq!(free_places(&[400, 100], &[300, 90]), 100);
        assert_eq!(free_places(&[100], &[90, 90]), 10, "what finds no room takes none");
        assert_eq!(free_places(&[], &[1]), 0);
    }
}
