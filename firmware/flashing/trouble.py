"""What can go wrong on the way to a running board, each with a stable code.

no_port         no board, and the text says what was looked for
port_denied     the port is there, but this user may not open it
no_answer       nothing speaks the boot loader's language there
wrong_chip      the chip is not that of the board profile, or of the MicroPython image
wrong_flash     the flash chip is smaller than the profile says
which_board     several profiles fit; one has to be named
bad_firmware    the file is no MicroPython image for this chip
unknown_firmware  nobody has vouched for this image, and it was not accepted by its digest
write_failed    the flash does not hold what was written
bad_input       a file or an option is not accepted
not_ours        the board holds no Edgetally, so there is nothing to update
other_network   the board belongs to another network than the provisioning is for
update_failed   the board did not take a file
not_running     the board was written and does not run, enrol or get a receipt; the text says what its log shows
"""


class FlashError(Exception):
    """`code` is one of the words above; the text is for people and names no secret."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
