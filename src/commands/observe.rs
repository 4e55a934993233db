//! `pvekube observe`: what the nodes answered, for `plan --observed`.

use super::{Stop, look, session};
use crate::cli::Global;
use crate::error::Exit;
use crate::remote::Remote as _;
use crate::render;
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let observed = look::look(ui, &session).await;
    session.nodes.close().await;
    let observed = observed?;
    ui.data(&render::observation::write(&observed))?;
    Ok(Exit::Success)
}
