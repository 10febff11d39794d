"""The course: lessons that are trained, judged by what was measured, and shown on a page."""
