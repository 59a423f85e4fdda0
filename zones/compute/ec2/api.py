"""Calls to EC2 with one bound on their time, and errors that say whether something may have happened.

botocore repeats nothing here (`total_max_attempts` 1): its retries know neither our deadline nor which
answers are final, and what is counted twice is easily bounded by neither. Every call that we make may be
repeated: it reads, it names an instance and a state, or it carries a ClientToken.

    Refused      EC2 has said no; `aws` is its code
    Unavailable  surely not executed: not connected, throttled, not authenticated
    Unknown      sent, and no answer that counts
"""

import random
import time
from collections.abc import Iterator
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
)

from zones.compute.ec2.options import Access
from zones.errors import Invalid, Unavailable, Unknown, ZonesError

THROTTLED = frozenset({
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "SlowDown",
    "RequestThrottled", "RequestThrottledException", "EC2ThrottledException", "TooManyRequestsException"})
NO_CAPACITY = frozenset({
    "InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity",
    "InsufficientReservedInstanceCapacity"})
"""Answers with status 500 that are answers nevertheless."""

_NOT_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError)
_NO_ACCESS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_CONNECT, _READ = 5.0, 30.0
_PAGE = 1000
_MOST_PAGES = 1000
_LONGEST_PAUSE = 5.0


class Refused(ZonesError):
    """EC2 has refused a call, for good: `aws` is its own code for why."""

    code = "ec2_refused"

    def __init__(self, aws: str, message: str) -> None:
        super().__init__(f"EC2 refuses: {aws}: {message}"[:500])
        self.aws = aws


class Ec2:
    """One account in one region. Safe to share between threads."""

    def __init__(self, access: Access) -> None:
        """Connects to nothing yet. Raises `Invalid` for a profile or a region that is none."""
        config = Config(connect_timeout=_CONNECT, read_timeout=_READ,
                        retries={"total_max_attempts": 1, "mode": "standard"},
                        max_pool_connections=64, user_agent_extra="zones")
        try:
            # A client may be shared between threads, a session may not: it is used here only.
            session = boto3.session.Session(
                aws_access_key_id=access.access_key, aws_secret_access_key=access.secret_key,
                aws_session_token=access.session_token, region_name=access.region,
                profile_name=access.profile)
            self._client: Any = session.client("ec2", endpoint_url=access.endpoint_url, config=config)
        except (ProfileNotFound, BotoCoreError, ValueError) as error:
            raise Invalid(f"no EC2 client can be made: {error}", code="bad_option") from error
        self._patience = access.patience

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """The answer to one call, repeated while it gets none. Raises `Refused`, `Unavailable`, `Unknown`."""
        deadline = time.monotonic() + self._patience
        reads = operation.startswith(("describe_", "get_"))
        maybe = False
        for tries in range(1_000_000):
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**params)
            except (ClientError, BotoCoreError) as error:
                unsent = _is_unsent(error)
                maybe = maybe or not (unsent or reads)
                pause = random.uniform(0.05, 1.0) * min(_LONGEST_PAUSE, 0.25 * 2**min(tries, 10))
                if time.monotonic() + pause > deadline:
                    raise _gave_up(operation, error, maybe) from error
                time.sleep(pause)
            else:
                return answer
        raise AssertionError("the deadline ends this before")

    def pages(self, operation: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Every entry below `key`, over all pages; an error in the midst is an error."""
        token: dict[str, str] = {}
        for _page in range(_MOST_PAGES):
            answer = self.call(operation, **params, **token)
            yield from answer.get(key, [])
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}
        raise Unavailable(f"EC2 gives more than {_MOST_PAGES} pages to {operation}", code="ec2_unavailable")

    def instances(self, *filters: tuple[str, list[str]]) -> list[dict[str, Any]]:
        """All instances that match every (name, values)."""
        wanted = [{"Name": name, "Values": values} for name, values in filters]
        return [instance
                for reservation in self.pages("describe_instances", "Reservations", Filters=wanted,
                                              MaxResults=_PAGE)
                for instance in reservation["Instances"]]

    def instance(self, instance_id: str) -> dict[str, Any] | None:
        """One instance by its id; None when EC2 shows none, which soon after its making proves nothing."""
        try:
            answer = self.call("describe_instances", InstanceIds=[instance_id])
        except Refused as error:
            if error.aws.startswith("InvalidInstanceID."):
                return None
            raise
        for reservation in answer.get("Reservations", []):
            for found in reservation["Instances"]:
                return dict(found)
        return None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _is_unsent(error: ClientError | BotoCoreError) -> bool:
    """Whether a repeat may help and the call was surely not executed; False: it may have been.

    Raises what no repeat can help.
    """
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = str(error.response.get("Error", {}).get("Message", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in THROTTLED:
            return True
        if code in NO_CAPACITY or status < 500:
            raise Refused(code, message) from error
        return False
    if isinstance(error, _NO_ACCESS):
        raise Unavailable(f"there are no credentials for EC2: {error}", code="ec2_no_credentials") from error
    if isinstance(error, ParamValidationError):
        raise Invalid(f"EC2 can't be asked that: {error}"[:500], code="ec2_bad_request") from error
    return isinstance(error, _NOT_SENT)


def _gave_up(operation: str, error: Exception, maybe: bool) -> ZonesError:
    words = f"EC2 does not answer {operation}: {error}"[:500]
    if maybe:
        return Unknown(words, code="ec2_unknown")
    return Unavailable(words, code="ec2_unavailable")
