//! The announcements that the switch must have: those of `dialplan/prompts`, in each language.

const LISTS: [(&str, &str); 2] = [("sl", include_str!("../../../dialplan/prompts/sl.txt")), ("en", include_str!("../../../dialplan/prompts/en.txt"))];

/// `language/name` of every announcement; the beep has no words and is in every language.
pub fn all() -> Vec<String> {
    let mut names = Vec::new();
    for (language, list) in LISTS {
        let spoken = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
        names.extend(spoken.chain(["beep"]).map(|name| format!("{language}/{name}")));
    }
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_languages_have_the_same_announcements() {
        let all = super::all();
        let of = |language: &str| all.iter().filter_map(|name| name.strip_prefix(language)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of("sl/"), of("en/"));
        assert!(all.contains(&"sl/greeting".to_owned()) && all.contains(&"en/beep".to_owned()), "{all:?}");
    }
}
