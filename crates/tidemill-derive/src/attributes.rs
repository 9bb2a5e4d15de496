//! The `#[record(...)]` attributes, and what all derives check.

use std::collections::HashSet;

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Field, Fields, LitStr, Path, Result, Variant};

/// The attributes of a struct or enum.
pub(crate) struct TypeAttributes {
    /// Where `tidemill_serialization` is found.
    pub(crate) root: Path,
    /// Where `arrow` is written, when it is.
    pub(crate) arrow: Option<Span>,
    /// Where `native` is written, when it is.
    pub(crate) native: Option<Span>,
    /// The names that it had before.
    pub(crate) aliases: Vec<LitStr>,
}

/// The attributes of a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    /// The name of its column.
    pub(crate) rename: Option<LitStr>,
    /// The names that it had before.
    pub(crate) aliases: Vec<LitStr>,
    /// What it is where it is missing.
    pub(crate) default: Option<FieldDefault>,
    /// The serializer of its own.
    with: Option<Path>,
    /// Where `generic` is written, when it is.
    generic: Option<Span>,
}

/// What a field is where it is missing.
pub(crate) enum FieldDefault {
    /// That of its type.
    OfType(Span),
    /// A value of its type.
    Value(Expr),
}

impl TypeAttributes {
    /// Reads the attributes, and those of fields and variants as far as they can be wrong.
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut root = None;
        let mut attributes =
            Self { root: syn::parse_quote!(tidemill), arrow: None, native: None, aliases: Vec::new() };
        for attribute in record_attributes(&input.attrs) {
            attribute.parse_nested_meta(|meta| {
                let span = meta.path.span();
                let twice = match meta.path.get_ident().map(Ident::to_string).as_deref() {
                    Some("arrow") => attributes.arrow.is_some(),
                    Some("native") => attributes.native.is_some(),
                    Some("crate") => root.is_some(),
                    // A type may have had several names.
                    _ => false,
                };
                if twice {
                    return Err(meta.error("the type has one of these already: write it once"));
                }
                if meta.path.is_ident("arrow") {
                    attributes.arrow = Some(span);
                } else if meta.path.is_ident("native") {
                    attributes.native = Some(span);
                } else if meta.path.is_ident("alias") {
                    attributes.aliases.push(meta.value()?.parse()?);
                } else if meta.path.is_ident("crate") {
                    root = Some(meta.value()?.parse::<LitStr>()?.parse()?);
                } else {
                    return Err(meta
                        .error("expected `arrow`, `native`, `alias = \"old name\"` or `crate = \"path\"`"));
                }
                Ok(())
            })?;
        }
        attributes.root = root.unwrap_or_else(default_root);
        attributes.check(input)?;
        Ok(attributes)
    }

    fn check(&self, input: &DeriveInput) -> Result<()> {
        if let Some(lifetime) = input.generics.lifetimes().next() {
            let text =
                "a record owns its data: use `String` or `Vec` instead of what borrows with this lifetime";
            return Err(Error::new_spanned(lifetime, text));
        }
        if let Some(alias) = self.aliases.iter().find(|alias| input.ident == alias.value()) {
            return Err(Error::new_spanned(
                alias,
                "this is the name itself: an alias is a name that it had before",
            ));
        }
        match &input.data {
            Data::Struct(data) => self.check_fields(&data.fields),
            Data::Enum(data) => {
                if data.variants.len() > 1 << 16 {
                    return Err(Error::new_spanned(&input.ident, "a record has at most 65,536 variants"));
                }
                let mut names = Vec::new();
                for variant in &data.variants {
                    names.push((plain(&variant.ident), variant_aliases(variant)?));
                    self.check_fields(&variant.fields)?;
                }
                check_aliases(&names)
            }
            Data::Union(data) => {
                let text =
                    "a union cannot be a record, for nobody knows which of its fields is valid: use an enum";
                Err(Error::new_spanned(data.union_token, text))
            }
        }
    }

    fn check_fields(&self, fields: &Fields) -> Result<()> {
        let mut names = Vec::new();
        for (i, field) in fields.iter().enumerate() {
            let attributes = FieldAttributes::of(field)?;
            if let Some(name) = attributes.rename.filter(|_| self.arrow.is_none()) {
                let text =
                    "`rename` names a column and has no effect without `#[record(arrow)]` on the struct";
                return Err(Error::new_spanned(name, text));
            }
            let position = |alias: &&LitStr| alias.value().parse::<usize>().is_ok();
            if let Some(alias) = attributes.aliases.iter().find(position).filter(|_| field.ident.is_none()) {
                let text =
                    "fields without names are known by their positions, which cannot change: name the fields";
                return Err(Error::new_spanned(alias, text));
            }
            names.push((field_name(i, field), attributes.aliases));
        }
        check_aliases(&names)
    }
}

