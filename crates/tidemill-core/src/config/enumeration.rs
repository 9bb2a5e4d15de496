//! Options whose values are a fixed set of words.

/// Declares an enum that is the type of an option: its words are read in any case, as Flink does.
macro_rules! config_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $variant,)+
        }

        impl $name {
            /// All values, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that configuration files use.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::config::OptionType for $name {
            fn type_name() -> std::borrow::Cow<'static, str> {
                let words: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                format!("Enum {{{}}}", words.join(", ")).into()
            }

            fn parse(text: &str) -> Result<Self, $crate::config::BadValue> {
                let text = text.trim();
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str().eq_ignore_ascii_case(text))
                    .ok_or_else(|| {
                        let words: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                        $crate::config::BadValue::new(format!("expected one of {}", words.join(", ")))
                    })
            }

            fn to_text(&self) -> String {
                self.as_str().to_owned()
            }
        }
    };
}
pub(super) use config_enum;
