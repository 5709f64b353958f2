//! Clients that are wrong, rude or gone, against `lotic serve`: they are told, nothing of theirs is
//! kept, and others are served meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::serving::Server;

/// More connections than a server takes at once.
const MANY: usize = 220;

/// A connection without a driver: bytes as the test wants them.
fn plain(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    socket
}

/// A message of the protocol: its letter, its length, its body.
fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[letter], length.to_be_bytes().as_slice(), body].concat()
}

/// Reads messages up to one with this letter.
fn read_until(socket: &mut TcpStream, letter: u8) {
    loop {
        let mut head = [0; 5];
        socket.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        socket.read_exact(&mut body).unwrap();
        assert_ne!(head[0], b'E', "{}", String::from_utf8_lossy(&body));
        if head[0] == letter {
            return;
        }
    }
}

fn logged_in(port: u16) -> TcpStream {
    let mut socket = plain(port);
    let body = b"\x00\x03\x00\x00user\0lotic\0database\0lotic\0\0";
    let packet = message(0, body);
    socket.write_all(&packet[1..]).unwrap();
    read_until(&mut socket, b'Z');
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_is_refused_and_the_right_one_still_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::with(&folder.path().join("data"), &[]);
    drop(server.connect().await);
    for wrong in ["wrong", "Right", "right "] {
        let Err(error) = server.log_in(wrong).await else {
            panic!("\"{wrong}\" was taken");
        };
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "28P01", "{error:?}");
        assert!(error.message().contains("\"lotic\""), "{error:?}");
    }
    server.still_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn startup_packet_of_a_wrong_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"));
    drop(server.connect().await);
    for length in [0, 3, 7, 10_001, 1 << 20, u32::MAX] {
        let mut socket = plain(server.port);
        socket.write_all(&length.to_be_bytes()).unwrap();
        socket.write_all(&[0, 3, 0, 0]).unwrap();
        let mut told = Vec::new();
        socket.read_to_end(&mut told).unwrap();
        assert_eq!(told.first(), Some(&b'E'), "length {length}");
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(
            told.contains("08P01") && told.contains("startup packet"),
            "{told}"
        );
    }
    server.still_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_goes_in_the_middle_of_a_copy_leaves_no_row_and_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    client
        .run("CREATE TABLE t (id INT PRIMARY KEY, name TEXT)")
        .await;
    client.run("INSERT INTO t VALUES (1, 'kept')").await;
    for at in 0..MANY {
        let mut socket = logged_in(server.port);
        let copy = message(b'Q', b"COPY t FROM STDIN\0");
        socket.write_all(&copy).unwrap();
        read_until(&mut socket, b'G');
        let rows = message(b'd', b"2\ttwo\n3\tthree\n4\tfo");
        socket.write_all(&rows).unwrap();
        if at % 2 == 0 {
            // half a message
            socket.write_all(b"d\0\0\x01").unwrap();
        }
    }
    server.still_answers().await;
    assert_eq!(client.rows("SELECT * FROM t").await, ["1|kept"]);
    // the keys are free again, and one that fails in its middle is taken back too
    client.run("INSERT INTO t VALUES (2, 'two')").await;
    let mut server = server.killed_and_restarted();
    let client = server.connect().await;
    assert_eq!(
        client.rows("SELECT id FROM t ORDER BY id").await,
        ["1", "2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_with_a_bad_line_names_it_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    client
        .run("CREATE TABLE t (id INT PRIMARY KEY, name TEXT)")
        .await;
    for (rows, code, told) in [
        ("1\tone\nx\ttwo\n", "22P02", "line 2"),
        ("1\tone\n2\n", "22P04", "line 2"),
        ("1\tone\n1\ttwo\n", "23505", "t_pkey"),
    ] {
        let mut socket = logged_in(server.port);
        let copy = message(b'Q', b"COPY t FROM STDIN\0");
        socket.write_all(&copy).unwrap();
        read_until(&mut socket, b'G');
        let sent = [message(b'd', rows.as_bytes()), message(b'c', b"")].concat();
        socket.write_all(&sent).unwrap();
        let mut answer = [0; 400];
        let length = socket.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with('E'), "{answer}");
        assert!(
            answer.contains(code) && answer.contains(told),
            "{code} {told}: {answer}"
        );
        assert_eq!(client.rows("SELECT * FROM t").await, [""; 0]);
    }
    server.still_answers().await;
}
