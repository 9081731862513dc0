"""Pages of an organization's administrators: projects, budgets, statements, the audit."""
