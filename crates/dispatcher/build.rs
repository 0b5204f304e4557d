//! Registers the target's schema, which the mutation is checked against.

/// Registers it as the default schema of this crate.
fn main() {
    cynic_codegen::register_schema("target")
        .from_sdl_file("schema/target.graphql")
        .expect("invariant: the schema file is in the crate and is SDL")
        .as_default()
        .expect("invariant: there is one default schema");
}
