//! The line between service and switch: a TCP proxy that can be cut and mended.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The line. Dropping it cuts it for ever.
#[derive(Debug)]
pub struct Link {
    /// Where the service connects.
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Link {
    /// Opens the line to the switch.
    ///
    /// What the switch says is written to `log`; what the service says holds its password and is not.
    pub async fn open(switch: SocketAddr, log: &Path) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let log = Arc::new(File::create(log).with_context(|| format!("writing {}", log.display()))?);
        let (whole, watched) = watch::channel(true);
        tokio::spawn(async move {
            let mut ended = watched.clone();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((near, _)) => drop(tokio::spawn(carry(near, switch, watched.clone(), Arc::clone(&log)))),
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    },
                    gone = async { while ended.changed().await.is_ok() {} } => return gone,
                }
            }
        });
        Ok(Self { address, whole })
    }

    /// Cuts every connection, and every new one, until the line is mended.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Mends the line.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(near: TcpStream, switch: SocketAddr, mut whole: watch::Receiver<bool>, log: Arc<File>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let Ok(far) = TcpStream::connect(switch).await else {
        return;
    };
    // A small message waits for nothing.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((mut from_service, mut to_service), (mut from_switch, mut to_switch)) = (near.into_split(), far.into_split());
    let listen = async {
        let mut bytes = vec![0; 65536];
        while let Ok(length @ 1..) = from_switch.read(&mut bytes).await {
            // The log is for people; a full disk must not end the run.
            let _ = (&*log).write_all(&bytes[..length]);
            if to_service.write_all(&bytes[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        // Either side closing, or failing, ends both.
        () = listen => {}
        _ = tokio::io::copy(&mut from_service, &mut to_switch) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_line_ends_connections_and_a_mended_one_takes_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let switch = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::open(switch.local_addr().unwrap(), &folder.path().join("switch.log")).await.unwrap();
        let mut near = TcpStream::connect(link.address).await.unwrap();
        let (mut far, _) = switch.accept().await.unwrap();
        near.write_all(b"ping").await.unwrap();
        let mut word = [0; 4];
        far.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        link.cut();
        assert_eq!(far.read(&mut word).await.unwrap_or(0), 0);
        assert_eq!(near.read(&mut word).await.unwrap_or(0), 0);
        let mut refused = TcpStream::connect(link.address).await.unwrap();
        assert_eq!(refused.read(&mut word).await.unwrap_or(0), 0, "while it is cut, nobody gets through");
        link.mend();
        let mut again = TcpStream::connect(link.address).await.unwrap();
        let (mut far, _) = switch.accept().await.unwrap();
        far.write_all(b"pong").await.unwrap();
        again.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
    }
}
