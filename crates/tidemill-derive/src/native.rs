//! `#[record(native)]`: `Native`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, parse_quote};

use crate::attributes::TypeAttributes;
use crate::record::{bounded, own_serializer};

/// The implementation, and beside it a check of every field that is not a bound of the implementation: types that contain
/// themselves would be asked for their own answer there.
pub(crate) fn derive(attributes: &TypeAttributes, input: &DeriveInput) -> TokenStream {
    if attributes.native.is_none() {
        return TokenStream::new();
    }
    let (root, name) = (&attributes.root, &input.ident);
    let fields: Vec<_> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    let checks = fields.into_iter().map(|field| match own_serializer(root, field) {
        Some(with) => quote_spanned!(with.span()=> native::<#with>();),
        None => {
            let ty = &field.ty;
            quote_spanned!(ty.span()=> native::<#ty>();)
        }
    });
    let generics = bounded(&input.generics, &parse_quote!(#root::Native));
    let (of_impl, types, of_where) = generics.split_for_impl();
    // What the fields need to be well-formed: a `Custom<T, S>` with a parameter needs a serializer of that parameter.
    quote! {
        #[automatically_derived]
        impl #of_impl #root::Native for #name #types #of_where {}

        const _: () = {
            #[allow(dead_code, clippy::extra_unused_type_parameters)]
            fn check #of_impl () #of_where {
                fn native<T: ?::core::marker::Sized + #root::Native>() {}
                #(#checks)*
            }
        };
    }
}
