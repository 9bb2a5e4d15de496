//! `#[derive(RoutingHash)]`.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Path, Result, parse_quote};

use crate::attributes::TypeAttributes;
use crate::record::{bounded, pattern};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let attributes = TypeAttributes::of(input)?;
    let root = &attributes.root;
    let name = &input.ident;
    // A derive is not shown the others: what only `Record` looks at is left to the compiler.
    let without_effect = attributes.arrow.or(attributes.native).filter(|_| input.generics.params.is_empty());
    let check = without_effect.map(|span| {
        quote_spanned! {span=>
            const _: fn() = || {
                fn only_has_an_effect_on_a_record<T: #root::Data>() {}
                only_has_an_effect_on_a_record::<#name>();
            };
        }
    });
    let body = match &input.data {
        Data::Struct(data) => {
            let (pattern, bound) = pattern(&data.fields);
            let hash = match hashes(root, &data.fields, &bound).split_first() {
                Some((first, rest)) => chain(root, first, rest),
                // As `()`.
                None => quote!(#root::__private::int(0)),
            };
            quote! {
                let Self #pattern = self;
                #hash
            }
        }
        Data::Enum(data) if data.variants.is_empty() => quote!(match *self {}),
        Data::Enum(data) => {
            let arms = data.variants.iter().enumerate().map(|(position, variant)| {
                let position = position as i64;
                let ident = &variant.ident;
                let (pattern, bound) = pattern(&variant.fields);
                let first = quote!(#root::__private::int(#position));
                let hash = chain(root, &first, &hashes(root, &variant.fields, &bound));
                quote!(Self::#ident #pattern => #hash)
            });
            quote!(match self { #(#arms),* })
        }
        // Refused with the attributes.
        Data::Union(_) => return Ok(TokenStream::new()),
    };
    let generics = bounded(&input.generics, &parse_quote!(#root::__private::RoutingHash));
    let (impl_generics, types, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #root::__private::RoutingHash for #name #types #where_clause {
            #[inline]
            fn routing_hash(&self) -> u64 {
                #body
            }
        }

        #check
    })
}

fn hashes(root: &Path, fields: &Fields, bound: &[Ident]) -> Vec<TokenStream> {
    let hash = |(field, bound): (&syn::Field, &Ident)| {
        let ty = &field.ty;
        quote_spanned!(ty.span()=> <#ty as #root::__private::RoutingHash>::routing_hash(#bound))
    };
    fields.iter().zip(bound).map(hash).collect()
}

fn chain(root: &Path, first: &TokenStream, rest: &[TokenStream]) -> TokenStream {
    rest.iter().fold(first.clone(), |so_far, next| quote!(#root::__private::combine(#so_far, #next)))
}
