//! Has the crate compiled again when files of the web page, which it embeds, come or go.

fn main() {
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
