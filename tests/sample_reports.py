"""Reports as mail servers write them, after their documented forms; every name in them is made up.

`{verp}` is the envelope sender of the mail that came back, `{to}` the address it was for.
"""

VERP = "b+token@bounces.media.example"
ORIGINAL = """\
Return-Path: <{verp}>
From: Multimedia Account <news@media.example>
To: {to}
Subject: Error 5.1.1 explained: no such user
List-Unsubscribe: <https://media.example/v1/newsletter/unsubscribe/{unsubscribe}>
Message-ID: <n1@media.example>

The story of the code 550 5.1.1, for those whose mailbox is full.
"""

POSTFIX = """\
Return-Path: <>
From: MAILER-DAEMON@mx.isp.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {verp}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="9B095.1764000000/mx.isp.example"
Content-Transfer-Encoding: 8bit

This is a MIME-encapsulated message.

--9B095.1764000000/mx.isp.example
Content-Description: Notification
Content-Type: text/plain; charset=utf-8

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<{to}>: host mx.home.example[192.0.2.25] said: {diagnostic}
    (in reply to RCPT TO command)

--9B095.1764000000/mx.isp.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.isp.example
X-Postfix-Queue-ID: 9B0951E0042
X-Postfix-Sender: rfc822; {verp}
Arrival-Date: Tue, 24 Nov 2026 12:00:00 +0000 (UTC)

Final-Recipient: rfc822; {to}
Original-Recipient: rfc822;{to}
Action: {action}
Status: {status}
Remote-MTA: dns; mx.home.example
Diagnostic-Code: smtp; {diagnostic}

--9B095.1764000000/mx.isp.example
Content-Description: Undelivered Message
Content-Type: message/rfc822

{original}
--9B095.1764000000/mx.isp.example--
"""

# Its status is always 5.0.0; what it means stands in the diagnostic, over several lines.
EXIM = """\
Return-path: <>
X-Failed-Recipients: {to}
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@out.isp.example>
To: {verp}
References: <n1@media.example>
Content-Type: multipart/report; report-type=delivery-status; boundary=1764000000-eximdsn-99
MIME-Version: 1.0
Subject: Mail delivery failed: returning message to sender

--1764000000-eximdsn-99
Content-type: text/plain; charset=us-ascii

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {to}
    host mx.home.example [192.0.2.25]
    SMTP error from remote mail server after RCPT TO:<{to}>:
    {diagnostic}

--1764000000-eximdsn-99
Content-type: message/delivery-status

Reporting-MTA: dns; out.isp.example

Action: failed
Final-Recipient: rfc822;{to}
Status: 5.0.0
Remote-MTA: dns; mx.home.example
Diagnostic-Code: smtp; {diagnostic}

--1764000000-eximdsn-99
Content-type: message/rfc822

{original}
--1764000000-eximdsn-99--
"""

# A nested body, base64, and CRLF inside of the status part.
EXCHANGE = """\
From: Microsoft Outlook
\t<MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@corp.example>
To: <{verp}>
Date: Tue, 24 Nov 2026 12:00:03 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="c1d2e3f4"
Subject: Undeliverable: Error explained
X-MS-Exchange-Message-Is-Ndr:

--c1d2e3f4
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary="a5b6"

--a5b6
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

Your message to {to} couldn't be delivered=2E

--a5b6
Content-Type: text/html; charset="us-ascii"

<html><body><p>couldn't be delivered</p></body></html>

--a5b6--

--c1d2e3f4
Content-Type: message/delivery-status
Content-Transfer-Encoding: base64

{status_part}

--c1d2e3f4
Content-Type: message/rfc822

{original}
--c1d2e3f4--
"""
EXCHANGE_STATUS = """\
Reporting-MTA: dns;AM0EUR02.mail.protection.corp.example

Original-Recipient: rfc822;{to}
Final-Recipient: rfc822;{to}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {to}
 not found by SMTP address lookup
X-Display-Name: {to}
"""

GMAIL = """\
Delivered-To: {verp}
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: {verp}
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
References: <n1@media.example>
In-Reply-To: <n1@media.example>
X-Failed-Recipients: {to}
Content-Type: multipart/report; boundary="000000000000a1b2"; report-type=delivery-status
MIME-Version: 1.0

--000000000000a1b2
Content-Type: multipart/related; boundary="000000000000c3d4"

--000000000000c3d4
Content-Type: multipart/alternative; boundary="000000000000e5f6"

--000000000000e5f6
Content-Type: text/plain; charset="UTF-8"


** Message blocked **
Your message to {to} was not delivered. See the details below.

--000000000000e5f6--
--000000000000c3d4--
--000000000000a1b2
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Received-From-MTA: dns; news@media.example
Arrival-Date: Tue, 24 Nov 2026 04:00:00 -0800 (PST)
X-Original-Message-ID: <n1@media.example>

Final-Recipient: rfc822; {to}
Action: failed
Status: {status}
Remote-MTA: dns; aspmx.l.corp.example. (192.0.2.27, the server for the domain corp.example.)
Diagnostic-Code: smtp; {diagnostic}
Last-Attempt-Date: Tue, 24 Nov 2026 04:00:01 -0800 (PST)

--000000000000a1b2
Content-Type: text/rfc822-headers

{original}
--000000000000a1b2--
"""

QMAIL = """\
Return-Path: <>
From: MAILER-DAEMON@old.isp.example
To: {verp}
Subject: failure notice

Hi. This is the qmail-send program at old.isp.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{to}>:
{diagnostic}

--- Below this line is a copy of the message.

{original}
"""

OUT_OF_OFFICE = """\
Return-Path: <>
From: Jane Doe <{to}>
To: {verp}
Subject: Automatic reply: Error 5.1.1 explained
Auto-Submitted: auto-replied
Content-Type: text/plain

I am away until Monday. 550 5.1.1 is my favourite code, and my mailbox is full.
"""

# A feedback loop's: the original's recipient is blacked out, as most providers do.
ARF = """\
From: feedback@isp.example
To: complaints@bounces.media.example
Subject: FW: Error explained
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1_13d.2e68ed54"

--part1_13d.2e68ed54
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for an email message received from IP 192.0.2.2.

--part1_13d.2e68ed54
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
{mail_from}
Source-IP: 192.0.2.2

--part1_13d.2e68ed54
Content-Type: message/rfc822
Content-Disposition: inline

{original}
--part1_13d.2e68ed54--
"""


def fill(template: str, **values: str) -> bytes:
    """With line ends as they come by SMTP."""
    known = {
        "verp": VERP,
        "to": "jane@example.org",
        "action": "failed",
        "status": "5.1.1",
        "diagnostic": "550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown",
        "unsubscribe": "none",
        "kind": "abuse",
        "mail_from": "Original-Mail-From: <{verp}>",
        **values,
    }
    original = values.get("original", ORIGINAL).format(**known)
    known["mail_from"] = known["mail_from"].format(**known)
    text = template.format(**{**known, "original": original})
    return text.replace("\n", "\r\n").encode()
