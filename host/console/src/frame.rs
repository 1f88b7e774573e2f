//! What all pages share.

use super::{address, assets};

/// Who looks at a page, and what is offered to them.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The name of the token, or `this machine`.
    pub name: String,
    /// Give orders other documents.
    pub may_submit: bool,
    /// Cancel, retry, pause, hold, release.
    pub may_operate: bool,
    /// Erase, tokens, the audit log.
    pub may_admin: bool,
    /// The label of the only orders that they see; `None` for all.
    pub tenant: Option<String>,
    /// Whether there is a session that can be ended.
    pub has_session: bool,
}

/// The part of the console that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Now,
    Orders,
    Failures,
    Ai,
    Templates,
    Settings,
    /// None of them.
    Outside,
}

impl Section {
    const ALL: [(Section, &'static str, &'static str); 6] = [
        (Section::Now, "Now", address::HOME),
        (Section::Orders, "Orders", "/console/orders"),
        (Section::Failures, "Failures", "/console/failures"),
        (Section::Ai, "AI", "/console/ai"),
        (Section::Templates, "Templates", "/console/templates"),
        (Section::Settings, "Settings", "/console/settings"),
    ];
}

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Good,
    Warning,
    Bad,
}

impl Level {
    /// A class of the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Warning => "warn",
            Level::Bad => "bad",
        }
    }
}

/// What was done before the page was asked for.
#[derive(Debug, Clone)]
pub struct Note {
    pub level: Level,
    pub text: String,
}

/// What is around the content of a page.
#[derive(Debug, Clone)]
pub struct Frame {
    pub section: Section,
    pub title: String,
    /// `None` before the login.
    pub viewer: Option<Viewer>,
    /// Goes into every form.
    pub csrf: String,
    pub note: Option<Note>,
    /// The stream of events that says when the page has changed.
    pub events: Option<String>,
    /// Milliseconds since the Unix epoch: what times are told from.
    pub now: i64,
}

impl Frame {
    pub(crate) fn style(&self) -> String {
        assets::style().address()
    }

    pub(crate) fn script(&self) -> String {
        assets::script().address()
    }

    pub(crate) fn icon(&self) -> String {
        assets::icon().address()
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        let link = |(section, name, href): (Section, &'static str, &'static str)| Link {
            name,
            href,
            is_here: section == self.section,
        };
        let of_tenant = self.is_of_tenant();
        let shown = |section: Section| match section {
            Section::Orders | Section::Failures | Section::Ai => true,
            Section::Now | Section::Templates | Section::Settings | Section::Outside => !of_tenant,
        };
        Section::ALL.into_iter().filter(|(section, ..)| shown(*section)).map(link).collect()
    }

    /// Whether they see the orders of one tenant only, and nothing of what belongs to all.
    pub(crate) fn is_of_tenant(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.tenant.is_some())
    }

    pub(crate) fn may_submit(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.may_submit)
    }

    pub(crate) fn may_operate(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.may_operate)
    }

    /// Whether they may download bundles, which have what belongs to all tenants in them.
    pub(crate) fn may_export(&self) -> bool {
        let is_of_all = |viewer: &Viewer| viewer.may_operate && viewer.tenant.is_none();
        self.viewer.as_ref().is_some_and(is_of_all)
    }

    pub(crate) fn may_admin(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.may_admin)
    }
}

/// A link of the navigation.
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) href: &'static str,
    pub(crate) is_here: bool,
}
