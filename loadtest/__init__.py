"""Load tests of the service as a whole: real processes on 127.0.0.1, real sockets. Serving imports none of it."""
