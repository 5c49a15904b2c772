"""A mail server and its clients: many messages, STARTTLS, authentication, refused recipients, messages too large.

Usage: ``python -m ourio examples/programs/network/mail_service.py``
"""

import asyncio
import email.message
import pathlib
import ssl
import sys

import aiosmtplib
import trustme
from aiosmtpd.smtp import SMTP, AuthResult

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402


class Mailbox:
    def __init__(self):
        self.letters = []

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):  # noqa: N802 - aiosmtpd's name
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.letters.append((envelope.rcpt_tos, envelope.content, session.ssl is not None))
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"user", b"secret"), handled=False)


def letter(number, body="hello"):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", f"number {number}"
    message.set_content(body)
    return message


async def main():
    loop = asyncio.get_running_loop()
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    mailbox = Mailbox()

    def session():
        return SMTP(
            mailbox,
            hostname="localhost",
            tls_context=context,
            require_starttls=False,
            authenticator=authenticate,
            auth_require_tls=True,
            data_size_limit=100_000,
            loop=loop,
        )

    server = await loop.create_server(session, "127.0.0.1", 0)
    where = {"hostname": "localhost", "port": server.sockets[0].getsockname()[1], "timeout": 5}

    async with aiosmtplib.SMTP(**where, start_tls=False) as client:
        for number in range(50):
            await client.send_message(letter(number))
        equal(len(mailbox.letters), 50, "50 over one connection")
        check(not any(secure for *_, secure in mailbox.letters), "in the clear")
        refused = client.sendmail("a@example.org", "nobody@example.org", "Subject: x\r\n\r\nx")
        await raises(aiosmtplib.SMTPRecipientsRefused, refused, "a mailbox that is not there")
        await raises(aiosmtplib.SMTPResponseException, client.send_message(letter(0, "x" * 200_000)), "too large")
        check((await client.noop()).code == 250, "the connection is used further")

    mailbox.letters.clear()
    secured = {"start_tls": True, "tls_context": trusting}
    async with aiosmtplib.SMTP(**where, **secured, username="user", password="secret") as client:
        await client.send_message(letter(1, "y" * 50_000))
        (to, content, secure), *_ = mailbox.letters
        equal((to, secure), (["b@example.org"], True), "encrypted after STARTTLS")
        check(b"y" * 900 in content.replace(b"=\r\n", b""), "whole")
    wrong = aiosmtplib.send(letter(1), **where, **secured, username="user", password="wrong")
    await raises(aiosmtplib.SMTPAuthenticationError, wrong, "a wrong password")
    distrusting = aiosmtplib.send(letter(1), **where, start_tls=True)
    await raises((ssl.SSLError, aiosmtplib.SMTPException), distrusting, "an authority that nobody trusts")

    mailbox.letters.clear()
    await asyncio.gather(*(aiosmtplib.send(letter(n), **where, **secured) for n in range(20)))
    equal(len(mailbox.letters), 20, "20 connections at once")
    server.close()
    await server.wait_closed()
    await report()


asyncio.run(main())
