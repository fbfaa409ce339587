// EXIF data of photographs: found in JPEG, PNG and WebP files, made upright, and put into JPEG and PNG files.

const text = (bytes, at, count) => String.fromCharCode(...bytes.subarray(at, at + count));
const view_of = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const kExifHead = "Exif\0\0";
const kJpegStart = 0xffd8, kApp1 = 0xffe1, kStartOfScan = 0xffda;
/** What a segment of a JPEG file holds beside its length and the head. */
const kMostInSegment = 65535 - 2 - kExifHead.length;

/** The EXIF block of a file's bytes, a copy that begins with its byte order; null where there is none. */
export function read_exif(bytes) {
  try {
    const view = view_of(bytes);
    if (bytes.length > 12 && view.getUint16(0) === kJpegStart) return exif_of_jpeg(bytes, view);
    if (text(bytes, 1, 3) === "PNG") return exif_of_png(bytes, view);
    if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 4) === "WEBP") return exif_of_webp(bytes, view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;  // a file that ends early
  }
  return null;
}

function exif_of_jpeg(bytes, view) {
  for (let at = 2; at + 4 < bytes.length && bytes[at] === 0xff;) {
    const marker = view.getUint16(at), size = view.getUint16(at + 2);
    if (marker === kStartOfScan) break;
    if (marker === kApp1 && text(bytes, at + 4, 6) === kExifHead) return bytes.slice(at + 10, at + 2 + size);
    at += 2 + size;
  }
  return null;
}

function exif_of_png(bytes, view) {
  for (let at = 8; at + 12 <= bytes.length;) {
    const size = view.getUint32(at);
    if (text(bytes, at + 4, 4) === "eXIf") return bytes.slice(at + 8, at + 8 + size);
    at += 12 + size;
  }
  return null;
}

function exif_of_webp(bytes, view) {
  for (let at = 12; at + 8 <= bytes.length;) {
    const size = view.getUint32(at + 4, true);
    if (text(bytes, at, 4) === "EXIF") {
      const from = text(bytes, at + 8, 6) === kExifHead ? at + 14 : at + 8;
      return bytes.slice(from, at + 8 + size);
    }
    at += 8 + size + size % 2;
  }
  return null;
}

/**
 * Makes an EXIF block fit a result of these sides, in place: browsers turn pictures upright when they decode them, so
 * the orientation becomes 1; the thumbnail, which would show the dark picture, is removed. Returns it, or null where it
 * is damaged.
 */
export function upright_exif(exif, width, height) {
  const kOrientation = 0x0112, kExifPart = 0x8769, kWidth = 0xa002, kHeight = 0xa003;
  const kThumbnail = 0x0201, kThumbnailSize = 0x0202, kShort = 3, kLong = 4;
  try {
    const view = view_of(exif), little = text(exif, 0, 2) === "II";
    if (!little && text(exif, 0, 2) !== "MM" || view.getUint16(2, little) !== 42) return null;
    const get = (entry) => view.getUint16(entry + 2, little) === kShort ? view.getUint16(entry + 8, little)
                                                                        : view.getUint32(entry + 8, little);
    const set = (entry, value) => {
      const type = view.getUint16(entry + 2, little);
      if (type === kShort) view.setUint16(entry + 8, value, little);
      if (type === kLong) view.setUint32(entry + 8, value, little);
    };
    // The entries of a directory by their tags, and where the offset of the next directory is.
    const directory = (at) => {
      const count = view.getUint16(at, little), entries = new Map();
      for (let i = 0; i < count; ++i) entries.set(view.getUint16(at + 2 + 12 * i, little), at + 2 + 12 * i);
      return {entries, next: at + 2 + 12 * count};
    };
    const main = directory(view.getUint32(4, little));
    if (main.entries.has(kOrientation)) set(main.entries.get(kOrientation), 1);
    if (main.entries.has(kExifPart)) {
      const {entries} = directory(get(main.entries.get(kExifPart)));
      if (entries.has(kWidth)) set(entries.get(kWidth), width);
      if (entries.has(kHeight)) set(entries.get(kHeight), height);
    }
    const second = view.getUint32(main.next, little);
    view.setUint32(main.next, 0, little);
    if (second !== 0) {
      const {entries} = directory(second);
      if (entries.has(kThumbnail) && entries.has(kThumbnailSize)) {
        const from = get(entries.get(kThumbnail));
        exif.fill(0, from, from + get(entries.get(kThumbnailSize)));
      }
    }
    return exif;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return null;
  }
}

/** The pieces of a JPEG file with an EXIF block behind its start; for a Blob. */
export function jpeg_with_exif(jpeg, exif) {
  if (!exif || exif.length > kMostInSegment) return [jpeg];
  const head = new Uint8Array(4 + kExifHead.length), size = exif.length + kExifHead.length + 2;
  head.set([kApp1 >> 8, kApp1 & 255, size >> 8, size & 255]);
  for (let i = 0; i < kExifHead.length; ++i) head[4 + i] = kExifHead.charCodeAt(i);
  return [jpeg.subarray(0, 2), head, exif, jpeg.subarray(2)];
}

/** The same of a PNG file: a chunk eXIf behind the header. */
export function png_with_exif(png, exif) {
  const kBehindHeader = 8 + 25;
  if (!exif) return [png];
  const chunk = new Uint8Array(12 + exif.length), view = view_of(chunk);
  view.setUint32(0, exif.length);
  for (let i = 0; i < 4; ++i) chunk[4 + i] = "eXIf".charCodeAt(i);
  chunk.set(exif, 8);
  view.setUint32(8 + exif.length, crc32(chunk.subarray(4, 8 + exif.length)));
  return [png.subarray(0, kBehindHeader), chunk, png.subarray(kBehindHeader)];
}

/** The CRC of PNG's chunks (ISO 3309), bit by bit: EXIF blocks are short. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; ++i) crc = crc & 1 ? crc >>> 1 ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
