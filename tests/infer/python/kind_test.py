"""Tests of the Python package; run by python_test.sh, which sets PYTHONPATH, KIND_LIBRARY and KIND_MODEL."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings

import numpy as np

import kind

SOURCE = pathlib.Path(__file__).resolve().parents[3]
KIND_INFER = os.environ["KIND_INFER_PROGRAM"]


def dark_picture(h=37, w=53, channels=3, dtype=np.uint8):
    """A smooth dark picture with some noise."""
    random = np.random.default_rng(4)
    y, x, c = np.meshgrid(np.arange(h), np.arange(w), np.arange(channels), indexing="ij")
    values = 0.12 + 0.08 * np.sin(x / 9 + c) * np.cos(y / 7) + 0.02 * random.standard_normal((h, w, channels))
    values = np.clip(values, 0, 1)
    if channels % 2 == 0:
        values[..., -1] = 1
    if dtype == np.float32:
        return values.astype(np.float32)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def write_ppm(path, picture):
    h, w, _ = picture.shape
    maximum = np.iinfo(picture.dtype).max
    data = picture.astype(picture.dtype.newbyteorder(">"), copy=False)
    pathlib.Path(path).write_bytes(b"P6\n%d %d\n%d\n" % (w, h, maximum) + data.tobytes())


def read_ppm(path):
    data = pathlib.Path(path).read_bytes()
    match = re.match(rb"P6\s+(\d+)\s+(\d+)\s+(\d+)\s", data)
    w, h, maximum = map(int, match.groups())
    pixels = np.frombuffer(data, np.uint8 if maximum < 256 else ">u2", w * h * 3, match.end())
    return pixels.reshape(h, w, 3)


class Enhance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = kind.Model.load()

    def test_bits_are_those_of_kind_infer(self):
        for dtype in (np.uint8, np.uint16):
            picture = dark_picture(dtype=dtype)
            for arguments, options in [
                (["--auto"], {}),
                (["--ratio", "3", "--fusion", "none"], {"ratio": 3, "fusion": "none"}),
                (["--target-mean", "0.4", "--denoise", "0.5"], {"target_mean": 0.4, "denoise": 0.5}),
                (["--fusion", "official", "--strength", "0.5"], {"fusion": "official", "strength": 0.5}),
            ]:
                with self.subTest(dtype=dtype, arguments=arguments), tempfile.TemporaryDirectory() as folder:
                    write_ppm(f"{folder}/in.ppm", picture)
                    subprocess.run(
                        [KIND_INFER, "in.ppm", "-o", "out.ppm", *arguments], cwd=folder, check=True, capture_output=True
                    )
                    result = self.model.enhance(picture, **options)
                    self.assertEqual(result.dtype, dtype)
                    np.testing.assert_array_equal(result, read_ppm(f"{folder}/out.ppm"))
                    self.assertTrue((result != picture).any())

    def test_shapes_and_dtypes(self):
        for dtype in (np.uint8, np.uint16, np.float32):
            for channels in (1, 2, 3, 4):
                picture = dark_picture(19, 23, channels, dtype)
                before = picture.copy()
                result = kind.enhance(picture)
                self.assertEqual((result.shape, result.dtype), (picture.shape, picture.dtype))
                np.testing.assert_array_equal(picture, before)
                self.assertGreater(result[..., 0].mean(), 1.2 * picture[..., 0].mean())
                if channels % 2 == 0:
                    np.testing.assert_array_equal(result[..., -1], picture[..., -1])
            gray = dark_picture(19, 23, 1, dtype)
            np.testing.assert_array_equal(kind.enhance(gray[..., 0]), kind.enhance(gray)[..., 0])
        self.assertEqual(kind.enhance(np.full((1, 1, 3), 9, np.uint8)).shape, (1, 1, 3))

    def test_strides(self):
        picture = dark_picture(20, 30)
        expected = self.model.enhance(picture, ratio=2)
        wide = np.zeros((40, 50, 3), np.uint8)
        for view, back in [
            (picture[::-1], lambda a: a[::-1]),
            (picture[:, ::-1], lambda a: a[:, ::-1]),
            (picture[..., ::-1], lambda a: a[..., ::-1]),
            (np.asfortranarray(picture), lambda a: a),
            (np.moveaxis(np.ascontiguousarray(np.moveaxis(picture, -1, 0)), 0, -1), lambda a: a),
        ]:
            np.testing.assert_array_equal(self.model.enhance(np.array(back(view)), ratio=2), expected)
            copy = np.ascontiguousarray(view)
            np.testing.assert_array_equal(self.model.enhance(view, ratio=2), self.model.enhance(copy, ratio=2))
        wide[5:25, 7:37] = picture
        before = wide.copy()
        inner = wide[5:25, 7:37]
        np.testing.assert_array_equal(self.model.enhance(inner, ratio=2), expected)
        self.assertIs(self.model.enhance(inner, ratio=2, out=inner), inner)  # in place, between the rows nothing
        np.testing.assert_array_equal(inner, expected)
        before[5:25, 7:37] = expected
        np.testing.assert_array_equal(wide, before)
        upside_down = np.empty_like(picture)
        self.model.enhance(picture, ratio=2, out=upside_down[::-1])
        np.testing.assert_array_equal(upside_down[::-1], expected)
        repeated = np.broadcast_to(picture[3:4], picture.shape)
        np.testing.assert_array_equal(self.model.enhance(repeated, ratio=2), self.model.enhance(repeated.copy(), ratio=2))
        read_only = picture.copy()
        read_only.flags.writeable = False
        np.testing.assert_array_equal(self.model.enhance(read_only, ratio=2), expected)

    def test_light(self):
        picture = dark_picture()
        result, light = self.model.enhance(picture, return_light=True)
        self.assertGreaterEqual(light.ratio, 1)
        self.assertTrue(0 < light.strength <= 1)
        self.assertEqual(self.model.enhance(picture, ratio=np.float32(2), return_light=True)[1].ratio, 2)
        self.assertLess(self.model.enhance(picture, stops=-1).mean(), result.mean())

    def test_threads_at_once(self):
        picture = dark_picture(61, 83)
        expected = self.model.enhance(picture, threads=1)
        results = [None] * 8

        def work(i):
            results[i] = [self.model.enhance(picture, threads=i % 3) for _ in range(3)]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            for one in result:
                np.testing.assert_array_equal(one, expected)

    def test_the_gil_is_released(self):
        picture = dark_picture(200, 300)
        done, seen = threading.Event(), []

        def count():
            while not done.is_set():
                seen.append(1)
                done.wait(0.001)

        counter = threading.Thread(target=count)
        counter.start()
        before = len(seen)
        self.model.enhance(picture, threads=1)
        during = len(seen) - before
        done.set()
        counter.join()
        self.assertGreater(during, 3)

    def test_progress(self):
        picture = dark_picture(150, 200)
        done = []
        self.model.enhance(picture, progress=done.append)
        self.assertGreater(len(done), 2)
        self.assertEqual(done, sorted(done))
        self.assertAlmostEqual(done[-1], 1)
        out = np.full_like(picture, 7)
        with self.assertRaises(kind.Stopped):
            self.model.enhance(picture, progress=lambda share: share > 0.5, out=out)
        self.assertTrue((out == 7).all())

        def fail(_):
            raise ZeroDivisionError("mine")

        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            self.model.enhance(picture, progress=fail)

    def test_what_cannot_be(self):
        good = dark_picture()
        nan = dark_picture(dtype=np.float32)
        nan[2, 3, 1] = np.nan
        for image, error, text in [
            ([[1, 2]], TypeError, "image: expected a numpy array, got list"),
            (good.astype(np.float64), TypeError, "expected uint8, uint16 or float32 .* got float64"),
            (good.astype(np.int32), TypeError, "got int32"),
            (good.astype(">u2"), TypeError, "byte order, got >u2"),
            (good.astype(bool), TypeError, "got bool"),
            (np.zeros(3, np.uint8), ValueError, r"expected a shape like \(h, w\), .* got \(3,\)"),
            (np.zeros((4, 5, 5), np.uint8), ValueError, r"got \(4, 5, 5\)"),
            (np.zeros((3, 40, 50), np.uint8), ValueError, "channels come last: numpy.moveaxis"),
            (np.zeros((2, 4, 5, 3), np.uint8), ValueError, r"got \(2, 4, 5, 3\)"),
            (np.zeros((0, 5, 3), np.uint8), ValueError, r"at least one pixel, got the shape \(0, 5, 3\)"),
            (nan, ValueError, "there is a NaN in row 2"),
        ]:
            with self.subTest(text=text), self.assertRaisesRegex(error, text):
                self.model.enhance(image)
        locked = good.copy()
        locked.flags.writeable = False
        for options, error, text in [
            ({"ratio": 0}, ValueError, "^ratio: expected a ratio above 0 and at most 100, got 0"),
            ({"ratio": float("nan")}, ValueError, "ratio"),
            ({"ratio": 2, "target_mean": 0.4}, ValueError, "give one of them"),
            ({"ratio": 2, "stops": 1}, ValueError, "leave them out"),
            ({"target_mean": 1.5}, ValueError, "^target_mean: expected a mean from 0 to 1, got 1.5"),
            ({"stops": 11}, ValueError, "^stops: expected -10 to 10 stops, got 11"),
            ({"fusion": "best"}, ValueError, "expected one of 'none', 'official', 'auto', got 'best'"),
            ({"strength": 2}, ValueError, "^strength: expected a number from 0 to 1, got 2"),
            ({"denoise": -1}, ValueError, "denoise: expected a number from 0 to 1, got -1"),
            ({"threads": -1}, ValueError, "threads: expected 0 to 1024, got -1"),
            ({"threads": (1 << 32) + 1}, ValueError, "threads: expected 0 to 1024"),
            ({"max_memory": 1 << 20}, kind.KindError, "the limit is 1 MiB"),
            ({"max_memory": -1}, ValueError, "0 or more bytes"),
            ({"out": good.astype(np.float32)}, ValueError, "out: expected uint8 of shape .* got float32"),
            ({"out": good[1:]}, ValueError, "out: expected uint8 of shape"),
            ({"out": locked}, ValueError, "may be written"),
            ({"out": np.zeros(good.shape, np.uint8, order="F")}, ValueError, "rows without gaps"),
        ]:
            with self.subTest(options=options), self.assertRaisesRegex(error, text):
                self.model.enhance(good, **options)
        with self.assertRaisesRegex(kind.KindError, "no/model"):
            kind.Model.load("no/model")

    def test_floats_beyond_the_range(self):
        picture = dark_picture(dtype=np.float32)
        picture[0, 0], picture[1, 1] = 7, -3
        limited = np.clip(picture, 0, 1)
        np.testing.assert_array_equal(self.model.enhance(picture), self.model.enhance(limited))

    def test_floats_of_bytes_are_warned_of(self):
        picture = dark_picture(dtype=np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.model.enhance(picture * 4)
        with self.assertWarnsRegex(UserWarning, "its largest is 255; divide by 255") as warned:
            self.model.enhance(picture / picture.max() * 255)
        self.assertEqual(warned.filename, __file__)
        with self.assertWarns(UserWarning) as warned:
            kind.enhance(picture * 1000, self.model)
        self.assertEqual(warned.filename, __file__)


class Nets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = kind.Model.load()

    def test_together_they_are_the_method(self):
        picture = dark_picture(dtype=np.uint16)
        r, l = self.model.decompose(picture)
        self.assertEqual((r.shape, l.shape, r.dtype, l.dtype), ((37, 53, 3), (37, 53), np.float32, np.float32))
        restored, light = self.model.restore(r, l), self.model.adjust(l, 3)
        product = restored * light[..., None]
        result = self.model.enhance(picture, ratio=3, fusion="none")
        self.assertLessEqual(np.abs(product * 65535 - result.astype(np.float64)).max(), 0.51)
        self.assertGreater(np.abs(restored - r).max(), 0.01)
        self.assertGreater(light.mean(), l.mean())

    def test_stretch(self):
        picture = dark_picture()
        seen = self.model.stretch(picture)
        self.assertEqual((seen.shape, seen.dtype), (picture.shape, np.float32))
        self.assertEqual(seen.min(), 0)
        self.assertGreaterEqual(seen.max(), 1)
        for got, want in zip(self.model.decompose(seen, stretch=False), self.model.decompose(picture)):
            np.testing.assert_array_equal(got, want)
        gray = picture[..., 0]
        np.testing.assert_array_equal(self.model.stretch(gray), self.model.stretch(np.repeat(gray[..., None], 3, 2)))
        floats = dark_picture(dtype=np.float32)
        self.assertEqual(self.model.stretch(floats).shape, floats.shape)

    def test_strides_and_threads(self):
        r, l = self.model.decompose(dark_picture(20, 30), threads=1)
        twice = np.zeros((20, 60, 3), np.float32)
        twice[:, ::2] = r
        expected = self.model.restore(r, l, threads=1)
        np.testing.assert_array_equal(self.model.restore(twice[:, ::2], l[..., None]), expected)
        np.testing.assert_array_equal(
            self.model.restore(np.flipud(r.copy()[::-1]), np.asfortranarray(l), threads=2), expected
        )

    def test_what_cannot_be(self):
        r, l = self.model.decompose(dark_picture(8, 9))
        for call, error, text in [
            (lambda: self.model.restore(r, l[1:]), ValueError, "illumination: expected 9 x 8, .* got 9 x 7"),
            (lambda: self.model.restore(l, l), ValueError, "reflectance: expected a shape like"),
            (lambda: self.model.restore(r.astype(np.float64), l), TypeError, "got float64"),
            (lambda: self.model.restore((r * 255).astype(np.uint8), l), TypeError, "reflectance: expected float32, got uint8"),
            (lambda: self.model.adjust(l, 0), ValueError, "ratio: expected a number above 0"),
            (lambda: self.model.adjust(l, 3, threads=9999), ValueError, "threads"),
            (lambda: self.model.adjust(np.full_like(l, np.inf), 3), ValueError, "not finite in row 0"),
            (lambda: self.model.decompose(l, stretch=False), ValueError, "image: expected a shape"),
            (lambda: self.model.decompose(dark_picture(8, 9, 4)), ValueError, r"got \(8, 9, 4\)"),
        ]:
            with self.subTest(text=text), self.assertRaisesRegex(error, text):
                call()

    def test_description(self):
        description = self.model.description
        self.assertEqual(description["format"], 1)
        self.assertIn("restoration", description)
        self.assertIsInstance(description["input"]["stretch"], bool)


class Runs(unittest.TestCase):
    def test_metrics(self):
        lines = (
            '{"stage": "decom", "step": 50, "epoch": 3, "lr": 0.0005, "loss": {"total": 0.31, "rec": {"raw": 0.2, '
            '"weighted": 0.1}}, "images_per_s": 30.4}\n'
            '{"stage": "decom", "step": 50, "validation": {"psnr": 18.1}, "sets": {"lol": {"psnr": 18.4}}}\n'
            '{"stage": "adjust", "step": 60, "epoch": 0, "lr": 0.1, "loss": {"total": 0.5}, "images_per_s": 3}\n'
            '{"stage": "adjust", "step": 60, "validation": {"psnr": 19, "ssim": 0.7}}\n'
            '{"stage": "adj'
        )
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "metrics.jsonl")
            file.write_text(lines)
            for place in (folder, file):
                run = kind.read_run(place)
                np.testing.assert_array_equal(run.training["step"], [50, 60])
                np.testing.assert_array_equal(run.training["loss.total"], [0.31, 0.5])
                np.testing.assert_array_equal(run.training["loss.rec.raw"], [0.2, np.nan])
                np.testing.assert_array_equal(run.validation["psnr"], [18.1, 19])
                np.testing.assert_array_equal(run.validation["sets.lol.psnr"], [18.4, np.nan])
                np.testing.assert_array_equal(run.validation.of_stage("adjust")["ssim"], [0.7])
                self.assertEqual(list(run.training["stage"]), ["decom", "adjust"])
                self.assertEqual(run.training["step"].dtype, np.int64)
            file.write_text("")
            self.assertEqual(len(kind.read_run(folder).training["step"]), 0)
            file.write_text('{"stage": "a", "step": 1, "loss": {}}\nno\n')
            with self.assertRaisesRegex(ValueError, r"metrics.jsonl, line 2: expected metrics of a run"):
                kind.read_run(folder)
            file.write_text("[1]\n")
            with self.assertRaisesRegex(ValueError, "line 1"):
                kind.read_run(folder)
        with self.assertRaises(OSError):
            kind.read_run("/nowhere/at/all")


class Package(unittest.TestCase):
    def test_version(self):
        text = (SOURCE / "infer/python/pyproject.toml").read_text()
        self.assertIn(f'\nversion = "{kind.__version__}"\n', text)

    def test_a_library_that_is_not_there(self):
        environment = {**os.environ, "KIND_LIBRARY": "/nowhere/libkind.so"}
        result = subprocess.run([sys.executable, "-c", "import kind"], env=environment, capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("libkind.so.0 cannot be loaded (/nowhere/libkind.so", result.stderr)
        self.assertIn("KIND_LIBRARY", result.stderr)

    def test_models_are_released(self):
        import gc
        import weakref

        model = kind.Model.load()
        gone = weakref.ref(model)
        del model
        gc.collect()
        self.assertIsNone(gone())


if __name__ == "__main__":
    unittest.main()
