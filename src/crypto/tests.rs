//! Tests of keys and sealing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{
    KeyOrigin, Keyring, MasterKey, SecretKey, load_or_create_key, open, read_sealed, seal,
    write_sealed,
};
use crate::base::disk::RealDisk;
use crate::base::rng::SystemRng;

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(&pair[0]) << 4 | digit(&pair[1]))
        .collect()
}

fn key(text: &str) -> SecretKey {
    SecretKey::new(hex(text).try_into().unwrap())
}

/// Key, nonce, additional data, plaintext, ciphertext and tag: test cases 13 to 16 of "The
/// Galois/Counter Mode of Operation" by McGrew and Viega, as NIST repeats them.
const VECTORS: [[&str; 5]; 4] = [
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "",
        "530f8afbc74536b9a963b4f1c4cb738b",
    ],
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "00000000000000000000000000000000",
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
    ],
];

#[test]
fn known_vectors_seal_and_open() {
    for [secret, nonce, aad, text, sealed] in VECTORS {
        let (secret, nonce) = (key(secret), hex(nonce).try_into().unwrap());
        assert_eq!(
            seal(&secret, &nonce, &hex(aad), &hex(text)).unwrap(),
            hex(sealed)
        );
        assert_eq!(
            open(&secret, &nonce, &hex(aad), &hex(sealed)).unwrap(),
            hex(text)
        );
    }
}

#[test]
fn any_flipped_bit_and_any_cut_is_refused() {
    let [secret, nonce, aad, _, sealed] = VECTORS[3];
    let (secret, nonce, aad, sealed) = (
        key(secret),
        hex(nonce).try_into().unwrap(),
        hex(aad),
        hex(sealed),
    );
    for bit in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&secret, &nonce, &aad, &damaged).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(
            open(&secret, &nonce, &aad, &sealed[..len]).is_err(),
            "{len} bytes"
        );
    }
    assert!(open(&secret, &nonce, b"other", &sealed).is_err());
}

const HEX_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

#[test]
fn master_key_is_read_from_hex_base64_and_raw_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let from_hex = MasterKey::from_env_value(&format!(" {HEX_KEY}\n")).unwrap();
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    let from_base64 = MasterKey::from_env_value(base64).unwrap();
    let path = folder.path().join("raw");
    std::fs::write(&path, hex(HEX_KEY)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let from_raw = MasterKey::from_file(&RealDisk, &path).unwrap();
    assert_eq!(from_hex.file_text(), from_base64.file_text());
    assert_eq!(from_hex.file_text(), from_raw.file_text());
    for wrong in [
        "",
        "abc",
        &HEX_KEY[1..],
        "zz112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
    ] {
        let error = MasterKey::from_env_value(wrong).unwrap_err();
        assert!(
            wrong.is_empty() || !error.to_string().contains(wrong),
            "{error}"
        );
    }
    assert!(!format!("{from_hex:?}").contains("0011"));
}

fn load(folder: &Path, file: Option<&Path>, env: Option<&str>) -> crate::base::Result<KeyOrigin> {
    let (key, origin) = load_or_create_key(&RealDisk, folder, file, env, &SystemRng)?;
    Keyring::open(&RealDisk, folder, &key, &SystemRng)?;
    Ok(origin)
}

/// Names and bytes of the files in a folder.
fn snapshot(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files = entries
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect::<Vec<_>>();
    files.sort();
    files
}

#[test]
fn first_start_makes_a_private_key_and_later_starts_find_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let own = data.join("master.key");
    let made = load(&data, None, None).unwrap();
    assert_eq!(made, KeyOrigin::Generated(own.clone()));
    assert!(made.notice().unwrap().contains("master.key"));
    assert_eq!(
        std::fs::metadata(&own).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        load(&data, None, None).unwrap(),
        KeyOrigin::Folder(own.clone())
    );
    assert_eq!(
        load(&data, Some(&own), None).unwrap(),
        KeyOrigin::File(own.clone())
    );
    let text = std::fs::read_to_string(&own).unwrap();
    assert_eq!(
        load(&data, None, Some(&text)).unwrap(),
        KeyOrigin::Environment
    );
}

