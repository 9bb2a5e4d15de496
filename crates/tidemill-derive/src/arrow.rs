//! `#[record(arrow)]`: `ArrowRecord`.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, LitStr, Path, Result, parse_quote};

use crate::attributes::{FieldAttributes, FieldDefault, field_name, plain};
use crate::record::bounded;

pub(crate) fn derive(root: &Path, input: &DeriveInput, span: Span) -> Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            _ => {
                return Err(Error::new(span, "columns need names: `arrow` is for structs with named fields"));
            }
        },
        _ => return Err(Error::new(span, "an enum is no row: `arrow` is for structs with named fields")),
    };
    let name = &input.ident;
    let record = plain(name);
    let mut definitions = Vec::new();
    let mut binders = Vec::new();
    let mut getters = Vec::new();
    let mut builders = Vec::new();
    let mut columns = HashSet::new();
    for field in fields {
        let column = column(field)?;
        if !columns.insert(column.value()) {
            let text = format!("two fields have the column `{}`", column.value());
            return Err(Error::new(column.span(), text));
        }
    }
    for (i, field) in fields.iter().enumerate() {
        let Some(ident) = &field.ident else { continue };
        let ty = &field.ty;
        let attributes = FieldAttributes::of(field)?;
        let column = column(field)?;
        // A column with the name of another field's is that field's, whatever this one was called once.
        let aliases = attributes.aliases.iter().filter(|alias| !columns.contains(&alias.value()));
        let names = quote!(&[#column #(, #aliases)*]);
        let what = format!("{record}.{}", plain(ident));
        let bound = format_ident!("__column{i}");
        let arrow = quote_spanned!(ty.span()=> <#ty as #root::ArrowField>);
        definitions.push(quote!(#root::__private::column_definition::<#ty>(#column)));
        let default = match &attributes.default {
            Some(FieldDefault::Value(value)) => Some(quote!(#value)),
            Some(FieldDefault::OfType(span)) => {
                Some(quote_spanned!(*span=> <#ty as ::core::default::Default>::default()))
            }
            // Not the one that the type happens to have: it is nobody's wish that a column may be missing.
            None => None,
        };
        let find = match default {
            Some(_) => quote!(find_column),
            None => quote!(bind_column),
        };
        binders.push(quote! {
            let #bound = #root::__private::#find::<#ty>(__batch, #names, #what, &__rows)?;
        });
        getters.push(match default {
            Some(default) => quote!(#ident: match &#bound {
                ::core::option::Option::Some(__column) => #arrow::get(__column, __row),
                ::core::option::Option::None => {
                    let __default: #ty = #default;
                    __default
                }
            }),
            None => quote!(#ident: #arrow::get(&#bound, __row)),
        });
        builders.push(quote! {
            #arrow::build(__records.iter().map(|__record| &__record.#ident))
                .ok_or(#root::SerializationError::ColumnTooLong { field: #what })?
        });
    }

    let build = quote!(#root::__private::schema(::std::vec![#(#definitions),*]));
    let schema = if input.generics.params.is_empty() {
        quote! {
            static __SCHEMA: ::std::sync::LazyLock<#root::__private::SchemaRef> =
                ::std::sync::LazyLock::new(|| #build);
            ::std::clone::Clone::clone(&*__SCHEMA)
        }
    } else {
        // A static in a generic function would be shared by all its instances.
        build
    };
    let generics = bounded(&input.generics, &parse_quote!(#root::ArrowField));
    let (impl_generics, types, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #root::ArrowRecord for #name #types #where_clause {
            fn schema() -> #root::__private::SchemaRef {
                #schema
            }

            fn from_arrow(
                __batch: &#root::__private::RecordBatch,
                __rows: ::core::ops::Range<usize>,
            ) -> ::core::result::Result<::std::vec::Vec<Self>, #root::SerializationError> {
                #root::__private::check_rows(__batch, &__rows)?;
                #(#binders)*
                ::core::result::Result::Ok(__rows.map(|__row| Self { #(#getters),* }).collect())
            }

            fn to_arrow(
                __records: &[Self],
            ) -> ::core::result::Result<#root::__private::RecordBatch, #root::SerializationError> {
                let __columns = ::std::vec![#(#builders),*];
                #root::__private::record_batch(
                    <Self as #root::ArrowRecord>::schema(), __columns, __records.len())
            }
        }
    })
}

/// The name of a field's column.
fn column(field: &Field) -> Result<LitStr> {
    let own = || LitStr::new(&field_name(0, field), field.span());
    Ok(FieldAttributes::of(field)?.rename.unwrap_or_else(own))
}
