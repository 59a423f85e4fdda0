"""What the embedded identity needs of a database. The rows are those of `zones.db.tables`."""

from typing import Any, Protocol

Row = dict[str, Any]


class Store(Protocol):
    """Users, projects, roles, assignments, application credentials and revocations.

    `noun` is one of `user`, `project`, `role`, `app_credential`. Every call is one transaction.
    """

    def rows(self, noun: str, where: Row) -> list[Row]:
        """The rows in which each column of `where` has that value, by name."""

    def add(self, noun: str, row: Row) -> Row:
        """Insert a row. Raises `Conflict` when its id or name is taken."""

    def change(self, noun: str, row_id: str, values: Row) -> Row:
        """Update a row and return it. Raises `NotFound`, and `Conflict` when a name is taken."""

    def remove(self, noun: str, row_id: str) -> None:
        """Delete a row and everything that hangs on it. Raises `NotFound`."""

    def assignments(self, where: Row) -> list[Row]:
        """Role assignments: user_id, user_name, project_id, project_name, role_id, role_name."""

    def grant(self, user_id: str, project_id: str, role_id: str) -> None:
        """Give a user a role on a project. Harmless when repeated."""

    def withdraw(self, user_id: str, project_id: str, role_id: str) -> None:
        """Take the role again. Raises `NotFound` when it was not given."""

    def expel(self, user_ids: list[str]) -> None:
        """End every token that these users have now."""

    def revoke(self, key: str, expires_at: float) -> None:
        """Remember until `expires_at` that tokens named by `key` (see `tokens.keys_of`) are void."""

    def revocations(self, since: float) -> tuple[set[str], dict[str, int]]:
        """Every live revocation key, and `tokens_from` of the users that have one after `since`."""

    def prune(self) -> int:
        """Forget revocations whose tokens have expired anyway; their number."""
