"""Who may not leave, and what has to happen first: somebody owns every organization, and somebody
runs the hall.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from keyhall.policy.people.roles import Role


@dataclass(frozen=True, slots=True)
class Standing:
    """Somebody's place in an organization, beside its other people."""

    organization_name: str
    role: Role
    owners: int
    members: int

    @property
    def is_last_owner(self) -> bool:
        return self.role == "owner" and self.owners <= 1


def last_owner_problem(standing: Standing) -> str | None:
    """Why somebody cannot be removed or given another role."""
    if not standing.is_last_owner:
        return None
    name = standing.organization_name
    return f"{name} needs an owner. Make somebody else an owner first."


def last_operator_problem(is_operator: bool, others: int) -> str | None:
    """Why an operator cannot stop being one; `others` are those that can sign in."""
    if not is_operator or others > 0:
        return None
    return (
        "Nobody else runs this server. Make somebody an operator first: "
        "`keyhall accounts operator ACCOUNT on`."
    )


def deletion_problem(
    standings: Iterable[Standing], is_operator: bool, other_operators: int
) -> str | None:
    """Why an account cannot be deleted yet, and what to do."""
    problem = last_operator_problem(is_operator, other_operators)
    if problem is not None:
        return problem
    for each in standings:
        if each.is_last_owner and each.members > 1:
            name = each.organization_name
            return (
                f"You are the last owner of {name}, which has other members. Make one of them an "
                "owner, or remove them, on the page People."
            )
    return None
