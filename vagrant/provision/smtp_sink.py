"""The lab's mail server: accepts every mail over SMTP and writes it to a file.

Each accepted mail is one file NUMBER.eml in the directory, numbered in order of arrival.
Two headers stand before the mail as it came: X-Envelope-From and X-Envelope-To.
A file appears whole: it is written under another name and renamed.

The fault file, read anew at every mail, makes the server misbehave.
It holds one line, `FAULT [COUNT]`; without COUNT the fault stays until the file is removed.

    refuse    answers RCPT TO with 550 (never again)
    defer     answers RCPT TO with 451 (try later)
    reject    answers the mail's end with 554, after the whole mail was sent
    hang      says nothing after the mail's end, and keeps nothing
    close     cuts the connection after the mail's end, and keeps nothing
    lose-ack  keeps the mail, then cuts the connection before the answer

With --certificate and --key it speaks TLS: after STARTTLS, which it then insists on, or from the first byte with --wrapped.
With --login USER:PASSWORD it takes mail only from who logs in.
"""

import argparse
import asyncio
import os
import pathlib
import signal
import ssl

from aiosmtpd.smtp import SMTP, AuthResult

HANG_SECONDS = 600


class Faults:
    """What the fault file asks for."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def take(self, *wanted: str) -> str | None:
        """Returns the fault in force if it is one of `wanted`, and counts it."""
        try:
            words = self.path.read_text().split()
        except FileNotFoundError:
            return None
        if not words or words[0] not in wanted:
            return None
        if len(words) > 1:
            left = int(words[1]) - 1
            if left > 0:
                self.path.write_text(f"{words[0]} {left}\n")
            else:
                self.path.unlink(missing_ok=True)
        return words[0]


class Sink:
    """Takes the mails; the method names are aiosmtpd's."""

    def __init__(self, directory: pathlib.Path, faults: Faults):
        self.directory = directory
        self.faults = faults
        numbers = [int(p.stem) for p in directory.glob("*.eml") if p.stem.isdigit()]
        self.last = max(numbers, default=0)

    async def handle_RCPT(self, server, session, envelope, address, options):
        fault = self.faults.take("refuse", "defer")
        if fault == "refuse":
            return "550 5.1.1 No such mailbox (lab fault)"
        if fault == "defer":
            return "451 4.3.0 Try again later (lab fault)"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        fault = self.faults.take("reject", "hang", "close", "lose-ack")
        if fault == "reject":
            return "554 5.6.0 Rejected (lab fault)"
        if fault == "hang":
            await asyncio.sleep(HANG_SECONDS)
            return "421 4.4.2 Hung (lab fault)"
        if fault != "close":
            self.keep(envelope)
        if fault in ("close", "lose-ack"):
            server.transport.abort()
            return "421 4.4.2 Closing (lab fault)"
        return f"250 2.0.0 Kept as {self.last:06}.eml"

    def keep(self, envelope) -> None:
        # The number may be in use when a test put a file there; a mail is never overwritten.
        self.last += 1
        while (self.directory / f"{self.last:06}.eml").exists():
            self.last += 1
        head = f"X-Envelope-From: {envelope.mail_from or '<>'}\r\n"
        head += f"X-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n"
        path = self.directory / f"{self.last:06}.eml"
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(head.encode("utf-8", "surrogateescape"))
            file.write(envelope.original_content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)


async def serve(options: argparse.Namespace, sink: Sink) -> None:
    settings = {}
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
        if not options.wrapped:
            settings |= {"tls_context": context, "require_starttls": True}
    if options.login:
        wanted = tuple(word.encode() for word in options.login.split(":", 1))

        def authenticate(server, session, envelope, mechanism, data):
            # Not handled: the library answers, also a wrong password.
            return AuthResult(success=(data.login, data.password) == wanted, handled=False)

        # A wrapped connection is as safe as one after STARTTLS, which aiosmtpd cannot know.
        settings |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": bool(context) and not options.wrapped}
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await loop.create_server(
        lambda: SMTP(sink, hostname="mail.lab.test", enable_SMTPUTF8=True, data_size_limit=32 * 1024 * 1024, **settings),
        host="127.0.0.1",
        port=options.port,
        ssl=context if options.wrapped else None,
    )
    await ended.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="The lab's mail server.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=pathlib.Path, required=True)
    parser.add_argument("--fault-file", type=pathlib.Path, required=True)
    parser.add_argument("--certificate", type=pathlib.Path)
    parser.add_argument("--key", type=pathlib.Path)
    parser.add_argument("--wrapped", action="store_true")
    parser.add_argument("--login")
    options = parser.parse_args()
    asyncio.run(serve(options, Sink(options.directory, Faults(options.fault_file))))


if __name__ == "__main__":
    main()
