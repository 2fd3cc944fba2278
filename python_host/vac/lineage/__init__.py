"""Why a value is what it is: the instructions and inputs that it was made from, found backwards through a run."""
