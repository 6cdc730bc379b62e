//! Which access number fits a person's network.

use crate::billing::WayOfEntry;
use crate::numbers::Numbering;

/// The access number that a person with this telephone calls: the short one from the operator's own network, the national one from
/// within the country, the international one from elsewhere; of what there is, the next best.
///
/// Who serves a ported number cannot be told from its digits: where prefixes do not tell, the national number is right on every network.
#[must_use]
pub fn access_number_for<'a>(numbers: &[(WayOfEntry, &'a str)], phone: &str, numbering: &Numbering, on_net_prefixes: &[String]) -> Option<&'a str> {
    let of = |way: WayOfEntry| numbers.iter().find(|(found, _)| *found == way).map(|(_, number)| *number);
    let is_short = !phone.starts_with('+');
    let on_net = is_short || on_net_prefixes.iter().any(|prefix| phone.starts_with(prefix.as_str()));
    let (short, national, international) = (of(WayOfEntry::OnnetShort), of(WayOfEntry::National), of(WayOfEntry::International));
    if on_net {
        short.or(national).or(international)
    } else if numbering.is_national(phone) {
        national.or(international)
    } else {
        international.or(national)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_fits_the_network() {
        let all = [(WayOfEntry::OnnetShort, "19819"), (WayOfEntry::National, "013099396"), (WayOfEntry::International, "+38613099396")];
        let (plan, on_net) = (Numbering::default(), ["+386599".to_owned()]);
        let chosen = |numbers: &[(WayOfEntry, &'static str)], phone| access_number_for(numbers, phone, &plan, &on_net);
        assert_eq!(chosen(&all, "+38659900001"), Some("19819"));
        assert_eq!(chosen(&all, "1234"), Some("19819"));
        assert_eq!(chosen(&all, "+38640123456"), Some("013099396"));
        assert_eq!(chosen(&all, "+4366412345678"), Some("+38613099396"));
        assert_eq!(chosen(&all[2..], "+38659900001"), Some("+38613099396"));
        assert_eq!(chosen(&all[..1], "+4366412345678"), None, "a short number cannot be called from abroad");
        assert_eq!(chosen(&[], "+38640123456"), None);
    }
}
