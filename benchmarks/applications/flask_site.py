"""A Flask route as users write them: a converter in the path, the query, a cookie, a template."""

from __future__ import annotations

from flask import Flask, render_template, request
from jinja2 import DictLoader
from page import PARTS, TEMPLATE

application = Flask(__name__)
application.jinja_loader = DictLoader({"item.html": TEMPLATE})


@application.get("/items/<int:number>")
def item(number: int) -> str:
    page, visitor = request.args["page"], request.cookies["session"]
    return render_template("item.html", number=number, page=page, visitor=visitor, parts=PARTS)
