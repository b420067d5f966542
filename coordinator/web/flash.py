"""`/flash`: how to get onto the network with a board, and images for flashing from a browser, if the operator has some.

The images hold no secret (`edgetally flash --images-only`), so any page may fetch them: installers of the format of ESP
Web Tools are hosted elsewhere, and this one loads no script of anybody.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from coordinator.web import pages
from coordinator.web.keys import FLASH_IMAGES, READER
from coordinator.web.problems import Problem
from coordinator.web.templating import render
from device_client.profiles import Profile, load_profile, profiles
from firmware.flashing import manifests

routes = web.RouteTableDef()
ANYBODY = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


class Offered(NamedTuple):
    """A board as the page shows it; `sensors` are those that its profile can attach."""

    board: str
    name: str
    chip: str
    flash_mb: int
    sensors: list[str]
    has_images: bool


@cache
def boards() -> dict[str, Profile]:
    """Every profile with an ESP32, by its name."""
    return {name: one for name in profiles() if (one := load_profile(name)).kind == "esp32"}


@routes.get("/flash")
async def page(request: web.Request) -> web.Response:
    folder = request.app[FLASH_IMAGES]
    offered = [
        Offered(
            one.board,
            one.name,
            one.chip.family,
            one.flash_mb,
            [sensor.name for sensor in one.sensors],
            folder is not None and manifests.has_images(folder, one.board),
        )
        for one in boards().values()
    ]
    state = await request.app[READER].network()
    return render(request, "flash.html", **pages.frame(request, state), boards=offered)


@routes.get("/flash/{board}/manifest.json")
async def manifest(request: web.Request) -> web.Response:
    profile, _ = _with_images(request)
    return web.json_response(manifests.manifest(profile, version("edgetally")), headers=ANYBODY)


@routes.get("/flash/{board}/{part}")
async def part(request: web.Request) -> web.FileResponse:
    profile, folder = _with_images(request)
    name = request.match_info["part"]
    if name not in manifests.PARTS:
        raise Problem(404, "not_found", f"An image has the parts {', '.join(manifests.PARTS)}.")
    headers = {**ANYBODY, "Content-Type": "application/octet-stream"}
    return web.FileResponse(folder / profile.board / name, headers=headers)


def _with_images(request: web.Request) -> tuple[Profile, Path]:
    """Raises Problem not_found."""
    profile, folder = boards().get(request.match_info["board"]), request.app[FLASH_IMAGES]
    if profile is None:
        raise Problem(404, "not_found", f"There is no such board. Known: {', '.join(boards())}.")
    if folder is None or not manifests.has_images(folder, profile.board):
        raise Problem(404, "not_found", "The operator has put no images for this board here.")
    return profile, folder
