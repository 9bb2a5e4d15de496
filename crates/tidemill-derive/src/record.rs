//! `#[derive(Record)]`: `Element` and `Data`.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DataEnum, DeriveInput, Field, Fields, Generics, Path, Result, parse_quote};

use crate::arrow;
use crate::attributes::{FieldAttributes, TypeAttributes, plain};
use crate::{describe, native};

/// What differs between the derived code of structs and enums.
struct Bodies {
    fixed_bytes: TokenStream,
    logical_bytes: TokenStream,
    encode: TokenStream,
    decode: TokenStream,
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let attributes = TypeAttributes::of(input)?;
    let root = &attributes.root;
    let name = &input.ident;
    let Bodies { fixed_bytes, logical_bytes, encode, decode } = match &input.data {
        Data::Struct(data) => of_struct(root, name, &data.fields),
        Data::Enum(data) => of_enum(root, name, data),
        // Refused with the attributes.
        Data::Union(_) => return Ok(TokenStream::new()),
    };

    let (_, types, _) = input.generics.split_for_impl();
    let element = bounded_by_fields(root, input, &parse_quote!(#root::__private::Element));
    let (element_impl, _, element_where) = element.split_for_impl();
    let data = bounded_by_fields(root, input, &parse_quote!(#root::Data));
    let (data_impl, _, data_where) = data.split_for_impl();
    let arrow = match attributes.arrow {
        Some(span) => arrow::derive(root, input, span)?,
        None => TokenStream::new(),
    };
    let describe = describe::definition(&attributes, input)?;
    let native = native::derive(&attributes, input);
    Ok(quote! {
        #[automatically_derived]
        // A serializer need not be as public as what it is used for.
        #[allow(private_bounds)]
        impl #element_impl #root::__private::Element for #name #types #element_where {
            const FIXED_BYTES: ::core::option::Option<usize> = #fixed_bytes;

            #[inline]
            fn logical_bytes(&self) -> usize {
                match <Self as #root::__private::Element>::FIXED_BYTES {
                    ::core::option::Option::Some(__bytes) => __bytes,
                    ::core::option::Option::None => #logical_bytes,
                }
            }
        }

        #[automatically_derived]
        #[allow(private_bounds)]
        impl #data_impl #root::Data for #name #types #data_where {
            fn describe(__schema: &mut #root::SchemaBuilder) -> #root::__private::Type {
                #describe
            }

            #[inline]
            fn encode(&self, __out: &mut ::std::vec::Vec<u8>) {
                #encode
            }

            #[inline]
            fn decode(
                __input: &mut #root::Input<'_>,
            ) -> ::core::result::Result<Self, #root::DecodeError> {
                #decode
            }
        }

        #arrow

        #native
    })
}

/// The generics, with `bound` on every type parameter.
pub(crate) fn bounded(generics: &Generics, bound: &Path) -> Generics {
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#bound));
    }
    generics
}

