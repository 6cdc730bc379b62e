//! A proxy before the database that cuts, freezes and refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Ends all connections and refuses new ones: the database is down.
    Refuse,
    /// Passes nothing on and ends nothing: the database is frozen.
    Freeze,
    /// Passes all on until the server says that a transaction is committed; that answer is swallowed and the connection ended.
    LoseCommit,
}

/// A proxy on a port of its own, until it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    lost: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Pass);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *modes.borrow() != Mode::Refuse {
                    tokio::spawn(carry(client, server.clone(), modes.clone(), Arc::clone(&counted)));
                }
            }
        });
        Self { address, mode, lost, accepting }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many answers to a commit have been swallowed.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut client: TcpStream, server: String, mut modes: watch::Receiver<Mode>, lost: Arc<AtomicU64>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let mode = *modes.borrow_and_update();
        tokio::select! {
            biased;
            changed = modes.changed() => {
                if changed.is_err() || *modes.borrow() == Mode::Refuse {
                    return;
                }
            }
            read = client.read(&mut up), if mode != Mode::Freeze => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    if server.write_all(&up[..length]).await.is_err() {
                        return;
                    }
                }
            },
            read = server.read(&mut down), if mode != Mode::Freeze => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    // The tag of CommandComplete (PostgreSQL's protocol 3.0, "Message Formats").
                    let committed = down[..length].windows(7).any(|bytes| bytes == b"COMMIT\0");
                    if mode == Mode::LoseCommit && committed {
                        lost.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    if client.write_all(&down[..length]).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}

/// A proxy for a protocol of lines ended by CR LF, which changes what the server says, line by line.
pub async fn rewriting(server: String, change: fn(&str) -> String) -> SocketAddr {
    use tokio::io::AsyncBufReadExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&server).await else { return };
            let (mut from_client, mut to_client) = client.into_split();
            let (from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut lines = tokio::io::BufReader::new(from_server).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if to_client.write_all(format!("{}\r\n", change(line.trim_end_matches('\r'))).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
