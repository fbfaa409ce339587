// Photographs as the browser decodes them, and results as it encodes them.
import {jpeg_with_exif, png_with_exif, read_exif, upright_exif} from "./metadata.js";

const kJpegQuality = 0.95;

/** A decoded picture as rows of RGBA pixels in sRGB, for Picture of enhancer.js. */
export class BitmapRows {
  constructor(bitmap) {
    this.bitmap = bitmap;
    this.width = bitmap.width;
    this.height = bitmap.height;
  }
  rows(from, to) {
    const pen = new OffscreenCanvas(this.width, to - from).getContext("2d", {willReadFrequently: true});
    pen.drawImage(this.bitmap, 0, -from);
    return pen.getImageData(0, 0, this.width, to - from).data;
  }
}

/** Decodes a file, upright. */
export async function decode(file) {
  try {
    return await createImageBitmap(file, {imageOrientation: "from-image"});
  } catch {
    throw new Error(`${file.name || "What was pasted"} is no picture that this browser can read`);
  }
}

/** A smaller copy of at most so many pixels; the picture itself where it has no more. */
export async function reduced(bitmap, most) {
  const scale = Math.sqrt(most / (bitmap.width * bitmap.height));
  if (scale >= 1) return bitmap;
  return createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.round(bitmap.height * scale)),
    resizeQuality: "high",
  });
}

/** A canvas with a picture, whose pixels results are put into. */
export function canvas_of(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  if (!pen) throw new Error("this browser has no memory for a picture of that size");
  pen.drawImage(bitmap, 0, 0);
  return canvas;
}

/** Encodes a canvas as image/jpeg or image/png, with the EXIF data of the photograph that it was made from. */
export async function encode(canvas, type, photograph) {
  const blob = await canvas.convertToBlob({type, quality: kJpegQuality});
  if (blob.type !== type) throw new Error(`this browser cannot write ${type}`);
  let exif = read_exif(new Uint8Array(await photograph.arrayBuffer()));
  if (exif) exif = upright_exif(exif, canvas.width, canvas.height);
  if (!exif) return blob;
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return new Blob(type === "image/jpeg" ? jpeg_with_exif(bytes, exif) : png_with_exif(bytes, exif), {type});
}

/** The name of a result: that of the photograph with -kind and the type's ending. */
export function result_name(name, type) {
  const stem = (name || "photograph").replace(/\.[^.]*$/, "");
  return `${stem}-kind.${type === "image/png" ? "png" : "jpg"}`;
}