#[test]
fn wrong_missing_cut_and_open_keys_are_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    load(&data, None, None).unwrap();
    let own = data.join("master.key");
    let text = std::fs::read_to_string(&own).unwrap();
    let elsewhere = folder.path().join("key");
    std::fs::write(&elsewhere, &text[..40]).unwrap();
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
    let open_to_all = folder.path().join("open");
    std::fs::write(&open_to_all, &text).unwrap();
    std::fs::set_permissions(&open_to_all, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(&own).unwrap();
    let before = snapshot(&data);
    let missing = folder.path().join("missing");
    let refusals = [
        load(&data, None, None),
        load(&data, None, Some(HEX_KEY)),
        load(&data, Some(&elsewhere), None),
        load(&data, Some(&open_to_all), None),
        load(&data, Some(&missing), None),
    ];
    for refused in refusals {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), "28000", "{error}");
        assert!(!error.to_string().contains(&text[..16]), "{error}");
    }
    assert_eq!(snapshot(&data), before);
    assert_eq!(
        load(&data, None, Some(&text)).unwrap(),
        KeyOrigin::Environment
    );
}

#[test]
fn every_flipped_bit_of_keyring_and_sealed_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (master, _) = load_or_create_key(&RealDisk, &data, None, None, &SystemRng).unwrap();
    let keyring = Keyring::open(&RealDisk, &data, &master, &SystemRng).unwrap();
    let path = data.join("catalog");
    write_sealed(
        &RealDisk,
        &path,
        &keyring,
        "catalog",
        b"the text",
        &SystemRng,
    )
    .unwrap();
    for file in [Keyring::path(&data), path.clone()] {
        let good = std::fs::read(&file).unwrap();
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, &damaged).unwrap();
            let read = Keyring::open(&RealDisk, &data, &master, &SystemRng)
                .and_then(|keyring| read_sealed(&RealDisk, &path, &keyring, "catalog"));
            let error = read.unwrap_err();
            assert!(
                error.message().contains(&file.display().to_string()),
                "{error}"
            );
        }
        for len in 0..good.len() {
            std::fs::write(&file, &good[..len]).unwrap();
            let read = Keyring::open(&RealDisk, &data, &master, &SystemRng)
                .and_then(|keyring| read_sealed(&RealDisk, &path, &keyring, "catalog"));
            assert!(read.is_err(), "{len} bytes of {}", file.display());
        }
        std::fs::write(&file, &good).unwrap();
    }
    assert_eq!(
        read_sealed(&RealDisk, &path, &keyring, "catalog").unwrap(),
        b"the text"
    );
}

#[test]
fn sealed_file_is_bound_to_name_purpose_and_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let master = MasterKey::from_env_value(HEX_KEY).unwrap();
    for data in [&one, &two] {
        std::fs::create_dir(data).unwrap();
        let keyring = Keyring::open(&RealDisk, data, &master, &SystemRng).unwrap();
        write_sealed(
            &RealDisk,
            &data.join("a"),
            &keyring,
            "p",
            b"text",
            &SystemRng,
        )
        .unwrap();
    }
    let keyring = Keyring::open(&RealDisk, &one, &master, &SystemRng).unwrap();
    assert!(read_sealed(&RealDisk, &one.join("a"), &keyring, "p").is_ok());
    assert!(read_sealed(&RealDisk, &one.join("a"), &keyring, "q").is_err());
    std::fs::copy(one.join("a"), one.join("b")).unwrap();
    assert!(read_sealed(&RealDisk, &one.join("b"), &keyring, "p").is_err());
    assert!(read_sealed(&RealDisk, &two.join("a"), &keyring, "p").is_err());
}

#[test]
fn rotation_makes_the_new_key_good_and_the_old_one_useless() {
    let folder = tempfile::tempdir().unwrap();
    let old = MasterKey::from_env_value(HEX_KEY).unwrap();
    let new = MasterKey::generate(&SystemRng).unwrap();
    let keyring = Keyring::open(&RealDisk, folder.path(), &old, &SystemRng).unwrap();
    let path = folder.path().join("a");
    write_sealed(&RealDisk, &path, &keyring, "p", b"text", &SystemRng).unwrap();
    keyring
        .store(&RealDisk, folder.path(), &new, &SystemRng)
        .unwrap();
    assert_eq!(
        Keyring::open(&RealDisk, folder.path(), &old, &SystemRng)
            .unwrap_err()
            .code(),
        "28000"
    );
    let keyring = Keyring::open(&RealDisk, folder.path(), &new, &SystemRng).unwrap();
    assert_eq!(
        read_sealed(&RealDisk, &path, &keyring, "p").unwrap(),
        b"text"
    );
}

#[test]
fn folder_that_lost_its_keyring_gets_no_new_one() {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), None, None).unwrap();
    std::fs::create_dir(folder.path().join("topics")).unwrap();
    std::fs::remove_file(Keyring::path(folder.path())).unwrap();
    assert_eq!(load(folder.path(), None, None).unwrap_err().code(), "28000");
    assert_eq!(
        load(folder.path(), None, Some(HEX_KEY)).unwrap_err().code(),
        "28000"
    );
}