/// An alias that is the name of another one would never be looked at, or leave open which of the two is meant.
fn check_aliases(names: &[(String, Vec<LitStr>)]) -> Result<()> {
    let mut seen: HashSet<String> = names.iter().map(|(name, _)| name.clone()).collect();
    for alias in names.iter().flat_map(|(_, aliases)| aliases) {
        if !seen.insert(alias.value()) {
            return Err(Error::new_spanned(
                alias,
                "this name is taken: an alias is a name that only this one had",
            ));
        }
    }
    Ok(())
}

impl FieldAttributes {
    pub(crate) fn of(field: &Field) -> Result<Self> {
        let mut attributes = Self::default();
        for attribute in record_attributes(&field.attrs) {
            attribute.parse_nested_meta(|meta| {
                let twice = match meta.path.get_ident().map(Ident::to_string).as_deref() {
                    Some("rename") => attributes.rename.is_some(),
                    Some("default") => attributes.default.is_some(),
                    Some("with") => attributes.with.is_some(),
                    Some("generic") => attributes.generic.is_some(),
                    // A field may have had several names.
                    _ => false,
                };
                if twice {
                    return Err(meta.error("the field has one of these already: write it once"));
                }
                if meta.path.is_ident("rename") {
                    attributes.rename = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("alias") {
                    attributes.aliases.push(meta.value()?.parse()?);
                } else if meta.path.is_ident("default") {
                    attributes.default = Some(match meta.input.peek(syn::Token![=]) {
                        true => FieldDefault::Value(meta.value()?.parse()?),
                        false => FieldDefault::OfType(meta.path.span()),
                    });
                } else if meta.path.is_ident("generic") {
                    attributes.generic = Some(meta.path.span());
                } else if meta.path.is_ident("with") {
                    attributes.with = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error(
                        "expected `alias = \"old name\"`, `default`, `default = value`, `with = Serializer`, `generic` or `rename = \"column\"`",
                    ));
                }
                Ok(())
            })?;
        }
        if let (Some(_), Some(span)) = (&attributes.with, attributes.generic) {
            return Err(Error::new(
                span,
                "the field has another serializer: write `generic` or `with`, not both",
            ));
        }
        Ok(attributes)
    }

    /// The serializer of its own, if any.
    pub(crate) fn serializer(&self, root: &Path) -> Option<Path> {
        match self.generic {
            Some(span) => Some(syn::parse2(quote::quote_spanned!(span=> #root::GenericSerializer)).ok()?),
            None => self.with.clone(),
        }
    }
}

/// The names that a variant had before.
pub(crate) fn variant_aliases(variant: &Variant) -> Result<Vec<LitStr>> {
    let mut aliases = Vec::new();
    for attribute in record_attributes(&variant.attrs) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("alias") {
                return Err(meta.error("expected `alias = \"old name\"`"));
            }
            aliases.push(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(aliases)
}

/// What a field is called in a schema: by its position where it has no name.
pub(crate) fn field_name(position: usize, field: &Field) -> String {
    field.ident.as_ref().map_or_else(|| position.to_string(), plain)
}

/// A name without the `r#` of raw identifiers.
pub(crate) fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

/// Where the serialization crate is found when nothing is said: under its own name, or where `tidemill` re-exports it,
/// whichever the deriving package depends on.
pub(crate) fn default_root() -> Path {
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

fn record_attributes(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("record"))
}
