"""Views: a text as its reader would put it together, for the same rules to look at.

Who wants past a rule writes for a reader that decodes: in base64, with letters apart, with digits
for letters, in pieces over several messages. A *view* is the text with such places written plainly,
and knows what each of its characters was written as. What is found in a view counts only if it
lies on such a place: everything else was found in the text itself. Views are of whole texts; a
stream, of which nothing may be sent that later turns out to be half of something, has none.
"""
