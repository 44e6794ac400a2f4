"""results/coursework."""
