"""A mail server that delivers into a file: one line of JSON a mail.

arguments: PORT FILE plain|starttls|tls [CERTIFICATE KEY]
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, path, security, *files = sys.argv[1:]


class Deliver:
    async def handle_RCPT(self, server, session, envelope, address, options):
        person = address.partition("@")[0]
        if person == "refused":
            return "550 5.1.1 nobody of this name"
        if person == "later":
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": envelope.content.decode("utf-8", "surrogateescape"),
        }
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(mail) + "\n")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, given):
    # Not handled: the server itself answers 535.
    return AuthResult(success=(given.login, given.password) == (b"quell", b"hush-mail"), handled=False)


context = None
if security != "plain":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)


def session():
    if security == "plain":
        return SMTP(Deliver(), enable_SMTPUTF8=True)
    starttls = security == "starttls"
    return SMTP(
        Deliver(),
        enable_SMTPUTF8=True,
        tls_context=context if starttls else None,
        require_starttls=starttls,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=starttls,
    )


async def main():
    implicit = context if security == "tls" else None
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port), ssl=implicit)
    await server.serve_forever()


asyncio.run(main())
