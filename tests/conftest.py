"""What all tests share."""

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:      # as in a shell's background job: Ctrl-C would never arrive
    signal.signal(signal.SIGINT, signal.default_int_handler)
