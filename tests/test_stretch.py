"""Any raster file as RGB: types, bands, no-data, and the same pixels in whatever window."""

import cv2
import numpy as np
import pytest

from rsisrefiner_jax.data.raster import read_picture, read_window, stretch_of_file
from rsisrefiner_jax.data.stretch import (
    Recipe,
    apply,
    find_stretch,
    guessed_fill,
    sample_shape,
    thin_out,
)
from rsisrefiner_jax.errors import UserError

H, W = 50, 70
ALL = np.ones((H, W), bool)


@pytest.fixture
def raster(tmp_path):
    """raster(bands [n, h, w], **profile): the path of a GeoTIFF."""
    pytest.importorskip("rasterio")
    from tests.rasters import write_raster

    return lambda bands, **profile: write_raster(tmp_path / "r.tif", bands, **profile)


@pytest.fixture
def without_rasterio(monkeypatch):
    monkeypatch.setattr("rsisrefiner_jax.formats.raster_info.installed", lambda: None)


def noise(count, dtype, low=100, high=3000, seed=0):
    values = np.random.default_rng(seed).uniform(low, high, (count, H, W))
    return values.astype(dtype)


# The arithmetic.


def test_8_bit_is_taken_as_it_is():
    pixels = np.moveaxis(noise(3, np.uint8, 30, 90), 0, -1)
    assert not Recipe().stretches(pixels.dtype)
    np.testing.assert_array_equal(apply(pixels, None), pixels)
    assert Recipe(stretch_8bit=True).stretches(pixels.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_percentiles_become_0_and_255(dtype):
    pixels = np.arange(101).astype(dtype).reshape(1, -1, 1)
    limits = find_stretch(pixels, np.ones((1, 101), bool), Recipe(percentiles=(10.0, 90.0))).limits
    assert limits == ((10.0, 90.0),)
    rgb = apply(pixels, limits)
    assert rgb.dtype == np.uint8
    assert (rgb[..., 0] == rgb[..., 2]).all()
    assert rgb[0, [0, 10, 50, 90, 100], 0].tolist() == [0, 0, 127, 255, 255]


def test_odd_values():
    odd = np.array([[[np.nan], [np.inf], [-np.inf], [0.5]]], np.float32)
    assert apply(odd, ((0.0, 1.0),))[0, :, 0].tolist() == [0, 255, 0, 127]
    flat = np.full((2, 2, 1), 7, np.uint16)
    limits = find_stretch(flat, np.ones((2, 2), bool), Recipe()).limits
    assert not apply(flat, limits).any()
    assert find_stretch(flat, np.zeros((2, 2), bool), Recipe()) == (((0.0, 1.0),), ())


def test_thinning_out():
    assert sample_shape(10, 20) == (10, 20)
    assert sample_shape(3000, 6000) == (512, 1024)
    assert sample_shape(1, 9000) == (1, 1024)
    wide = np.arange(2 * 2048).reshape(2, 2048)
    assert thin_out(wide).shape == (1, 1024)
    np.testing.assert_array_equal(thin_out(wide[:, :1024]), wide[:, :1024])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bands": (1, 2)}, r"data\.bands=\[1, 2\]: name three bands or one"),
        ({"bands": (0, 1, 2)}, r"data\.bands"),
        ({"percentiles": (98.0, 2.0)}, r"data\.stretch=\[98\.0, 2\.0\]: two rising"),
        ({"percentiles": (0.0, 101.0)}, r"data\.stretch"),
    ],
)
def test_bad_recipes(fields, message):
    with pytest.raises(UserError, match=message):
        Recipe(**fields)


# Files.

KINDS = [
    (3, np.uint8, {}),
    (4, np.uint16, {}),
    (1, np.uint16, {"nodata": 500}),
    (3, np.float32, {}),
    (1, np.float64, {"nodata": -9999.0}),
    (2, np.int16, {"compress": "deflate"}),
]


