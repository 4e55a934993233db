//! What tells this run apart from any other.

/// Who runs this, for whoever finds the lock taken.
pub fn owner() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().or_else(user_of_id);
    let user = user.unwrap_or_else(|| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() {
        std::env::var("HOSTNAME").unwrap_or_else(|_| "unknown-host".to_owned())
    } else {
        host.trim().to_owned()
    };
    let plain = |name: &str| name.replace(|letter: char| !letter.is_ascii_graphic(), "_");
    let (user, host) = (plain(&user), plain(&host));
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("{user}@{host} pid {} since {now}", std::process::id())
}

/// In a container or a job there often is no variable with it.
fn user_of_id() -> Option<String> {
    let said = std::process::Command::new("id").arg("-un").stderr(std::process::Stdio::null()).output().ok()?;
    let name = String::from_utf8(said.stdout).ok()?.trim().to_owned();
    (said.status.success() && !name.is_empty()).then_some(name)
}

/// Names operations apart from those of any other run.
pub fn seed() -> u64 {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // only needs to differ
    let low = nanos as u64;
    low ^ (u64::from(std::process::id()) << 32)
}
