"""Time travel: any tick of a run, backwards as well as forwards, and who wrote what is there."""
