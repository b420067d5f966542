"""What the nine steps of `/verify` are, in words for people who read about signatures for the first time."""

from typing import NamedTuple


class Words(NamedTuple):
    """`checks` what is computed, `why` what would happen without it, `not_shown` what nobody should read into it."""

    name: str
    title: str
    checks: str
    why: str
    not_shown: str


STEPS = (
    Words(
        "statements",
        "The device signed its statements",
        "Everything a device says is a signed envelope. Your browser rebuilds the exact bytes that the device "
        "signed, which include the name of this network, and checks the Ed25519 signature under the device's key. "
        "The key must be the one that the device's id is the hash of. Then it computes the id of the statement, "
        "the SHA-256 of those bytes, and, where the readings are public, that they are the ones that the device "
        "committed to.",
        "Without this a coordinator could invent what a device said, or leave the readings and change their "
        "meaning. Only a holder of the device's key can make this signature; the coordinator is not one.",
        "It does not show that a sensor measured these values, nor where the device stands: a key is not a place.",
    ),
    Words(
        "receipts",
        "The coordinator signed receipts",
        "For each statement that it stored, the coordinator signs a row with the device, the number and the "
        "beginning of the statement's id, and sends it to the device. If receipts are in the file, your browser "
        "checks the coordinator's signature, and that they name these statements. In any case it shows the verdict"
        " that the batch publishes for each.",
        "A receipt is the device's evidence: with one in hand, a coordinator cannot say later that it never heard "
        "of the statement. A device deletes a statement only when it holds the receipt.",
        "This server does not keep receipts, so a file from here has none and the step says: not given. That is no"
        " fault. The published verdict alone is only what the coordinator says.",
    ),
    Words(
        "batches",
        "The statements stand in their batches",
        "A batch lists, for each device, the first and last number, how many there are, and one hash over the ids "
        "of all its statements. That line is a leaf of a hash tree. Your browser hashes the ids again, looks for "
        "each statement among them, and climbs from the leaf to the root that stands in the batch's header.",
        "Without this the coordinator could show you your statements and pay by other ones. To change a single "
        "statement it would have to find another one with the same SHA-256, which nobody can.",
        "It does not show that a statement which never got a receipt was not thrown away before. Of a busy device "
        "the file holds some batches, spread over the epoch.",
    ),
    Words(
        "payout",
        "The payout stands in its batch",
        "The batch that closes an epoch has a row for each device that is paid: presence, sensing, what the cap "
        "took, the sum, what is withheld. Your browser adds up the parts, checks that this batch is the one that "
        "closes the epoch, and climbs from the row through a second hash tree to the payouts root in the header.",
        "Without this the page could show you one amount and the books another. Everybody who is given this header"
        " is given the same row for this device.",
        "It does not show that the amount is right. That follows from the statements of all devices, and is what "
        "`edgetally verify` computes again from everything that is published.",
    ),
    Words(
        "headers",
        "The coordinator signed the headers",
        "Every batch has a header: its number and slots, the two roots of the steps above, and the hash of every "
        "file of the batch. Your browser checks the signature of each header in the file, under the coordinator "
        "key that was in force when the batch was sealed, and shows the header's id, which is the SHA-256 of what "
        "was signed.",
        "The signature makes it the coordinator's word, and one that it cannot take back. Two different headers of"
        " one number would convict it before everybody.",
        "It does not show by itself that others were given the same header; that is what the log and the comparing"
        " of checkpoints are for.",
    ),
    Words(
        "log",
        "The headers stand in the log",
        "All headers, from the first batch on, are the leaves of one hash tree that only grows. Your browser "
        "climbs from each header to the root that the checkpoint names, as in RFC 9162. The path has one hash for "
        "each level: a million batches need twenty.",
        "Whoever keeps one checkpoint has kept the whole past: a later checkpoint must contain the same headers, "
        "or the coordinator has been caught. Devices and auditors keep them.",
        "It does not show that the log in this file is the one that others see. Compare the size and root below "
        "with somebody else's.",
    ),
    Words(
        "checkpoint",
        "The coordinator signed the log",
        "The checkpoint is a short signed text with the log's name, its size and its root, in a form that tools of"
        " other transparency logs read too (C2SP). Your browser checks the name against this network, and the "
        "signature against the certified coordinator keys.",
        "It is the one line in which the whole history is summed up. If a coordinator signs two logs, two of these"
        " lines are all that is needed to show it.",
        "It does not show when it was signed. A checkpoint that is old is still true: it says less.",
    ),
    Words(
        "keys",
        "The root certified the coordinator",
        "The key that signs headers and checkpoints lies on a server, and servers are broken into. So a second "
        "key, the root, is kept offline, and signs a certificate: this is the coordinator's key, from this beacon "
        "on. Your browser checks each certificate under the root key that stands in the genesis.",
        "Without this anybody could make a key, sign a whole invented history with it, and every step above would "
        "hold. With it a stolen coordinator key can be replaced, and devices learn of it.",
        "It does not show who holds the root key, or how well it is kept.",
    ),
    Words(
        "network",
        "It is the network that you mean",
        "The genesis names the network, its root key and its first parameters. Its SHA-256 is the network's "
        "identity, and part of every signed byte above. Your browser computes it, and compares it with the hash "
        "that you type in.",
        "Without it all the rest could be a perfect history of another network: nine steps that hold, about money "
        "that does not exist here. Everything hangs on this one number.",
        "The page cannot tell you the right hash, because the page comes from whom you are checking. Take it from "
        "your device (`edgetally device status`), from your token, or from somebody you trust. Without it the step"
        " says: not given.",
    ),
)
