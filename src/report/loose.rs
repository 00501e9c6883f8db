//! Parts of JSON that may be of another type than they should be: such a part is none, and the document is read on.
//! Also [`Trail`], which says where the part was that could not be read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Reason, Rejection, value};

/// The methods of a visitor for what is passed over.
macro_rules! junk {
    ($de:lifetime: $($what:ident),*) => { $( junk!(@ $de $what); )* };
    (@ $de:lifetime null) => {
        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
    (@ $de:lifetime scalar) => {
        fn visit_bool<E: serde::de::Error>(self, _value: bool) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_i64<E: serde::de::Error>(self, _value: i64) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_u64<E: serde::de::Error>(self, _value: u64) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_f64<E: serde::de::Error>(self, _value: f64) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
    (@ $de:lifetime text) => {
        fn visit_str<E: serde::de::Error>(self, _value: &str) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
    (@ $de:lifetime list) => {
        fn visit_seq<A: serde::de::SeqAccess<$de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (@ $de:lifetime object) => {
        fn visit_map<A: serde::de::MapAccess<$de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            while object.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}
pub(super) use junk;

/// A text, or a number as it is written in decimal; anything else is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Option<Cow<'a, str>>);

impl Text<'_> {
    /// The text, unless it is empty.
    pub(super) fn get(&self) -> Option<&str> {
        self.0.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    /// At most so many bytes of it.
    pub(super) fn cut(&self, bytes_max: usize) -> Option<String> {
        self.get().map(|text| value::cut(text, bytes_max))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_bool<E: Error>(self, _value: bool) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
            junk!('de: null, list, object);
        }
        deserializer.deserialize_any(Any)
    }
}

/// An object; anything else is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(object)).map(|object| Object(Some(object)))
            }
            junk!('de: null, scalar, text, list);
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// An object and nothing else. What serde derives takes a list for an object, too, member by member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strict<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Strict<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Only<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
            type Value = Strict<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Strict<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(object)).map(Strict)
            }
        }
        deserializer.deserialize_map(Only(PhantomData))
    }
}

/// Reads one object from a text.
///
/// # Errors
/// As [`Rejection::json`].
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Rejection> {
    serde_json::from_str(json).map(|Strict(object)| object).map_err(|error| Rejection::json(&error))
}

/// A text in one version of a form and an object in another; anything else is neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextOr<'a, T> {
    /// A text.
    Text(Text<'a>),
    /// An object.
    Object(T),
}

impl<T> Default for TextOr<'_, T> {
    fn default() -> Self {
        Self::Text(Text::default())
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for TextOr<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = TextOr<'de, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an object")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(TextOr::Text(Text(Some(Cow::Borrowed(text)))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(TextOr::Text(Text(Some(Cow::Owned(text.to_owned())))))
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(object)).map(TextOr::Object)
            }
            junk!('de: null, scalar, list);
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// Most entries of a small list that are looked at, where nobody says otherwise: real ones have a dozen.
const ENTRIES_MAX: usize = 1000;

/// A list, of which at most the first so many entries are kept; anything else is an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T, const MAX: usize = ENTRIES_MAX>(pub(super) Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Any<T, MAX> {
            type Value = List<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T, MAX>, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX {
                    match list.next_element()? {
                        Some(entry) => kept.push(entry),
                        None => return Ok(List(kept)),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(List(kept))
            }
            junk!('de: null, scalar, text, object);
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// Where in a document a reader was when it failed. Costs nothing as long as it does not.
#[derive(Debug, Default)]
pub(super) struct Trail(String);

impl Trail {
    /// Passes a result on, and notes the step down to it if it is an error. The innermost step is noted first.
    pub(super) fn step<T, E>(&mut self, step: &str, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            let dot = if self.0.is_empty() || self.0.starts_with('[') { "" } else { "." };
            self.0 = format!("{step}{dot}{}", self.0);
        }
        result
    }

    /// The same for an entry of a list.
    pub(super) fn entry<T, E>(&mut self, index: u64, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() { self.step(&format!("[{index}]"), result) } else { result }
    }

    /// The rejection, about the field that the trail leads to. One of a document that is cut off or no JSON has line and
    /// column instead.
    pub(super) fn end(self, rejection: Rejection) -> Rejection {
        let of_field = matches!(rejection.reason, Reason::BadField | Reason::MissingField | Reason::BadNumber);
        if of_field && !self.0.is_empty() { rejection.at(self.0) } else { rejection }
    }
}
