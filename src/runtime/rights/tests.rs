//! Paths and addresses against what clients may name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::Rights;

struct Place {
    folder: tempfile::TempDir,
    rights: Rights,
}

/// `free/`, `free/data/` (the data folder), `freedom/` and `other/`.
fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["free/deep", "free/data", "freedom", "other"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    for name in [
        "free/a.csv",
        "free/deep/a.csv",
        "free/data/password",
        "freedom/a.csv",
        "other/a.csv",
    ] {
        fs::write(at(name), "x\n1\n").unwrap();
    }
    let files = [
        at("free").display().to_string(),
        at("gone").display().to_string(),
        "https://files.example.com/public".to_owned(),
        "s3://bucket".to_owned(),
    ];
    let rights = Rights::new(&files, Some(&at("free/data"))).unwrap();
    Place { folder, rights }
}

impl Place {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn allows(&self, name: &str) -> bool {
        let outcome = self.rights.check_path(&self.at(name), name);
        outcome
            .inspect_err(|error| assert_eq!(error.code(), "42501"))
            .is_ok()
    }

    fn allows_address(&self, address: &str) -> bool {
        let url = url::Url::parse(address).unwrap();
        self.rights.check_address(&url, address).is_ok()
    }
}

#[test]
fn files_within_a_folder_are_allowed_whether_they_are_there_or_not() {
    let place = place();
    for name in [
        "free/a.csv",
        "free/deep/a.csv",
        "free/new.csv",
        "free/new/folder/x.csv",
        "free/*.csv",
        "free/de*/a.csv",
    ] {
        assert!(place.allows(name), "{name}");
    }
}

#[test]
fn a_folder_does_not_allow_another_one_whose_name_begins_alike() {
    let place = place();
    for name in [
        "freedom/a.csv",
        "freedom/new.csv",
        "other/a.csv",
        "freed*/a.csv",
        "gone/a.csv",
        "*/a.csv",
    ] {
        assert!(!place.allows(name), "{name}");
    }
}

#[test]
fn steps_upwards_are_resolved_before_the_check() {
    let place = place();
    assert!(place.allows("free/deep/../a.csv"));
    assert!(place.allows("other/../free/a.csv"));
    for name in [
        "free/../other/a.csv",
        "free/new/../../other/a.csv",
        "free/new/../a.csv",
        "free/*/../../other/a.csv",
    ] {
        assert!(!place.allows(name), "{name}");
    }
}

#[test]
fn links_are_resolved_before_the_check() {
    let place = place();
    symlink(place.at("other"), place.at("free/way")).unwrap();
    symlink(place.at("other/a.csv"), place.at("free/link.csv")).unwrap();
    symlink(place.at("other/later.csv"), place.at("free/dangling.csv")).unwrap();
    symlink(place.at("free/deep"), place.at("other/back")).unwrap();
    for name in [
        "free/way/a.csv",
        "free/way/new.csv",
        "free/link.csv",
        "free/dangling.csv",
        "free/way/*.csv",
        "free/l*.csv",
        "free/w*/a.csv",
    ] {
        assert!(!place.allows(name), "{name}");
    }
    assert!(place.allows("other/back/a.csv"));
}

#[test]
fn the_data_folder_is_never_allowed() {
    let place = place();
    symlink(place.at("free/data"), place.at("free/way")).unwrap();
    for name in [
        "free/data/password",
        "free/data/new.csv",
        "free/data",
        "free/way/password",
        "free/*/password",
        "free/deep/../data/password",
    ] {
        assert!(!place.allows(name), "{name}");
    }
    let all = Rights::new(&["/".to_owned()], Some(&place.at("free/data"))).unwrap();
    assert!(all.check_path(&place.at("other/a.csv"), "a").is_ok());
    assert!(
        all.check_path(&place.at("free/data/password"), "p")
            .is_err()
    );
    assert!(
        Rights::new(&[], None)
            .unwrap()
            .check_path(Path::new("a.csv"), "a")
            .is_err()
    );
}

#[test]
fn addresses_are_compared_by_whole_parts() {
    let place = place();
    for address in [
        "https://files.example.com/public",
        "https://files.example.com/public/a.csv?x=1",
        "https://files.example.com:443/public/deep/a.csv",
        "s3://bucket/any/key.parquet",
    ] {
        assert!(place.allows_address(address), "{address}");
    }
    for address in [
        "https://files.example.com/publicity/a.csv",
        "https://files.example.com/public/../secret.csv",
        "https://files.example.com/public/%2e%2e/secret.csv",
        "http://files.example.com/public/a.csv",
        "https://files.example.com:8443/public/a.csv",
        "https://files.example.com@evil.example.com/public/a.csv",
        "https://files.example.com.evil.example.com/public/a.csv",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1/a.csv",
        "s3://bucket2/key",
        "postgres://u:p@127.0.0.1/db",
    ] {
        assert!(!place.allows_address(address), "{address}");
    }
}
