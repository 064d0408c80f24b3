from app.schemas.base import Answer
from app.services.bounces import Outcome


class InboundMailAnswer(Answer):
    # Whatever it was, it has been dealt with, and need not be sent again.
    outcome: Outcome
