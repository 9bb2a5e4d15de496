//! The `#[record(...)]` attributes, and what all derives check.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span};
use syn::{Attribute, Data, DeriveInput, Error, Field, LitStr, Path, Result};

/// The attributes of a struct or enum.
pub(crate) struct TypeAttributes {
    /// Where `tidemill_serialization` is found.
    pub(crate) root: Path,
    /// Where `arrow` is written, when it is.
    pub(crate) arrow: Option<Span>,
}

impl TypeAttributes {
    /// Reads the attributes, and those of fields and variants as far as they can be wrong.
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut root = None;
        let mut arrow = None;
        for attribute in record_attributes(&input.attrs) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("arrow") {
                    arrow = Some(meta.path.segments[0].ident.span());
                    Ok(())
                } else if meta.path.is_ident("crate") {
                    root = Some(meta.value()?.parse::<LitStr>()?.parse()?);
                    Ok(())
                } else {
                    Err(meta.error("expected `arrow` or `crate = \"path\"`"))
                }
            })?;
        }
        let root = root.unwrap_or_else(default_root);
        let attributes = Self { root, arrow };
        attributes.check(input)?;
        Ok(attributes)
    }

    fn check(&self, input: &DeriveInput) -> Result<()> {
        if let Some(lifetime) = input.generics.lifetimes().next() {
            let text =
                "a record owns its data: use `String` or `Vec` instead of what borrows with this lifetime";
            return Err(Error::new_spanned(lifetime, text));
        }
        match &input.data {
            Data::Struct(data) => data.fields.iter().try_for_each(|field| self.check_field(field)),
            Data::Enum(data) => {
                if data.variants.len() > 1 << 16 {
                    return Err(Error::new_spanned(&input.ident, "a record has at most 65,536 variants"));
                }
                for variant in &data.variants {
                    if let Some(attribute) = record_attributes(&variant.attrs).next() {
                        return Err(Error::new_spanned(attribute, "a variant has no `record` attributes"));
                    }
                    variant.fields.iter().try_for_each(|field| self.check_field(field))?;
                }
                Ok(())
            }
            Data::Union(data) => {
                let text =
                    "a union cannot be a record, for nobody knows which of its fields is valid: use an enum";
                Err(Error::new_spanned(data.union_token, text))
            }
        }
    }

    fn check_field(&self, field: &Field) -> Result<()> {
        match rename(field)? {
            Some(name) if self.arrow.is_none() => {
                let text =
                    "`rename` names a column and has no effect without `#[record(arrow)]` on the struct";
                Err(Error::new_spanned(name, text))
            }
            _ => Ok(()),
        }
    }
}

/// Where the serialization crate is found when nothing is said: under its own name, or where `tidemill` re-exports it,
/// whichever the deriving package depends on.
fn default_root() -> Path {
    let found = |name: &str| match crate_name(name) {
        Ok(FoundCrate::Name(name)) => Some(Ident::new(&name, Span::call_site())),
        // Examples, tests and benchmarks of a package see it by its name, too.
        Ok(FoundCrate::Itself) => Some(Ident::new(&name.replace('-', "_"), Span::call_site())),
        Err(_) => None,
    };
    if let Some(name) = found("tidemill-serialization") {
        return syn::parse_quote!(::#name);
    }
    match found("tidemill") {
        Some(name) => syn::parse_quote!(::#name::serialization),
        None => syn::parse_quote!(::tidemill_serialization),
    }
}

/// The name of a field's column, when it is given.
pub(crate) fn rename(field: &Field) -> Result<Option<LitStr>> {
    let mut name: Option<LitStr> = None;
    for attribute in record_attributes(&field.attrs) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                return Err(meta.error("expected `rename = \"column\"`"));
            }
            name = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(name)
}

fn record_attributes(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("record"))
}
