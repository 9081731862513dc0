"""The people of an organization: members, invitations, class lists, suspensions."""
