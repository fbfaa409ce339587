/* enhance-c IN.ppm OUT.ppm [RATIO]: brightens a binary PPM picture through libkind. */
#include <kind.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what, const char* why) {
  fprintf(stderr, "enhance-c: %s: %s\n", what, why);
  return 2;
}

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return fail("usage", "enhance-c IN.ppm OUT.ppm [RATIO]");

  int width = 0, height = 0, maximum = 0;
  FILE* in = fopen(argv[1], "rb");
  if (!in) return fail(argv[1], "cannot be opened");
  if (fscanf(in, "P6 %d %d %d", &width, &height, &maximum) != 3 || fgetc(in) == EOF || maximum != 255 || width < 1 ||
      height < 1 || width > 20000 || height > 20000) {
    return fail(argv[1], "expected a binary PPM of 8 bits");
  }
  size_t bytes = 3 * (size_t)width * (size_t)height;
  unsigned char* pixels = malloc(bytes);
  if (!pixels || fread(pixels, 1, bytes, in) != bytes) return fail(argv[1], "cannot be read");
  fclose(in);

  /* NULL opens the shipped model, a path another one. One model can be used for all pictures, by all threads. */
  kind_model* model = NULL;
  if (kind_open(NULL, &model) != KIND_OK) return fail("model", kind_last_error());

  kind_picture picture = {pixels, 3 * (ptrdiff_t)width, width, height, 3, KIND_8_BITS};
  kind_options options = KIND_OPTIONS;
  if (argc == 4) {
    options.light = KIND_LIGHT_RATIO;
    options.light_value = atof(argv[3]);
  }
  kind_result result;
  if (kind_enhance(model, &picture, &picture, &options, &result) != KIND_OK) return fail(argv[1], kind_last_error());
  fprintf(stderr, "kind %s: ratio %.2f\n", kind_version(), result.ratio);
  kind_free(model);

  FILE* out = fopen(argv[2], "wb");
  if (!out) return fail(argv[2], "cannot be written");
  fprintf(out, "P6\n%d %d\n255\n", width, height);
  fwrite(pixels, 1, bytes, out);
  free(pixels);
  return ferror(out) | fclose(out) ? fail(argv[2], "cannot be written") : 0;
}
