//! The two binaries, as they are shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// Ours and the empty one; or why they cannot be built.
pub fn both() -> Result<(Built, Built), String> {
    Ok((build("logspool")?, build("reference-extension")?))
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
    eprintln!("packing it, a minute or so…");
    let layer = fs::read(&binary).map(|binary| pack_layer::pack(&binary)).map_err(|error| error.to_string())?;
    let zip_bytes = layer.map_err(|error| error.to_string())?.len() as u64;
    Ok(Built { binary, zip_bytes })
}
