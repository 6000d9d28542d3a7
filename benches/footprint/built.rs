//! The binaries, as they are shipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

/// A binary, and what a layer of it weighs.
pub struct Built {
    pub binary: PathBuf,
    pub zip_bytes: u64,
}

impl Built {
    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.binary).expect("it was built").len()
    }
}

/// Ours, the empty one and the least; or why they cannot be built.
pub fn all() -> Result<[Built; 3], String> {
    Ok([build("logspool")?, build("empty-extension")?, build("reference-extension")?])
}

fn build(package: &str) -> Result<Built, String> {
    let layer = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/layer");
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    eprintln!("building {package} as it is shipped…");
    // Its progress is for whoever waits; its last line on stdout is the path.
    let compiled = Command::new(layer.join("compile")).args([architecture, package]).stderr(Stdio::inherit()).output();
    let compiled = compiled.map_err(|error| format!("deploy/layer/compile cannot be run: {error}"))?;
    if !compiled.status.success() {
        return Err(format!("deploy/layer/compile {architecture} {package}: {}", compiled.status));
    }
    let binary = PathBuf::from(String::from_utf8_lossy(&compiled.stdout).trim());
    let zip_bytes = zip_bytes(&binary, architecture).map_err(|error| format!("{package} cannot be packed: {error}"))?;
    Ok(Built { binary, zip_bytes })
}

/// Bytes of the layer: of the one that `deploy/layer/build` has made of this binary, else of one that is packed now.
fn zip_bytes(binary: &Path, architecture: &str) -> io::Result<u64> {
    // target/layers/build/TARGET/dist/logspool
    let layers = binary.ancestors().nth(4).ok_or(io::ErrorKind::NotFound)?;
    let name = binary.file_name().unwrap_or_default().display();
    let layer = layers.join(format!("{name}-{architecture}.zip"));
    if let Ok(made) = fs::metadata(layer)
        && made.modified()? >= fs::metadata(binary)?.modified()?
    {
        return Ok(made.len());
    }
    eprintln!("packing it, half a minute or so…");
    let layer = pack_layer::pack(&fs::read(binary)?).map_err(io::Error::other)?;
    Ok(layer.len() as u64)
}
