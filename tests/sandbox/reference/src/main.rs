//! The reference extension as a program of its own, built as ours is: what `cargo bench --bench footprint` measures ours beside.

fn main() {
    reference_extension::run(reference_extension::ReferenceExtension::Loops)
}