@pytest.mark.parametrize(("count", "dtype", "profile"), KINDS)
def test_a_window_is_a_cut_of_the_whole(raster, count, dtype, profile):
    bands = noise(count, dtype, 0 if dtype == np.uint8 else 100, 255 if dtype == np.uint8 else 3000)
    if bands.dtype.kind == "f":
        bands[0, 3:6, 4:9] = np.nan
    if profile.get("nodata"):
        bands[:, 20:30, 10:40] = profile["nodata"]
    path = raster(bands, **profile)
    rgb, valid = read_picture(path)
    assert (rgb.shape, rgb.dtype, valid.dtype) == ((H, W, 3), np.uint8, bool)
    for y, x, h, w in [(0, 0, H, W), (0, 0, 1, 1), (13, 21, 30, 40), (H - 5, W - 7, 5, 7)]:
        part, part_valid = read_window(path, (y, x, h, w))
        np.testing.assert_array_equal(part, rgb[y : y + h, x : x + w])
        np.testing.assert_array_equal(part_valid, valid[y : y + h, x : x + w])
        assert part.flags.c_contiguous


def test_percentiles_are_those_of_the_whole_file(raster):
    ramp = np.linspace(1000, 5000, H * W).reshape(1, H, W).astype(np.uint16)
    path = raster(ramp)
    dark, _ = read_window(path, (0, 0, 5, W))
    bright, _ = read_window(path, (H - 5, 0, 5, W))
    assert dark.max() < 30  # stretched by itself, either would span 0..255
    assert bright.min() > 225
    low, high = np.percentile(ramp, (2, 98))
    expected = np.clip((ramp[0] - low) * 255 / (high - low), 0, 255)
    assert abs(read_picture(path)[0][..., 0] - expected).max() <= 1


def test_percentiles_of_a_large_file_come_from_a_thinned_out_look(raster):
    columns = np.arange(3000, dtype=np.uint16)
    path = raster(np.broadcast_to(columns, (1, 40, 3000)).copy())
    rgb, _ = read_picture(path, Recipe(percentiles=(0.0, 100.0)))
    assert (abs(rgb[0, :, 0] - columns / 2999 * 255) <= 1.5).all()
    np.testing.assert_array_equal(
        rgb[:, 999:1101], read_window(path, (0, 999, 40, 102), Recipe(percentiles=(0.0, 100.0)))[0]
    )


def test_a_file_written_again_is_measured_again(raster):
    read_picture(raster(noise(1, np.uint16, 0, 100)))
    bands = noise(1, np.uint16, 5000, 9000)
    assert 100 < read_picture(raster(bands, compress="deflate"))[0].mean() < 155


def test_no_data_by_tag_does_not_count(raster):
    bands = noise(3, np.uint16)
    bands[:, :25] = 0
    rgb, valid = read_picture(raster(bands, nodata=0))
    np.testing.assert_array_equal(valid, np.arange(H)[:, None] >= np.full(W, 25))
    assert 120 < rgb[valid].mean() < 135  # the zeros are in no percentile
    bands[0, 30] = 0  # in one band of three: there are data
    assert read_picture(raster(bands, nodata=0))[1][30].all()


FILLS = [
    (np.int16, -9999, (-9999.0,)),
    (np.uint16, 65535, (65535.0,)),
    (np.uint16, 0, (0.0,)),
    (np.float32, np.float32(-3.4028235e38), (-3.4028234663852886e38,)),
    (np.float64, 1e20, (1e20,)),
    (np.uint16, 900, ()),  # within the range of the others
]