/// The generics, with `bound` on the type parameters of fields that are written as what they are. Where a field has a
/// serializer of its own, that is what has to know its type.
fn bounded_by_fields(root: &Path, input: &DeriveInput, bound: &Path) -> Generics {
    let (mut written, mut handed_on) = (HashSet::new(), Vec::new());
    for field in fields(&input.data) {
        let named = names(field.ty.to_token_stream());
        match own_serializer(root, field) {
            None => written.extend(named),
            Some(with) if input.generics.type_params().any(|parameter| named.contains(&parameter.ident)) => {
                handed_on.push((with, &field.ty));
            }
            Some(_) => {}
        }
    }
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        if written.contains(&parameter.ident) {
            parameter.bounds.push(parse_quote!(#bound));
        } else {
            // What every element is.
            parameter.bounds.push(parse_quote!(::core::clone::Clone));
            parameter.bounds.push(parse_quote!(::core::marker::Send));
            parameter.bounds.push(parse_quote!(::core::marker::Sync));
            parameter.bounds.push(parse_quote!('static));
        }
    }
    let clause = generics.make_where_clause();
    for (with, ty) in handed_on {
        clause.predicates.push(parse_quote!(#with: #root::CustomSerializer<#ty>));
    }
    generics
}

/// The fields, of all variants.
fn fields(data: &Data) -> Vec<&Field> {
    match data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    }
}

/// All names in it.
fn names(tokens: TokenStream) -> HashSet<Ident> {
    let each = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(name) => HashSet::from([name]),
        TokenTree::Group(group) => names(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => HashSet::new(),
    });
    each.collect()
}

/// A pattern that binds every field, and the names it binds them to.
pub(crate) fn pattern(fields: &Fields) -> (TokenStream, Vec<Ident>) {
    let bound: Vec<Ident> = (0..fields.len()).map(|i| format_ident!("__field{i}")).collect();
    let pattern = match fields {
        Fields::Named(named) => {
            let names = named.named.iter().map(|field| &field.ident);
            quote!({ #(#names: #bound),* })
        }
        Fields::Unnamed(_) => quote!((#(#bound),*)),
        Fields::Unit => TokenStream::new(),
    };
    (pattern, bound)
}

/// The serializer that a field has of its own, if any. Wrong attributes were refused before.
pub(crate) fn own_serializer(root: &Path, field: &Field) -> Option<Path> {
    FieldAttributes::of(field).ok().and_then(|attributes| attributes.serializer(root))
}

fn fixed_sum(root: &Path, fields: &Fields) -> TokenStream {
    let sizes = fields.iter().map(|field| {
        if own_serializer(root, field).is_some() {
            return quote!(::core::option::Option::None);
        }
        let ty = &field.ty;
        // With the span of the type, so that the error of one that is no record points there.
        quote_spanned!(ty.span()=> <#ty as #root::__private::Element>::FIXED_BYTES)
    });
    quote!(#root::__private::fixed_sum(&[#(#sizes),*]))
}

fn logical_sum(root: &Path, fields: &Fields, bound: &[Ident]) -> TokenStream {
    let sizes = fields.iter().zip(bound).map(|(field, bound)| {
        let ty = &field.ty;
        match own_serializer(root, field) {
            Some(with) => quote!(#root::__private::custom::logical_bytes::<#ty, #with>(#bound)),
            None => quote_spanned!(ty.span()=> <#ty as #root::__private::Element>::logical_bytes(#bound)),
        }
    });
    quote!(0usize #(+ #sizes)*)
}

fn encode_fields(root: &Path, fields: &Fields, bound: &[Ident]) -> TokenStream {
    fields
        .iter()
        .zip(bound)
        .map(|(field, bound)| {
            let ty = &field.ty;
            match own_serializer(root, field) {
                Some(with) => quote!(#root::__private::custom::encode::<#ty, #with>(#bound, __out);),
                None => quote_spanned!(ty.span()=> <#ty as #root::Data>::encode(#bound, __out);),
            }
        })
        .collect()
}

/// The expression that reads the fields of `path`; `owner` is what errors call it.
fn decode_fields(root: &Path, path: &TokenStream, owner: &str, fields: &Fields) -> TokenStream {
    let values = fields.iter().enumerate().map(|(i, field)| {
        let ty = &field.ty;
        let (member, what) = match &field.ident {
            Some(name) => (quote!(#name:), format!("{owner}.{}", plain(name))),
            None => (TokenStream::new(), format!("{owner}.{i}")),
        };
        let value = match own_serializer(root, field) {
            Some(with) => quote!(#root::__private::custom::decode::<#ty, #with>(__input)),
            None => quote_spanned!(ty.span()=> <#ty as #root::Data>::decode(__input)),
        };
        let value = quote!(#value.map_err(|__error| __error.in_field(#what))?);
        quote!(#member #value)
    });
    match fields {
        Fields::Named(_) => quote!(#path { #(#values),* }),
        Fields::Unnamed(_) => quote!(#path(#(#values),*)),
        Fields::Unit => quote!(#path),
    }
}

fn of_struct(root: &Path, name: &Ident, fields: &Fields) -> Bodies {
    let (pattern, bound) = pattern(fields);
    let logical = logical_sum(root, fields, &bound);
    let encode = encode_fields(root, fields, &bound);
    let decode = decode_fields(root, &quote!(Self), &plain(name), fields);
    Bodies {
        fixed_bytes: fixed_sum(root, fields),
        logical_bytes: quote!({
            let Self #pattern = self;
            #logical
        }),
        encode: quote! {
            let Self #pattern = self;
            #encode
        },
        decode: quote!(::core::result::Result::Ok(#decode)),
    }
}

fn of_enum(root: &Path, name: &Ident, data: &DataEnum) -> Bodies {
    let owner = plain(name);
    let mut sizes = Vec::new();
    let mut logical = Vec::new();
    let mut encode = Vec::new();
    let mut decode = Vec::new();
    // More than 65,536 variants are refused with the attributes.
    for (discriminant, variant) in (0u16..=u16::MAX).zip(&data.variants) {
        let ident = &variant.ident;
        let (pattern, bound) = pattern(&variant.fields);
        sizes.push(fixed_sum(root, &variant.fields));
        let sum = logical_sum(root, &variant.fields, &bound);
        logical.push(quote!(Self::#ident #pattern => 2usize + #sum));
        let fields = encode_fields(root, &variant.fields, &bound);
        encode.push(quote! {
            Self::#ident #pattern => {
                <u16 as #root::Data>::encode(&#discriminant, __out);
                #fields
            }
        });
        let path = quote!(Self::#ident);
        let value = decode_fields(root, &path, &format!("{owner}::{}", plain(ident)), &variant.fields);
        decode.push(quote!(#discriminant => ::core::result::Result::Ok(#value)));
    }
    let variants = data.variants.len();
    Bodies {
        fixed_bytes: quote! {
            #root::__private::fixed_sum(&[
                ::core::option::Option::Some(2),
                #root::__private::fixed_same(&[#(#sizes),*]),
            ])
        },
        // `*self`, so that an enum without variants is matched too.
        logical_bytes: match variants {
            0 => quote!(match *self {}),
            _ => quote!(match self { #(#logical),* }),
        },
        encode: match variants {
            0 => quote!(match *self {}),
            _ => quote!(match self { #(#encode)* }),
        },
        decode: quote! {
            match u16::from_le_bytes(__input.array(#owner)?) {
                #(#decode,)*
                __other => ::core::result::Result::Err(#root::DecodeError::invalid(
                    #owner,
                    ::std::format!("it has {} variants, number {} is none of them", #variants, __other),
                )),
            }
        },
    }
}
