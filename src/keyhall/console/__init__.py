"""The console: pages for people, in a browser. Imported when the first page is asked for."""
