//! Tests of the real disk and its lock.

use super::{DataLock, Disk, RealDisk};

#[test]
fn atomic_write_replaces_whole_file_with_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    RealDisk.write_atomic(&path, b"one", 0o600).unwrap();
    RealDisk.write_atomic(&path, b"three", 0o640).unwrap();
    assert_eq!(RealDisk.read(&path).unwrap(), b"three");
    assert_eq!(RealDisk.mode(&path).unwrap(), 0o640);
    assert_eq!(RealDisk.list(folder.path()).unwrap(), vec![path]);
}

#[test]
fn append_goes_on_after_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut file = RealDisk.open_append_new(&path).unwrap();
    file.write_all(b"hello world").unwrap();
    file.set_len(5).unwrap();
    file.write_all(b"!").unwrap();
    file.sync().unwrap();
    assert_eq!(file.len(), 6);
    assert_eq!(RealDisk.read(&path).unwrap(), b"hello!");
    assert!(RealDisk.open_append_new(&path).is_err());
    let mut bytes = [0; 9];
    assert_eq!(
        RealDisk
            .open_read(&path)
            .unwrap()
            .read_at(4, &mut bytes)
            .unwrap(),
        2
    );
}

#[test]
fn wipe_leaves_only_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    RealDisk.write_atomic(&path, &[7; 5000], 0o600).unwrap();
    RealDisk.wipe(&path).unwrap();
    assert_eq!(RealDisk.read(&path).unwrap(), vec![0; 5000]);
}

#[test]
fn second_lock_is_refused_and_names_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = DataLock::acquire(&data).unwrap();
    let refused = DataLock::acquire(&data).unwrap_err();
    assert_eq!(refused.code(), "55006");
    assert!(refused.message().contains(&data.display().to_string()));
    drop(first);
    DataLock::acquire(&data).unwrap();
}
