//! Without std nobody asks for the C library, whose start-up code calls `main`.

fn main() {
    println!("cargo::rustc-link-arg-bins=-lc");
}
