"""Masks and outlines that clients send: what they mean, where they are cut."""

import base64

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import geometry, pictures
from rsisrefiner_jax.errors import UserError
from tests import annotating
from tests.annotating import HEIGHT, WIDTH, refused


@pytest.fixture
def client(here, data):
    """A client of a server with one image and no model."""
    here.project.add_image(data / "scene.tif")
    yield annotating.client(here)
    here.worker.stop()


def ok(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()


def png(pixels, ending=".png"):
    return base64.b64encode(cv2.imencode(ending, pixels)[1]).decode()


def box(left, top, right, bottom):
    """bool [h, w]."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def pixels(one):
    """Those within the outline of an object or a session."""
    if one["geometry"] is None:
        return np.zeros((HEIGHT, WIDTH), bool)
    shape = geometry.from_json(one["geometry"])
    return geometry.rasterise(shape, WIDTH, HEIGHT).within(0, 0, WIDTH, HEIGHT)


def session(client, mask=None, **about):
    """The id of a new one, with a mask in it."""
    id = ok(client.post("/api/sessions", json={"image_id": 1, **about}))["id"]
    if mask is not None:
        put(client, id, png=annotating.grey_png(mask))
    return id


def put(client, id, **given):
    return ok(client.put(f"/api/sessions/{id}/mask", json=given))


def forms(mask):
    """A mask as every picture that means one."""
    grey = mask.astype(np.uint8)
    return {
        "0 and 1": png(grey),
        "0 and 255": png(255 * grey),
        "16 bits": png(mask.astype(np.uint16)),
        "colours": png(np.dstack([255 * grey] * 3)),
        "transparent": png(np.dstack([255 * grey] * 4)),
        "named": "data:image/png;base64," + png(grey),
        "probabilities": png(mask.astype(np.float32), ".tiff"),
    }


@pytest.mark.parametrize("form", forms(box(0, 0, 1, 1)))
def test_every_form_of_a_mask_means_the_same(client, form):
    mask = box(10, 5, 30, 20)
    found = put(client, session(client), png=forms(mask)[form])
    np.testing.assert_array_equal(pixels(found), mask)
    sent = pictures.mask_sent(forms(mask)[form], "prev_mask")
    np.testing.assert_array_equal(sent.pixels, mask)


def test_what_is_no_mask_is_refused_and_changes_nothing(client):
    mask = box(10, 5, 30, 20)
    id = session(client, mask)
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    ids = mask.astype(np.uint8) * 7
    for wrong, words in [
        (np.ones((HEIGHT, WIDTH), np.uint8), "png: every pixel is 1"),
        (noise, "png: the mask must hold"),
        (ids, "values from 0 to 7"),
        (np.dstack([noise, noise // 2, noise]), "png: a picture in colours is no mask"),
    ]:
        refused(client.put(f"/api/sessions/{id}/mask", json={"png": png(wrong)}), words)
        with pytest.raises(UserError, match="prev_mask: "):
            pictures.mask_sent(png(wrong), "prev_mask")
    np.testing.assert_array_equal(pixels(ok(client.get(f"/api/sessions/{id}"))), mask)
    whole = put(client, id, png=png(np.full((HEIGHT, WIDTH), 255, np.uint8)))
    assert whole["area_px"] == HEIGHT * WIDTH
    assert put(client, id, png=png(np.zeros((4, 4), np.uint8)))["area_px"] == 0
