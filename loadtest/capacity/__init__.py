"""What one service carries: a sweep of requests at once, a search for the highest rate that keeps an objective, a page
that shows both.
"""
