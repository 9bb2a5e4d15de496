//! `#[derive(AvroRecord)]`: `AvroType` for structs and enums.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DataEnum, DataStruct, DeriveInput, Error, Expr, Field, Fields, Lit, LitStr, Meta, Path,
    Result, Type, Variant,
};

use crate::attributes::{default_root, plain};
use crate::record::{bounded, pattern};

/// The `#[avro(...)]` attributes of a struct, enum, variant or field.
#[derive(Default)]
struct Attributes {
    root: Option<Path>,
    name: Option<LitStr>,
    namespace: Option<LitStr>,
    aliases: Vec<LitStr>,
    /// Where `default` is written, and the value where one is given.
    default: Option<(proc_macro2::Span, Option<Expr>)>,
    doc: Option<String>,
}

impl Attributes {
    /// Reads those that are `allowed` where they stand.
    fn of(attributes: &[Attribute], allowed: &[&str]) -> Result<Self> {
        let mut read = Self { doc: doc(attributes), ..Self::default() };
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("avro")) {
            attribute.parse_nested_meta(|meta| {
                if !allowed.iter().any(|name| meta.path.is_ident(name)) {
                    return Err(meta.error(format!("expected one of: {}", allowed.join(", "))));
                }
                if meta.path.is_ident("name") {
                    read.name = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("namespace") {
                    read.namespace = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("alias") {
                    read.aliases.push(meta.value()?.parse()?);
                } else if meta.path.is_ident("crate") {
                    read.root = Some(meta.value()?.parse::<LitStr>()?.parse()?);
                } else {
                    let value = match meta.input.peek(syn::Token![=]) {
                        true => Some(meta.value()?.parse()?),
                        false => None,
                    };
                    read.default = Some((meta.path.span(), value));
                }
                Ok(())
            })?;
        }
        Ok(read)
    }

    /// Adds `doc` and `aliases` to the definition in `__definition`.
    fn describe(&self, private: &TokenStream) -> TokenStream {
        let doc = self.doc.as_ref().map(|doc| {
            quote!(__definition.insert(::std::string::String::from("doc"), #private::Json::from(#doc));)
        });
        let aliases = (!self.aliases.is_empty()).then(|| {
            let aliases = &self.aliases;
            quote! {
                __definition.insert(
                    ::std::string::String::from("aliases"),
                    #private::Json::from(::std::vec![#(#aliases),*]),
                );
            }
        });
        quote!(#doc #aliases)
    }
}

/// The documentation comment.
fn doc(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    (!text.is_empty()).then_some(text)
}

struct Bodies {
    schema: TokenStream,
    encode: TokenStream,
    encoded_bytes: TokenStream,
    decode: TokenStream,
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let attributes = Attributes::of(&input.attrs, &["name", "namespace", "alias", "crate"])?;
    if let Some(lifetime) = input.generics.lifetimes().next() {
        return Err(Error::new_spanned(
            lifetime,
            "an Avro record owns its data: use `String` or `Vec` instead",
        ));
    }
    if let Some(parameter) = input.generics.params.iter().next() {
        let text =
            "an Avro record has no type parameters, for its schema would have the same name for each of them";
        return Err(Error::new_spanned(parameter, text));
    }
    let root = attributes.root.clone().unwrap_or_else(default_root);
    let avro = quote!(#root::avro);
    let private = quote!(#avro::__private);
    let bodies = match &input.data {
        Data::Struct(data) => of_struct(&avro, &private, input, &attributes, data)?,
        Data::Enum(data) if data.variants.iter().all(|variant| variant.fields.is_empty()) => {
            of_symbols(&private, input, &attributes, data)?
        }
        Data::Enum(data) => of_union(&avro, &private, input, &attributes, data)?,
        Data::Union(data) => {
            return Err(Error::new_spanned(
                data.union_token,
                "a union cannot be an Avro record: use an enum",
            ));
        }
    };
    let Bodies { schema, encode, encoded_bytes, decode } = bodies;
    let name = &input.ident;
    let generics = bounded(&input.generics, &syn::parse_quote!(#avro::AvroType));
    let (implementation, types, conditions) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #implementation #avro::AvroType for #name #types #conditions {
            fn schema(__names: &mut #avro::Names) -> #private::Json {
                #schema
            }

            fn encode(&self, __out: &mut ::std::vec::Vec<u8>) {
                #encode
            }

            fn encoded_bytes(&self) -> usize {
                #encoded_bytes
            }

            fn decode(
                __decoder: &mut #avro::Decoder<'_>,
                __slot: #avro::Slot,
            ) -> ::core::result::Result<Self, #avro::AvroError> {
                #decode
            }
        }
    })
}

/// The name that a struct or enum has in the schema, without its namespace.
fn own_name(input: &DeriveInput, attributes: &Attributes) -> Result<String> {
    match &attributes.name {
        None => Ok(plain(&input.ident)),
        Some(name) => {
            check_name(name)?;
            Ok(name.value())
        }
    }
}

/// The namespace as an `Option`.
fn namespace(attributes: &Attributes) -> TokenStream {
    match &attributes.namespace {
        Some(namespace) => quote!(::core::option::Option::Some(#namespace)),
        None => quote!(::core::option::Option::None),
    }
}

fn check_name(name: &LitStr) -> Result<()> {
    let value = name.value();
    let valid = value
        .chars()
        .enumerate()
        .all(|(i, c)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit()));
    match valid && !value.is_empty() {
        true => Ok(()),
        false => Err(Error::new_spanned(
            name,
            "a name has letters, digits and underscores, and begins with no digit",
        )),
    }
}

fn field_type(field: &Field) -> &Type {
    &field.ty
}

/// The code that makes the definition of a record called `__full`.
fn definition(
    avro: &TokenStream,
    private: &TokenStream,
    attributes: &Attributes,
    fields: &Fields,
) -> Result<TokenStream> {
    let mut made = Vec::new();
    let mut names = std::collections::HashSet::new();
    for (i, field) in fields.iter().enumerate() {
        let own = Attributes::of(&field.attrs, &["name", "alias", "default"])?;
        let name = match (&own.name, &field.ident) {
            (Some(name), _) => {
                check_name(name)?;
                name.value()
            }
            (None, Some(ident)) => plain(ident),
            (None, None) => format!("field{i}"),
        };
        if !names.insert(name.clone()) {
            return Err(Error::new_spanned(field, format!("there is a field {name} already")));
        }
        let ty = field_type(field);
        let default = match &own.default {
            Some((_, Some(value))) => Some(quote_spanned! {value.span()=> {
                let __default: #ty = #value;
                #private::default_json::<#ty>(&__default, __names)
            }}),
            Some((span, None)) => Some(quote_spanned! {*span=>
                #private::default_json::<#ty>(&<#ty as ::core::default::Default>::default(), __names)
            }),
            None if is_option(ty) => Some(quote!(#private::Json::Null)),
            None => None,
        };
        let default = default.map(|default| {
            quote! {
                let __default = #default;
                __definition.insert(::std::string::String::from("default"), __default);
            }
        });
        let describe = own.describe(private);
        made.push(quote_spanned! {ty.span()=> {
            let mut __definition = #private::Map::new();
            __definition.insert(::std::string::String::from("name"), #private::Json::from(#name));
            let __type = <#ty as #avro::AvroType>::schema(__names);
            __definition.insert(::std::string::String::from("type"), __type);
            #default
            #describe
            __fields.push(#private::Json::Object(__definition));
        }});
    }
    let describe = attributes.describe(private);
    Ok(quote! {{
        let mut __fields: ::std::vec::Vec<#private::Json> = ::std::vec::Vec::new();
        #(#made)*
        let mut __definition = #private::Map::new();
        __definition.insert(::std::string::String::from("type"), #private::Json::from("record"));
        __definition.insert(::std::string::String::from("name"), #private::Json::from(__full));
        #describe
        __definition.insert(::std::string::String::from("fields"), #private::Json::Array(__fields));
        #private::Json::Object(__definition)
    }})
}

/// Whether a type is written as `Option<...>`.
fn is_option(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Option"),
        Type::Group(group) => is_option(&group.elem),
        Type::Paren(paren) => is_option(&paren.elem),
        _ => false,
    }
}

fn encode_fields(avro: &TokenStream, fields: &Fields) -> TokenStream {
    let (_, bound) = pattern(fields);
    let each = fields.iter().zip(&bound).map(|(field, bound)| {
        let ty = field_type(field);
        quote_spanned!(ty.span()=> <#ty as #avro::AvroType>::encode(#bound, __out);)
    });
    quote!(#(#each)*)
}

fn sum_fields(avro: &TokenStream, fields: &Fields) -> TokenStream {
    let (_, bound) = pattern(fields);
    let each = fields.iter().zip(&bound).map(|(field, bound)| {
        let ty = field_type(field);
        quote_spanned!(ty.span()=> <#ty as #avro::AvroType>::encoded_bytes(#bound))
    });
    quote!(0usize #(+ #each)*)
}

/// The code that reads the fields of the record in `slot` and makes `path` of them.
fn decode_fields(
    avro: &TokenStream,
    private: &TokenStream,
    path: &TokenStream,
    owner: &str,
    fields: &Fields,
    slot: &TokenStream,
) -> TokenStream {
    let (_, bound) = pattern(fields);
    let types: Vec<&Type> = fields.iter().map(field_type).collect();
    let positions = 0..bound.len();
    let labels = fields.iter().enumerate().map(|(i, field)| match &field.ident {
        Some(ident) => format!("{owner}.{}", plain(ident)),
        None => format!("{owner}.{i}"),
    });
    let members = fields.iter().zip(&bound).zip(labels).map(|((field, bound), label)| {
        let member = field.ident.as_ref().map(|ident| quote!(#ident:));
        quote! {
            #member match #bound {
                ::core::option::Option::Some(__value) => __value,
                ::core::option::Option::None => return ::core::result::Result::Err(#private::missing(#label)),
            }
        }
    });
    let made = match fields {
        Fields::Named(_) => quote!(#path { #(#members),* }),
        Fields::Unnamed(_) => quote!(#path(#(#members),*)),
        Fields::Unit => path.clone(),
    };
    quote! {
        __decoder.record(#slot, |__decoder, mut __fields| {
            #(let mut #bound: ::core::option::Option<#types> = ::core::option::Option::None;)*
            while let ::core::option::Option::Some(__next) = __decoder.next_field(&mut __fields)? {
                match __next.position {
                    #(#positions => {
                        #bound = ::core::option::Option::Some(
                            __decoder.field(__next, <#types as #avro::AvroType>::decode)?,
                        );
                    })*
                    _ => return ::core::result::Result::Err(#private::unknown(#owner)),
                }
            }
            ::core::result::Result::Ok(#made)
        })
    }
}

fn of_struct(
    avro: &TokenStream,
    private: &TokenStream,
    input: &DeriveInput,
    attributes: &Attributes,
    data: &DataStruct,
) -> Result<Bodies> {
    let (name, namespace) = (own_name(input, attributes)?, namespace(attributes));
    let definition = definition(avro, private, attributes, &data.fields)?;
    let (pattern, _) = pattern(&data.fields);
    let (encode, sum) = (encode_fields(avro, &data.fields), sum_fields(avro, &data.fields));
    let decode =
        decode_fields(avro, private, &quote!(Self), &plain(&input.ident), &data.fields, &quote!(__slot));
    Ok(Bodies {
        schema: quote!(__names.named::<Self>(#name, #namespace, |__names, __full| #definition)),
        encode: quote! {
            let Self #pattern = self;
            #encode
        },
        encoded_bytes: quote! {
            let Self #pattern = self;
            #sum
        },
        decode,
    })
}

/// An enum whose variants have no fields.
fn of_symbols(
    private: &TokenStream,
    input: &DeriveInput,
    attributes: &Attributes,
    data: &DataEnum,
) -> Result<Bodies> {
    if data.variants.is_empty() {
        return Err(Error::new_spanned(&input.ident, "an enum without variants has no Avro schema"));
    }
    let (name, namespace) = (own_name(input, attributes)?, namespace(attributes));
    let mut symbols: Vec<String> = Vec::new();
    let mut default = None;
    for variant in &data.variants {
        let own = Attributes::of(&variant.attrs, &["name", "default"])?;
        let symbol = match &own.name {
            Some(name) => {
                check_name(name)?;
                name.value()
            }
            None => plain(&variant.ident),
        };
        if symbols.contains(&symbol) {
            return Err(Error::new_spanned(variant, format!("there is a symbol {symbol} already")));
        }
        match &own.default {
            Some((span, Some(_))) => {
                return Err(Error::new(*span, "write `default` alone: the variant is the default"));
            }
            Some((span, None)) if default.is_some() => {
                return Err(Error::new(*span, "there is a default already"));
            }
            Some((_, None)) => default = Some(symbol.clone()),
            None => {}
        }
        symbols.push(symbol);
    }
    let default = default.map(|symbol| {
        quote!(__definition.insert(::std::string::String::from("default"), #private::Json::from(#symbol));)
    });
    let describe = attributes.describe(private);
    let variants: Vec<TokenStream> = data.variants.iter().map(variant_path).collect();
    let patterns = data.variants.iter().map(|variant| {
        let (path, (pattern, _)) = (variant_path(variant), pattern(&variant.fields));
        quote!(#path #pattern)
    });
    let positions: Vec<i64> = (0..data.variants.len() as i64).collect();
    let numbers = positions.iter().map(|position| *position as u32);
    let values = data.variants.iter().zip(&variants).map(|(variant, path)| match &variant.fields {
        Fields::Named(_) => quote!(#path {}),
        Fields::Unnamed(_) => quote!(#path()),
        Fields::Unit => path.clone(),
    });
    let owner = plain(&input.ident);
    Ok(Bodies {
        schema: quote! {
            __names.named::<Self>(#name, #namespace, |_, __full| {
                let mut __definition = #private::Map::new();
                __definition.insert(::std::string::String::from("type"), #private::Json::from("enum"));
                __definition.insert(::std::string::String::from("name"), #private::Json::from(__full));
                #describe
                __definition.insert(
                    ::std::string::String::from("symbols"),
                    #private::Json::from(::std::vec![#(#symbols),*]),
                );
                #default
                #private::Json::Object(__definition)
            })
        },
        encode: quote! {
            let __symbol: i64 = match self { #(#patterns => #positions),* };
            #private::put_long(__symbol, __out);
        },
        encoded_bytes: {
            let patterns = data.variants.iter().map(|variant| {
                let (path, (pattern, _)) = (variant_path(variant), pattern(&variant.fields));
                quote!(#path #pattern)
            });
            quote! {
                let __symbol: i64 = match self { #(#patterns => #positions),* };
                #private::long_bytes(__symbol)
            }
        },
        decode: quote! {
            match __decoder.symbol(__slot)? {
                #(#numbers => ::core::result::Result::Ok(#values),)*
                _ => ::core::result::Result::Err(#private::unknown(#owner)),
            }
        },
    })
}

fn variant_path(variant: &Variant) -> TokenStream {
    let ident = &variant.ident;
    quote!(Self::#ident)
}

/// An enum with fields.
fn of_union(
    avro: &TokenStream,
    private: &TokenStream,
    input: &DeriveInput,
    attributes: &Attributes,
    data: &DataEnum,
) -> Result<Bodies> {
    if let Some(name) = attributes.name.as_ref().or(attributes.aliases.first()) {
        return Err(Error::new_spanned(name, "a union has no name: only its branches have"));
    }
    let (mut schemas, mut encode, mut sums, mut decode) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (i, variant) in data.variants.iter().enumerate() {
        let own = Attributes::of(&variant.attrs, &["name", "alias"])?;
        let path = variant_path(variant);
        let (pattern, _) = pattern(&variant.fields);
        let (branch, number) = (i as i64, i as u32);
        let fields = encode_fields(avro, &variant.fields);
        encode.push(quote!(#path #pattern => { #private::put_long(#branch, __out); #fields }));
        let sum = sum_fields(avro, &variant.fields);
        sums.push(quote!(#path #pattern => #private::long_bytes(#branch) + #sum));
        match &variant.fields {
            // The type itself.
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let ty = &fields.unnamed[0].ty;
                if let Some(name) = own.name.as_ref().or(own.aliases.first()) {
                    return Err(Error::new_spanned(
                        name,
                        "the branch is that of the type in it, which has a name of its own",
                    ));
                }
                schemas.push(quote_spanned!(ty.span()=> <#ty as #avro::AvroType>::schema(__names)));
                decode.push(quote_spanned! {ty.span()=>
                    #number => <#ty as #avro::AvroType>::decode(__decoder, __slot).map(#path)
                });
            }
            fields => {
                let name = match &own.name {
                    Some(name) => {
                        check_name(name)?;
                        name.value()
                    }
                    None => plain(&variant.ident),
                };
                let namespace = namespace(attributes);
                let definition = definition(avro, private, &own, fields)?;
                // A type of its own for each variant, so that two of the same name are told apart.
                schemas.push(quote! {
                    __names.named::<([(); #i], Self)>(#name, #namespace, |__names, __full| #definition)
                });
                let owner = format!("{}::{}", plain(&input.ident), plain(&variant.ident));
                let read = decode_fields(avro, private, &path, &owner, fields, &quote!(__slot));
                decode.push(quote!(#number => #read));
            }
        }
    }
    let owner = plain(&input.ident);
    Ok(Bodies {
        schema: quote!(#private::Json::Array(::std::vec![#(#schemas),*])),
        encode: quote!(match self { #(#encode)* }),
        encoded_bytes: quote!(match self { #(#sums),* }),
        decode: quote! {
            __decoder.union(__slot, |__decoder, __branch, __slot| match __branch {
                #(#decode,)*
                _ => ::core::result::Result::Err(#private::unknown(#owner)),
            })
        },
    })
}
