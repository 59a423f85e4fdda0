"""Write the schema's first revision from `zones/db/tables.py`.

For use before the first release only: after it, a change of the tables is a new revision. The code
is Alembic's own rendering of the tables, one function a table, packed into lines.
"""

import ast
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateTableOp, UpgradeOps

from zones.db.tables import metadata

TARGET = Path(__file__).parent.parent / "zones/db/migrations/versions/v0001_first.py"
WIDTH = 110
HEAD = '''"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
{calls}


def downgrade() -> None:
    """Drop every table."""
    for table in (
{tables}
    ):
        op.drop_table(table)
'''


def _operations() -> dict[str, list[Any]]:
    """What makes each table from nothing: the table and its indexes."""
    with sa.create_engine("sqlite://").connect() as conn:
        script = produce_migrations(MigrationContext.configure(conn), metadata)
    assert script.upgrade_ops is not None
    found: dict[str, list[Any]] = {}
    pending = list(script.upgrade_ops.ops)
    while pending:
        operation: Any = pending.pop(0)
        if hasattr(operation, "ops"):
            pending[:0] = operation.ops
        else:
            found.setdefault(operation.table_name, []).append(operation)
    for operations in found.values():
        operations.sort(key=lambda operation: not isinstance(operation, CreateTableOp))
    return found


def _plain(kind: str, value: Any, _context: Any) -> str | Literal[False]:
    """A type of ours is, in a migration, the plain type below it: history may not depend on our code."""
    if kind == "type" and isinstance(value, sa.types.TypeDecorator):
        return f"sa.{value.impl_instance!r}"
    return False


def _packed(items: list[str], indent: str) -> str:
    lines, line = [], indent
    for item in items:
        if len(line) > len(indent) and len(line) + len(item) + 2 > WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += f"{item}, "
    return "\n".join([*lines, line.rstrip()])


def _function(table: str, operations: list[Any]) -> str:
    code = render_python_code(UpgradeOps(ops=operations), render_item=_plain)
    body = []
    for statement in ast.parse("if True:\n    " + code).body[0].body:  # type: ignore[attr-defined]
        call = statement.value
        parts = [part for part in (*call.args, *call.keywords) if ast.unparse(part) != "unique=False"]
        items = [_code(part) for part in parts]
        line = f"    {ast.unparse(call.func)}({', '.join(items)})"
        if len(line) > WIDTH or len(items) > 6:
            line = f"    {ast.unparse(call.func)}(\n{_packed(items, ' ' * 8)}\n    )"
        body.append(line)
    return f"def _{table}() -> None:\n" + "\n".join(body) + "\n"


class _Shorter(ast.NodeTransformer):
    """Leaves out what is the default anyway, and names of arguments that say nothing."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        node.args += [word.value for word in node.keywords if word.arg == "length"]
        node.keywords = [word for word in node.keywords if word.arg != "length"
                         and ast.unparse(word) not in ("nullable=True", "unique=False", "autoincrement=True")]
        return node


def _code(part: ast.AST) -> str:
    """The code of one argument, with this house's quotes: no name of ours contains one."""
    return ast.unparse(_Shorter().visit(part)).replace("'", '"')


def main() -> None:
    """Write the file."""
    operations = _operations()
    parts = [HEAD.format(calls="\n".join(f"    _{table}()" for table in operations),
                         tables=_packed([f'"{table}"' for table in reversed(operations)], " " * 8))]
    parts += [_function(table, operations[table]) for table in operations]
    TARGET.write_text("\n\n".join(parts))
    print(f"wrote {TARGET.name}: {len(operations)} tables")


if __name__ == "__main__":
    main()
