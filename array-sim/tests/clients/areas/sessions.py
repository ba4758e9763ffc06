"""Sessions that end, an array that is busy, and what the client makes of them."""

from pypureclient import PureError, flasharray


def run(run):
    client, control = run.client, run.control
    control.post("expire-sessions")
    run.check(run.ok(client.get_arrays()), "a new login after a 401")
    control.rule("GET", "arrays", kind="expire_token")
    run.check(run.ok(client.get_arrays()), "a session that ends within a call")
    busy = [{"kind": "too_many_requests", "retry_after_s": 0}, {"kind": "unavailable"},
            {"kind": "busy"}]
    for action in busy:
        control.rule("GET", "arrays", **action)
        before = control.served("GET arrays")
        run.check(run.ok(client.get_arrays()), f"another try after {action['kind']}")
        run.same(control.served("GET arrays") - before, 2, "tries")
    impatient = run.connect(retries=0)
    # Below the client's own tries, urllib3 makes three more where Retry-After says when.
    for action, status, times in zip(busy, (429, 503, 500), (4, 1, 1)):
        control.rule("GET", "arrays", times, **action)
        refused = impatient.get_arrays()
        run.same(refused.status_code, status)
        run.check(refused.errors[0].message, f"the text of {status}")
    control.rule("GET", "arrays", kind="refuse", message="No.")
    run.refused(client.get_arrays(), "No.")
    strangers(run)


def strangers(run):
    """A wrong token, and a certificate that nobody vouches for."""
    token, run.token = run.token, "not-the-token"
    try:
        run.connect().get_arrays()
        run.check(False, "a wrong token is accepted")
    except PureError as error:
        run.check("401" in str(error), f"a wrong token: {error}")
    run.token = token
    try:
        flasharray.Client(run.target, version=run.version, api_token=run.token, verify_ssl=True,
                          timeout=20)
        run.check(False, "an unknown certificate is accepted")
    except Exception as error:  # the client lets urllib3's error through
        run.check("CERTIFICATE_VERIFY_FAILED" in str(error), f"an unknown certificate: {error}")
