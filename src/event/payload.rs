//! How payloads are declared, so that each has canonical bytes by construction.

/// Declares structs that stand in a leaf.
///
/// Serialising a struct's fields in their declared order gives canonical JSON only if they are declared in
/// ascending order; the macro checks that while compiling. Optional fields are `Option` and left out when
/// empty. Every struct can show its private values (see [`Field`](super::private::Field)).
macro_rules! payload {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident { $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)? }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "crate::event::private::Field::absent")]
                pub $field: $type,
            )*
        }

        const _: () = assert!(
            crate::event::payload::ascending(&[$(stringify!($field)),*]),
            concat!("the fields of ", stringify!($name), " are not in ascending order"),
        );

        impl crate::event::private::Field for $name {
            fn visit(&mut self, visitor: &mut dyn crate::event::private::Visitor) -> Result<(), crate::event::Error> {
                $( crate::event::private::Field::visit(&mut self.$field, visitor).map_err(|error| error.within(stringify!($field)))?; )*
                let _ = visitor;
                Ok(())
            }
        }
    )* };
}
pub(super) use payload;

/// Declares enumerations whose variants are single words in `snake_case`.
macro_rules! words {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),* $(,)? }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $text)] $variant, )*
        }

        impl $name {
            /// Every word, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word as it stands in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::event::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    crate::event::Error::field(stringify!($name), format!("{text:?} is none of {}", known.join(", ")))
                })
            }
        }

        impl crate::event::private::Field for $name {}
    )* };
}
pub(super) use words;

/// Whether the names ascend strictly in byte order.
#[must_use]
pub(super) const fn ascending(names: &[&str]) -> bool {
    let mut n = 1;
    while n < names.len() {
        // Slices cannot be compared or iterated in a const fn; the index is bounded by the loop.
        #[expect(clippy::indexing_slicing, reason = "const evaluation: out of bounds would not compile")]
        if !less(names[n - 1].as_bytes(), names[n].as_bytes()) {
            return false;
        }
        n += 1;
    }
    true
}

#[expect(clippy::indexing_slicing, reason = "const evaluation: out of bounds would not compile")]
const fn less(a: &[u8], b: &[u8]) -> bool {
    let mut n = 0;
    while n < a.len() && n < b.len() {
        if a[n] != b[n] {
            return a[n] < b[n];
        }
        n += 1;
    }
    a.len() < b.len()
}
