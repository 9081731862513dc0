"""`keyhall filters`: rules on what goes in and comes out, tried and reported."""
