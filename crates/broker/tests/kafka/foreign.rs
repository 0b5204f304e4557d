//! A foreign writer: says by hand what rskafka would never say.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Appends to partition 0 a record that has a header whose value is null; answers Kafka's error code.
pub(crate) async fn write_null_header(broker: &str, topic: &str) -> i16 {
    let mut request = Vec::new();
    request.extend([0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff]); // Produce, version 3, correlation 1, no client id
    request.extend([0xff, 0xff, 0xff, 0xff]); // no transaction, acknowledged by all
    request.extend(5_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(topic.len()).expect("a short name").to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend([0, 0, 0, 1, 0, 0, 0, 0]); // one partition: 0
    request.extend(sized(batch()));

    let mut stream = TcpStream::connect(broker).await.expect("connect");
    stream.write_all(&sized(request)).await.expect("send");
    let mut answer = vec![0; stream.read_i32().await.expect("read").try_into().expect("a length")];
    stream.read_exact(&mut answer).await.expect("read");
    let at = 4 + 4 + 2 + topic.len() + 4 + 4; // correlation, topics, name, partitions, number
    i16::from_be_bytes([answer[at], answer[at + 1]])
}

/// A record batch (format 2) of one record.
fn batch() -> Vec<u8> {
    let mut record = vec![0, 0, 0]; // attributes, timestamp delta, offset delta
    record.extend([1, 2, b'v']); // no key; a value of one byte
    record.extend([2, 2, b'h', 1]); // one header `h`, whose value has the length -1
    let mut checked = vec![0; 6]; // attributes, last offset delta
    checked.extend([0xff; 8 + 8 + 8 + 2 + 4]); // no timestamps, no producer, no sequence
    checked.extend(1_i32.to_be_bytes());
    checked.push(u8::try_from(record.len() * 2).expect("a short record"));
    checked.extend(record);
    let mut batch = vec![0, 0, 0, 0, 2]; // leader epoch, magic
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    [vec![0; 8], sized(batch)].concat()
}

/// The bytes after their length.
fn sized(bytes: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).expect("a short message");
    [length.to_be_bytes().to_vec(), bytes].concat()
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}
