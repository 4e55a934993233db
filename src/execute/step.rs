//! One step, whatever it is.

use std::sync::Arc;

use super::failure::StepError;
use super::machine::Clone;
use super::run::StepRun;
use crate::model::plan::Action;
use crate::remote::Remote;

/// Carries a step out and judges it by the state afterwards.
pub(super) async fn carry_out<R: Remote>(step: Arc<StepRun<R>>) -> Result<(), StepError> {
    let result = dispatch(&step).await;
    result.map_err(|error| match error {
        StepError::Failed(mut failure) => {
            failure.node.get_or_insert_with(|| step.step.node.clone());
            StepError::Failed(failure)
        }
        StepError::LeftRunning | StepError::NotStarted => error,
    })
}

async fn dispatch<R: Remote>(step: &StepRun<R>) -> Result<(), StepError> {
    match &step.step.action {
        Action::FetchImage { url, digest, path, from_controller } => {
            step.fetch_step(url, digest, path, *from_controller).await
        }
        Action::CreateTemplate { mark, set } => step.create_step(mark, set).await,
        Action::ImportDisk { mark, disk, storage, image_path, options } => {
            step.import_step(mark, disk, storage, image_path, options).await
        }
        Action::Set { mark, set, delete, revert } => {
            if !revert.is_empty() {
                step.revert_step(mark, revert).await?;
            }
            step.set_step(mark, set, delete).await
        }
        Action::Resize { mark, disk, size_gb } => step.resize_step(mark, disk, *size_gb).await,
        Action::Bake(bake) => step.bake_step(bake).await,
        Action::ConvertTemplate { mark } => step.convert_step(mark).await,
        Action::RemoveImage { path } => step.remove_image_step(path).await,
        Action::Clone { template, target, name, mark, pool, storage } => {
            let clone =
                Clone { template: *template, target: target.as_ref(), name, mark, pool: pool.as_ref(), storage };
            step.clone_step(&clone).await
        }
        Action::Start { mark } => step.start_step(mark).await,
        Action::Shutdown { mark, timeout_s } => step.shutdown_step(mark, *timeout_s).await,
        Action::Destroy { mark, half_made } => step.destroy_step(mark, *half_made).await,
        Action::Ready(ready) => step.ready_step(ready).await,
        Action::Attach { operation } => step.attach_step(operation).await,
    }
}
