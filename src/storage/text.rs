//! What PostgreSQL's `text` and `jsonb` cannot keep is refused before it is sent.

use serde_json::Value;

use super::{StorageError, StorageResult};

/// A field's value that may be absent.
pub(super) trait Text {
    fn holds_nul(&self) -> bool;
}

impl Text for String {
    fn holds_nul(&self) -> bool {
        self.contains('\0')
    }
}

impl Text for str {
    fn holds_nul(&self) -> bool {
        self.contains('\0')
    }
}

impl Text for Option<String> {
    fn holds_nul(&self) -> bool {
        self.as_deref().is_some_and(Text::holds_nul)
    }
}

impl Text for Value {
    fn holds_nul(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
            Self::String(text) => text.holds_nul(),
            Self::Array(items) => items.iter().any(Text::holds_nul),
            Self::Object(fields) => fields.iter().any(|(name, value)| name.holds_nul() || value.holds_nul()),
        }
    }
}

/// Refuses the first field that holds a NUL character.
pub(super) fn refuse_nul(fields: &[(&'static str, &dyn Text)]) -> StorageResult<()> {
    match fields.iter().find(|(_, text)| text.holds_nul()) {
        Some((field, _)) => Err(StorageError::Unstorable { field }),
        None => Ok(()),
    }
}

/// A pattern for `LIKE` that finds `words` anywhere, with its own wildcards taken as they are.
pub(super) fn pattern(words: &str) -> String {
    let mut pattern = String::with_capacity(words.len() + 2);
    pattern.push('%');
    for character in words.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_found_at_any_depth() {
        let clean = serde_json::json!({"a": ["b", {"c": "d"}], "e": 1, "f": null});
        assert!(!clean.holds_nul());
        for bad in [serde_json::json!({"a": ["b", {"c": "d\0"}]}), serde_json::json!({"a\0": 1}), serde_json::json!("\0")] {
            assert!(bad.holds_nul(), "{bad}");
        }
        let (name, note) = ("Ana".to_owned(), Some("a\0b".to_owned()));
        assert!(refuse_nul(&[("name", &name), ("note", &None)]).is_ok());
        assert!(matches!(refuse_nul(&[("name", &name), ("note", &note)]), Err(StorageError::Unstorable { field: "note" })));
    }

    #[test]
    fn wildcards_are_taken_as_they_are() {
        assert_eq!(pattern(r"50%_\x"), r"%50\%\_\\x%");
    }
}
