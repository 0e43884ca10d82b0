"""What an alert channel plugin may import: the alert, the contract, and the faults it may raise."""

from dudzian_daemon.domain.alert_channels import AlertChannel, ChannelTools, Http, HttpReply
from dudzian_daemon.domain.alert_text import headline, text
from dudzian_daemon.domain.alerts import Alert, AlertCode, Severity
from dudzian_daemon.domain.errors import AuthFailed, ConfigError, Offline, Permanent, Retryable

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertCode",
    "AuthFailed",
    "ChannelTools",
    "ConfigError",
    "Http",
    "HttpReply",
    "Offline",
    "Permanent",
    "Retryable",
    "Severity",
    "headline",
    "text",
]
