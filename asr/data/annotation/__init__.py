"""Files of time-aligned annotation: ELAN's eaf and Praat's TextGrid."""
