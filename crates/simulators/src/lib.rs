//! The source and the target as first-class programs that share no type with the proxy.
