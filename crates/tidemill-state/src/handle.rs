//! What all handles have in common.

/// Handles are numbers with types: copied freely, sent anywhere, whatever the types are.
macro_rules! handle {
    ($name:ident<$($t:ident),*>) => {
        impl<$($t),*> Clone for $name<$($t),*> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($t),*> Copy for $name<$($t),*> {}

        impl<$($t),*> Default for $name<$($t),*> {
            /// A handle to nothing, for a function to hold until it is opened; using it is an error.
            fn default() -> Self {
                Self { index: u32::MAX, types: PhantomData }
            }
        }

        impl<$($t),*> fmt::Debug for $name<$($t),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.index)
            }
        }
    };
}
