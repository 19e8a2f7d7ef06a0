//! What a file of the tree uses that others provide.

use std::collections::BTreeSet;

/// Names of what the file at `path` uses: `action:owner/name`, `provider:owner/name` and
/// `aws:service` of Terraform, `image:registry/name`, `registry:name` of packages.
pub fn uses(path: &str, text: &str) -> BTreeSet<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let lines = text.lines().map(str::trim);
    if path.starts_with(".github/workflows/") {
        return lines.filter_map(action).collect();
    }
    if file.ends_with(".tf") {
        return lines.filter_map(terraform).collect();
    }
    if file == "compose.yaml" {
        return lines.filter_map(image).collect();
    }
    let is_crates = |line: &str| line.contains("github.com/rust-lang/crates.io-index");
    let registry = match file {
        "Cargo.lock" if text.lines().any(is_crates) => "registry:crates.io",
        "package.json" if text.contains("ependencies\"") => "registry:npm",
        "requirements.txt" => "registry:pypi",
        _ => return BTreeSet::new(),
    };
    BTreeSet::from([registry.to_owned()])
}

/// `- uses: owner/name@version`; a path within the repository is no one else's.
fn action(line: &str) -> Option<String> {
    let line = line.strip_prefix("- ").unwrap_or(line);
    let name = line.strip_prefix("uses:")?.trim().split('@').next()?;
    (!name.starts_with('.')).then(|| format!("action:{name}"))
}

/// `source = "owner/name"` of a provider (modules here are paths), and `resource "aws_.."`.
fn terraform(line: &str) -> Option<String> {
    if let Some(rest) = line.strip_prefix("resource \"aws_") {
        return Some(format!("aws:{}", aws_service(rest.split('"').next()?)));
    }
    let (key, value) = line.split_once('=')?;
    let value = value.trim().trim_matches('"');
    let is_source = key.trim() == "source" && !value.starts_with('.') && value.contains('/');
    is_source.then(|| format!("provider:{value}"))
}

/// A resource's service is the first word of its type, but for what is EC2 under older names.
fn aws_service(kind: &str) -> &str {
    let word = kind.split('_').next().unwrap_or(kind);
    match word {
        "autoscaling" | "default" | "internet" | "launch" | "route" | "security" | "subnet"
        | "vpc" => "ec2",
        word => word,
    }
}

/// `image: registry/name:tag`; images without a registry are built here.
fn image(line: &str) -> Option<String> {
    let name = line.strip_prefix("image:")?.trim();
    let (registry, _) = name.split_once('/')?;
    let tag = name
        .rfind(':')
        .filter(|at| *at > name.rfind('/').unwrap_or(0));
    let bare = &name[..tag.unwrap_or(name.len())];
    registry.contains('.').then(|| format!("image:{bare}"))
}
