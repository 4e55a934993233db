//! `section!`: a map with fixed keys, declared once.
//!
//! The declaration has the keys, their types, defaults and descriptions. From it come the struct, the reader that refuses
//! every other key, and the JSON Schema with its texts; so they can't disagree.

use serde_json::Value;

use super::walk::{Read, Walk};
use super::yaml::Entry;

/// One key of a section, for schema, hints and docs.
pub struct KeyInfo {
    pub name: &'static str,
    pub doc: String,
    pub required: bool,
    pub default: Option<Value>,
    /// As `Read::example`.
    pub example: &'static str,
    pub schema: Value,
}

/// A map with fixed keys.
pub trait Section: Read {
    /// Reads the known keys; what is left out gets its default.
    fn fill(entries: &[Entry], walk: &mut Walk<'_>) -> Self;
    fn keys() -> Vec<KeyInfo>;
}

/// Declares a section. Kinds of keys: `required`, `optional` (both `Given<T>`), `default` (`At<T>`), `section` (`T`).
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident {
            $($(#[doc = $doc:literal])* $kind:ident $field:ident : $type:ty $(= $default:expr)?;)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: section!(@type $kind $type),)*
        }

        impl $crate::input::walk::Read for $name {
            fn read(node: &$crate::input::yaml::Node, walk: &mut $crate::input::walk::Walk<'_>) -> Option<Self> {
                let entries = walk.section(node, &[$(stringify!($field)),*])?;
                Some(<Self as $crate::input::section::Section>::fill(entries, walk))
            }

            fn schema() -> serde_json::Value {
                $crate::input::schema::section::<Self>(concat!($($about, "\n"),*))
            }

            fn example() -> &'static str {
                "{…}"
            }
        }

        impl $crate::input::section::Section for $name {
            fn fill(entries: &[$crate::input::yaml::Entry], walk: &mut $crate::input::walk::Walk<'_>) -> Self {
                Self { $($field: section!(@read $kind walk, entries, stringify!($field) $(, $default, $type)?),)* }
            }

            fn keys() -> Vec<$crate::input::section::KeyInfo> {
                vec![$($crate::input::section::KeyInfo {
                    name: stringify!($field),
                    doc: $crate::input::schema::paragraph(concat!($($doc, "\n"),*)),
                    required: section!(@required $kind),
                    default: section!(@default $($default, $type)?),
                    example: <$type as $crate::input::walk::Read>::example(),
                    schema: <$type as $crate::input::walk::Read>::schema(),
                }),*]
            }
        }
    };
    (@type required $type:ty) => { $crate::input::walk::Given<$type> };
    (@type optional $type:ty) => { $crate::input::walk::Given<$type> };
    (@type default $type:ty) => { $crate::input::walk::At<$type> };
    (@type section $type:ty) => { $type };
    (@read required $walk:ident, $entries:ident, $name:expr) => { $walk.required($entries, $name) };
    (@read optional $walk:ident, $entries:ident, $name:expr) => { $walk.optional($entries, $name) };
    (@read default $walk:ident, $entries:ident, $name:expr, $default:expr, $type:ty) => {
        $walk.defaulted::<$type>($entries, $name, $default)
    };
    (@read section $walk:ident, $entries:ident, $name:expr) => { $walk.subsection($entries, $name) };
    (@required required) => { true };
    (@required $kind:ident) => { false };
    (@default) => { None };
    (@default $default:expr, $type:ty) => { serde_json::to_value::<$type>($default).ok() };
}

pub(super) use section;