@pytest.mark.parametrize(("dtype", "fill", "expected"), FILLS)
def test_what_no_tag_declares_does_not_eat_the_range(
    raster, monkeypatch, capsys, dtype, fill, expected
):
    """A border of one value: the rest is shown as it would be without; training says so once."""
    monkeypatch.setattr("rsisrefiner_jax.data.raster._told", set())
    bands = noise(3, dtype, 800, 1200)
    bands[:, :20] = fill
    path = raster(bands)
    rgb, valid = read_picture(path)
    assert stretch_of_file(path, Recipe()).fill == expected
    assert valid.all()  # the guess counts for colours alone
    if expected:
        np.testing.assert_array_equal(rgb, read_picture(path, Recipe(fill=expected))[0])
        low, high = np.percentile(bands[:, 20:].reshape(3, -1).astype(float), (2, 98), axis=1)
        expected_rgb = np.clip((bands[0, 20:] - low[0]) * 255 / (high[0] - low[0]), 0, 255)
        assert abs(rgb[20:, :, 0] - expected_rgb).max() <= 1
        assert rgb[20:].std() > 60
        assert (rgb[:20] == (255 if fill > 0 else 0)).all()
        plain = read_picture(path, Recipe(fill=()))[0]
        assert plain[20:].std() < rgb[20:].std()
    notes = capsys.readouterr().err
    assert notes.count("left out of the stretch as no data") == bool(expected)


def test_what_is_no_fill():
    rng = np.random.default_rng(0)
    mask = np.repeat([0, 1, 2], 1000)[:, None]
    rare = np.r_[-9999, rng.uniform(0, 1, 5000)][:, None]
    one_band = np.stack(
        [np.r_[np.zeros(900), rng.uniform(90, 99, 100)], rng.uniform(90, 99, 1000)], 1
    )
    for values in (mask, rare, one_band, np.zeros((9, 3))):
        assert guessed_fill(values) == ()
    both = np.r_[np.full(50, -9999), np.full(50, 9999), rng.uniform(0, 99, 900)][:, None]
    assert guessed_fill(both) == (-9999, 9999)


def test_a_tag_rounded_in_writing(raster):
    """Of 32-bit floats: -3.4e38 in place of the lowest that there is."""
    bands = noise(1, np.float32, 0, 1)
    bands[:, :20] = np.finfo(np.float32).min
    rgb, valid = read_picture(raster(bands, nodata=-3.4e38))
    assert not valid[:20].any()
    assert valid[20:].all()
    assert 100 < rgb[20:].mean() < 155


def test_not_a_number_in_any_band_is_no_data(raster):
    bands = noise(3, np.float32, 0, 1)
    bands[1, 4, 5], bands[2, 6, 7] = np.nan, np.inf
    rgb, valid = read_picture(raster(bands))
    assert np.argwhere(~valid).tolist() == [[4, 5], [6, 7]]
    assert 120 < rgb.mean() < 135  # reflectances of 0..1


def test_alpha_is_no_band(raster):
    bands = noise(4, np.uint8, 1, 255)
    bands[3] = 255
    bands[3, :9] = 0
    path = raster(bands, photometric="RGB", alpha="yes")
    rgb, valid = read_picture(path)
    np.testing.assert_array_equal(rgb, np.moveaxis(bands[:3], 0, -1))
    assert not valid[:9].any()
    assert valid[9:].all()
    infrared, valid = read_picture(path, Recipe((4, 1, 2)))  # the user knows better
    assert valid.all()
    np.testing.assert_array_equal(infrared[..., 0], bands[3])
    grey = raster(bands[[0, 3]], alpha="yes")
    rgb, valid = read_picture(grey)
    np.testing.assert_array_equal(rgb[..., 1], bands[0])
    assert not valid[:9].any()


