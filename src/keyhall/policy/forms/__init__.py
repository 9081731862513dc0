"""What people write into forms, and what their spreadsheets read."""
