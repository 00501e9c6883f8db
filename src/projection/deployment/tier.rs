//! Which tier an environment is of, by its name. The rule is GitLab's ("Deployment tier of environments"), which most shops'
//! names fit; with `model` and `uat` where its documentation has them.

/// What an environment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// What users use.
    Production,
    /// The last step before.
    Staging,
    /// For tests.
    Testing,
    /// For those who write it.
    Development,
    /// Anything else.
    Other,
}

impl Tier {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
            Self::Testing => "testing",
            Self::Development => "development",
            Self::Other => "other",
        }
    }
}

/// The tier of an environment: the first rule that one of its words meets. A word is what stands between characters that
/// are neither letters nor digits.
#[must_use]
pub fn tier(environment: &str) -> Tier {
    const RULES: &[(Tier, &[&str])] = &[
        (Tier::Development, &["dev", "develop", "development", "review", "trunk"]),
        (
            Tier::Testing,
            &[
                "test",
                "tests",
                "testing",
                "tst",
                "int",
                "integration",
                "qa",
                "qc",
                "quality",
                "acceptance",
                "acpt",
                "control",
            ],
        ),
        (
            Tier::Staging,
            &["stage", "staging", "stg", "mod", "model", "pre", "preprod", "demo", "uat", "nonprod", "non"],
        ),
        (Tier::Production, &["production", "prod", "prd", "live"]),
    ];
    let lower = environment.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let meets = |(_, names): &&(Tier, &[&str])| words.iter().any(|word| names.contains(word));
    RULES.iter().find(meets).map_or(Tier::Other, |(tier, _)| *tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_environment_tells_its_tier() {
        for (name, expected) in [
            ("production", Tier::Production),
            ("prod-eu", Tier::Production),
            ("eu.live", Tier::Production),
            ("pre-prod", Tier::Staging),
            ("staging", Tier::Staging),
            ("qa", Tier::Testing),
            ("develop", Tier::Development),
            ("products", Tier::Other),
        ] {
            assert_eq!(tier(name), expected, "{name}");
        }
    }
}
