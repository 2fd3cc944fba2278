"""Program images: what a machine is loaded with."""
