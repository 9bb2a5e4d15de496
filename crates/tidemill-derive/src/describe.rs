//! `#[derive(Record)]`: the schema of a record.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, LitStr, Path, Result};

use crate::attributes::{FieldAttributes, FieldDefault, TypeAttributes, field_name, plain, variant_aliases};

/// The body of `describe`.
pub(crate) fn definition(attributes: &TypeAttributes, input: &DeriveInput) -> Result<TokenStream> {
    let root = &attributes.root;
    let private = quote!(#root::__private);
    let body = match &input.data {
        Data::Struct(data) => {
            let fields = fields(root, &data.fields)?;
            quote!(#private::Body::Struct(#fields))
        }
        Data::Enum(data) => {
            let mut variants = Vec::new();
            for variant in &data.variants {
                let name = plain(&variant.ident);
                let aliases = strings(&variant_aliases(variant)?);
                let fields = fields(root, &variant.fields)?;
                variants.push(quote!(#private::Variant {
                    name: ::std::string::String::from(#name),
                    aliases: #private::Unstored(#aliases),
                    fields: #fields,
                }));
            }
            quote!(#private::Body::Enum(::std::vec![#(#variants),*]))
        }
        // Refused with the attributes.
        Data::Union(_) => return Ok(TokenStream::new()),
    };
    let name = plain(&input.ident);
    let aliases = strings(&attributes.aliases);
    Ok(quote! {
        #[allow(unused_imports, clippy::needless_borrow)]
        use #private::{NoDefault as _, WithDefault as _};
        __schema.named::<Self>(|__schema| #private::Definition {
            name: ::std::string::String::from(#name),
            aliases: #private::Unstored(#aliases),
            body: #body,
        })
    })
}

fn strings(literals: &[LitStr]) -> TokenStream {
    quote!(::std::vec![#(::std::string::String::from(#literals)),*])
}

fn fields(root: &Path, fields: &Fields) -> Result<TokenStream> {
    let private = quote!(#root::__private);
    let mut described = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        let attributes = FieldAttributes::of(field)?;
        let (name, ty) = (field_name(i, field), &field.ty);
        let aliases = strings(&attributes.aliases);
        let own = attributes.serializer(root);
        let (of_type, encode) = match &own {
            Some(with) => (
                quote!(#private::custom::describe::<#ty, #with>()),
                quote!(#private::encoded_with::<#ty, #with>),
            ),
            None => (
                quote_spanned!(ty.span()=> <#ty as #root::Data>::describe(__schema)),
                quote!(#private::encoded::<#ty>),
            ),
        };
        let default = match &attributes.default {
            Some(FieldDefault::Value(value)) => quote_spanned! {value.span()=>
                ::core::option::Option::Some(#encode(&{
                    let __default: #ty = #value;
                    __default
                }))
            },
            Some(FieldDefault::OfType(span)) => quote_spanned! {*span=>
                ::core::option::Option::Some(#encode(&<#ty as ::core::default::Default>::default()))
            },
            // Values of another crate may have a default that is no value at all, such as an empty address.
            None if own.is_some() => quote!(::core::option::Option::None),
            None => quote!((&&#private::Probe::<#ty>::NEW).default_bytes()),
        };
        let column = match &attributes.rename {
            Some(name) => quote!(::core::option::Option::Some(::std::string::String::from(#name))),
            None => quote!(::core::option::Option::None),
        };
        described.push(quote!(#private::Field {
            name: ::std::string::String::from(#name),
            aliases: #private::Unstored(#aliases),
            ty: #of_type,
            default: #private::Unstored(#default),
            column: #private::Unstored(#column),
        }));
    }
    Ok(quote!(::std::vec![#(#described),*]))
}
