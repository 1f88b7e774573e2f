//! Flags whose value is one of a few words.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Accepts the words of `T`. Another one is refused with all of them.
pub(super) fn one_of<T>() -> impl TypedValueParser<Value = T>
where
    T: strum::VariantArray + FromStr<Err = strum::ParseError> + Into<&'static str>,
    T: Copy + Send + Sync + 'static,
{
    let words = T::VARIANTS.iter().map(|word| -> &'static str { (*word).into() });
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}
