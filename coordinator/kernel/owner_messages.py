"""What an owner or the operator may say: the kinds of owner messages, as numbers that never change.

    token            operator   [token key, owner public key, devices, last epoch]
    key              an account [new public key, its countersignature]
    transfer         an owner   [account, amount]
    device_transfer  an owner   [device, account]
    rotate           an owner   [device, new public key, its countersignature]
    revoke           an owner   [device]
    replace          an owner   [device, the device that takes its place]
    parameter        operator   [name, value]
    quarantine       operator   [device, reason, SHA-256 of the evidence, last epoch]
    lift             operator   [device, reason, SHA-256 of the evidence]
    appeal           an owner   [device, SHA-256 of a text]
    correct          operator   [account, device, epoch, amount, reason]
    settle           operator   [account, amount, SHA-256 of the payment's reference]
    readings         an owner   [device, 1 for public or 0]

Kind 1 is a certificate by the root key and never stands in a batch.
"""

TOKEN = 2
KEY = 3
TRANSFER = 4
DEVICE_TRANSFER = 5
ROTATE = 6
REVOKE = 7
REPLACE = 8
PARAMETER = 9
QUARANTINE = 10
LIFT = 11
APPEAL = 12
CORRECT = 13
SETTLE = 14
READINGS = 15

KINDS = {
    TOKEN: "token",
    KEY: "key",
    TRANSFER: "transfer",
    DEVICE_TRANSFER: "device_transfer",
    ROTATE: "rotate",
    REVOKE: "revoke",
    REPLACE: "replace",
    PARAMETER: "parameter",
    QUARANTINE: "quarantine",
    LIFT: "lift",
    APPEAL: "appeal",
    CORRECT: "correct",
    SETTLE: "settle",
    READINGS: "readings",
}
OPERATOR_KINDS = (TOKEN, PARAMETER, QUARANTINE, LIFT, CORRECT, SETTLE)
MONEY_KINDS = (CORRECT, SETTLE)  # what the operator does to balances
DEVICE_KINDS = (DEVICE_TRANSFER, ROTATE, REVOKE, REPLACE, READINGS)  # by the device's owner
QUARANTINE_KINDS = (QUARANTINE, LIFT, APPEAL)
