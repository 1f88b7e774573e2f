//! Who makes a call. What one order asks for may make a provider fail, as a prompt that takes it
//! minutes: such failures must not stop the calls of others.

use std::cmp::Ordering;
use std::sync::Arc;

use super::failure::AttemptFailure;
use sitewright_model::ai::{AiErrorKind, Limit, OpenFor};

/// The order that a call is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) order: String,
    /// The label of the order's tenant. Orders without one count as those of one tenant.
    pub(super) tenant: Option<String>,
}

/// Where calls wait, those with the same key take turns as one tenant: the orders with one label,
/// all orders without one, and all calls that are made for no order.
#[derive(Debug, Clone)]
pub(super) struct TenantKey(Option<Arc<Caller>>);

impl TenantKey {
    pub(super) fn of(caller: Option<&Arc<Caller>>) -> Self {
        TenantKey(caller.cloned())
    }

    fn label(&self) -> Option<Option<&str>> {
        self.0.as_ref().map(|caller| caller.tenant.as_deref())
    }
}

impl PartialEq for TenantKey {
    fn eq(&self, other: &Self) -> bool {
        self.label() == other.label()
    }
}

impl Eq for TenantKey {}

impl PartialOrd for TenantKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TenantKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.label().cmp(&other.label())
    }
}

/// Whether two calls are made for orders of one tenant.
pub(super) fn is_of_same_tenant(one: Option<&Arc<Caller>>, other: Option<&Arc<Caller>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.tenant == other.tenant,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whose calls have failed in a row, and so whose calls an open breaker rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failing {
    /// Those of this order.
    Order(Arc<Caller>),
    /// Those of several orders of one tenant; this is one of them.
    Tenant(Arc<Caller>),
    /// Those of several tenants, or with a failure that every call would have met.
    All,
}

impl Failing {
    /// What a failure of this call tells. A call that is made for no order is one of ours.
    pub(super) fn of(caller: Option<&Arc<Caller>>, failure: &AttemptFailure) -> Self {
        match caller {
            Some(caller) if may_be_of_its_words(failure) => Failing::Order(caller.clone()),
            _ => Failing::All,
        }
    }

    /// Whose calls have failed with those of `other`.
    pub(super) fn and(&self, other: &Failing) -> Self {
        let (Some(one), Some(two)) = (self.caller(), other.caller()) else { return Failing::All };
        if one.tenant != two.tenant {
            return Failing::All;
        }
        match (self, other) {
            (Failing::Order(one), Failing::Order(two)) if one.order == two.order => self.clone(),
            _ => Failing::Tenant(one.clone()),
        }
    }

    /// As if another order of the same tenant had failed as well.
    pub(super) fn of_whole_tenant(self) -> Self {
        match self {
            Failing::Order(caller) | Failing::Tenant(caller) => Failing::Tenant(caller),
            Failing::All => Failing::All,
        }
    }

    /// Whether such a call is one of those that fail.
    pub(super) fn concerns(&self, caller: Option<&Arc<Caller>>) -> bool {
        match self {
            Failing::Order(of) => caller.is_some_and(|caller| caller.order == of.order),
            Failing::Tenant(of) => caller.is_some_and(|caller| caller.tenant == of.tenant),
            Failing::All => true,
        }
    }

    pub(super) fn open_for(&self) -> OpenFor {
        match self {
            Failing::Order(_) => OpenFor::Order,
            Failing::Tenant(_) => OpenFor::Tenant,
            Failing::All => OpenFor::All,
        }
    }

    /// The order whose calls fail, if it is only one, and its label or that of the tenant.
    pub(super) fn names(&self) -> (Option<String>, Option<String>) {
        match self {
            Failing::Order(of) => (Some(of.order.clone()), of.tenant.clone()),
            Failing::Tenant(of) => (None, of.tenant.clone()),
            Failing::All => (None, None),
        }
    }

    fn caller(&self) -> Option<&Arc<Caller>> {
        match self {
            Failing::Order(caller) | Failing::Tenant(caller) => Some(caller),
            Failing::All => None,
        }
    }
}

/// Whether the words or the size of a request may have provoked the failure: the provider has seen
/// it, and did not refuse the key.
fn may_be_of_its_words(failure: &AttemptFailure) -> bool {
    failure.may_quote_order()
        && failure.kind != AiErrorKind::Auth
        && failure.limit != Some(Limit::Connect)
}
