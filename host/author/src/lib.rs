//! What a template's author needs: a project to begin with, a build, a server that shows the site
//! while it is written.
//!
//! | part | its question |
//! |---|---|
//! | [`name`] | what may a template be called? |
//! | [`sdk`] | where does the SDK come from? |
//! | [`scaffold`] | what does a new project look like? |
//! | [`project`] | what is in this folder, and in which language? |
//! | [`build`] | how does it become a component? |
//! | [`dev`] | what does it look like, now? |

pub mod build;
pub mod dev;
pub mod name;
pub mod project;
pub mod scaffold;
pub mod sdk;
mod strip;
