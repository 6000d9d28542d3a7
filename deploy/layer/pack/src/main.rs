//! `pack-layer BINARY ZIP`

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [binary, layer] = arguments.as_slice() else { return Err("usage: pack-layer BINARY ZIP".into()) };
    let (binary, path) = (fs::read(binary)?, Path::new(layer));
    let layer = pack_layer::pack(&binary)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, &layer)?;
    println!("{}: {} bytes, unpacked {}", path.display(), layer.len(), binary.len());
    Ok(())
}
