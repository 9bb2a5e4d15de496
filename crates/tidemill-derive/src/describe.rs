//! `#[derive(Record)]`: the schema of a record, and whether the generic fallback writes any of it.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Fields, GenericArgument, LitStr, Path, PathArguments, Result, ReturnType, Type,
};

use crate::attributes::{FieldAttributes, FieldDefault, TypeAttributes, field_name, plain, variant_aliases};
use crate::record::own_serializer;

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
                    aliases: #aliases,
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
            aliases: #aliases,
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
            aliases: #aliases,
            ty: #of_type,
            default: #default,
            column: #private::Unstored(#column),
        }));
    }
    Ok(quote!(::std::vec![#(#described),*]))
}

/// Whether the generic fallback writes any of the fields.
///
/// Where a field's type names the record itself, a `()` is put there: a constant cannot be asked for its own value.
pub(crate) fn generic(root: &Path, input: &DeriveInput) -> TokenStream {
    let fields: Vec<_> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    let each = fields.into_iter().map(|field| {
        let mut ty = field.ty.clone();
        without(&mut ty, &input.ident);
        match own_serializer(root, field) {
            Some(with) => quote!(<#with as #root::CustomSerializer<#ty>>::GENERIC),
            None => quote!(<#ty as #root::Data>::GENERIC),
        }
    });
    quote!(false #(|| #each)*)
}

/// Puts `()` wherever a type names `own`.
fn without(ty: &mut Type, own: &Ident) {
    match ty {
        Type::Path(path) => {
            let is_own =
                path.path.segments.last().is_some_and(|last| last.ident == *own || last.ident == "Self");
            if is_own {
                *ty = syn::parse_quote!(());
                return;
            }
            for segment in &mut path.path.segments {
                match &mut segment.arguments {
                    PathArguments::AngleBracketed(arguments) => {
                        for argument in &mut arguments.args {
                            if let GenericArgument::Type(ty) = argument {
                                without(ty, own);
                            }
                        }
                    }
                    PathArguments::Parenthesized(arguments) => {
                        arguments.inputs.iter_mut().for_each(|ty| without(ty, own));
                        if let ReturnType::Type(_, ty) = &mut arguments.output {
                            without(ty, own);
                        }
                    }
                    PathArguments::None => {}
                }
            }
        }
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(|ty| without(ty, own)),
        Type::Array(array) => without(&mut array.elem, own),
        Type::Group(group) => without(&mut group.elem, own),
        Type::Paren(paren) => without(&mut paren.elem, own),
        _ => {}
    }
}

/// The checks of `#[record(native)]`: beside the impl for a type without parameters, and within `describe` for each
/// instance of one with.
pub(crate) fn native(attributes: &TypeAttributes, input: &DeriveInput) -> (TokenStream, TokenStream) {
    let Some(span) = attributes.native else { return Default::default() };
    let (root, name) = (&attributes.root, &input.ident);
    let text = format!("`{}` is native, but the generic fallback writes a part of it", plain(name));
    if input.generics.params.is_empty() {
        let check = quote_spanned! {span=>
            const _: () = ::core::assert!(!<#name as #root::Data>::GENERIC, #text);
        };
        return (check, TokenStream::new());
    }
    let check = quote_spanned! {span=> const { ::core::assert!(!<Self as #root::Data>::GENERIC, #text) }; };
    (TokenStream::new(), check)
}
