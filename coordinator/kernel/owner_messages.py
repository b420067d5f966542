"""What an owner or the operator may say: the kinds of owner messages, as numbers that never change.

    token            operator   [token key, owner public key, devices, last epoch]
    key              an account [new public key, its countersignature]
    transfer         an owner   [account, amount]
    device_transfer  an owner   [device, account]
    rotate           an owner   [device, new public key, its countersignature]
    revoke           an owner   [device]
    replace          an owner   [device, the device that takes its place]
    parameter        operator   [name, value]

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

KINDS = {
    TOKEN: "token",
    KEY: "key",
    TRANSFER: "transfer",
    DEVICE_TRANSFER: "device_transfer",
    ROTATE: "rotate",
    REVOKE: "revoke",
    REPLACE: "replace",
    PARAMETER: "parameter",
}
OPERATOR_KINDS = (TOKEN, PARAMETER)
DEVICE_KINDS = (DEVICE_TRANSFER, ROTATE, REVOKE, REPLACE)
