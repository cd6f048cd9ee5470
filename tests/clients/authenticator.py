"""An authenticator app: pyotp reads the otpauth address and computes the code.

Environment: CAUSEWAY_OTPAUTH_URI, and optionally CAUSEWAY_AT (seconds since 1970; now when absent).
Prints one JSON object: the code and what the address says of the account.
"""

import json
import os
import sys
import time

import pyotp


def main():
    uri = os.environ.get("CAUSEWAY_OTPAUTH_URI") or sys.exit(f"{sys.argv[0]}: set CAUSEWAY_OTPAUTH_URI")
    totp = pyotp.parse_uri(uri)
    at = int(os.environ.get("CAUSEWAY_AT") or time.time())
    print(json.dumps({"code": totp.at(at), "issuer": totp.issuer, "name": totp.name}))


main()
