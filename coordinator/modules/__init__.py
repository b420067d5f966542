"""The rules: one pure file each, never importing each other."""

from coordinator.kernel.module import Module
from coordinator.kernel.parameters import TIME, Parameter

from . import accounts, identity, ledger, messages, notices, presence, rewards, sensing

MODULES: tuple[Module, ...] = (
    identity.MODULE,
    presence.MODULE,
    sensing.MODULE,
    rewards.MODULE,
    ledger.MODULE,
    accounts.MODULE,
    messages.MODULE,
    notices.MODULE,
)

DECLARED: tuple[Parameter, ...] = (*TIME, *(parameter for module in MODULES for parameter in module.parameters))
