//! `kvm -id VMID …`: the process that stands for a VM's QEMU. It holds the serial socket, and ends when the guest powers
//! itself off, when `qm` takes its record away, or at SIGTERM.

#[cfg(unix)]
use crate::sandbox::guest::hypervisor::{now_ms, put_away, record, settle, write_real_traces};
use crate::sandbox::node::SandboxNode;

/// The record and the console are looked at this often.
#[cfg(unix)]
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

#[cfg(not(unix))]
pub(super) async fn run(_: &SandboxNode, _: &[String]) -> i32 {
    super::streams::complain("stand-ins as programs need a Unix system")
}

#[cfg(unix)]
pub(super) async fn run(node: &SandboxNode, args: &[String]) -> i32 {
    let vmid = args.iter().position(|arg| arg == "-id").and_then(|at| args.get(at + 1)?.parse().ok());
    let Some((vmid, boot)) = vmid.and_then(|vmid: u32| Some((vmid, record(node, vmid)?))) else {
        return super::streams::complain("kvm: nothing was started");
    };
    let socket =
        node.fs().root().map(|root| root.join(format!("nodes/{}/run/qemu-server/{vmid}.serial0", node.name())));
    let Some(socket) = socket else { return 1 };
    let _ = std::fs::remove_file(&socket);
    let listener = match tokio::net::UnixListener::bind(&socket) {
        Ok(listener) => listener,
        Err(error) => return super::streams::complain(&format!("{}: {error}", socket.display())),
    };
    if let Err(error) = write_real_traces(node, &boot, std::process::id()) {
        return super::streams::complain(&format!("kvm: {error}"));
    }
    let console = tokio::spawn(serve_console(node.clone(), vmid, listener));
    let stop = super::terminated();
    loop {
        let mine = settle(node, vmid).is_some_and(|now| now.started_ms == boot.started_ms);
        if !mine {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {
                if let Err(error) = put_away(node, &boot, now_ms(node)) {
                    super::streams::complain(&format!("kvm: {error}"));
                }
                break;
            }
        }
    }
    // A reader gets the last lines before the socket goes.
    tokio::time::sleep(LOOK * 2).await;
    console.abort();
    let _ = std::fs::remove_file(&socket);
    0
}

/// One reader at a time, each from the moment that it connects on (observed §11).
#[cfg(unix)]
async fn serve_console(node: SandboxNode, vmid: u32, listener: tokio::net::UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // A reader that goes away makes room for the next.
        let _ = talk(&node, vmid, stream).await;
    }
}

#[cfg(unix)]
async fn talk(node: &SandboxNode, vmid: u32, mut stream: tokio::net::UnixStream) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Some(boot) = record(node, vmid) else { return Ok(()) };
    // Whoever connects within the first moments has missed nothing: QEMU waits for no one, but its firmware is slower.
    let mut said_until =
        if now_ms(node).saturating_sub(boot.started_ms) < 1_000 { boot.started_ms } else { now_ms(node) };
    let mut typed = [0_u8; 256];
    let mut listening = true;
    loop {
        let now = now_ms(node);
        let text = boot.console_between(said_until, now);
        said_until = now;
        stream.write_all(text.as_bytes()).await?;
        tokio::select! {
            read = stream.read(&mut typed), if listening => match read? {
                // Half closed: it only reads.
                0 => listening = false,
                count if typed[..count].contains(&b'\n') => {
                    stream.write_all(boot.console_after_newline(now, now).as_bytes()).await?;
                }
                _ => {}
            },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
