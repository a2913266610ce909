"""What is wrong with an environment, and how to mend it: facts are gathered first, then judged by pure functions."""