def test_bands(raster):
    import rasterio
    from rasterio.enums import ColorInterp as C

    bands = noise(4, np.uint8, 0, 255)
    path = raster(bands)
    np.testing.assert_array_equal(read_picture(path)[0], np.moveaxis(bands[:3], 0, -1))
    for chosen in [(4, 1, 2), (3, 2, 1), (2, 2, 2)]:
        expected = np.moveaxis(bands[[band - 1 for band in chosen]], 0, -1)
        np.testing.assert_array_equal(read_picture(path, Recipe(chosen))[0], expected)
    np.testing.assert_array_equal(read_picture(path, Recipe((4,)))[0][..., 0], bands[3])
    with pytest.raises(UserError, match=r"r\.tif: data\.bands=\[5, 1, 2\] but the file has only 4"):
        read_picture(path, Recipe((5, 1, 2)))
    # Blue, green, red, as satellites often come; the file says so.
    path = raster(bands, colorinterp=[C.blue, C.green, C.red, C.undefined])
    np.testing.assert_array_equal(read_picture(path)[0], np.moveaxis(bands[[2, 1, 0]], 0, -1))
    with rasterio.open(raster(bands, photometric="MINISBLACK", alpha="NO"), "r+") as file:
        file.descriptions = ["NIR", "Red", "Green", "Blue"]
    np.testing.assert_array_equal(read_picture(path)[0], np.moveaxis(bands[1:], 0, -1))


@pytest.mark.parametrize(
    ("count", "dtype", "expected"),
    [
        (4, np.uint16, (3, 2, 1)),
        (4, np.float32, (3, 2, 1)),
        (4, np.uint8, (1, 2, 3)),
        (3, np.uint16, (1, 2, 3)),
        (5, np.uint16, (1, 2, 3)),
        (2, np.uint16, (1,)),
    ],
)
def test_bands_of_files_that_name_no_colours(raster, count, dtype, expected):
    """Four of more than 8 bits are those of a satellite: blue, green, red, infrared."""
    path = raster(noise(count, dtype, 0, 255), photometric="MINISBLACK", alpha="NO")
    shown = read_picture(path)[0]
    np.testing.assert_array_equal(shown, read_picture(path, Recipe(expected))[0])


def test_each_band_is_stretched_by_itself(raster):
    bands = noise(3, np.uint16) + np.array([0, 5000, 20000], np.uint16)[:, None, None]
    rgb, _ = read_picture(raster(bands))
    assert (abs(rgb.mean((0, 1)) - 127) < 6).all()


def test_stretching_8_bit(raster):
    path = raster(noise(3, np.uint8, 20, 60))
    assert read_picture(path)[0].max() < 60
    assert read_picture(path, Recipe(stretch_8bit=True))[0].max() == 255


@pytest.mark.parametrize("suffix", ["tif", "png"])
@pytest.mark.parametrize(
    ("low", "high", "stretched"), [(20, 60, True), (0, 2, True), (20, 90, False), (0, 256, False)]
)
def test_dark_8_bit_files_may_be_stretched(raster, tmp_path, suffix, low, high, stretched):
    bands = noise(3, np.uint8, low, high)
    bands[:, :4] = 255  # no data, or a few bright pixels
    path = raster(bands, nodata=255)
    if suffix == "png":
        bands[:, 1:4] = low
        path = str(tmp_path / "a.png")
        cv2.imwrite(path, np.moveaxis(bands, 0, -1))
    plain, _ = read_picture(path)
    shown, _ = read_picture(path, Recipe(stretch_8bit=None))
    assert (shown != plain).any() == stretched
    if stretched:
        np.testing.assert_array_equal(shown, read_picture(path, Recipe(stretch_8bit=True))[0])
        assert (shown[5:].min(), shown.max()) == (0, 255)


def test_a_rare_object_in_a_mask_is_seen(raster):
    mask = np.zeros((1, H, W), np.uint8)
    mask[0, 20:23, 30:33] = 1
    shown = read_picture(raster(mask), Recipe(stretch_8bit=None))[0]
    np.testing.assert_array_equal(shown[..., 1], 255 * mask[0])


def test_a_palette_is_resolved(raster):
    path = raster(np.full((1, H, W), 3, np.uint8), colormap={3: (10, 20, 30, 255)})
    assert read_picture(path)[0][0, 0].tolist() == [10, 20, 30]


def test_what_a_file_says_about_itself(raster):
    from rsisrefiner_jax.formats.raster_info import open_raster
    from tests.rasters import UTM

    info = open_raster(raster(noise(4, np.uint16), nodata=7, **UTM))
    assert (info.height, info.width, len(info.bands)) == (H, W, 4)
    assert (info.dtype, info.nodata, info.crs) == ("uint16", 7, "EPSG:32632")
    assert info.transform == (0.5, 0, 500_000, 0, -0.5, 5_000_000)
    plain = open_raster(raster(noise(1, np.uint8)))
    assert plain.crs is plain.transform is plain.nodata is None


