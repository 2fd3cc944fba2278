"""What every engine is: the `Machine` protocol, the architectural state, and the reasons to stop."""
