from app.schemas.base import Body, Password


class Reauthentication(Body):
    password: Password