def test_windows_outside_are_refused(raster):
    path = raster(noise(1, np.uint8))
    for window in [(-1, 0, 5, 5), (0, 0, H + 1, 5), (0, W, 5, 5), (0, 0, 0, 5)]:
        with pytest.raises(UserError, match=r"r\.tif: a window of .* not inside .* 50 x 70"):
            read_window(path, window)


def test_bad_files_are_named(raster, tmp_path):
    with pytest.raises(UserError, match=r"none\.tif: no such raster file"):
        read_picture(str(tmp_path / "none.tif"))
    (tmp_path / "r.tif").write_text("no raster")
    with pytest.raises(UserError, match=r"r\.tif: cannot be read as a raster \(") as caught:
        read_picture(str(tmp_path / "r.tif"))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="complex numbers"):
        read_picture(raster(noise(1, np.complex64)))
    path = raster(noise(3, np.uint16), compress="deflate")
    content = (tmp_path / "r.tif").read_bytes()
    (tmp_path / "r.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"r\.tif: cannot be read as a raster"):
        read_picture(path)


# Pictures, and life without rasterio.


def test_a_window_of_a_picture(tmp_path):
    path = str(tmp_path / "p.png")
    cv2.imwrite(path, np.moveaxis(noise(4, np.uint16), 0, -1))
    rgb, valid = read_picture(path)
    part, part_valid = read_window(path, (10, 20, 15, 25))
    np.testing.assert_array_equal(part, rgb[10:25, 20:45])
    np.testing.assert_array_equal(part_valid, valid[10:25, 20:45])
    assert read_picture(path, Recipe((3, 2, 1)))[0][..., 0].tolist() == rgb[..., 2].tolist()


@pytest.mark.parametrize("profile", [{}, {"photometric": "RGB"}, {"interleave": "band"}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_opencv_gives_the_same_pixels_or_none(raster, monkeypatch, count, dtype, profile):
    if count < 3:
        profile = {key: value for key, value in profile.items() if key != "photometric"}
    path = raster(noise(count, dtype, 0, 255), **profile)
    expected, _ = read_picture(path)
    monkeypatch.setattr("rsisrefiner_jax.formats.raster_info.installed", lambda: None)
    if count == 1 or (count == 3 and (dtype == np.uint8 or "photometric" in profile)):
        np.testing.assert_array_equal(read_picture(path)[0], expected)
    else:
        with pytest.raises(UserError, match=r"r\.tif: OpenCV cannot .*pip install -e \.\[geo\]"):
            read_picture(path)


def test_what_needs_rasterio_says_so(without_rasterio, tmp_path):
    from rsisrefiner_jax.formats.raster_info import open_raster

    path = str(tmp_path / "r.tif")
    cv2.imwrite(path, np.zeros((3, 4), np.float32))
    for read in (read_picture, open_raster):
        with pytest.raises(UserError, match=r"r\.tif: .*pip install -e \.\[geo\]"):
            read(path)
    (tmp_path / "r.tif").write_text("a format that OpenCV does not know")
    with pytest.raises(UserError, match=r"r\.tif: .*pip install -e \.\[geo\]"):
        read_picture(path)


def test_threads_read_the_same(raster):
    from concurrent.futures import ThreadPoolExecutor

    path = raster(noise(3, np.uint16), compress="deflate")
    rgb, _ = read_picture(path)
    windows = [(y, x, 10, 14) for y in range(0, H, 10) for x in range(0, W, 14)] * 4
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda window: read_window(path, window)[0], windows))
    for (y, x, h, w), part in zip(windows, parts, strict=True):
        np.testing.assert_array_equal(part, rgb[y : y + h, x : x + w])
