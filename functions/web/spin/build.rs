//! Lists the files of `sdk/` and `demo/` for `src/assets.rs`: what lies there is served, so no list
//! has to be kept, and a file of an unknown kind stops the build.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let mut list = String::from("&[\n");
    for folder in ["demo", "sdk"] {
        let folder_path = web.join(folder).canonicalize()?;
        println!("cargo::rerun-if-changed={}", folder_path.display());
        let mut files = fs::read_dir(&folder_path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        files.sort();
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            write_asset(&mut list, folder, &file)?;
        }
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("assets.rs");
    fs::write(out, list)
}

fn write_asset(list: &mut String, folder: &str, file: &Path) -> io::Result<()> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .expect("file names are ASCII");
    let content_type = content_type(name).ok_or_else(|| {
        let reason = format!("{folder}/{name}: no content type known; name one in spin/build.rs");
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    })?;
    let tag = fnv1a(&fs::read(file)?);
    writeln!(
        list,
        "    Asset {{ path: \"/{folder}/{name}\", content_type: \"{content_type}\", \
         etag: \"\\\"{tag:016x}\\\"\", body: include_bytes!({file:?}) }},",
    )
    .expect("writing to a String does not fail");
    Ok(())
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

/// FNV-1a, 64 bits: enough to tell versions of our own files apart.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
