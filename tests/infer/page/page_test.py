"""The page in Chromium against kind-infer with the baseline kernels.

page_test.py FOLDER CHROMIUM KIND-INFER SAMPLES: FOLDER is a built page, SAMPLES a folder of photographs."""

import base64
import json
import os
import subprocess
import struct
import sys
import tempfile
import time
import unittest
import zlib

from browser import Browser, serve

FOLDER, CHROMIUM, INFER, SAMPLES = sys.argv[1:5]


def read_ppm(path):
    with open(path, "rb") as file:
        data = file.read()
    _, size, _, _ = data.split(b"\n", 3)
    width, height = map(int, size.split())
    return width, height, data[-3 * width * height:]


def png_chunks(data):
    at, chunks = 8, []
    while at < len(data):
        size, = struct.unpack(">I", data[at:at + 4])
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + content) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0]
        chunks.append((kind, content))
        at += 12 + size
    return chunks


def read_png(path):
    """Width, height and RGB samples of an 8-bit RGB or RGBA file without interlacing."""
    with open(path, "rb") as file:
        chunks = png_chunks(file.read())
    width, height, bits, color, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert bits == 8 and color in (2, 6) and not interlaced
    pixel = 3 if color == 2 else 4
    stride = pixel * width
    data = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    above, rows = bytearray(stride), []
    for y in range(height):
        kind, row = data[y * (stride + 1)], bytearray(data[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            a, b = row[i - pixel] if i >= pixel else 0, above[i]
            if kind == 1:
                row[i] = (row[i] + a) & 255
            elif kind == 2:
                row[i] = (row[i] + b) & 255
            elif kind == 3:
                row[i] = (row[i] + (a + b) // 2) & 255
            elif kind == 4:
                c = above[i - pixel] if i >= pixel else 0
                p = a + b - c
                pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                row[i] = (row[i] + (a if pa <= pb and pa <= pc else b if pb <= pc else c)) & 255
        above = row
        rows.append(bytes(row) if pixel == 3 else bytes(v for i, v in enumerate(row) if i % 4 < 3))
    return width, height, b"".join(rows)


def write_png(path, width, height, rgb, exif=None):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    rows = b"".join(b"\0" + rgb[3 * width * y:3 * width * (y + 1)] for y in range(height))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
        if exif:
            file.write(chunk(b"eXIf", exif))
        file.write(chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def exif_of(orientation, camera=b"kind camera\0"):
    """A little-endian EXIF block: a camera's name, the orientation, and a thumbnail."""
    at = 8 + 2 + 2 * 12 + 4
    block = b"II*\0" + struct.pack("<IH", 8, 2)
    block += struct.pack("<HHII", 0x0110, 2, len(camera), at) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    second = at + len(camera)
    block += struct.pack("<I", second) + camera
    thumbnail = second + 2 + 2 * 12 + 4
    block += struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, thumbnail)
    block += struct.pack("<HHII", 0x0202, 4, 1, 9) + struct.pack("<I", 0) + b"thumbnail"
    return block


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.TemporaryDirectory()
        cls.server = serve(FOLDER)
        cls.browser = Browser(CHROMIUM)
        cls.browser.downloads(cls.work.name)
        cls.browser.open(f"http://127.0.0.1:{cls.server.server_port}/")
        cls.browser.until("'ready' in document.documentElement.dataset")

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.server.shutdown()
        cls.work.cleanup()

    def path(self, name):
        return os.path.join(self.work.name, name)

    def native(self, photo, name, *options):
        subprocess.run([INFER, photo, "-o", self.path(name), "--overwrite", *options], check=True,
                       env={**os.environ, "KIND_ISA": "baseline"}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return read_ppm(self.path(name))

    def sample(self, name, rows, columns):
        """A part of a photograph as a PNG file, which is decoded the same everywhere."""
        width, height, rgb = self.native(os.path.join(SAMPLES, name), "sample.ppm", "--strength", "0")
        rows, columns = min(rows, height), min(columns, width)
        return columns, rows, b"".join(rgb[3 * width * y:3 * (width * y + columns)] for y in range(rows))

    def add(self, *paths):
        self.browser.choose("#file", *paths)
        self.finished(os.path.basename(paths[0]))

    def finished(self, name):
        self.browser.until(f"document.getElementById('name').textContent === {json.dumps(name)} && "
                           "/enhanced in|nothing was changed/.test(document.getElementById('status').textContent)")

    def slide(self, name, value):
        self.browser.run(f"(() => {{ const slider = document.getElementById('{name}'); slider.value = {value}; "
                         "slider.dispatchEvent(new Event('input')); })()")
        self.browser.until("/enhanced in|nothing was changed/.test(document.getElementById('status').textContent)")

    def download(self, name, kind):
        path = self.path(name)
        if os.path.exists(path):
            os.remove(path)
        self.browser.run(f"document.querySelector(\"input[value='image/{kind}']\").click()")
        self.browser.run("document.getElementById('download').click()")
        self.browser.until("document.getElementById('cancel').hidden")
        while not os.path.exists(path):
            self.assertLess(time.monotonic(), self.browser.end, self.browser.run("document.body.innerText"))
            time.sleep(0.05)
        return path

    def assert_same(self, got, want, most=0):
        self.assertEqual(got[:2], want[:2])
        differing = [abs(a - b) for a, b in zip(got[2], want[2]) if a != b]
        self.assertLessEqual(len(differing), most, f"{len(differing)} of {len(want[2])} samples differ")
        self.assertLessEqual(max(differing, default=0), 1)

    def test_results_have_the_pixels_of_the_program(self):
        width, height, rgb = self.sample("cup.jpg", 211, 181)
        photo = self.path("cup.png")
        write_png(photo, width, height, rgb)
        self.add(photo)
        # The automatic light takes logarithms and powers, whose last bits are those of a system's library.
        for stops, denoise, strength in [(0, 100, 100), (1, 100, 100), (1, 40, 100), (-1, 0, 70)]:
            self.slide("stops", stops)
            self.slide("denoise", denoise)
            self.slide("strength", strength)
            light = ["--brighter", str(stops)] if stops > 0 else ["--darker", str(-stops)] if stops < 0 else ["--auto"]
            want = self.native(photo, "want.ppm", *light, "--denoise", str(denoise / 100), "--strength", str(strength / 100))
            with self.subTest(stops=stops, denoise=denoise, strength=strength):
                self.assert_same(read_png(self.download("cup-kind.png", "png")), want, most=len(rgb) // 1000)

    def test_parts_have_the_bits_of_the_whole(self):
        width, height, rgb = self.sample("lamps.jpg", 197, 150)
        write_png(self.path("lamps.png"), width, height, rgb)
        want = self.native(self.path("lamps.png"), "want.ppm", "--ratio", "3", "--fusion", "none")
        pixels = bytes(v for i in range(0, len(rgb), 3) for v in (rgb[i], rgb[i + 1], rgb[i + 2], 255))
        # The last one as larger pictures go: in parts that are not held.
        for workers, parts, how in ((1, 1, {}), (2, 2, {}), (3, 3, {}), (2, 4, {"most_held": 0, "part_pixels": 9000})):
            got = self.browser.run(f"""(async () => {{
              const {{Enhancer, Picture}} = await import("./enhancer.js");
              const {{files}} = await import("./files.js");
              const {{load}} = await import("./load.js");
              const module = await WebAssembly.compile(await load(files.module));
              const enhancer = await Enhancer.open(module, await load(files.model), {workers});
              const bytes = new Uint8ClampedArray({json.dumps(list(pixels))});
              const width = {width}, height = {height}, result = bytes.slice();
              const picture = new Picture(enhancer, {{width, height,
                  rows: (from, to) => bytes.slice(4 * width * from, 4 * width * to)}}, {json.dumps(how)});
              let parts = 0;
              await picture.enhance({{ratio: 3, everywhere: true}},
                  {{on_rows: (first, end, pixels) => {{ ++parts; result.set(pixels, 4 * width * first); }}}});
              return [parts, btoa(Array.from(result, (v) => String.fromCharCode(v)).join(""))];
            }})()""")
            result = base64.b64decode(got[1])
            self.assertEqual(got[0], parts)
            self.assert_same((width, height, bytes(v for i, v in enumerate(result) if i % 4 < 3)), want)

    def test_a_slider_shows_what_is_between_its_ends(self):
        width, height, rgb = self.sample("cup.jpg", 150, 120)
        write_png(self.path("dragged.png"), width, height, rgb)
        self.add(self.path("dragged.png"))
        shown = self.browser.run("""(async () => {
          const slider = document.getElementById("stops"), canvas = document.querySelector("canvas.after");
          const seen = new Set(), look = () => seen.add(canvas.toDataURL());
          look();
          for (let i = 1; i <= 60; ++i) {
            slider.value = i / 40;
            slider.dispatchEvent(new Event("input"));
            await new Promise((resolve) => setTimeout(resolve, 25));
            look();
          }
          return seen.size;
        })()""")
        self.assertGreater(shown, 2)
        self.browser.until("/enhanced in|nothing was changed/.test(document.getElementById('status').textContent)")
        light = float(self.browser.run("document.getElementById('stops').value"))
        want = self.native(self.path("dragged.png"), "want.ppm", "--brighter", str(light))
        self.assert_same(read_png(self.download("dragged-kind.png", "png")), want, most=len(rgb) // 1000)

    def test_pictures_that_are_removed_at_once_leave_the_others(self):
        names = []
        for i, (columns, rows) in enumerate(((50, 60), (60, 50), (70, 40))):
            width, height, rgb = self.sample("cup.jpg", columns, rows)
            names.append(f"removed{i}.png")
            write_png(self.path(names[-1]), width, height, rgb)
        while self.browser.run("document.querySelectorAll('.remove').length"):  # those of other tests
            self.browser.run("document.querySelector('.remove').click()")
        self.add(*(self.path(name) for name in names))
        self.browser.run("document.querySelectorAll('.remove')[0].click(), document.querySelectorAll('.remove')[0].click()")
        self.finished(names[2])
        self.browser.run("document.querySelector('.remove').click()")
        self.browser.until("!document.getElementById('empty').hidden")

    def test_files_that_cannot_be_read_do_not_keep_others_from_being_saved(self):
        width, height, rgb = self.sample("cup.jpg", 40, 30)
        write_png(self.path("good.png"), width, height, rgb)
        with open(self.path("bad.png"), "w", encoding="ascii") as file:
            file.write("no picture")
        while self.browser.run("document.querySelectorAll('.remove').length"):
            self.browser.run("document.querySelector('.remove').click()")
        self.browser.choose("#file", self.path("bad.png"), self.path("good.png"))
        self.browser.until("/no picture/.test(document.getElementById('status').textContent)")
        self.browser.run("document.querySelector(\"input[value='image/png']\").click()")
        self.browser.run("document.getElementById('download-all').click()")
        self.browser.until("/1 of 2 files saved.*bad.png/.test(document.getElementById('status').textContent)")
        while not os.path.exists(self.path("good-kind.png")):
            self.assertLess(time.monotonic(), self.browser.end)
            time.sleep(0.05)

    def test_a_picture_that_was_stopped_goes_on(self):
        width, height, rgb = self.sample("lamps.jpg", 97, 130)
        write_png(self.path("stopped.png"), width, height, rgb)
        want = self.native(self.path("stopped.png"), "want.ppm", "--ratio", "3", "--fusion", "none")
        pixels = bytes(v for i in range(0, len(rgb), 3) for v in (rgb[i], rgb[i + 1], rgb[i + 2], 255))
        # It is stopped wherever its progress changes, and another picture has the workers in between, or itself without
        # denoising.
        got = self.browser.run(f"""(async () => {{
          const {{Enhancer, Picture}} = await import("./enhancer.js");
          const {{files}} = await import("./files.js");
          const {{load}} = await import("./load.js");
          const module = await WebAssembly.compile(await load(files.module));
          const enhancer = await Enhancer.open(module, await load(files.model), 2);
          const bytes = new Uint8ClampedArray({json.dumps(list(pixels))});
          const width = {width}, height = {height}, result = bytes.slice();
          const rows = (from, to) => bytes.slice(4 * width * from, 4 * width * to);
          const light = {{ratio: 3, everywhere: true}}, picture = new Picture(enhancer, {{width, height, rows}});
          let stops = 0;
          for (let at = 0; at < 0.99; at += 0.08) {{
            const stop = new AbortController();
            const on_progress = (share) => {{ if (share > at) stop.abort(); }};
            await picture.enhance(light, {{on_progress, signal: stop.signal}})
                .catch((error) => {{ stops += error.name === "AbortError"; }});
            if (at % 0.16 < 0.08) await picture.enhance({{...light, denoise: 0}});
            const other = new Picture(enhancer, {{width, height: height - 30, rows}});
            await other.enhance({{ratio: 2}});
            await other.release();
          }}
          await picture.enhance(light, {{on_rows: (first, end, pixels) => result.set(pixels, 4 * width * first)}});
          return [stops, btoa(Array.from(result, (v) => String.fromCharCode(v)).join(""))];
        }})()""")
        self.assertGreater(got[0], 3)
        result = base64.b64decode(got[1])
        self.assert_same((width, height, bytes(v for i, v in enumerate(result) if i % 4 < 3)), want)

    def test_a_frame_stays_and_gray_stays_gray(self):
        width, height = 120, 150  # inside are two parts
        pixels = bytearray()
        for y in range(height):
            for x in range(width):
                inside = 10 <= x < 110 and 12 <= y < 138
                pixels += bytes([(7 * x + 5 * y) % 40 if inside else 200] * 3)
        write_png(self.path("framed.png"), width, height, bytes(pixels))
        self.add(self.path("framed.png"))
        got = read_png(self.download("framed-kind.png", "png"))
        self.assert_same(got, self.native(self.path("framed.png"), "want.ppm"), most=width * height // 300)
        self.assertEqual(got[2][:3 * width], bytes(pixels[:3 * width]))
        self.assertTrue(all(got[2][i] == got[2][i + 1] == got[2][i + 2] for i in range(0, len(got[2]), 3)))

    def test_exif_is_kept_upright(self):
        width, height, rgb = self.sample("cup.jpg", 64, 96)
        for orientation in (1, 6):
            write_png(self.path("turned.png"), width, height, rgb, exif_of(orientation))
            self.add(self.path("turned.png"))
            with open(self.download("turned-kind.jpg", "jpeg"), "rb") as file:
                jpeg = file.read()
            self.assertEqual(jpeg[:4], b"\xff\xd8\xff\xe1")
            size, = struct.unpack(">H", jpeg[4:6])
            self.assertEqual(jpeg[6:12], b"Exif\0\0")
            in_jpeg = jpeg[12:4 + size]
            with open(self.download("turned-kind.png", "png"), "rb") as file:
                in_png = dict(png_chunks(file.read()))[b"eXIf"]
            for exif in (in_jpeg, in_png):
                expected = exif_of(1).replace(b"thumbnail", bytes(9))
                at = 8 + 2 + 2 * 12  # the second directory is not linked any more
                self.assertEqual(exif, expected[:at] + bytes(4) + expected[at + 4:])

    def test_nothing_is_loaded_after_the_start(self):
        origin = f"http://127.0.0.1:{self.server.server_port}/"
        self.browser.events.clear()
        width, height, rgb = self.sample("cup.jpg", 50, 60)
        write_png(self.path("quiet.png"), width, height, rgb)
        self.add(self.path("quiet.png"))
        self.slide("stops", 0.5)
        self.download("quiet-kind.jpg", "jpeg")
        asked = [event["params"]["request"]["url"] for event in self.browser.events
                 if event["method"] == "Network.requestWillBeSent"]
        self.assertEqual([url for url in asked if not url.startswith(("blob:", "data:"))], [])
        self.assertTrue(self.browser.run("fetch('https://example.org/').then(() => false, () => true)"))
        kept = self.browser.run("caches.open('kind').then((cache) => cache.keys()).then((all) => all.map(({url}) => url))")
        self.assertEqual(len(kept), 2)
        self.assertTrue(all(url.startswith(origin + "kind.") for url in kept), kept)

    def test_the_line_moves_by_keys_and_pointer(self):
        width, height, rgb = self.sample("cup.jpg", 50, 60)
        write_png(self.path("line.png"), width, height, rgb)
        self.add(self.path("line.png"))
        line = "document.querySelector('[role=slider]')"
        self.browser.run(f"{line}.focus()")
        self.browser.key("Home", 36)
        self.assertEqual(self.browser.run(f"{line}.getAttribute('aria-valuenow')"), "0")
        self.browser.key("ArrowRight", 39)
        self.assertEqual(self.browser.run(f"{line}.getAttribute('aria-valuenow')"), "2")
        box = self.browser.run("(({x, y, width, height}) => [x + 0.75 * width, y + height / 2])"
                               "(document.getElementById('compare').getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.browser("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        self.assertEqual(self.browser.run(f"{line}.getAttribute('aria-valuenow')"), "75")

    def test_a_file_that_is_no_picture_is_refused(self):
        path = self.path("broken.png")
        with open(path, "wb") as file:
            file.write(b"this is no picture")
        self.browser.choose("#file", path)
        self.browser.until("/no picture/.test(document.getElementById('status').textContent)")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
