//! Lets the package build without the console's built files: the service then serves a page that says how to build it.

fn main() {
    let dist = std::path::Path::new("web/dist");
    if !dist.exists()
        && let Err(fault) = std::fs::create_dir_all(dist)
    {
        // A read-only checkout without the console cannot be built; with it there is nothing to create.
        println!("cargo::error=cannot create web/dist: {fault}");
    }
    // The files that are embedded have other names after every change.
    println!("cargo::rerun-if-changed=web/dist");
}
