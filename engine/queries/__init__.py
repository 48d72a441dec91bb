from engine.queries.saved import Draft, SavedQueries, SavedQuery

__all__ = ["Draft", "SavedQueries", "SavedQuery"]
