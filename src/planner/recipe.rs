//! What a bake is: its digest for the mark, and its document. The words of both are `pve::cloud_init`'s.

pub(crate) use crate::pve::cloud_init::{document, recipe as digest};
